"""A grid of rules and the words in it → a table, or None where the rules frame something else.

A row that holds several lines of figures (a table with lines between its columns only) is parted into its lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tasks.partition.pdf.content import Shape, Word
from tasks.partition.pdf.tables.cells import Cell, Table, cell_text
from tasks.partition.pdf.tables.lines import BLANK, FIGURE, Line, Piece, lines_of
from tasks.partition.pdf.tables.looks import is_bars, is_drawn_over
from tasks.partition.pdf.tables.rows import BodyLine, Placed, rows_of
from tasks.partition.pdf.tables.ruled import Grid

_LEAST_FILLED = 0.34  # of the cells; the squares of a chart's grid are empty
_MOST_WORDS = 60  # per filled cell on average: more is a page in frames

_Place = tuple[int, int, int, int]


def boxed(grid: Grid, words: Sequence[Word], shapes: Sequence[Shape]) -> Table | None:
    """The table of a grid."""
    inside = [
        w for w in words if grid.xs[0] - 2 <= _x(w) <= grid.xs[-1] + 2 and grid.ys[0] - 2 <= _y(w) <= grid.ys[-1] + 2
    ]
    owner = {(i, k): cell for cell in grid.cells for i in range(cell[0], cell[0] + cell[2])
             for k in range(cell[1], cell[1] + cell[3])}  # fmt: skip
    held: dict[_Place, list[Word]] = {cell: [] for cell in grid.cells}
    for word in inside:
        held[owner[_at(grid.ys, _y(word)), _at(grid.xs, _x(word))]].append(word)
    lines = {cell: lines_of(found) for cell, found in held.items() if found}
    if not _is_table(grid, lines, shapes) or _goes_on_outside(grid, words):
        return None
    return _table(grid, lines)


def _x(word: Word) -> float:
    return (word.x0 + word.x1) / 2


def _y(word: Word) -> float:
    return (word.y0 + word.y1) / 2


def _at(edges: Sequence[float], value: float) -> int:
    return max(0, min(sum(edge <= value for edge in edges) - 1, len(edges) - 2))


def _is_table(grid: Grid, lines: dict[_Place, list[Line]], shapes: Sequence[Shape]) -> bool:
    whole = (0, 0, len(grid.ys) - 1, len(grid.xs) - 1)
    filled = [cell for cell, found in lines.items() if found]
    if len({c[1] for c in filled}) < 2 or (len({c[0] for c in filled}) < 2 and not _stacked(lines)):
        return False
    words = sum(len(p.words) for found in lines.values() for line in found for p in line.pieces)
    box = (grid.xs[0], grid.ys[0], grid.xs[-1], grid.ys[-1])
    sparse = len(filled) < max(3, _LEAST_FILLED * len(grid.cells))
    if sparse and (is_drawn_over(box, shapes) or not _is_blank_form(grid, filled)):
        return False
    units = (len(grid.xs) - 1) * (len(grid.ys) - 1)
    if units >= 24 and len(grid.cells) < 0.4 * units:
        return False  # lines that run anywhere, as on a plan
    if is_bars(box, shapes):
        return False
    if len(grid.cells) >= 6 and any(_area(grid, cell) > 0.55 * _area(grid, whole) for cell in lines):
        return False  # a drawing in a frame
    if words > _MOST_WORDS * len(filled) or _crossed(grid, lines) > 0.12 * words:
        return False
    with_figures = [line for found in lines.values() for line in found if _figures(line)]
    several = sum(_figures(line) > 1 for line in with_figures)
    return several <= 0.25 * len(with_figures)  # else the frames are around columns, not around cells


def _goes_on_outside(grid: Grid, words: Sequence[Word]) -> bool:
    """Whether words run into the frame from its left in most rows: frames of links, not of cells."""
    beside = [
        _y(w) for w in words if -1 < grid.xs[0] - w.x1 < 0.8 * w.size and grid.ys[0] < _y(w) < grid.ys[-1]
    ]  # fmt: skip
    rows = {_at(grid.ys, y) for y in beside}
    return len(rows) >= 0.5 * (len(grid.ys) - 1)


def _area(grid: Grid, place: _Place) -> float:
    r, c, height, width = place
    return (grid.ys[r + height] - grid.ys[r]) * (grid.xs[c + width] - grid.xs[c])


def _is_blank_form(grid: Grid, filled: Sequence[_Place]) -> bool:
    """A table to be filled in: its first row or its first column is."""
    first = [[c for c in grid.cells if c[k] == 0] for k in (0, 1)]
    return len(filled) >= 4 and any(len(row) >= 3 and sum(c in filled for c in row) >= 0.7 * len(row) for row in first)


def _crossed(grid: Grid, lines: dict[_Place, list[Line]]) -> int:
    """How many words lie across the walls of their cells: they are on a drawing, not in a table."""
    return sum(
        word.x0 < grid.xs[c] - 3 or word.x1 > grid.xs[c + width] + 3
        for (_, c, _, width), found in lines.items()
        for line in found
        for piece in line.pieces
        for word in piece.words
    )


def _figures(line: Line) -> int:
    return sum(piece.kind in (FIGURE, BLANK) for piece in line.pieces)


def _stacked(lines: dict[_Place, list[Line]]) -> bool:
    return sum(sum(_figures(line) > 0 for line in found) > 1 for found in lines.values()) > 0


def _table(grid: Grid, lines: dict[_Place, list[Line]]) -> Table:
    rows, columns = len(grid.ys) - 1, len(grid.xs) - 1
    parts = [
        _parts(r, {cell: found for cell, found in lines.items() if cell[0] == r and cell[2] == 1}) for r in range(rows)
    ]
    kept_rows = [r for r in range(rows) if grid.ys[r + 1] - grid.ys[r] > 5 or any(c[0] == r for c in lines)]
    kept_columns = [c for c in range(columns) if grid.xs[c + 1] - grid.xs[c] > 5 or any(p[1] == c for p in lines)]
    start: dict[int, int] = {}
    total = 0
    for r in range(rows + 1):
        start[r] = total
        total += max(1, len(parts[r])) if r in kept_rows else 0
    column = {c: sum(k < c for k in kept_columns) for c in range(columns + 1)}
    cells = []
    for place in grid.cells:
        r, c, height, width = place
        first, span = column[c], column[c + width] - column[c]
        if not span or start[r + height] == start[r]:
            continue
        box = (grid.xs[c], grid.ys[r], grid.xs[c + width], grid.ys[r + height])
        if height == 1 and len(parts[r]) > 1:
            for i, (top, bottom) in enumerate(parts[r]):
                text = _text([line for line in lines.get(place, []) if top <= (line.y0 + line.y1) / 2 < bottom])
                low, high = max(top, box[1]), min(bottom, box[3])
                cells.append(Cell(start[r] + i, first, 1, span, text, (box[0], low, box[2], high)))
        else:
            text = _text(lines.get(place, []))
            cells.append(Cell(start[r], first, start[r + height] - start[r], span, text, box))
    box = (grid.xs[0], grid.ys[0], grid.xs[-1], grid.ys[-1])
    edges = tuple(round(x, 1) for x in (*(grid.xs[c] for c in kept_columns), grid.xs[-1]))
    head = _header_rows(cells, {cell: lines.get(cell, []) for cell in grid.cells}, total)
    return Table(box, tuple(sorted(cells, key=lambda c: (c.row, c.column))), "", "ruled", head, edges)


def _parts(row: int, lines: dict[_Place, list[Line]]) -> list[tuple[float, float]]:
    """From where to where each row within a grid's row reaches; one, or none where it is empty."""
    if not any(sum(_figures(line) > 0 for line in found) > 1 for found in lines.values()):
        return [(float("-inf"), float("inf"))]
    places = sorted(lines, key=lambda cell: cell[1])
    pieces: list[tuple[float, int, Piece]] = []
    for column, place in enumerate(places):
        offset = 0 if place[1] == 0 else 1 + column
        pieces += [((line.y0 + line.y1) / 2, offset, p) for line in lines[place] for p in line.pieces]
    pieces.sort(key=lambda at: at[:2])
    grouped: list[list[tuple[float, int, Piece]]] = []
    for at in pieces:
        if grouped and at[0] - grouped[-1][0][0] < 0.4 * at[2].size:
            grouped[-1].append(at)
        else:
            grouped.append([at])
    body = []
    for group in grouped:
        cells = tuple(Placed(p, c, c) for _, c, p in sorted(group, key=lambda at: (at[1], at[2].x0)))
        line = Line(
            [c.piece for c in cells],
            min(c.piece.y0 for c in cells),
            max(c.piece.y1 for c in cells),
            cells[0].piece.size,
        )
        body.append(BodyLine(line, cells))
    label = [line.label for line in body if line.label is not None]
    rows = rows_of(body, [], max((p.x1 for p in label), default=0.0))
    edges = [float("-inf")]
    edges += [(body[a[-1]].middle + body[b[0]].middle) / 2 for a, b in itertools.pairwise(rows)]
    return list(itertools.pairwise([*edges, float("inf")]))


def _text(lines: Sequence[Line]) -> str:
    return cell_text(" ".join(piece.text for piece in line.pieces) for line in lines)


def _header_rows(cells: Sequence[Cell], lines: dict[_Place, list[Line]], rows: int) -> int:
    """Leading rows without figures, where rows with figures follow; else the first, with all that spans into it."""
    numbers = {
        cell.row for cell in cells
        if cell.column > 0 and any(p.kind in (FIGURE, BLANK) for line in _lines_in(cell, lines) for p in line.pieces)
    }  # fmt: skip
    names = {cell.row for cell in cells if cell.text and cell.column > 0}
    first = min(numbers, default=0)
    sections = [r for r in range(1, first) if r not in names]  # a label alone begins the body
    first = min(sections, default=first) if 0 in names else first
    count = first if 0 < first <= 5 else 0 if first == 0 and numbers else 1
    reach = max((c.row + c.row_span for c in cells if c.row < count), default=count)
    return min(max(count, reach if reach <= count + 2 else count), max(0, rows - 1))


def _lines_in(cell: Cell, lines: dict[_Place, list[Line]]) -> list[Line]:
    x0, y0, x1, y1 = cell.box
    return [
        line for found in lines.values() for line in found
        if x0 <= (line.x0 + line.x1) / 2 <= x1 and y0 <= (line.y0 + line.y1) / 2 <= y1
    ]  # fmt: skip
