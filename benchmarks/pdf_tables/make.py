"""Generates the documents of the benchmark: one function per kind of page with tables, seeded.

In: a kind and a seed. Out: a GoldDocument. Pages without a table are in `distractors`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from benchmarks.pdf_tables import tables, words
from benchmarks.pdf_tables.distractors import DISTRACTORS
from benchmarks.pdf_tables.gold import GoldDocument
from benchmarks.pdf_tables.sheet import Cell, Sheet, Style, chinese_font
from benchmarks.pdf_tables.tables import Table

_FONTS = ["Helvetica", "Times-Roman"]
_MARGIN = 60.0


def document(kind: str, seed: int) -> GoldDocument:
    """The document of a kind and a seed: always the same."""
    rng = random.Random(f"{kind} {seed}")
    sheet, joined = (MAKERS | DISTRACTORS)[kind](rng)
    pdf, pages = sheet.finish()
    return GoldDocument(kind, seed, pdf, pages, joined)


def _style(rng: random.Random, **wishes: object) -> Style:
    given: dict[str, object] = {
        "font": rng.choice(_FONTS),
        "size": rng.choice([7.0, 8.0, 9.0, 10.0, 11.0]),
        "pad": rng.choice([1.0, 2.0, 3.0]),
        "side": rng.choice([3.0, 5.0, 7.0]),
        "apart": rng.random() < 0.8,
        "bottom": rng.random() < 0.6,
    }
    return Style(**(given | wishes))  # type: ignore[arg-type]


def _page(rng: random.Random, table: Table, style: Style, sheet: Sheet | None = None) -> tuple[Sheet, int]:
    """The table between two paragraphs, with or without a caption."""
    sheet = sheet or Sheet(font=rng.choice(_FONTS))
    room = sheet.size[0] - 2 * _MARGIN
    y = sheet.prose(_MARGIN, _MARGIN, words.prose(rng, rng.randint(2, 5)), room, justify=rng.random() < 0.4)
    caption = ""
    if rng.random() < 0.5:
        caption = tables.captioned(rng)
        sheet.text(_MARGIN, y + 12, caption, 10.5, "Helvetica-Bold")
        y += 18
    y = _place(rng, sheet, table, style, _MARGIN, y + rng.choice([8.0, 14.0, 20.0]), room, caption)
    sheet.prose(_MARGIN, y + rng.choice([8.0, 14.0, 20.0]), words.prose(rng, rng.randint(2, 5)), room)
    return sheet, 0


def _place(rng: random.Random, sheet: Sheet, table: Table, style: Style, x: float, y: float, room: float,
           caption: str = "") -> float:  # fmt: skip
    """The table on the sheet, smaller type where it is too wide; the y below it."""
    size = style.size
    for smaller in (size, *(s for s in (9.0, 8.0, 7.0, 6.0) if s < size)):
        style = _sized(style, smaller)
        widths = table.widths(style.font, style.size, room, style.side, rng.choice([1.0, 1.0, 0.5]))
        if sum(widths) <= room + 1 and widths[0] >= 40:
            break
    return sheet.table(x, y, table.grid, widths, style, table.header, caption, table.align)


def _either(rng: random.Random, *makers: Callable[[], Table]) -> Table:
    return rng.choice(makers)()


def _sized(style: Style, size: float) -> Style:
    return dataclasses.replace(style, size=size, side=min(style.side, size / 2))


def ruled(rng: random.Random) -> tuple[Sheet, int]:
    table = _either(rng, lambda: tables.listing(rng), lambda: tables.financial(rng, sections=False, long=0.0))
    return _page(rng, table, _style(rng, rules="grid", side=4.0, shade_header=rng.random() < 0.4))


def ruled_columns(rng: random.Random) -> tuple[Sheet, int]:
    table = tables.financial(rng, sections=False, long=0.0, header="words")
    return _page(rng, table, _style(rng, rules="columns", side=4.0))


def ruled_merged(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.merged(rng), _style(rng, rules="grid", side=4.0))


def ruled_multiline(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.listing(rng, rng.randint(3, 7), wrapped=True), _style(rng, rules="grid", side=4.0))


def rows_ruled(rng: random.Random) -> tuple[Sheet, int]:
    table = _either(rng, lambda: tables.listing(rng, wrapped=True), lambda: tables.financial(rng, sections=False))
    return _page(rng, table, _style(rng, rules="rows"))


def book(rng: random.Random) -> tuple[Sheet, int]:
    table = _either(rng, lambda: tables.listing(rng), lambda: tables.financial(rng, header="words", sections=False))
    return _page(rng, table, _style(rng, rules="book"))


def statement(rng: random.Random) -> tuple[Sheet, int]:
    table = tables.financial(rng)
    subtotals = table.subtotals if rng.random() < 0.7 else ()
    return _page(rng, table, _style(rng, subtotals=subtotals))


def leaders(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.financial(rng, leaders=True, long=0.05), _style(rng))


def spanning(rng: random.Random) -> tuple[Sheet, int]:
    table = tables.financial(rng, columns=rng.choice([2, 3, 4, 6]), header="spans")
    return _page(rng, table, _style(rng, subtotals=table.subtotals, span_rules=rng.random() < 0.7))


def wrapped_header(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.financial(rng, header="wrapped"), _style(rng, bottom=True))


def long_labels(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.financial(rng, long=0.5), _style(rng))


def zebra(rng: random.Random) -> tuple[Sheet, int]:
    table = tables.financial(rng, long=0.25, header=rng.choice(["years", "spans"]))
    return _page(rng, table, _style(rng, zebra=True, subtotals=table.subtotals))


def words_only(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.listing(rng, rng.randint(6, 14)), _style(rng, side=7.0))


def words_multiline(rng: random.Random) -> tuple[Sheet, int]:
    table = tables.listing(rng, rng.randint(4, 8), wrapped=True)
    return _page(rng, table, _style(rng, side=7.0, pad=3.0, bottom=False))


def empty_cells(rng: random.Random) -> tuple[Sheet, int]:
    return _page(rng, tables.financial(rng, columns=rng.randint(3, 6), empty=0.35), _style(rng))


def footnotes(rng: random.Random) -> tuple[Sheet, int]:
    sheet, joined = _page(rng, tables.financial(rng, marks=True), _style(rng))
    return sheet, joined


def chinese(rng: random.Random) -> tuple[Sheet, int]:
    font = chinese_font()
    sheet = Sheet(font=font)
    room = sheet.size[0] - 2 * _MARGIN
    y = sheet.prose(_MARGIN, _MARGIN, words.CHINESE_PROSE * 2, room)
    table = tables.financial(rng, chinese=True, header="years", long=0.0, sections=False)
    table.grid[0] = [
        Cell("项目"),
        *(Cell(f"{2023 - i}年", align="right") for i in range(len(table.grid[0]) - 1)),
    ]
    style = _style(rng, font=font, rules=rng.choice(["none", "grid", "book"]), side=6.0)
    y = _place(rng, sheet, table, style, _MARGIN, y + 14, room)
    sheet.prose(_MARGIN, y + 14, words.CHINESE_PROSE * 2, room)
    return sheet, 0


def side_by_side(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet(font=rng.choice(_FONTS))
    room = (sheet.size[0] - 2 * _MARGIN - 36) / 2
    y = sheet.prose(_MARGIN, _MARGIN, words.prose(rng, 4), 2 * room + 36) + 20
    rules = rng.choice(["none", "grid", "book"])
    ends = []
    for x in (_MARGIN, _MARGIN + room + 36):
        table = tables.financial(rng, columns=2, rows=rng.randint(5, 12), sections=False, long=0.0)
        ends.append(_place(rng, sheet, table, _style(rng, rules=rules, size=8.0, side=4.0), x, y, room))
    sheet.prose(_MARGIN, max(ends) + 16, words.prose(rng, 4), 2 * room + 36)
    return sheet, 0


def in_column(rng: random.Random) -> tuple[Sheet, int]:
    """A table within one column of a page of two; the other is prose, as is what is above and below."""
    sheet = Sheet(font="Times-Roman")
    room = (sheet.size[0] - 2 * _MARGIN - 24) / 2
    side = rng.randint(0, 1)
    for column, x in enumerate((_MARGIN, _MARGIN + room + 24)):
        if column != side:
            sheet.prose(x, _MARGIN, words.prose(rng, 26), room, justify=rng.random() < 0.7)
            continue
        y = sheet.prose(x, _MARGIN, words.prose(rng, rng.randint(4, 9)), room, justify=True) + 14
        table = tables.financial(rng, columns=2, rows=rng.randint(6, 12), long=0.05)
        y = _place(rng, sheet, table, _style(rng, rules=rng.choice(["none", "none", "book", "grid"])), x, y, room)
        sheet.prose(x, y + 14, words.prose(rng, 6), room, justify=True)
    return sheet, 0


def many_pages(rng: random.Random) -> tuple[Sheet, int]:
    """One table over two or three pages, its header on each; prose before it and after it, a number on each page."""
    sheet = Sheet(font="Times-Roman")
    room = sheet.size[0] - 2 * _MARGIN
    table = tables.financial(rng, rows=rng.randint(60, 110), long=0.1, header=rng.choice(["years", "spans"]))
    style = _style(rng, rules=rng.choice(["none", "rows", "grid"]), size=9.0, pad=1.0)
    widths = table.widths(style.font, style.size, room, style.side)
    body = len(table.grid) - table.header
    y = sheet.prose(_MARGIN, _MARGIN, words.prose(rng, 5), room) + 20
    done, foot = 0, sheet.size[1] - 80
    while done < body:
        fits = next(
            (n for n in range(body - done, 0, -1) if _height(sheet, table, done, n, widths, style) <= foot - y), 1
        )
        part = tables.rows_of(table, done, done + fits)
        y = sheet.table(_MARGIN, y, part.grid, widths, style, part.header, "", part.align)
        done += fits
        sheet.text(300, 750, str(len(sheet.pages)))
        if done < body:
            sheet.next_page()
            y = _MARGIN
    sheet.prose(_MARGIN, y + 20, words.prose(rng, 1), room)
    return sheet, len(table.grid)


def _height(sheet: Sheet, table: Table, first: int, rows: int, widths: list[float], style: Style) -> float:
    part = tables.rows_of(table, first, first + rows)
    return sheet.height(part.grid, widths, style, part.align)


def rotated(rng: random.Random) -> tuple[Sheet, int]:
    """A wide page that lies on its side in the file, marked as such or not."""
    sheet = Sheet((792, 612), rng.choice(_FONTS), rng.choice([90, 270]), marked=rng.random() < 0.6)
    table = tables.financial(rng, columns=rng.randint(4, 7), rows=rng.randint(6, 14))
    return _page(rng, table, _style(rng, rules=rng.choice(["none", "none", "grid"]), size=8.0), sheet)


Maker = Callable[[random.Random], tuple[Sheet, int]]
MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        ruled, ruled_columns, ruled_merged, ruled_multiline, rows_ruled, book, statement, leaders, spanning,
        wrapped_header, long_labels, zebra, words_only, words_multiline, empty_cells, footnotes, chinese, side_by_side,
        in_column, many_pages, rotated,
    )
}  # fmt: skip
