"""Pages with known figures among text, tables and decoration, written with a seed.

In: a seed and a number of pages. Out: a PDF, and for each page the boxes and classes of its figures, and of its tables.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

from benchmarks.pdf_figures.charts import CHARTS
from benchmarks.pdf_figures.pen import BLACK, GREY, PALETTE, Box, Pen
from benchmarks.pdf_figures.rasters import MIXED, RASTERS, TILED

CLASSES: dict[str, Callable[[Pen, Box], None]] = {**CHARTS, **RASTERS, **TILED, **MIXED}
KINDS = {
    **dict.fromkeys(CHARTS, "vector"),
    **dict.fromkeys(RASTERS, "raster"),
    **dict.fromkeys(TILED, "tiled"),
    **dict.fromkeys(MIXED, "mixed"),
}
_LETTER, _SLIDE = (612.0, 792.0), (720.0, 405.0)
_TEXT = (
    "the harbour was deepened in order that larger ships could enter it since then traffic has doubled and port "
    "authority expects more of them next year when both bridges will be open to trains from inland"
)
_WORDS = _TEXT.split()


@dataclasses.dataclass(frozen=True, slots=True)
class Gold:
    """A figure: its class in CLASSES, its box in points from the top left, and its caption."""

    name: str
    box: Box
    caption: str = ""


@dataclasses.dataclass(slots=True)
class Page:
    """What is known of a page."""

    size: tuple[float, float]
    figures: list[Gold] = dataclasses.field(default_factory=list)
    tables: list[Box] = dataclasses.field(default_factory=list)
    decoration: str = ""  # what the page holds that is no figure


def write(path: Path, seed: int, pages: int, names: tuple[str, ...] = ()) -> list[Page]:
    """Write the file; `names` restricts the classes."""
    rng = random.Random(seed)
    canvas = Canvas(str(path), invariant=1)
    chosen = list(names or CLASSES)
    found = []
    for number in range(pages):
        if not names and number % 6 == 5:
            page = _without_figures(canvas, rng, sorted(_DECORATION)[number // 6 % len(_DECORATION)])
        else:
            page = _with_figures(canvas, rng, chosen, number)
        found.append(page)
        canvas.showPage()
    canvas.save()
    return found


def _with_figures(canvas: Canvas, rng: random.Random, names: list[str], number: int) -> Page:
    page = Page(_LETTER)
    pen = _page(canvas, page, rng)
    columns = rng.choice((1, 1, 2))
    width = (612 - 2 * 60 - (columns - 1) * 20) / columns
    turn = number  # every class in its turn
    for column in range(columns):
        x, y = 60 + column * (width + 20), 95.0
        y = _paragraph(pen, x, y, width, rng.randint(2, 6))
        while y < 500:
            kind = rng.random()
            if kind < 0.55:
                name = names[turn % len(names)]
                turn += 7
                y = _figure(pen, page, name, x, y, width)
            elif kind < 0.65 and width > 300:
                y = _table(pen, page, x, y, width)
            elif kind < 0.75:
                y = _heading(pen, x, y, width)
            y = _paragraph(pen, x, y, width, min(rng.randint(2, 7), int((740 - y) // 12)))
    return page


def _figure(pen: Pen, page: Page, name: str, x: float, y: float, width: float) -> float:
    height = pen.rng.uniform(110, 200)
    share = pen.rng.choice((1.0, 0.8, 0.6)) if width > 300 else 1.0
    left = x + (width - share * width) / 2
    place = pen.rng.choice(("above", "below", "below", "below", "none"))
    caption = f"Figure {len(page.figures) + 1}: {name} of the year before, by quarter" if place != "none" else ""
    if place == "above":
        _line(pen, x, y + 8, caption)
        y += 18
    pen.begin()
    CLASSES[name](pen, (left, y, left + share * width, y + height))
    page.figures.append(Gold(name, pen.extent, caption))
    y += height + 12
    if place == "below":
        _line(pen, x, y + 6, caption)
        y += 14
        if pen.rng.random() < 0.3:
            _line(pen, x, y + 6, "Source: port authority", 7)
            y += 12
    return y + 8


def _page(canvas: Canvas, page: Page, rng: random.Random) -> Pen:
    """A new page with what surrounds its content: header, footer, now and then a band or a border."""
    canvas.setPageSize(page.size)
    pen = Pen(canvas, page.size, rng)
    width, height = page.size
    style = rng.randint(0, 3)
    if style == 1:
        pen.rect((0, 0, width, 46), fill=PALETTE[0])
    elif style == 2:
        pen.rect((20, 20, width - 20, height - 20), stroke=BLACK)
    elif style == 3:
        pen.line((40, 60), (width - 40, 60), GREY)
        pen.path([(width - 70, 50), (width - 60, 30), (width - 50, 50)], fill=PALETTE[3])  # a small mark
    pen.text(60, 34, "Annual report of the port authority", 9)
    pen.text(width / 2, height - 30, f"Page {canvas.getPageNumber()}", 8, align="middle")
    return pen


def _paragraph(pen: Pen, x: float, y: float, width: float, lines: int) -> float:
    bullet = pen.rng.random() < 0.2
    for i in range(lines):
        size, text = 9.5, ""
        limit = width * (0.98 if i + 1 < lines else pen.rng.uniform(0.3, 0.9))
        while pen.canvas.stringWidth(text, "Times-Roman", size) < limit - 30:
            text += pen.rng.choice(_WORDS) + " "
        if bullet:
            pen.circle((x + 3, y + 6), 1.6, fill=BLACK)
        pen.text(x + (10 if bullet else 0), y + 9, text.strip(), size, "Times-Roman")
        if pen.rng.random() < 0.06:
            pen.line((x, y + 10.5), (x + limit / 2, y + 10.5), PALETTE[0], 0.5)
        y += 12.0
    return y + 10


def _heading(pen: Pen, x: float, y: float, width: float) -> float:
    if pen.rng.random() < 0.5:
        pen.rect((x, y, x + width, y + 20), fill=(0.85, 0.9, 0.95))
    pen.text(x + 4, y + 14, "Traffic through the harbour", 13, "Helvetica-Bold")
    return y + 30


def _line(pen: Pen, x: float, y: float, text: str, size: float = 8.5) -> None:
    pen.text(x, y, text, size, "Helvetica")


def _table(pen: Pen, page: Page, x: float, y: float, width: float) -> float:
    rows, columns = pen.rng.randint(3, 8), pen.rng.randint(3, 5)
    style = pen.rng.choice(("ruled", "zebra", "open"))
    for row in range(rows):
        top = y + row * 16
        if style == "zebra" and row % 2 == 0:
            pen.rect((x, top, x + width, top + 16), fill=(0.9, 0.9, 0.9))
        for column in range(columns):
            cell = (x + column * width / columns, top, x + (column + 1) * width / columns, top + 16)
            if style == "ruled":
                pen.rect(cell, stroke=BLACK)
            pen.text(cell[2] - 6, top + 11, f"{pen.rng.randint(100, 99999):,}", 8, align="right")
        if style == "open" and row in (0, rows - 1):
            pen.line((x, top + 15), (x + width, top + 15))
    page.tables.append((x, y, x + width, y + rows * 16))
    return y + rows * 16 + 14


def _panels(pen: Pen, page: Page) -> None:
    """A slide of coloured panels behind text."""
    pen.rect((0, 0, *page.size), fill=(0.97, 0.96, 0.92))
    pen.rect((0, 0, page.size[0], 60), fill=PALETTE[0])
    pen.text(30, 40, "What we will do about it", 24, "Helvetica-Bold")
    for i in range(3):
        x = 30 + i * 225
        radius = pen.rng.choice((0, 8))
        pen.rect((x, 90, x + 205, 350), fill=(0.8 - 0.1 * i, 0.9, 1.0), radius=radius)
        for k in range(3):
            _paragraph(pen, x + 12, 110 + 75 * k, 180, 4)


def _icons(pen: Pen, page: Page) -> None:
    """Small marks beside lines of text, and check boxes."""
    for i in range(12):
        y = 110 + 50 * i
        if i % 2:
            pen.circle((80, y), 8, fill=PALETTE[i % 6])
            pen.path([(76, y), (79, y + 4), (85, y - 4)], stroke=(1, 1, 1))
        else:
            pen.rect((72, y - 8, 88, y + 8), stroke=BLACK)
        _paragraph(pen, 100, y - 10, 400, 2)


def _rules(pen: Pen, page: Page) -> None:
    """Rules between paragraphs, a sidebar, and boxes around text."""
    pen.rect((450, 90, 570, 700), fill=(0.93, 0.93, 0.96))
    for i in range(6):
        y = 100 + 95 * i
        _paragraph(pen, 60, y, 370, 5)
        pen.line((60, y + 75), (430, y + 75), GREY)
        _paragraph(pen, 460, y, 100, 4)
    pen.rect((55, 95, 435, 160), stroke=BLACK)


def _form(pen: Pen, page: Page) -> None:
    """Lines and boxes to write on."""
    for i in range(14):
        y = 110 + 40 * i
        pen.text(60, y, pen.rng.choice(_WORDS).title(), 9)
        pen.line((150, y + 2), (400, y + 2), BLACK, 0.5)
        for k in range(3):
            pen.rect((420 + 45 * k, y - 8, 430 + 45 * k, y + 2), stroke=BLACK)
            pen.text(433 + 45 * k, y, "yes", 8)


def _cards(pen: Pen, page: Page) -> None:
    """Cards with a heading and a few lines each, in a grid; a wave along the bottom; a large quotation mark."""
    for i in range(6):
        x, y = 60 + (i % 3) * 170, 100 + (i // 3) * 190
        pen.rect((x, y, x + 155, y + 170), fill=(0.9, 0.95, 0.9), stroke=GREY, radius=6)
        pen.rect((x, y, x + 155, y + 26), fill=PALETTE[i % 3])
        pen.text(x + 8, y + 18, f"Step {i + 1}", 12, "Helvetica-Bold")
        _paragraph(pen, x + 8, y + 36, 140, 5)
    wave = [(0, 740), *((x, 735 + 12 * ((x // 40) % 3)) for x in range(0, 620, 20)), (612, 792), (0, 792)]
    pen.path(wave, fill=PALETTE[0])
    for dx in (0, 14):
        pen.circle((80 + dx, 520), 5, fill=GREY)
    _paragraph(pen, 110, 510, 400, 5)


def _listing(pen: Pen, page: Page) -> None:
    """Program text on a tinted ground, words marked with colour, a contents list with leaders."""
    pen.rect((60, 90, 552, 330), fill=(0.95, 0.95, 0.95))
    for i in range(15):
        text = " ".join(pen.rng.choice(_WORDS) for _ in range(pen.rng.randint(2, 8)))
        width = pen.canvas.stringWidth(text, "Courier", 9)
        if i % 3 == 0:
            pen.rect((70, 98 + 15 * i, 70 + width, 109 + 15 * i), fill=(1, 1, 0.6))
        pen.text(70, 107 + 15 * i, text, 9, "Courier")
    for i in range(14):
        y = 370 + 22 * i
        pen.text(60, y, pen.rng.choice(_WORDS).title(), 10)
        pen.text(540, y, str(i * 3 + 1), 10, align="right")
        pen.text(130, y, "." * 120, 9)


def _background(pen: Pen, page: Page) -> None:
    """A gradient picture behind the whole page."""
    from PIL import Image

    gradient = Image.linear_gradient("L").convert("RGB").resize((300, 400)).point(lambda v: 200 + v // 5)
    pen.picture(gradient, (0, 0, *page.size), "JPEG")
    for i in range(6):
        _paragraph(pen, 60, 100 + 90 * i, 480, 6)


_DECORATION: dict[str, Callable[[Pen, Page], None]] = {
    "panels": _panels,
    "cards": _cards,
    "listing": _listing,
    "icons": _icons,
    "rules": _rules,
    "form": _form,
    "background": _background,
}


def _without_figures(canvas: Canvas, rng: random.Random, name: str) -> Page:
    page = Page(_SLIDE if name == "panels" else _LETTER, decoration=name)
    if name == "background":  # below everything else
        canvas.setPageSize(page.size)
        pen = Pen(canvas, page.size, rng)
    else:
        pen = _page(canvas, page, rng)
    _DECORATION[name](pen, page)
    return page
