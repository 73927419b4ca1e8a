"""One system reads one PDF in a process of its own: python -m benchmarks.pdf.reader SYSTEM FILE → a line of JSON.

Imports and a first page that does not count come before the clock starts.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdfium2

Read = Callable[[Path], Iterator[int]]  # yields what each page gave, in characters


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    pages: int
    characters: int
    wall: float
    cpu: float
    before_mb: float
    peak_mb: float


def text_only() -> Read:
    from tasks.partition.layout import arrange
    from tasks.partition.pdf.text.fonts import Fonts
    from tasks.partition.pdf.text.layer import page_text

    def read(path: Path) -> Iterator[int]:
        fonts = Fonts()
        with pypdfium2.PdfDocument(path) as document:
            for page in document:
                found = arrange(page_text(page, fonts).spans)
                yield sum(len(block.text) for block in found if not isinstance(block, int))
                page.close()

    return read


def whole() -> Read:
    from benchmarks.pdf.pages import lake
    from tasks.partition.context import PartContext
    from tasks.partition.detect import PDF
    from tasks.partition.pdf.reader import page_elements
    from tasks.partition.pdf.text.fonts import Fonts
    from tasks.settings import Limits, PartitionSettings

    def read(path: Path) -> Iterator[int]:
        with lake() as storage, pypdfium2.PdfDocument(path) as document:
            context = PartContext(storage, PartitionSettings(), Limits(), PDF, ocr=False)
            fonts = Fonts()
            for number, page in enumerate(document, 1):
                rows = page_elements(page, number, context, fonts)
                cells = (cell for _, hint in rows if hint.table for cell in hint.table.cells)
                yield sum(len(row.text) for row, _ in rows) + sum(len(cell.text) for cell in cells)
                page.close()

    return read


def plain() -> Read:
    def read(path: Path) -> Iterator[int]:
        with pypdfium2.PdfDocument(path) as document:
            for page in document:
                textpage = page.get_textpage()
                yield len(textpage.get_text_range())
                textpage.close()
                page.close()

    return read


def unstructured_fast() -> Read:
    from tasks.partition import nlp

    nlp.install()
    from unstructured.partition.pdf import partition_pdf

    def read(path: Path) -> Iterator[int]:
        by_page: dict[int, int] = {}
        for element in partition_pdf(filename=str(path), strategy="fast"):
            number = element.metadata.page_number or 1
            by_page[number] = by_page.get(number, 0) + len(element.text)
        with pypdfium2.PdfDocument(path) as document:
            yield from (by_page.get(number, 0) for number in range(1, len(document) + 1))

    return read


def plumber_text() -> Read:
    import pdfplumber

    def read(path: Path) -> Iterator[int]:
        with pdfplumber.open(path) as document:
            for page in document.pages:
                yield len(page.extract_text())
                page.close()

    return read


def plumber_tables() -> Read:
    import pdfplumber

    def read(path: Path) -> Iterator[int]:
        with pdfplumber.open(path) as document:
            for page in document.pages:
                cells = (cell for table in page.extract_tables() for row in table for cell in row if cell)
                yield len(page.extract_text()) + sum(map(len, cells))
                page.close()

    return read


SYSTEMS: dict[str, Callable[[], Read]] = {
    "ours, text": text_only,
    "ours, whole": whole,
    "pypdfium2 plain text": plain,
    "pdfplumber text": plumber_text,
    "pdfplumber tables": plumber_tables,
    "unstructured fast": unstructured_fast,
}


def measure(system: str, path: Path, warm: Path) -> Figures:
    read = SYSTEMS[system]()
    list(read(warm))
    before = _resident_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    found = list(read(path))
    return Figures(
        len(found), sum(found), time.perf_counter() - wall, time.process_time() - cpu, before,
        peak_mb(),
    )  # fmt: skip


def peak_mb() -> float:
    """The largest resident set of this program. Linux's rusage counts what its parent had when it was started."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))))
