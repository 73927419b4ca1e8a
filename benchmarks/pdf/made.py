"""PDFs whose reading order is known: columns, heads that span them, figures, sidebars, footnotes, running heads.

In: a kind and a seed. Out: a PDF and the text of each page in the order in which a reader reads it. Lines are drawn in
random order, so that only where they stand tells what follows what.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from reportlab.lib.pagesizes import letter
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

_WIDTH, _HEIGHT = letter
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, _WIDTH - 60.0, 72.0, _HEIGHT - 80.0
_SYLLABLES = "ka lo mi ter an sol ve ru bin dar es pho ne ti gra ul om ce ja wen".split()  # noqa: SIM905


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    x: float
    y: float  # of the baseline, from the top
    size: float
    text: str
    bold: bool = False
    spread: float = 0.0  # points that each blank is wider: a justified line


@dataclasses.dataclass(slots=True)
class Sheet:
    """A page in the making. What is written is read in the order of the calls."""

    dice: random.Random
    lines: list[Line] = dataclasses.field(default_factory=list)
    shapes: list[tuple[float, float, float, float, bool]] = dataclasses.field(default_factory=list)
    text: list[str] = dataclasses.field(default_factory=list)

    def sentence(self, words: int) -> str:
        made = ["".join(self.dice.choices(_SYLLABLES, k=self.dice.choice((1, 2, 2, 3)))) for _ in range(words)]
        return " ".join(made).capitalize() + "."

    def put(self, x: float, y: float, size: float, text: str, bold: bool = False) -> None:
        self.lines.append(Line(x, y, size, text, bold))
        self.text.append(text)

    def paragraph(self, x0: float, x1: float, y: float, words: int, size: float = 10, justified: bool = True) -> float:
        """A paragraph of so many words from y on; returns where it ends."""
        text = " ".join(self.sentence(min(words - done, 12)) for done in range(0, words, 12))
        return self.wrapped(text, x0, x1, y, size, justified)

    def wrapped(self, text: str, x0: float, x1: float, y: float, size: float, justified: bool = False) -> float:
        line: list[str] = []
        rows = []
        for word in text.split():
            if line and stringWidth(" ".join([*line, word]), "Helvetica", size) > x1 - x0:
                rows.append(line)
                line = []
            line.append(word)
        for row in [*rows, line]:
            y += 1.2 * size
            joined = " ".join(row)
            room = x1 - x0 - stringWidth(joined, "Helvetica", size)
            spread = room / (len(row) - 1) if justified and row is not line and len(row) > 1 else 0.0
            self.lines.append(Line(x0, y, size, joined, spread=spread))
        self.text.append(text)
        return y + 0.5 * size

    def column(self, x0: float, x1: float, top: float, bottom: float) -> None:
        """Paragraphs and now and then a heading, down to the bottom."""
        y = top
        while y < bottom - 50:
            if self.dice.random() < 0.25:
                y += 18
                self.put(x0, y, 12, self.sentence(3)[:-1], bold=True)
                y += 4
            room = int((bottom - y) / 12) * int((x1 - x0) / 32)
            y = self.paragraph(x0, x1, y, max(6, min(self.dice.randint(20, 60), room - 6)))

    def figure(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.shapes.append((x0, y0, x1, y1, False))
        for i in range(5):
            step = (x1 - x0) / 5
            self.shapes.append((x0 + i * step + 4, y0 + 10 + 8 * i, x0 + (i + 1) * step - 4, y1 - 4, True))


def _columns(count: int) -> list[tuple[float, float]]:
    gutter = 18.0
    width = (_RIGHT - _LEFT - gutter * (count - 1)) / count
    return [(_LEFT + i * (width + gutter), _LEFT + i * (width + gutter) + width) for i in range(count)]


def _in(count: int) -> Callable[[Sheet], None]:
    def body(sheet: Sheet) -> None:
        for x0, x1 in _columns(count):
            sheet.column(x0, x1, _TOP, _BOTTOM - sheet.dice.randint(0, 120))

    return body


def _spanning_heads(sheet: Sheet) -> None:
    sheet.put(_LEFT + 40, _TOP + 20, 20, sheet.sentence(6)[:-1], bold=True)
    y = sheet.paragraph(_LEFT + 30, _RIGHT - 30, _TOP + 30, 50)
    middle = sheet.dice.uniform(360, 460)
    for x0, x1 in _columns(2):
        sheet.column(x0, x1, y + 10, middle)
    sheet.put(_LEFT, middle + 30, 14, sheet.sentence(11)[:-1], bold=True)
    for x0, x1 in _columns(sheet.dice.choice((2, 3))):
        sheet.column(x0, x1, middle + 36, _BOTTOM)


def _figures(sheet: Sheet) -> None:
    (a, b), (c, d) = _columns(2)
    sheet.column(a, b, _TOP, 280)
    sheet.column(c, d, _TOP, 280)
    sheet.figure(_LEFT, 300, _RIGHT, 420)
    sheet.wrapped("Figure 1: " + sheet.sentence(14), _LEFT, _RIGHT, 424, 9)
    sheet.column(a, b, 460, _BOTTOM)
    sheet.figure(c, 470, d, 560)
    sheet.wrapped("Figure 2: " + sheet.sentence(9), c, d, 562, 9)
    sheet.column(c, d, 600, _BOTTOM)


def _sidebar(sheet: Sheet) -> None:
    edge = _RIGHT - 150
    sheet.column(_LEFT, edge - 20, _TOP, _BOTTOM)
    top = sheet.dice.uniform(120, 240)
    sheet.shapes.append((edge - 8, top - 6, _RIGHT + 8, top + 226, True))
    sheet.put(edge, top + 12, 11, sheet.sentence(2)[:-1], bold=True)
    y = top + 16
    for _ in range(3):
        y = sheet.paragraph(edge, _RIGHT, y, 18, size=9, justified=False)


def _footnotes(sheet: Sheet) -> None:
    notes = []
    for number, (x0, x1) in enumerate(_columns(2), 1):
        sheet.column(x0, x1, _TOP, _BOTTOM - 60)
        notes.append((number, x0, x1))
    for number, x0, x1 in notes:
        sheet.shapes.append((x0, _BOTTOM - 44, x0 + 70, _BOTTOM - 43.5, True))
        sheet.wrapped(f"{number} " + sheet.sentence(12), x0, x1, _BOTTOM - 40, 7.5)


KINDS: dict[str, Callable[[Sheet], None]] = {
    "one column": _in(1),
    "two columns": _in(2),
    "three columns": _in(3),
    "spanning heads": _spanning_heads,
    "figures": _figures,
    "sidebar": _sidebar,
    "footnotes": _footnotes,
}


def make(path: Path, kind: str, seed: int, pages: int = 3) -> list[str]:
    """Write a PDF of a kind; returns the text of its pages in reading order."""
    dice = random.Random(f"{kind} {seed}")
    canvas = Canvas(str(path), pagesize=letter, pageCompression=1, invariant=1)
    title = Sheet(dice).sentence(4)[:-1]
    texts = []
    for number in range(1, pages + 1):
        sheet = Sheet(dice)
        sheet.put(_LEFT, 40, 8, title)
        KINDS[kind](sheet)
        sheet.put(_WIDTH / 2 - 20, _HEIGHT - 36, 8, f"Page {number} of {pages}")
        _draw(canvas, sheet)
        texts.append("\n".join(sheet.text))
    canvas.save()
    return texts


def _draw(canvas: Canvas, sheet: Sheet) -> None:
    for x0, y0, x1, y1, filled in sheet.shapes:
        canvas.setFillGray(0.85)
        canvas.rect(x0, _HEIGHT - y1, x1 - x0, y1 - y0, stroke=0 if filled else 1, fill=1 if filled else 0)
    canvas.setFillGray(0)
    for line in _shuffled(sheet):
        drawn = canvas.beginText(line.x, _HEIGHT - line.y)
        drawn.setFont("Helvetica-Bold" if line.bold else "Helvetica", line.size)
        drawn.setWordSpace(line.spread)
        drawn.textOut(line.text)
        canvas.drawText(drawn)
    canvas.showPage()


def _shuffled(sheet: Sheet) -> Iterator[Line]:
    lines = list(sheet.lines)
    sheet.dice.shuffle(lines)
    yield from lines
