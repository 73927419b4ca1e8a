"""The systems that are measured: ours, and pdfplumber's two strategies where it is installed.

Each takes a PDF and yields, page by page, its tables and the seconds that it took for them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import time
from collections.abc import Callable, Iterator

import pypdfium2

from tasks.partition.pdf.content import Word
from tasks.partition.pdf.drawings import page_drawings
from tasks.partition.pdf.tables.cells import Cell, Table
from tasks.partition.pdf.tables.find import find_tables
from tasks.partition.pdf.text.layer import page_text

Pages = Iterator[tuple[list[Table], float]]
System = Callable[[bytes], Pages]


def ours(pdf: bytes) -> Pages:
    """Seconds are of finding the tables alone; words and drawings are read for every page anyway."""
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            text = page_text(page)
            drawings = page_drawings(page, text.view)
            start = time.perf_counter()
            found = find_tables(text.words, drawings.rules, drawings.shapes, text.view.size)
            yield found, time.perf_counter() - start


def page_words(pdf: bytes) -> list[list[Word]]:
    """The words by which all systems are judged."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [page_text(page).words for page in document]


def plumber(strategy: str) -> System:
    """pdfplumber's `extract_tables` with a strategy for both directions; seconds include its reading of the page."""

    def pages(pdf: bytes) -> Pages:
        import pdfplumber

        with pdfplumber.open(io.BytesIO(pdf)) as document:
            for page in document.pages:
                start = time.perf_counter()
                settings = {"vertical_strategy": strategy, "horizontal_strategy": strategy}
                found = [_converted(table) for table in page.find_tables(settings)]
                seconds = time.perf_counter() - start
                page.close()
                yield [table for table in found if table.cells], seconds

    return pages


def _converted(table: object) -> Table:
    """pdfplumber's cells with the spans that their boxes have in the grid of all of them."""
    texts = table.extract()  # type: ignore[attr-defined]
    boxes = [box for row in table.rows for box in row.cells if box is not None]  # type: ignore[attr-defined]
    lefts, tops = (sorted({round(box[k], 1) for box in boxes}) for k in (0, 1))
    cells = []
    for r, (row, text) in enumerate(zip(table.rows, texts, strict=True)):  # type: ignore[attr-defined]
        for c, (box, cell) in enumerate(zip(row.cells, text, strict=True)):
            if box is not None:
                rows = sum(box[1] - 0.2 <= y < box[3] - 0.2 for y in tops)
                columns = sum(box[0] - 0.2 <= x < box[2] - 0.2 for x in lefts)
                cells.append(Cell(r, c, max(rows, 1), max(columns, 1), " ".join((cell or "").split()), box))
    return Table(table.bbox, tuple(cells), "", "ruled", 1)  # type: ignore[attr-defined]


def systems() -> tuple[dict[str, System], list[str]]:
    """All that can run here by name, and what to say about it."""
    found: dict[str, System] = {"ours": ours}
    if importlib.util.find_spec("pdfplumber") is None:
        return found, ["pdfplumber is not installed (pip install pdfplumber): no peers in this run"]
    found |= {f"pdfplumber {strategy}": plumber(strategy) for strategy in ("lines", "text")}
    return found, [f"pdfplumber {importlib.metadata.version('pdfplumber')}"]
