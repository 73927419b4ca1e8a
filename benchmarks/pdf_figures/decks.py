"""What is kept as a picture in real documents, page by page, by the whole PDF route: for a person to judge."""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageDraw

from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.finish import finish
from tasks.partition.pdf import reader as pdf
from tasks.partition.pdf.render import render
from tasks.rows import ElementRow
from tasks.settings import Limits, PartitionSettings
from tasks.storage import LocalStorage

_COLORS = {"Image": "blue", "Figure": "red", "Table": "green"}


@dataclasses.dataclass(frozen=True, slots=True)
class Deck:
    """A document: its kept pictures, figures and tables by page, and the counts of all that was found."""

    name: str
    pages: int
    seconds: float
    kept: dict[int, list[ElementRow]]
    counts: collections.Counter[str]


def read(path: Path, lake: Path) -> Deck:
    """One document without OCR, in this process."""
    context = PartContext(LocalStorage(lake), PartitionSettings(), Limits(), "application/pdf", ocr=False)
    started = time.perf_counter()
    rows = pdf.partition(path, context)
    seconds = time.perf_counter() - started
    counts = collections.Counter(context.counts)
    kept: dict[int, list[ElementRow]] = collections.defaultdict(list)
    for row in finish(rows, context.hints, context.pages, counts):
        if row.category in _COLORS and row.page is not None:
            kept[row.page].append(row)
    return Deck(path.name, context.pages, seconds, kept, counts)


def read_all(folder: Path, lake: Path) -> Iterator[Deck]:
    for path in sorted(folder.rglob("*.pdf")):
        try:
            yield read(path, lake)
        except DocumentError as error:
            print(f"{path.name}: {error.message}")


def lines(deck: Deck) -> list[str]:
    """A line for the document, and one for each page that keeps something."""
    counts = ", ".join(
        f"{name} {n}" for name, n in sorted(deck.counts.items()) if name.startswith(("pic", "fig")) and n
    )
    said = [f"{deck.name}: {deck.pages} pages, {1000 * deck.seconds / max(1, deck.pages):.0f} ms a page; {counts}"]
    for number, rows in sorted(deck.kept.items()):
        kinds = collections.Counter(row.category for row in rows)
        what = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        first = [row.text.replace("\n", " ")[:50] for row in rows if row.category != "Table"]
        said.append(f"  page {number:3d}  {what:28s} {' | '.join(first)[:110]}")
    return said


def draw(path: Path, deck: Deck, folder: Path) -> None:
    """Write the pages that keep something as PNGs with their boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    with pdf.open_pdf(path) as document:
        for number, rows in deck.kept.items():
            picture = render(document[number - 1], 90, 2_000_000)
            pen = ImageDraw.Draw(picture)
            for row in rows:
                for box in row.boxes:
                    edges = (
                        box.x0 * picture.width,
                        box.y0 * picture.height,
                        box.x1 * picture.width,
                        box.y1 * picture.height,
                    )
                    pen.rectangle(edges, outline=_COLORS[row.category], width=3)
            picture.save(folder / f"{path.stem[:40]}-{number:03d}.png")
