"""A band of lines → a table, by where its pieces stand; rules and stripes only help.

In: a band and what is drawn around it. Out: a Table, or None where the band is none.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from tasks.partition.pdf.content import Rule, Shape
from tasks.partition.pdf.tables.bands import Band, is_caption
from tasks.partition.pdf.tables.cells import Box, Cell, Table, cell_text
from tasks.partition.pdf.tables.columns import Column, boundaries, columns_of
from tasks.partition.pdf.tables.header import HeaderCell, cells_of, header_rows
from tasks.partition.pdf.tables.judge import Drawn, is_table
from tasks.partition.pdf.tables.lines import BLANK, FIGURE, TEXT, Line, Piece, piece_of
from tasks.partition.pdf.tables.looks import is_chart
from tasks.partition.pdf.tables.rows import BodyLine, Placed, row_pitch, rows_of

_ACROSS = 0.7  # of the table's width: a rule that long parts rows

_LISTED = re.compile(r"(?:\(?\d{1,3}[.)]\s*){2,}")


def table_of(band: Band, rules: Sequence[Rule], shapes: Sequence[Shape], stripes: Sequence[Box]) -> Table | None:
    """The table that a band is."""
    body = [line for line in band.body if len(line.pieces) > 1]
    columns = columns_of(body, band.header)
    x0, x1 = columns[0].x0, columns[-1].x1
    top, bottom = band.lines[band.start].y0, band.lines[band.stop - 1].y1
    bounds = _bounds(rules, stripes, (x0, top, x1, bottom))
    level = sum(r.y0 == r.y1 and x0 - 9 < r.x0 < x1 and top - 3 < r.y0 < bottom + 3 for r in rules)
    if not is_table(band.header, band.body, columns, Drawn(len(bounds), level + len(bounds))):
        return None
    if is_chart((x0, top, x1, bottom), shapes, columns):
        return None
    _settle_header(band, columns, bounds, rules)
    lines = [BodyLine(line, _placed(line, columns)) for line in band.body]
    right = max((p.x1 for line in lines if (p := line.label) is not None and line.values), default=columns[0].x1)
    lines += _tail(band, lines, columns, max(right, columns[0].x1), bounds)
    groups = rows_of(lines, [y for y in bounds if lines[0].line.y0 < y < lines[-1].line.y1], max(right, columns[0].x1))
    head = [cells_of(row) for row in header_rows(band.header, columns, [r for r in rules if x0 - 9 < r.x0 < x1])]
    cells = [_header_cell(r, cell) for r, row in enumerate(head) for cell in row]
    if any(_LISTED.fullmatch(cell.text) for cell in cells):
        return None  # rows of a list among the names: two lists side by side, say, one begun further up
    for r, group in enumerate(groups, len(head)):
        cells += _row_cells(r, [placed for i in group for placed in lines[i].cells])
    box = (
        min(c.box[0] for c in cells), min(c.box[1] for c in cells),
        max(c.box[2] for c in cells), max(c.box[3] for c in cells),
    )  # fmt: skip
    edges = tuple(round(edge, 1) for edge in boundaries(columns))
    return Table(box, tuple(cells), "", "unruled", len(head), edges)


def _bounds(rules: Sequence[Rule], stripes: Sequence[Box], box: Box) -> list[float]:
    """The y of rules over most of the table's width, and of the edges of stripes."""
    x0, y0, x1, y1 = box
    reach: list[list[float]] = []
    level = [r for r in rules if r.y0 == r.y1 and y0 - 15 < r.y0 < y1 + 15]
    for rule in sorted(level, key=lambda r: r.y0):
        length = max(0.0, min(rule.x1, x1) - max(rule.x0, x0))
        if reach and rule.y0 - reach[-1][0] < 2:
            reach[-1][1] += length
        else:
            reach.append([rule.y0, length])
    found = [y for y, length in reach if length >= _ACROSS * (x1 - x0)]
    for stripe in stripes:
        if (
            min(stripe[2], x1) - max(stripe[0], x0) >= _ACROSS * (x1 - x0)
            and y0 - 15 < stripe[1]
            and stripe[3] < y1 + 15
        ):
            found += [stripe[1], stripe[3]]
    found.sort()
    return [y for i, y in enumerate(found) if not i or y - found[i - 1] > 3]


def _settle_header(band: Band, columns: Sequence[Column], bounds: Sequence[float], rules: Sequence[Rule]) -> None:
    """Header lines are those down to the last that names a column other than the first; above, what they need."""
    if band.first == band.start:
        _header_of_words(band, bounds)
        return
    names = [
        i for i in range(band.start, band.first) if any(_beyond(p, columns) for p in band.lines[i].pieces)
    ]  # fmt: skip
    if not names:
        band.start = band.first = _first_label(band)
        return
    zones = {i: sum(y < (band.lines[i].y0 + band.lines[i].y1) / 2 for y in bounds) for i in (*names, band.first)}
    if zones[names[0]] < zones[band.first]:  # what no rule parts from the first figures is of their row
        names = [i for i in names if zones[i] < zones[band.first]]
    first = names[-1]
    for i in reversed(names[:-1]):  # a line of labels alone may stand between names, no more
        over = [p for p in band.lines[i].pieces if _beyond(p, columns)]
        wide = len(over) > 1 or over[0].x1 - over[0].x0 > columns[-1].x1 - columns[-1].x0
        if first - i > 2 or (first - i == 2 and (not wide or _is_wide_title(band.lines[i + 1], columns))):
            break
        first = i
    names = [i for i in names if i >= first]
    top = band.lines[first]
    framed = any(top.y0 - 0.9 * top.size < y <= top.y0 + 1 for y in bounds)
    while not framed and first < names[-1] and _is_title(band.lines[first], columns, rules):
        first = next(i for i in names if i > first)
    top = band.lines[first]
    for i in range(first - 1, max(band.start, first - 3) - 1, -1):  # what else a rule across closes in
        line = band.lines[i]
        if (
            len(line.pieces) > 1
            or (line.pieces[0].wordy and line.x1 > columns[1].x0)
            or top.y0 - line.y1 > 0.5 * line.size
        ):
            break
        top = line
        if any(line.y0 - 0.9 * line.size < y <= line.y0 + 1 for y in bounds):
            first = i
            break
    band.start, band.first = first, names[-1] + 1


def _is_wide_title(line: Line, columns: Sequence[Column]) -> bool:
    return line.pieces[0].bold or line.x1 > columns[1].x0


def _is_title(line: Line, columns: Sequence[Column], rules: Sequence[Rule]) -> bool:
    """Whether a line is centred over the whole table, not over its values."""
    piece = line.pieces[0]
    middle, whole = (piece.x0 + piece.x1) / 2, (columns[0].x0 + columns[-1].x1) / 2
    values = (columns[1].x0 + columns[-1].x1) / 2
    if any(
        r.y0 == r.y1 and r.x0 > columns[0].x1 - 2 and r.x0 < middle < r.x1 and abs(r.y0 - line.y1) < 0.8 * line.size
        for r in rules
    ):
        return False  # a rule says what it is the name of
    reaches = piece.x0 < columns[0].x1 and piece.x1 > columns[1].x0
    return (
        len(line.pieces) == 1
        and piece.x1 - piece.x0 > 0.18 * (columns[-1].x1 - columns[0].x0)
        and (reaches or (abs(middle - whole) < 1.5 * piece.size and abs(middle - whole) < abs(middle - values)))
    )


def _beyond(piece: Piece, columns: Sequence[Column]) -> bool:
    """Whether a piece above the body names a column of values."""
    edge = (columns[0].x1 + columns[1].x0) / 2
    return piece.x0 > min(edge, columns[1].x0 - piece.size) or (
        (piece.x0 + piece.x1) / 2 > columns[1].x0 and piece.x0 > columns[0].x0 + 3 * piece.size
    )


def _first_label(band: Band) -> int:
    """Where the body begins: lines above the first figures that are the beginning of its label."""
    at = band.first
    while at > band.start:
        above, line = band.lines[at - 1], band.lines[at]
        label, next_label = above.pieces[0], line.pieces[0]
        step = (line.y0 + line.y1 - above.y0 - above.y1) / 2
        if len(above.pieces) > 1 or step > 1.3 * line.size or not next_label.text[:1].islower() or label.bold:
            break
        at -= 1
    return at


def _header_of_words(band: Band, bounds: Sequence[float]) -> None:
    """In a table without a header of its own kind, lines in bold or above the first rule are it."""
    lines = band.lines[band.start : band.stop]
    count = 0
    inner = [y for y in bounds if lines[0].y1 - 3 <= y < lines[-1].y0]
    if inner:
        above = sum((line.y0 + line.y1) / 2 < inner[0] for line in lines)
        count = above if above <= 3 and len(lines) > above else 0
    if not count and any(p.kind in (FIGURE, BLANK) for p in lines[0].pieces[1:]):
        return
    if not count:
        bold = [all(p.bold for p in line.pieces) for line in lines]
        count = next((i for i, is_bold in enumerate(bold) if not is_bold), 0)
        count = count if count <= 3 else 0
    band.first += count


def _placed(line: Line, columns: Sequence[Column]) -> tuple[Placed, ...]:
    """A body line's pieces in their columns; those of one column as one."""
    out: list[Placed] = []
    for i, piece in enumerate(line.pieces):
        over = [c for c, col in enumerate(columns) if piece.x0 < col.x1 - 1 and piece.x1 > col.x0 + 1]
        if not over:
            over = [min(range(len(columns)), key=lambda c: _gap(piece, columns[c]))]
        if over[0] == 0 and i == 0 and (piece.kind == TEXT or len(over) == 1):
            first = last = 0
        elif piece.kind != TEXT:
            first = last = over[-1]
        else:
            first, last = over[0], over[-1]
        if out and first <= out[-1].last:
            before = out.pop()
            piece = piece_of([*before.piece.words, *piece.words])
            first, last = before.first, max(before.last, last if last == before.last else before.last)
        if piece.kind != TEXT and first == last and columns[first].pieces and not columns[first].numeric:
            piece = piece._replace(kind=TEXT)  # a year in brackets among words is no figure
        out.append(Placed(piece, first, last))
    return tuple(out)


def _gap(piece: Piece, column: Column) -> float:
    return max(column.x0 - piece.x1, piece.x0 - column.x1)


def _tail(
    band: Band, lines: Sequence[BodyLine], columns: Sequence[Column], right: float, bounds: Sequence[float]
) -> list[BodyLine]:
    """Lines below the last row that go on with it, or that a rule across the table closes in."""
    tail: list[BodyLine] = []
    pitch = row_pitch(lines)
    for line in band.lines[band.stop : band.stop + 4]:
        placed = BodyLine(line, _placed(line, columns))
        if len(line.pieces) > 1 or is_caption(line) or (line.pieces[0].wordy and line.x1 > columns[-1].x1 + 3):
            break
        above = [*lines, *tail][-1]
        closed = any(line.y1 - 2 < y < line.y1 + 0.6 * line.size for y in bounds)
        closed = closed and line.y0 - above.line.y1 < 0.9 * line.size and len(bounds) > 2
        goes_on = len(rows_of([*lines, *tail, placed], [], right)[-1]) > 1
        piece = line.pieces[0]
        heads = (piece.bold or piece.text.endswith(":")) and piece.x1 < columns[1].x0
        heads = (
            heads and placed.middle - above.middle < 1.1 * pitch and len(lines) > 5
        )  # a section cut by the page's end
        if line.x0 < columns[0].x0 - 2 or not (goes_on or closed or heads):
            break
        tail.append(placed)
    return tail


def _header_cell(row: int, cell: HeaderCell) -> Cell:
    return Cell(
        row, cell.first, 1, cell.last - cell.first + 1, cell_text(p.text for p in cell.pieces), _box(cell.pieces)
    )


def _row_cells(row: int, placed: Sequence[Placed]) -> list[Cell]:
    cells = []
    for first, same in itertools.groupby(sorted(placed, key=lambda p: p.first), key=lambda p: p.first):
        parts = list(same)
        last = max(p.last for p in parts)
        pieces = [p.piece for p in parts]
        cells.append(Cell(row, first, 1, last - first + 1, cell_text(p.text for p in pieces), _box(pieces)))
    return cells


def _box(pieces: Iterable[Piece]) -> Box:
    found = list(pieces)
    return (
        min(p.x0 for p in found), min(p.y0 for p in found), max(p.x1 for p in found), max(p.y1 for p in found),
    )  # fmt: skip
