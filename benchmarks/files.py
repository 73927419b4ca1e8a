"""Which files a benchmark runs on: all of a folder, a sample, or those that both systems can read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pypdfium2


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The files to run on, the pages of each (0 where it has none or cannot be opened), and those left out, why."""

    files: tuple[str, ...]
    pages: tuple[int, ...]
    left_out: dict[str, str]


def choose(folder: Path, sample: int | None, pdf_only: bool) -> Choice:
    """The files below a folder in path order; `sample` takes that many, evenly spread over the list."""
    found = sorted(path for path in folder.resolve().rglob("*") if path.is_file() and not _hidden(path, folder))
    usable = [path for path in found if not pdf_only or _is_pdf(path)]
    left_out = {str(path): "not a PDF: the peer reads only those" for path in found if path not in set(usable)}
    if sample is not None and sample < len(usable):
        chosen = [usable[i * len(usable) // sample] for i in range(sample)]
        left_out |= {str(path): "not in the sample" for path in usable if path not in set(chosen)}
        usable = chosen
    for path in usable:
        path.read_bytes()  # into the page cache, so that the first system does not pay for the disk
    return Choice(tuple(map(str, usable)), tuple(map(_pages, usable)), left_out)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder.resolve()).parts)


def _is_pdf(path: Path) -> bool:
    with path.open("rb") as file:
        return b"%PDF-" in file.read(1024)


def _pages(path: Path) -> int:
    if not _is_pdf(path):
        return 0
    try:
        with pypdfium2.PdfDocument(path) as document:
            return len(document)
    except pypdfium2.PdfiumError:
        return 0
