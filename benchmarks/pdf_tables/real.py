"""Pages of public filings whose rows were read by eye from the rendered page (`filings.json`): label and numbers.

A row is found when one row of one table has its label and then all its numbers, in order and nothing lost; prose is
inside a table when a cell holds one of the phrases that stand around the tables of the page.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pdf_tables.systems import System
from tasks.partition.pdf.tables.cells import Table

_PLAIN = re.compile(r"[\s$]")
TARGET = 0.90


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One page, as read."""

    file: str
    page: int
    what: str
    rows: tuple[tuple[str, ...], ...]
    prose: tuple[str, ...]


@functools.cache
def pages() -> tuple[Page, ...]:
    read: list[dict[str, Any]] = json.loads((Path(__file__).parent / "filings.json").read_text("utf-8"))
    return tuple(
        Page(one["file"], one["page"], one["what"], tuple(map(tuple, one["rows"])), tuple(one["prose"])) for one in read
    )


def measure(page: Page, tables: Sequence[Table]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows that no table has, and the phrases of prose that a table has."""
    lines = [cells for table in tables for cells in _rows(table)]
    missing = [row for row in page.rows if not any(_is(row, cells) for cells in lines)]
    held = [_bare(cell.text) for table in tables for cell in table.cells]
    return missing, [phrase for phrase in page.prose if any(_bare(phrase) in text for text in held)]


def _rows(table: Table) -> Iterator[list[str]]:
    for r in range(table.rows):
        yield [
            _bare(c.text)
            for c in sorted(table.cells, key=lambda c: c.column)
            if c.row <= r < c.row + c.row_span and c.text
        ]


def _is(row: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether cells begin with the row's label (a footnote mark may follow) and then hold its numbers in order."""
    label, numbers = _bare(row[0]), [_bare(number) for number in row[1:]]
    if label and not (cells and cells[0].startswith(label)):
        return False
    rest = iter(cells[1:] if label else cells)
    return all(any(cell == number for cell in rest) for number in numbers)


def _bare(text: str) -> str:
    return _PLAIN.sub("", text)


def report(systems: Mapping[str, System], folder: Path) -> list[str]:
    """A table with a line per page; the pages of files that are not there are left out, and said."""
    there = [page for page in pages() if (folder / page.file).is_file()]
    lines = [
        f"Rows found, of those read by eye on {len(there)} pages of filings, and phrases of prose inside tables:",
        "",
    ]
    lines += [_line(["page", "", "rows", *systems]), _line(["---"] * (3 + len(systems)))]
    found = dict.fromkeys(systems, 0)
    inside = dict.fromkeys(systems, 0)
    for page in there:
        cells = []
        for name, system in systems.items():
            tables = _tables(system, folder / page.file, page.page)
            missing, prose = measure(page, tables)
            found[name] += len(page.rows) - len(missing)
            inside[name] += len(prose)
            cells.append(f"{len(page.rows) - len(missing)}" + (f" ({len(prose)} prose)" if prose else ""))
        lines.append(_line([f"{page.file} p. {page.page}", page.what, str(len(page.rows)), *cells]))
    total = sum(len(page.rows) for page in there)
    if total:
        shares = [f"**{found[name] / total:.3f}** ({inside[name]} prose)" for name in systems]
        lines.append(_line(["**recall**", "", str(total), *shares]))
    lines += [f"- not there: {name}" for name in sorted({p.file for p in pages()} - {p.file for p in there})]
    return lines


def _tables(system: System, path: Path, number: int) -> list[Table]:
    return next(iter(system(one_page(path, number))))[0]


def one_page(path: Path, number: int) -> bytes:
    """A page as a document of its own, so that no system reads the rest."""
    import io

    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        single = pypdfium2.PdfDocument.new()
        single.import_pages(document, [number - 1])
        buffer = io.BytesIO()
        single.save(buffer)
        return buffer.getvalue()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
