"""A path's segments sorted into rules and shapes, and the pieces of rules joined.

In: points in page coordinates and how the path is painted. Out: Rule and Shape in the page's view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tasks.partition.page import Rule, Shape, View

_THIN = 3.0  # points; a filled rectangle thinner than this, and longer than wide, is a line
_SLANT = 0.75  # points by which a line's ends may differ and still be level
_SHORT = 0.5  # points; shorter lines are dots
_TOUCH = 1.5  # points between pieces of one line
_DASH = 8.0  # points: pieces and gaps up to this length are dashes, where there are several
_MIN_DASHES = 4
_BEZIER, _MOVE = 1, 2  # pdfium's FPDF_SEGMENT_BEZIERTO and FPDF_SEGMENT_MOVETO

_Box = tuple[float, float, float, float]
_Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Paint:
    """How a path is painted; a colour is None where it is not filled or stroked."""

    fill: _Color | None
    stroke: _Color | None
    width: float


def sort_out(
    kinds: np.ndarray, points: np.ndarray, paint: Paint, clip: _Box, view: View
) -> tuple[list[Rule], list[Shape]]:
    """The rules and the one shape (or none) that a path of several subpaths is."""
    rules: list[Rule] = []
    rest: list[np.ndarray] = []
    curved, segments = False, 0
    for part_kinds, part in _subpaths(kinds, points):
        bends = bool((part_kinds & 7 == _BEZIER).any())
        lines = None if bends else _as_rules(part_kinds, part, paint)
        if lines is None:
            rest.append(part)
            curved = curved or bends
            segments += len(part)
            continue
        boxes, is_shape = lines
        rules += [rule for box in boxes if (rule := _rule(box, clip, view)) is not None]
        if is_shape:
            rest.append(part)
            segments += len(part)
    if not rest:
        return rules, []
    low, high = np.min([p.min(axis=0) for p in rest], axis=0), np.max([p.max(axis=0) for p in rest], axis=0)
    left, bottom, right, top = (
        max(low[0], clip[0]), max(low[1], clip[1]), min(high[0], clip[2]), min(high[1], clip[3]),
    )  # fmt: skip
    if left > right or bottom > top:
        return rules, []
    x0, y0, x1, y1 = (round(float(value), 2) for value in view.box(left, bottom, right, top))
    color = paint.fill if paint.fill is not None else paint.stroke
    return rules, [Shape(x0, y0, x1, y1, paint.fill is not None, paint.stroke is not None, color, curved, segments)]


def _subpaths(kinds: np.ndarray, points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    starts = np.flatnonzero(kinds & 7 == _MOVE).tolist()
    if not starts or starts[0] != 0:
        starts = [0, *starts]
    for start, end in zip(starts, [*starts[1:], len(kinds)], strict=True):
        if end - start > 1:
            yield kinds[start:end], points[start:end]


def _as_rules(kinds: np.ndarray, points: np.ndarray, paint: Paint) -> tuple[list[tuple[_Box, float]], bool] | None:
    """The lines a straight subpath shows as (box, width), and whether it is a shape as well; None: nothing but one."""
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = (high - low).tolist()
    level = all(
        abs(b[0] - a[0]) <= _SLANT or abs(b[1] - a[1]) <= _SLANT
        for a, b in zip(points[:-1].tolist(), points[1:].tolist(), strict=True)
    )
    if not level:
        return None
    if paint.fill is not None and min(width, height) <= _THIN and max(width, height) > 1.5 * min(width, height):
        thick = min(width, height) + paint.width
        if width >= height:
            middle = (low[1] + high[1]) / 2
            return [((low[0], middle, high[0], middle), thick)], False
        middle = (low[0] + high[0]) / 2
        return [((middle, low[1], middle, high[1]), thick)], False
    if paint.stroke is None:
        return None
    closed = bool(kinds[-1] & 8)
    ring = np.vstack([points, points[:1]]) if closed else points
    edges = [_level(a, b) for a, b in zip(ring[:-1].tolist(), ring[1:].tolist(), strict=True)]
    lines = [(edge, paint.width) for edge in edges if max(edge[2] - edge[0], edge[3] - edge[1]) > _SHORT]
    return lines, paint.fill is not None


def _level(a: list[float], b: list[float]) -> _Box:
    """An edge as an exactly horizontal or vertical line."""
    x0, x1, y0, y1 = min(a[0], b[0]), max(a[0], b[0]), min(a[1], b[1]), max(a[1], b[1])
    if x1 - x0 >= y1 - y0:
        middle = (y0 + y1) / 2
        return x0, middle, x1, middle
    middle = (x0 + x1) / 2
    return middle, y0, middle, y1


def _rule(line: tuple[_Box, float], clip: _Box, view: View) -> Rule | None:
    (left, bottom, right, top), width = line
    left, bottom, right, top = max(left, clip[0]), max(bottom, clip[1]), min(right, clip[2]), min(top, clip[3])
    if left > right or bottom > top:
        return None
    x0, y0, x1, y1 = (round(float(value), 2) for value in view.box(left, bottom, right, top))
    return Rule(x0, y0, x1, y1, round(float(width), 2))


def joined(rules: list[Rule]) -> list[Rule]:
    """Rules whose touching collinear pieces are one, dashes and dots too; top to bottom, then left to right."""
    level = _joined([(r.y0, r.x0, r.x1, r.width) for r in rules if r.y0 == r.y1])
    upright = _joined([(r.x0, r.y0, r.y1, r.width) for r in rules if r.y0 != r.y1])
    return [Rule(start, at, end, at, width) for at, start, end, width in level] + [
        Rule(at, start, at, end, width) for at, start, end, width in upright
    ]


_Piece = tuple[float, float, float, float]  # where across, from, to, width


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Pieces on one line (within a point) joined where they touch, or where they are dashes."""
    out: list[_Piece] = []
    for track in _tracks(sorted(pieces)):
        solid = [piece for run in _runs(sorted(track, key=lambda p: p[1]), _touches) for piece in _line(run)]
        for run in _runs(solid, _is_dash):  # only now: the short ends of solid lines are no dashes
            out += _line(run)
    return sorted(out)


def _tracks(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    track: list[_Piece] = []
    for piece in pieces:
        if track and piece[0] - track[0][0] > 1.0:
            yield track
            track = []
        track.append(piece)
    if track:
        yield track


def _runs(track: list[_Piece], follows: Callable[[_Piece, _Piece], bool]) -> list[list[_Piece]]:
    runs: list[list[_Piece]] = []
    for piece in track:
        if runs and follows(max(runs[-1][-3:], key=lambda before: before[2]), piece):
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs


def _touches(before: _Piece, piece: _Piece) -> bool:
    return piece[1] - before[2] <= _TOUCH


def _is_dash(before: _Piece, piece: _Piece) -> bool:
    return piece[1] - before[2] <= _DASH and piece[2] - piece[1] <= _DASH and before[2] - before[1] <= _DASH


def _line(run: list[_Piece]) -> list[_Piece]:
    """One piece for a run; dashes that are too few to be a line stay themselves."""
    reach = [max(a[2] for a in run[: i + 1]) for i in range(len(run))]
    gaps = [piece[1] - before for before, piece in zip(reach[:-1], run[1:], strict=True)]
    if any(gap > _TOUCH for gap in gaps) and len(run) < _MIN_DASHES:
        return run
    widest = max(run, key=lambda piece: piece[2] - piece[1])
    return [(widest[0], run[0][1], reach[-1], max(piece[3] for piece in run))]
