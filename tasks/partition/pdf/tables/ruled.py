"""Rules that cross → the grids they draw, with cells merged where a rule between them is missing.

In: rules. Out: grids: where their lines are, and each cell's place and extent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.partition.pdf.content import Rule

_SNAP = 2.5  # points within which lines are one
_REACH = 3.5  # points by which lines that meet may miss each other
_SHORT = 6.0
_MOST_RULES = 2_500
_MOST_LINES = 250  # per direction: beyond is a drawing


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """Lines from left to right and from top to bottom, and cells as (row, column, row span, column span)."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cells: tuple[tuple[int, int, int, int], ...]


def grids(rules: Sequence[Rule]) -> list[Grid]:
    """The grids with at least two cells beside or above one another."""
    level = [r for r in rules if r.y0 == r.y1 and r.x1 - r.x0 >= _SHORT]
    upright = [r for r in rules if r.y0 != r.y1 and r.y1 - r.y0 >= _SHORT]
    if len(level) < 2 or not upright or len(level) + len(upright) > _MOST_RULES:
        return []
    found = []
    for across, down in _connected(level, upright):
        if len(across) >= 2 and len(down) >= 1 and len(across) + len(down) >= 4 and (grid := _grid(across, down)):
            found.append(grid)
    return found


def _connected(level: list[Rule], upright: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Rules that meet, directly or through others."""
    parent = list(range(len(level) + len(upright)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    order = sorted(range(len(level)), key=lambda i: level[i].y0)
    for j, v in enumerate(upright, len(level)):
        for i in order:
            h = level[i]
            if h.y0 > v.y1 + _REACH:
                break
            if h.y0 >= v.y0 - _REACH and h.x0 - _REACH <= v.x0 <= h.x1 + _REACH:
                parent[root(i)] = root(j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, rule in enumerate((*level, *upright)):
        groups.setdefault(root(i), ([], []))[i >= len(level)].append(rule)
    return list(groups.values())


def _grid(across: Sequence[Rule], down: Sequence[Rule]) -> Grid | None:
    left, right = min(r.x0 for r in across), max(r.x1 for r in across)
    top, bottom = min(r.y0 for r in down), max(r.y1 for r in down)
    xs = _snapped([r.x0 for r in down])
    ys = _snapped([r.y0 for r in across])
    if xs[0] - left > 8:  # a table that is open at its sides
        xs = [left, *xs]
    if right - xs[-1] > 8:
        xs = [*xs, right]
    if ys[0] - top > 5:
        ys = [top, *ys]
    if bottom - ys[-1] > 5:
        ys = [*ys, bottom]
    if len(xs) < 2 or len(ys) < 2 or (len(xs) - 1) * (len(ys) - 1) < 2 or max(len(xs), len(ys)) > _MOST_LINES:
        return None
    return Grid(tuple(xs), tuple(ys), tuple(_cells(xs, ys, across, down)))


def _snapped(values: Sequence[float]) -> list[float]:
    out: list[list[float]] = []
    for value in sorted(values):
        if out and value - out[-1][-1] <= _SNAP:
            out[-1].append(value)
        else:
            out.append([value])
    return [sum(group) / len(group) for group in out]


def _cells(xs: Sequence[float], ys: Sequence[float], across: Sequence[Rule],
           down: Sequence[Rule]) -> list[tuple[int, int, int, int]]:  # fmt: skip
    rows, columns = len(ys) - 1, len(xs) - 1
    floor = [[False] * columns for _ in range(rows + 1)]  # whether a rule lies at ys[r] over column c
    wall = [[False] * (columns + 1) for _ in range(rows)]
    for rule in across:
        r = _nearest(ys, rule.y0)
        for c in range(columns):
            floor[r][c] |= _covers(rule.x0, rule.x1, xs[c], xs[c + 1])
    for rule in down:
        c = _nearest(xs, rule.x0)
        for r in range(rows):
            wall[r][c] |= _covers(rule.y0, rule.y1, ys[r], ys[r + 1])
    taken = [[False] * columns for _ in range(rows)]
    cells = []
    for r in range(rows):
        for c in range(columns):
            if taken[r][c]:
                continue
            width = 1
            while c + width < columns and not wall[r][c + width] and not taken[r][c + width]:
                width += 1
            height = 1
            while r + height < rows and _open(r + height, c, width, floor, wall, taken):
                height += 1
            for i in range(r, r + height):
                for k in range(c, c + width):
                    taken[i][k] = True
            cells.append((r, c, height, width))
    return cells


def _open(r: int, c: int, width: int, floor: Sequence[Sequence[bool]], wall: Sequence[Sequence[bool]],
          taken: Sequence[Sequence[bool]]) -> bool:  # fmt: skip
    """Whether a merged cell goes on into row r: nothing above it, no wall within it."""
    inside = range(c, c + width)
    return not any(floor[r][k] or taken[r][k] for k in inside) and not any(wall[r][k] for k in inside if k > c)


def _nearest(values: Sequence[float], value: float) -> int:
    return min(range(len(values)), key=lambda i: abs(values[i] - value))


def _covers(start: float, end: float, low: float, high: float) -> bool:
    return min(end, high) - max(start, low) >= 0.6 * (high - low)
