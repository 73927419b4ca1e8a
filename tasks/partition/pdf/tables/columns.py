"""The columns of a run of lines: pieces that lie above one another, however they are aligned.

In: lines of pieces. Out: columns from left to right. Narrow pieces and figures come first, so that a label or heading
that reaches over several columns finds them there and does not join them; where that fails, lines vote.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tasks.partition.pdf.tables.lines import BLANK, FIGURE, TEXT, YEAR, Line, Piece

_TOUCH = 0.5  # points by which pieces of two columns may overlap


@dataclasses.dataclass(slots=True)
class Column:
    """An interval of x and the pieces in it, by the number of their line."""

    x0: float
    x1: float
    pieces: list[tuple[int, Piece]] = dataclasses.field(default_factory=list)

    @property
    def lines(self) -> set[int]:
        return {line for line, _ in self.pieces}

    @property
    def numeric(self) -> bool:
        figures = sum(piece.kind in (FIGURE, BLANK, YEAR) for _, piece in self.pieces)
        return figures > 0.5 * len(self.pieces)

    def take(self, line: int, piece: Piece) -> None:
        self.pieces.append((line, piece))
        self.x0, self.x1 = min(self.x0, piece.x0), max(self.x1, piece.x1)


def columns_of(lines: Sequence[Line], header: Sequence[Line] = ()) -> list[Column]:
    """Columns of the body `lines`; those of `header` only keep apart what they name apart."""
    columns: list[Column] = []
    across: list[tuple[int, Piece]] = []
    pieces = [(i, piece) for i, line in enumerate(lines) for piece in line.pieces]
    pieces.sort(key=lambda at: (at[1].kind == TEXT, at[1].x1 - at[1].x0))
    for i, piece in pieces:
        hits = [c for c in columns if piece.x0 < c.x1 - _TOUCH and piece.x1 > c.x0 + _TOUCH]
        if not hits:
            columns.append(Column(piece.x0, piece.x1, [(i, piece)]))
        elif len(hits) == 1:
            hits[0].take(i, piece)
        elif not _coexist(hits):
            for other in hits[1:]:
                _merge(columns, hits[0], other)
            hits[0].take(i, piece)
        elif piece.kind == TEXT:
            across.append((i, piece))
        else:  # a figure far from its currency sign belongs where it ends
            max(hits, key=lambda c: c.x1).pieces.append((i, piece))
    columns.sort(key=lambda c: c.x0)
    _vote(columns, across)
    _join_alternating(columns, header)
    return columns


def _coexist(columns: Sequence[Column]) -> bool:
    sets = [column.lines for column in columns]
    return any(a & b for a, b in itertools.combinations(sets, 2))


def _merge(columns: list[Column], into: Column, other: Column) -> None:
    into.pieces += other.pieces
    into.x0, into.x1 = min(into.x0, other.x0), max(into.x1, other.x1)
    columns.remove(other)


def _vote(columns: list[Column], across: Sequence[tuple[int, Piece]]) -> None:
    """Neighbours are one column where more pieces lie across both than lines have a piece in each."""
    i = 0
    while i + 1 < len(columns):
        a, b = columns[i], columns[i + 1]
        against = sum(p.x0 < a.x1 - _TOUCH and p.x1 > b.x0 + _TOUCH for _, p in across)
        if against > len(a.lines & b.lines) and not (a.numeric and b.numeric):
            _merge(columns, a, b)
            i = max(0, i - 1)
        else:
            i += 1


def _join_alternating(columns: list[Column], header: Sequence[Line]) -> None:
    """Neighbours that never meet on a line are one column, unless they are far apart or have names of their own."""
    i = 0
    while i + 1 < len(columns):
        a, b = columns[i], columns[i + 1]
        size = a.pieces[0][1].size
        if b.x0 - a.x1 < 2.0 * size and not a.lines & b.lines and i > 0 and not _named_apart(a, b, header):
            _merge(columns, a, b)
        else:
            i += 1


def _named_apart(a: Column, b: Column, header: Sequence[Line]) -> bool:
    for line in header:
        over = [[p for p in line.pieces if p.x0 < c.x1 and p.x1 > c.x0] for c in (a, b)]
        if over[0] and over[1] and over[0][0] is not over[1][0]:
            return True
    return False


def core_right(piece: Piece) -> float:
    """Where a figure's last digit ends: brackets and percent signs hang out of the column."""
    last = piece.words[-1]
    text = last.text
    bare = text.rstrip(")%*†‡#")
    if len(piece.words) > 1 and not bare:
        return piece.words[-2].x1
    return last.x1 - (last.x1 - last.x0) * 0.9 * (len(text) - len(bare)) / max(len(text), 1)


def alignment(column: Column) -> float:
    """The share of a column's pieces that keep to its most common left, right or middle."""
    pieces = [piece for _, piece in column.pieces]
    tolerance = max(1.2, 0.22 * pieces[0].size)
    edges = (
        [p.x0 for p in pieces],
        [core_right(p) if p.kind != TEXT else p.x1 for p in pieces],
        [(p.x0 + p.x1) / 2 for p in pieces],
    )
    return max(_densest(sorted(values), 2 * tolerance) for values in edges) / len(pieces)


def _densest(values: Sequence[float], reach: float) -> int:
    best, start = 1, 0
    for end, value in enumerate(values):
        while value - values[start] > reach:
            start += 1
        best = max(best, end - start + 1)
    return best


def boundaries(columns: Sequence[Column]) -> list[float]:
    """Where columns begin and end: the outer edges, and the middles of the gaps between them."""
    inner = [(a.x1 + b.x0) / 2 for a, b in itertools.pairwise(columns)]
    return [columns[0].x0, *inner, columns[-1].x1]
