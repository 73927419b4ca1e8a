"""Where a page has columns of prose, its lines are cut at the gutter, so that a table within a column stays one.

In: the lines of a page and what is drawn. Out: regions, each the lines of one column or of the page's whole width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.partition.pdf.content import Rule, Shape
from tasks.partition.pdf.tables.lines import TEXT, Line, Piece, lines_of

_STEP = 3.0
_LEAST_LINES = 5
_MOST_TRIED = 80
_FULL = 0.72  # of the column's width; the lines of a paragraph are that long
_STRIPE = 60.0  # points: lower shapes across a gutter are stripes of a table


def regions(lines: Sequence[Line], rules: Sequence[Rule], shapes: Sequence[Shape], depth: int = 0) -> list[list[Line]]:
    """The lines in regions; the whole as one where there are no columns."""
    if depth > 4 or sum(_words(line) for line in lines) < 6 * _LEAST_LINES:
        return [list(lines)]
    found = _gutter(lines, rules, shapes)
    if found is None:
        return [list(lines)]
    first, last, x = found
    inside = [word for line in lines[first : last + 1] for piece in line.pieces for word in piece.words]
    left = lines_of([word for word in inside if word.x0 + word.x1 < 2 * x])  # each side has lines of its own
    right = lines_of([word for word in inside if word.x0 + word.x1 >= 2 * x])
    return [
        region
        for part in (lines[:first], left, right, lines[last + 1 :])
        if part
        for region in regions(part, rules, shapes, depth + 1)
    ]


def _words(line: Line) -> int:
    return sum(len(piece.words) for piece in line.pieces if piece.kind == TEXT)


def _gutter(lines: Sequence[Line], rules: Sequence[Rule], shapes: Sequence[Shape]) -> tuple[int, int, float] | None:
    """First line, last line and x of the best gutter: lines on both sides of it, prose on one at least."""
    low, high = min(line.x0 for line in lines), max(line.x1 for line in lines)
    xs = np.arange(low + 0.12 * (high - low), high - 0.12 * (high - low), _STEP)
    if not len(xs):
        return None
    blocked = np.zeros((len(lines), len(xs)), bool)
    for i, line in enumerate(lines):
        for piece in line.pieces:
            blocked[i] |= (xs > piece.x0 - 2) & (xs < piece.x1 + 2)
    cuts = _cuts(lines, xs, rules, shapes)
    best: tuple[float, int, int, int] | None = None
    known: dict[tuple[int, int, int], float] = {}
    free = (~blocked).sum(axis=0)
    seen: set[bytes] = set()
    for k in sorted(range(len(xs)), key=lambda k: -int(free[k]))[:_MOST_TRIED]:
        x, pattern = float(xs[k]), blocked[:, k].tobytes() + cuts[:, k].tobytes()
        if free[k] < _LEAST_LINES or pattern in seen:  # another x in the same gap
            continue
        seen.add(pattern)
        for first, last in _runs(~blocked[:, k], cuts[:, k]):
            worth = _worth(lines[first : last + 1], x, known, first)
            if worth and (best is None or worth > best[0]):
                best = (worth, k, first, last)
    if best is None:
        return None
    worth, k, first, last = best
    while first < last and _is_row(lines[first], float(xs[k])):  # a table over both columns
        first += 1
    while last > first and _is_row(lines[last], float(xs[k])):
        last -= 1
    open_at: list[bool] = (~np.asarray(blocked[first : last + 1].any(axis=0))).tolist()
    low_k = high_k = k
    while low_k > 0 and open_at[low_k - 1]:
        low_k -= 1
    while high_k + 1 < len(xs) and open_at[high_k + 1]:
        high_k += 1
    return first, last, float(xs[(low_k + high_k) // 2])


def _is_row(line: Line, x: float) -> bool:
    """Whether a line has several short cells on both sides of a gutter."""
    pieces = line.pieces
    return len(pieces) >= 3 and pieces[0].x1 <= x <= pieces[-1].x0 and all(len(p.words) < 4 for p in pieces)


def _cuts(lines: Sequence[Line], xs: npt.NDArray[np.float64], rules: Sequence[Rule],
          shapes: Sequence[Shape]) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Per line and x, whether something drawn across x parts the line from the one before it."""
    cuts = np.zeros((len(lines), len(xs)), bool)
    middles = np.array([(line.y0 + line.y1) / 2 for line in lines])
    across = [(r.x0, r.x1, r.y0) for r in rules if r.y0 == r.y1]
    across += [(s.x0, s.x1, y) for s in shapes if s.filled and s.y1 - s.y0 < _STRIPE for y in (s.y0, s.y1)]
    for x0, x1, y in across:
        if x1 - x0 > 30:
            at = int(np.searchsorted(middles, y))
            if 0 < at < len(lines):
                cuts[at] |= (xs > x0 + 8) & (xs < x1 - 8)
    return cuts


def _runs(free: npt.NDArray[np.bool_], cut: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for i, (ok, parted) in enumerate(zip(free.tolist(), cut.tolist(), strict=True)):
        if start is not None and (not ok or parted):
            runs.append((start, i - 1))
            start = None
        if ok and start is None:
            start = i
    if start is not None:
        runs.append((start, len(free) - 1))
    return [(a, b) for a, b in runs if b - a + 1 >= _LEAST_LINES]


def _worth(lines: Sequence[Line], x: float, known: dict[tuple[int, int, int], float], first: int) -> float:
    """How many lines of prose a cut at x keeps whole; 0 where it would part rows."""
    sides: list[list[list[Piece]]] = [[], []]
    for line in lines:
        left = [piece for piece in line.pieces if piece.x1 <= x]
        right = line.pieces[len(left) :]
        for side, pieces in zip(sides, (left, right), strict=True):
            if pieces:
                side.append(pieces)
    key = (first, sum(map(len, sides[0])), sum(map(len, sides[1])))
    if key not in known:
        known[key] = 0.0
        if min(map(len, sides)) >= 3:
            full = [_full_lines(side) for side in sides]
            good = [n >= 4 and n >= 0.5 * len(side) for n, side in zip(full, sides, strict=True)]
            if any(good) and (all(good) or _is_column(sides[good.index(True)], sides[good.index(False)])):
                known[key] = float(sum(n for n, ok in zip(full, good, strict=True) if ok))
    return known[key]


def _full_lines(side: Sequence[Sequence[Piece]]) -> int:
    """How many lines are as those of a paragraph: words only, and as wide as the side."""
    width = max(p[-1].x1 for p in side) - min(p[0].x0 for p in side)
    return sum(
        pieces[-1].x1 - pieces[0].x0 >= _FULL * width
        and sum(len(p.words) for p in pieces if p.kind == TEXT) >= 4
        and all(b.x0 - a.x1 < 2.2 * a.size for a, b in itertools.pairwise(pieces))
        for pieces in side
    )


def _is_column(prose: Sequence[Sequence[Piece]], other: Sequence[Sequence[Piece]]) -> bool:
    """Whether prose beside something else is a column of its own, and not the cells of a table's last column."""
    middles = [(p[0].y0 + p[0].y1) / 2 for p in prose]
    steps = [b - a for a, b in itertools.pairwise(middles)]
    size = prose[0][0].size
    tight = longest = 0
    for step in steps:
        tight = tight + 1 if step < 1.5 * size else 0
        longest = max(longest, tight)
    begins = {m for m, step, p in zip(middles, [99.0, *steps], prose, strict=True) if step > 1.4 * size or len(p) > 1}
    aligned = sum(min(abs((p[0].y0 + p[0].y1) / 2 - m) for m in middles) < 1.0 for p in other)
    if aligned >= 0.9 * len(other) and sum(
        min((abs((p[0].y0 + p[0].y1) / 2 - m) for m in begins), default=9.0) < 1.0 for p in other
    ) >= 0.8 * len(other):  # each beside the beginning of a paragraph: the rows of a table with a column of text
        return False
    labelled = sum(p[0].kind == TEXT for p in other)  # rows of figures alone are those of the words beside them
    if labelled < 0.5 * len(other) and any(piece.kind != TEXT for p in other for piece in p):
        return False
    return longest >= 4 and (aligned < 0.9 * len(other) or longest >= 10)
