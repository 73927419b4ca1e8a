"""The lines above a table's first row → header rows: wrapped names joined, names over several columns found.

A name stands over the columns that a rule below it spans, or that it reaches over, or over whose middle it is centred.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tasks.partition.pdf.content import Rule
from tasks.partition.pdf.tables.columns import Column, boundaries
from tasks.partition.pdf.tables.lines import YEAR, Line, Piece, piece_of
from tasks.partition.pdf.tables.rows import Placed

_MOST_SPANNED = 16


def header_rows(lines: Sequence[Line], columns: Sequence[Column], rules: Sequence[Rule]) -> list[list[list[Placed]]]:
    """Header rows, top to bottom; each is the lines that it takes, and each line its pieces in their columns."""
    slots = _slots(columns, lines, rules)
    placed: list[list[Placed]] = []
    for i in range(len(lines) - 1, -1, -1):  # from the bottom, as each name says how wide its column is
        line, below = lines[i], lines[i + 1 :]
        cells = _place(
            _split(line, slots, not below), slots, below, placed[0] if placed else [], _under(line, below, rules)
        )
        placed.insert(0, cells)
        for cell in cells:
            if cell.first == cell.last > 0:
                _widen(slots, cell.first, cell.piece.x0, cell.piece.x1)
    rows: list[list[list[Placed]]] = []
    for i, cells in enumerate(placed):
        if i and _same_row(lines[i - 1], placed[i - 1], lines[i], cells, rules):
            rows[-1].append(cells)
        else:
            rows.append([cells])
    return rows


def _slots(columns: Sequence[Column], lines: Sequence[Line], rules: Sequence[Rule]) -> list[Column]:
    """The columns as wide as the rules below their names say: figures fill only the right of them."""
    slots = [Column(c.x0, c.x1) for c in columns]
    if not lines:
        return slots
    floor = lines[-1].y1 + 1.2 * lines[-1].size
    for rule in rules:
        if rule.y0 == rule.y1 and lines[0].y0 < rule.y0 < floor:
            over = [c for c, col in enumerate(columns) if rule.x0 < col.x1 - 1 and rule.x1 > col.x0 + 1]
            if len(over) == 1 and over[0] > 0:
                _widen(slots, over[0], rule.x0, rule.x1)
    return slots


def _widen(slots: Sequence[Column], c: int, x0: float, x1: float) -> None:
    low = slots[c - 1].x1 if c else float("-inf")
    high = slots[c + 1].x0 if c + 1 < len(slots) else float("inf")
    slots[c].x0 = min(slots[c].x0, max(x0, low + 0.5))
    slots[c].x1 = max(slots[c].x1, min(x1, high - 0.5))


def _under(line: Line, below: Sequence[Line], rules: Sequence[Rule]) -> list[Rule]:
    """The horizontal rules right below a line."""
    floor = below[0].y1 - 0.3 * below[0].size if below else line.y1 + 0.8 * line.size
    return [r for r in rules if r.y0 == r.y1 and line.y1 - 0.35 * line.size <= r.y0 <= floor]


def _split(line: Line, columns: Sequence[Column], leaf: bool) -> list[Piece]:
    """The line's pieces, those parted that hold the names of two columns a narrow gap apart."""
    if not leaf or len(columns) < 3:
        return line.pieces
    edges = boundaries(columns)
    out: list[Piece] = []
    for piece in line.pieces:
        run = [piece.words[0]]
        for a, b in itertools.pairwise(piece.words):
            at = (a.x1 + b.x0) / 2
            edge = min(edges[1:-1], key=lambda e: abs(e - at))
            if b.x0 - a.x1 > 0.42 * b.size and abs(edge - at) < 0.8 * b.size:
                out.append(piece_of(run))
                run = []
            run.append(b)
        out.append(piece_of(run))
    return out


def _place(
    pieces: Sequence[Piece],
    columns: Sequence[Column],
    below: Sequence[Line],
    placed_below: Sequence[Placed],
    rules: Sequence[Rule],
) -> list[Placed]:
    """The columns of each piece, none of them twice."""
    placed: list[Placed] = []
    groups = _nearest_names(pieces, columns, below)
    for i, piece in enumerate(pieces):
        left = pieces[i - 1].x1 if i else float("-inf")
        right = pieces[i + 1].x0 if i + 1 < len(pieces) else float("inf")
        first, last = groups.get(i) or _columns_of(piece, left, right, columns, below, placed_below, rules)
        if placed and first <= placed[-1].last:
            if last > placed[-1].last:
                first = placed[-1].last + 1
            else:
                before = placed.pop()
                words = [*before.piece.words, *piece.words]
                placed.append(Placed(piece_of(words), before.first, before.last))
                continue
        placed.append(Placed(piece, first, last))
    return placed


def _nearest_names(pieces: Sequence[Piece], columns: Sequence[Column],
                   below: Sequence[Line]) -> dict[int, tuple[int, int]]:  # fmt: skip
    """Names over groups of names below: each column goes to the nearest, if then all are centred on their groups."""
    over = [i for i, piece in enumerate(pieces) if piece.x0 > columns[0].x1 - 2]
    names = [p for p in below[-1].pieces if p.x0 > columns[0].x1 - 2] if below else []
    if not over or len(names) < 2 * len(over) or len(names) != len(columns) - 1:
        return {}
    groups: dict[int, list[int]] = {}
    for c, name in enumerate(names, 1):
        middle = (name.x0 + name.x1) / 2
        best = min(over, key=lambda i: abs((pieces[i].x0 + pieces[i].x1) / 2 - middle))
        groups.setdefault(best, []).append(c)
    for i, members in groups.items():
        low, high = names[members[0] - 1], names[members[-1] - 1]
        for a, b in ((low, high), (columns[members[0]], columns[members[-1]])):
            if abs((a.x0 + b.x1) / 2 - (pieces[i].x0 + pieces[i].x1) / 2) < max(1.2 * low.size, 0.06 * (b.x1 - a.x0)):
                break
        else:
            return {}
    if len(groups) < len(over) or any(len(members) < 2 for members in groups.values()):
        return {}
    return {i: (members[0], members[-1]) for i, members in groups.items()}


def _columns_of(
    piece: Piece,
    left: float,
    right: float,
    columns: Sequence[Column],
    below: Sequence[Line],
    placed_below: Sequence[Placed],
    rules: Sequence[Rule],
) -> tuple[int, int]:
    middle = (piece.x0 + piece.x1) / 2
    named = _below_count(piece, left, right, below)
    for rule in rules:  # a rule of its own says what a name is for
        if rule.x0 < columns[0].x1 - 2 < piece.x0:
            continue
        if (
            rule.x0 - 2 <= middle <= rule.x1 + 2
            and rule.x0 - 0.5 * piece.size <= piece.x0
            and piece.x1 <= rule.x1 + 0.5 * piece.size
        ):
            under = [c for c, col in enumerate(columns) if rule.x0 - 3 <= (col.x0 + col.x1) / 2 <= rule.x1 + 3]
            centred = abs((rule.x0 + rule.x1) / 2 - middle) < max(1.5 * piece.size, 0.1 * (rule.x1 - rule.x0))
            if under and (len(under) == 1 or (centred and rule.x0 > left and rule.x1 < right)):
                return under[0], under[-1]
    nearest = min(range(len(columns)), key=lambda c: _distance(piece, columns[c]))
    if piece.x1 <= columns[0].x1 or (nearest == 0 and piece.x0 < columns[0].x0 + 2 * piece.size):
        return 0, 0
    over = [c for c, col in enumerate(columns) if c and piece.x0 < col.x1 - 1 and piece.x1 > col.x0 + 1]
    if len(over) > 1 and named < 2 and columns[over[0]].x0 > left and columns[over[-1]].x1 < right:
        shares = [min(piece.x1, columns[c].x1) - max(piece.x0, columns[c].x0) for c in (over[0], over[-1])]
        centre = (columns[over[0]].x0 + columns[over[-1]].x1) / 2
        if min(shares) > 0.25 * (piece.x1 - piece.x0) and abs(centre - middle) < 1.2 * piece.size:
            return over[0], over[-1]
    wrapped = _wrapped(piece, columns, placed_below)
    if wrapped is not None and (named <= 1 or not _over_years(piece, below)):
        return wrapped
    if named <= 1:
        return nearest, nearest
    spans = [
        (abs((columns[a].x0 + columns[b].x1) / 2 - middle), b - a, a, b)
        for a in range(1, len(columns))
        for b in range(a, min(a + _MOST_SPANNED, len(columns)))
        if columns[a].x1 > left and columns[b].x0 < right
        and columns[a].x0 <= middle + 1 and columns[b].x1 >= middle - 1
        and (columns[a].x0 >= left or a == nearest) and (columns[b].x1 <= right or b == nearest)
    ]  # fmt: skip
    best = min(spans, default=(0.0, 0, nearest, nearest))
    if over and len(over) > best[3] - best[2] + 1:
        return over[0], over[-1]
    return best[2], best[3]


def _wrapped(piece: Piece, columns: Sequence[Column], below: Sequence[Placed]) -> tuple[int, int] | None:
    """The columns of the piece in the next line that the name goes on with: both centred alike or ending alike."""
    middle = (piece.x0 + piece.x1) / 2
    for cell in below:
        other = cell.piece
        alike = abs((other.x0 + other.x1) / 2 - middle) < 0.8 * piece.size or abs(other.x1 - piece.x1) < 1
        low, high = min(columns[cell.first].x0, other.x0), max(columns[cell.last].x1, other.x1)
        if alike and piece.x0 > low - piece.size and piece.x1 < high + piece.size:
            return cell.first, cell.last
    return None


def _over_years(piece: Piece, below: Sequence[Line]) -> bool:
    """Whether years stand below something that is none: a period and its years."""
    return piece.kind != YEAR and all(p.kind == YEAR for p in below[-1].pieces[-2:])


def _below_count(piece: Piece, left: float, right: float, below: Sequence[Line]) -> int:
    """How many names of the next lines can belong to a piece: those nearer to it than to its neighbours."""
    low = (left + piece.x0) / 2 if left > float("-inf") else piece.x0 - (piece.x1 - piece.x0) - 6 * piece.size
    high = (right + piece.x1) / 2 if right < float("inf") else piece.x1 + (piece.x1 - piece.x0) + 6 * piece.size
    return max((sum(low <= (p.x0 + p.x1) / 2 <= high for p in line.pieces) for line in below), default=0)


def _distance(piece: Piece, column: Column) -> float:
    """Less than nothing where they overlap."""
    overlap = min(piece.x1, column.x1) - max(piece.x0, column.x0)
    return -overlap + 0.01 * abs((piece.x0 + piece.x1) - (column.x0 + column.x1))


def _same_row(above: Line, cells: Sequence[Placed], line: Line, next_cells: Sequence[Placed],
              rules: Sequence[Rule]) -> bool:  # fmt: skip
    """Whether a header line goes on with the names of the line above."""
    if (line.y0 + line.y1 - above.y0 - above.y1) / 2 > 1.75 * max(line.size, above.size):
        return False
    inner = [
        r for r in rules
        if r.y0 == r.y1 and above.y1 - 0.35 * above.size <= r.y0 <= line.y0 + 0.5 * line.size
    ]  # fmt: skip
    spans = {(cell.first, cell.last) for cell in cells if cell.last > cell.first}
    if spans:
        return not inner and spans == {(c.first, c.last) for c in next_cells if c.first > 0}
    return not any(r.x0 < cell.piece.x1 and r.x1 > cell.piece.x0 for r in inner for cell in cells if cell.first > 0)


@dataclasses.dataclass(frozen=True, slots=True)
class HeaderCell:
    """A name, its lines joined."""

    first: int
    last: int
    pieces: tuple[Piece, ...]


def cells_of(row: Sequence[Sequence[Placed]]) -> list[HeaderCell]:
    """The cells of a header row from its lines."""
    groups: list[list[Placed]] = []
    for cell in (cell for line in row for cell in line):
        same = [g for g in groups if any(c.first <= cell.last and c.last >= cell.first for c in g)]
        groups = [g for g in groups if g not in same] + [[c for g in same for c in g] + [cell]]
    return [
        HeaderCell(min(c.first for c in cells), max(c.last for c in cells), tuple(c.piece for c in cells))
        for cells in sorted(groups, key=lambda g: min(c.first for c in g))
    ]
