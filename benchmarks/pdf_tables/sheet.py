"""Draws pages with reportlab and remembers what it drew: paragraphs, and tables cell by cell.

In: text and cells. Out: a PDF's bytes and its GoldPages. Everything is measured from the top left of the page.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from benchmarks.pdf_tables.gold import GoldCell, GoldPage, GoldTable, Rect

_NUMBER = re.compile(r"^([$€¥£]?)(.*?)(\)?%?)$")
_ASCENT = 0.75  # of the type size, above the baseline


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A cell to draw. `mark` is a superscript after the text; `leader` fills the column with dots."""

    text: str = ""
    columns: int = 1
    rows: int = 1
    align: str = ""  # left, right, center, number; empty: the column's
    bold: bool = False
    indent: float = 0.0
    mark: str = ""
    leader: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """How a table looks. `rules`: grid, columns (no lines between body rows), rows, book (three lines), none."""

    font: str = "Helvetica"
    size: float = 9.0
    pitch: float = 1.2  # line distance within a cell, in type sizes
    pad: float = 2.0  # above and below the text of a row
    side: float = 4.0  # left and right of the text of a cell
    rules: str = "none"
    zebra: bool = False
    bottom: bool = False  # numbers on the last line of a tall row, not on the first
    apart: bool = True  # the currency sign at the column's left edge, and brackets drawn by themselves
    subtotals: tuple[int, ...] = ()  # rows with a short rule above each number
    span_rules: bool = True  # a rule below each header cell that spans columns
    shade_header: bool = False


Grid = Sequence[Sequence[Cell | None]]  # None where a span from elsewhere reaches


class Sheet:
    """A document being drawn. `turn` draws all pages turned; if `marked`, with the page's rotation to undo it."""

    def __init__(
        self, size: tuple[float, float] = (612, 792), font: str = "Times-Roman", turn: int = 0, marked: bool = True
    ) -> None:
        self.size, self.font, self.turn, self.marked = size, font, turn, marked
        self.pages: list[GoldPage] = []
        self._buffer = io.BytesIO()
        lying = bool(turn) and not marked  # reportlab itself swaps the sides of a page that it marks
        self.canvas = Canvas(self._buffer, pagesize=size[::-1] if lying else size, invariant=1)
        self._start()

    def _start(self) -> None:
        self.pages.append(GoldPage())
        if self.turn and self.marked:
            self.canvas.setPageRotation(self.turn)
        if self.turn == 90:
            self.canvas.translate(self.size[1], 0)
            self.canvas.rotate(90)
        elif self.turn == 270:
            self.canvas.translate(0, self.size[0])
            self.canvas.rotate(-90)

    def next_page(self) -> None:
        self.canvas.showPage()
        self._start()

    def finish(self) -> tuple[bytes, tuple[GoldPage, ...]]:
        self.canvas.save()
        return self._buffer.getvalue(), tuple(self.pages)

    def text(self, x: float, y: float, text: str, size: float = 10, font: str = "") -> float:
        """A string with its top at y; the x where it ends."""
        self.canvas.setFillColorRGB(0, 0, 0)
        self.canvas.setFont(font or self.font, size)
        self.canvas.drawString(x, self.size[1] - y - _ASCENT * size, text)
        return x + width(text, font or self.font, size)

    def line(self, x0: float, y0: float, x1: float, y1: float, thick: float = 0.6) -> None:
        self.canvas.setLineWidth(thick)
        self.canvas.line(x0, self.size[1] - y0, x1, self.size[1] - y1)

    def fill(self, box: Rect, color: tuple[float, float, float]) -> None:
        x0, y0, x1, y1 = box
        self.canvas.setFillColorRGB(*color)
        self.canvas.rect(x0, self.size[1] - y1, x1 - x0, y1 - y0, stroke=0, fill=1)

    def prose(self, x: float, y: float, text: str, room: float, size: float = 10, font: str = "", lead: float = 1.25,
              justify: bool = False) -> float:  # fmt: skip
        """A paragraph that is no table; the y below it."""
        font = font or self.font
        lines = wrap(text, room, font, size)
        for i, line in enumerate(lines):
            words = line.split(" ")
            slack = room - width(line, font, size)
            if justify and i < len(lines) - 1 and len(words) > 1 and slack < 0.3 * room:
                self.canvas.setFillColorRGB(0, 0, 0)
                drawn = self.canvas.beginText(x, self.size[1] - y - i * lead * size - _ASCENT * size)
                drawn.setFont(font, size)
                drawn.setWordSpace(slack / (len(words) - 1))
                drawn.textOut(line)
                drawn.setWordSpace(0)
                self.canvas.drawText(drawn)
            else:
                self.text(x, y + i * lead * size, line, size, font)
        below = y + lead * size * len(lines)
        longest = max(width(line, font, size) for line in lines)
        self.pages[-1].prose.append((x, y, x + longest, below - (lead - 1) * size))
        return below

    def table(self, x: float, y: float, grid: Grid, widths: Sequence[float], style: Style, header: int = 1,
              caption: str = "", align: Sequence[str] = ()) -> float:  # fmt: skip
        """A table with its top left corner at x, y; the y below it."""
        return _Drawn(self, x, y, grid, widths, style, header, align).draw(caption)

    def height(self, grid: Grid, widths: Sequence[float], style: Style, align: Sequence[str] = ()) -> float:
        """How high a table will be."""
        ys = _Drawn(self, 0, 0, grid, widths, style, 1, align).ys
        return ys[-1] - ys[0]


class _Drawn:
    """One table on its way to the page."""

    def __init__(self, sheet: Sheet, x: float, y: float, grid: Grid, widths: Sequence[float], style: Style,
                 header: int, align: Sequence[str]) -> None:  # fmt: skip
        self.sheet, self.grid, self.style, self.header, self.align = sheet, grid, style, header, align
        self.xs = [x]
        for w in widths:
            self.xs.append(self.xs[-1] + w)
        self.lines = {
            (r, c): self._wrapped(cell, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell
        }
        self.ys = [y]
        for r in range(len(grid)):
            self.ys.append(self.ys[-1] + self._height(r))
        self.ink: list[Rect] = []

    def _wrapped(self, cell: Cell, column: int) -> list[str]:
        if not cell.text or cell.align == "number" or (not cell.align and self._align(column) == "number"):
            return [cell.text]
        room = self.xs[column + cell.columns] - self.xs[column] - 2 * self.style.side - cell.indent
        return wrap(cell.text, room - width(cell.mark, self._font(cell), 0.6 * self.style.size), self._font(cell),
                    self.style.size)  # fmt: skip

    def _align(self, column: int) -> str:
        return self.align[column] if column < len(self.align) else "left"

    def _font(self, cell: Cell) -> str:
        return bold(self.style.font) if cell.bold else self.style.font

    def _height(self, row: int) -> float:
        most = max((len(self.lines[row, c]) for c, cell in enumerate(self.grid[row]) if cell and cell.rows == 1),
                   default=1)  # fmt: skip
        return most * self.style.pitch * self.style.size + 2 * self.style.pad

    def draw(self, caption: str) -> float:
        self._shade()
        cells = []
        for (r, c), lines in self.lines.items():
            cell = self.grid[r][c]
            assert cell is not None
            self._cell(r, c, cell, lines)
            if cell.text:
                joined = " ".join(lines) if not _wide(cell.text) else "".join(lines)
                text = f"{joined} {cell.mark}".strip()
                cells.append(GoldCell(r, c, cell.rows, cell.columns, text))
        self._rules()
        boxes = self.ink
        box = (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))
        ruled = self.style.rules in ("grid", "columns")
        self.sheet.pages[-1].tables.append(
            GoldTable(box, tuple(cells), len(self.grid), len(self.xs) - 1, self.header, ruled, caption)
        )
        return self.ys[-1]

    def _cell(self, r: int, c: int, cell: Cell, lines: list[str]) -> None:
        style, align = self.style, cell.align or self._align(c)
        left, right = self.xs[c] + style.side + cell.indent, self.xs[c + cell.columns] - style.side
        pitch, size, font = style.pitch * style.size, style.size, self._font(cell)
        room = self.ys[r + cell.rows] - self.ys[r] - 2 * style.pad - len(lines) * pitch
        down = room if style.bottom and (len(self.grid) > r >= self.header or cell.rows == 1) else 0.0
        if style.rules == "grid" and cell.rows > 1:
            down = room / 2
        y = self.ys[r] + style.pad + down
        for i, line in enumerate(lines):
            if not line:
                continue
            if align == "number":
                self._number(left, right, y, line, font)
                continue
            w = width(line, font, size)
            x = {"right": right - w, "center": (left + right - w) / 2}.get(align, left)
            end = self._put(x, y + i * pitch, line, font, size)
            if i == len(lines) - 1 and cell.mark:
                end = self._put(end + 0.5, y + i * pitch - 0.1 * size, cell.mark, font, 0.6 * size)
            if i == len(lines) - 1 and cell.leader:
                dots = int((right - end - 3) / width(" .", font, size))
                if dots > 2:
                    self.sheet.text(right - dots * width(" .", font, size), y + i * pitch, " ." * dots, size, font)

    def _number(self, left: float, right: float, y: float, text: str, font: str) -> None:
        """Right-aligned by its last digit, what follows hangs out to the right of that."""
        size = self.style.size
        match = _NUMBER.match(text)
        assert match is not None
        sign, core, tail = match.groups()
        at = right - width(")%", font, size) - width(core, font, size)
        if not self.style.apart:
            self._put(at - width(sign, font, size), y, text, font, size)
            return
        if sign:
            self._put(left, y, sign, font, size)
        end = self._put(at, y, core, font, size)
        if tail:
            self._put(end, y, tail, font, size)

    def _put(self, x: float, y: float, text: str, font: str, size: float) -> float:
        end = self.sheet.text(x, y, text, size, font)
        self.ink.append((x, y, end, y + size))
        return end

    def _shade(self) -> None:
        if self.style.shade_header:
            self.sheet.fill((self.xs[0], self.ys[0], self.xs[-1], self.ys[self.header]), (0.85, 0.88, 0.95))
        if self.style.zebra:
            for r in range(self.header, len(self.grid), 2):
                self.sheet.fill((self.xs[0], self.ys[r], self.xs[-1], self.ys[r + 1]), (0.8, 0.92, 1.0))

    def _rules(self) -> None:
        rules, left, right = self.style.rules, self.xs[0], self.xs[-1]
        if rules in ("rows", "book"):
            at = range(len(self.ys)) if rules == "rows" else (0, self.header, len(self.grid))
            for r in at:
                self._rule(left, self.ys[r], right, self.ys[r])
        if rules in ("grid", "columns"):
            self._grid_rules(left, right)
        if rules in ("none", "book", "rows"):
            for r in self.style.subtotals:
                for c in range(1, len(self.xs) - 1):
                    cell = self.grid[r][c]
                    if cell and cell.text:
                        self._rule(self.xs[c] + 3, self.ys[r], self.xs[c + 1] - 3, self.ys[r])
            for r, row in enumerate(self.grid[: self.header - 1]):
                for c, cell in enumerate(row):
                    if cell and cell.columns > 1 and cell.text and self.style.span_rules:
                        self._rule(self.xs[c] + 3, self.ys[r + 1], self.xs[c + cell.columns] - 3, self.ys[r + 1])

    def _grid_rules(self, left: float, right: float) -> None:
        """The border of every cell; merged cells have none inside."""
        for r, row in enumerate(self.grid):
            for c, cell in enumerate(row):
                if cell is None:
                    continue
                x0, y0, x1, y1 = self.xs[c], self.ys[r], self.xs[c + cell.columns], self.ys[r + cell.rows]
                self._rule(x0, y0, x0, y1)
                self._rule(x1, y0, x1, y1)
                if self.style.rules == "grid" or r <= self.header:
                    self._rule(x0, y0, x1, y0)
                if self.style.rules == "grid" or r == len(self.grid) - 1:
                    self._rule(x0, y1, x1, y1)

    def _rule(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.sheet.line(x0, y0, x1, y1)
        self.ink.append((x0, y0, x1, y1))


def bold(font: str) -> str:
    return {"Helvetica": "Helvetica-Bold", "Times-Roman": "Times-Bold", "Courier": "Courier-Bold"}.get(font, font)


def chinese_font() -> str:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    return "STSong-Light"


def width(text: str, font: str, size: float) -> float:
    return float(pdfmetrics.stringWidth(text, font, size))


def _wide(text: str) -> bool:
    return any("\u3000" <= c <= "\u9fff" for c in text)


def wrap(text: str, room: float, font: str, size: float) -> list[str]:
    """The text in lines at most `room` wide; Chinese breaks anywhere."""
    parts, space = (list(text), "") if _wide(text) else (text.split(" "), " ")
    lines = [parts[0]]
    for part in parts[1:]:
        longer = lines[-1] + space + part
        if width(longer, font, size) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
