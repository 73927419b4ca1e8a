"""Two tables side by side share lines: where a band parts into two, each with labels of its own.

In: a band. Out: the two bands, or nothing where it is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tasks.partition.pdf.content import Rule
from tasks.partition.pdf.tables.bands import Band, bands, prose_flags
from tasks.partition.pdf.tables.columns import Column, columns_of
from tasks.partition.pdf.tables.lines import TEXT, lines_of

_GAP = 1.6  # type sizes


def parted(band: Band, rules: Sequence[Rule]) -> list[Band]:
    """The bands left and right of a gap, if both begin with labels and are rows of figures."""
    body = [line for line in band.body if len(line.pieces) > 1]
    columns = columns_of(body, band.header)
    for k in range(2, len(columns) - 1):
        a, b = columns[k - 1], columns[k]
        size = body[0].size
        if b.numeric or not a.numeric or b.x0 - a.x1 < _GAP * size or _words(b) < 0.6:
            continue
        x = (a.x1 + b.x0) / 2
        if not _apart(columns[:k], columns[k:], band, x, rules):
            continue
        words = [
            w for line in band.lines[band.start : band.stop + _tail(band)] for piece in line.pieces for w in piece.words
        ]
        halves: list[Band] = []
        for side in ([w for w in words if w.x0 + w.x1 < 2 * x], [w for w in words if w.x0 + w.x1 >= 2 * x]):
            half = lines_of(side)
            halves += bands(half, prose_flags(half), [False] * len(half))
        if len(halves) == 2:
            return halves
    return []


def _words(column: Column) -> float:
    return sum(piece.kind == TEXT for _, piece in column.pieces) / len(column.pieces)


def _apart(left: Sequence[Column], right: Sequence[Column], band: Band, x: float, rules: Sequence[Rule]) -> bool:
    """Whether the sides have rows of their own, names of their own for them, or rules that end between them."""
    if not right[1:] or not any(c.numeric for c in right[1:]):
        return False
    top, bottom = band.lines[band.start].y0 - 12, band.lines[band.stop - 1].y1 + 12
    level = [r for r in rules if r.y0 == r.y1 and top < r.y0 < bottom]
    if any(r.x0 < x - 8 and r.x1 > x + 8 for r in level):
        return False
    rows = [set().union(*(c.lines for c in side)) for side in (left, right)]
    alone = len(rows[0] ^ rows[1])
    ends = [sum(abs(r.x1 - x) < 40 for r in level), sum(abs(r.x0 - x) < 40 for r in level)]
    names = [{p.text for line in band.header for p in line.pieces if (p.x0 < x) == first} for first in (True, False)]
    return alone >= 0.25 * len(rows[0] | rows[1]) or min(ends) >= 2 or bool(names[0] & names[1])


def _tail(band: Band) -> int:
    """How many lines below may be the rest of the last row's labels."""
    count = 0
    for above, line in itertools.pairwise(band.lines[band.stop - 1 : band.stop + 3]):
        if line.y0 - above.y1 > 0.5 * line.size:
            break
        count += 1
    return count
