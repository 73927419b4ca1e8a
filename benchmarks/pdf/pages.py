"""The partition of a PDF in this process, page by page, as the pipeline does it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lxml import html as lxml_html

from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.detect import PDF
from tasks.partition.finish import finish
from tasks.partition.pdf import reader as pdf
from tasks.rows import ElementRow
from tasks.settings import Limits, PartitionSettings
from tasks.storage import LocalStorage


@dataclasses.dataclass(frozen=True, slots=True)
class Partitioned:
    """A document's final rows; `ocr` are the pages that were (or, with OCR off, would have been) read by OCR."""

    rows: list[ElementRow]
    context: PartContext

    def by_page(self) -> dict[int, list[ElementRow]]:
        found: dict[int, list[ElementRow]] = {}
        for row in self.rows:
            for page in sorted({row.page or 0, *(box.page for box in row.boxes)}):
                found.setdefault(page, []).append(row)
        return found


def partitioned(path: Path, ocr: bool = False) -> Partitioned:
    """A PDF's rows. Raises DocumentError."""
    with lake() as storage:
        context = PartContext(storage, PartitionSettings(), Limits(), PDF, ocr)
        rows = pdf.partition(path, context)
        return Partitioned(finish(rows, context.hints, context.pages), context)


def said(row: ElementRow) -> str:
    """An element's words as the page has them: the cells of a table once, without the names that its text repeats."""
    return "\n".join(lxml_html.fromstring(row.html).itertext()) if row.html else row.text


@contextlib.contextmanager
def lake() -> Iterator[LocalStorage]:
    with tempfile.TemporaryDirectory() as folder:
        yield LocalStorage(Path(folder))


def pdfs(paths: Iterable[str]) -> list[Path]:
    """The PDFs at and below paths, by name. Ends the command where one is not there."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if not path.exists():
            sys.exit(f"{path} does not exist")
        found += sorted(path.rglob("*.pdf")) if path.is_dir() else [path]
    return found


def why(error: DocumentError) -> str:
    return f"{error.code}: {error}"
