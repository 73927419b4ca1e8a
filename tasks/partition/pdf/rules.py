"""The paths of a page sorted into rules and shapes, and the pieces of rules joined.

In: `Paths`, arrays of everything that is painted. Out: Rule and Shape in the page's view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tasks.partition.pdf.content import Rule, Shape, View

_THIN = 3.0  # points; a filled rectangle thinner than this, and longer than wide, is a line
_SLANT = 0.75  # points by which a line's ends may differ and still be level
_SHORT = 0.5  # points; shorter lines are dots
_TOUCH = 1.5  # points between pieces of one line
_DASH = 8.0  # points: pieces and gaps up to this length are dashes, where there are several
_MIN_DASHES = 4
_MIN_DOTTED = 24.0  # points; fewer dots in a row are an ellipsis or a texture
_WHITE = 250
_AT_ONCE = 200  # white paths that are compared with all grounds in one go
_GROUND = 4.0  # points; a smaller fill is no ground for white


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """Paths in the order in which they are painted, and their segments in page coordinates.

    Colours of what is not painted are -1; a clip is left, bottom, right, top; `path` is each segment's path.
    """

    fills: np.ndarray
    strokes: np.ndarray
    widths: np.ndarray
    clips: np.ndarray
    path: np.ndarray
    moves: np.ndarray
    bends: np.ndarray
    closes: np.ndarray
    points: np.ndarray
    shadings: np.ndarray


def rules_and_shapes(paths: Paths, view: View) -> tuple[list[Rule], list[Shape]]:
    """The rules of all paths, and one shape for what else a path is."""
    shapes = _shapes(paths.shadings, np.full((len(paths.shadings), 3), -1), view, filled=True)
    if not len(paths.path):
        return [], shapes
    filled, stroked = _visible(paths)
    starts = np.flatnonzero(paths.moves | (np.diff(paths.path, prepend=-1) != 0))
    of = paths.path[starts]  # the path of each subpath
    low, high = np.minimum.reduceat(paths.points, starts), np.maximum.reduceat(paths.points, starts)
    sub = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(paths.path)))
    begin, end, edge_of = _edges(paths, sub, starts)
    across = np.abs(end - begin)
    slanted = np.zeros(len(starts), bool)
    np.logical_or.at(slanted, edge_of, across.min(axis=1) > _SLANT)
    straight = ~(slanted | np.logical_or.reduceat(paths.bends, starts))
    sides = high - low
    thin = straight & filled[of] & (sides.min(axis=1) <= _THIN) & (sides.max(axis=1) > 1.5 * sides.min(axis=1))
    lined = straight & stroked[of] & ~thin
    dots = filled[of] & ~stroked[of] & ~thin & (sides.max(axis=1) <= _THIN)
    rules = _rules(low[thin], high[thin], sides[thin].min(axis=1), paths.clips[of[thin]], view)
    drawn = lined[edge_of] & (across.max(axis=1) > _SHORT)
    low_end, high_end = np.minimum(begin, end)[drawn], np.maximum(begin, end)[drawn]
    owner = of[edge_of[drawn]]
    rules += _rules(low_end, high_end, paths.widths[owner], paths.clips[owner], view)
    rules += _dotted(_rules(low[dots], high[dots], sides[dots].max(axis=1), paths.clips[of[dots]], view))
    rest = ~thin & ~dots & (filled[of] | (stroked[of] & ~straight)) & (sides.max(axis=1) > 0)
    return rules, _one_each(paths, of, rest, low, high, filled, stroked, sub, straight, view) + shapes


def _visible(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    """Which paths are filled and stroked so that it shows: white shows on what was painted before, not on paper."""
    filled, stroked = paths.fills[:, 0] >= 0, paths.strokes[:, 0] >= 0
    white_fill, white_stroke = (paths.fills >= _WHITE).all(axis=1), (paths.strokes >= _WHITE).all(axis=1)
    if not (white_fill | white_stroke).any():
        return filled, stroked
    first = np.flatnonzero(np.diff(paths.path, prepend=-1))  # paths without segments are none
    low, high = np.minimum.reduceat(paths.points, first), np.maximum.reduceat(paths.points, first)
    middle = (low + high) / 2
    dark = np.flatnonzero(filled & ~white_fill & ((high - low).min(axis=1) > _GROUND))
    grounds = np.concatenate([low[dark], high[dark]], axis=1)
    order = np.concatenate([dark, np.full(len(paths.shadings), -1)])  # gradients may be below anything
    grounds = np.concatenate([grounds, paths.shadings])
    shown = np.zeros(len(filled), bool)
    white = np.flatnonzero(white_fill | white_stroke)
    for some in np.array_split(white, len(white) // _AT_ONCE + 1):
        at = middle[some][:, None, :]
        on = ((grounds[:, :2] <= at) & (at <= grounds[:, 2:])).all(axis=2) & (order < some[:, None])
        shown[some] = on.any(axis=1)
    return filled & (~white_fill | shown), stroked & (~white_stroke | shown)


def _edges(paths: Paths, sub: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin, end and subpath of all edges, with those that close a subpath."""
    same = np.flatnonzero(sub[1:] == sub[:-1])
    closing = np.flatnonzero(paths.closes)
    back = starts[sub[closing]]
    begin = np.concatenate([paths.points[same], paths.points[closing]])
    end = np.concatenate([paths.points[same + 1], paths.points[back]])
    return begin, end, np.concatenate([sub[same], sub[closing]])


def _rules(low: np.ndarray, high: np.ndarray, widths: np.ndarray, clips: np.ndarray, view: View) -> list[Rule]:
    """Boxes as lines along their longer side, as far as their clip lets them show."""
    sides = high - low
    level = (sides[:, 0] >= sides[:, 1])[:, None]
    middle = (low + high) / 2
    keep = np.where(level, [True, False], [False, True])  # which coordinate runs along the line
    low, high = np.where(keep, low, middle), np.where(keep, high, middle)
    low, high = np.maximum(low, clips[:, :2]), np.minimum(high, clips[:, 2:])
    inside = (low <= high).all(axis=1)
    places = _placed(low[inside], high[inside], view)
    thick = np.round(widths[inside].astype(float), 2).tolist()
    return [Rule(x0, y0, x1, y1, width) for (x0, y0, x1, y1), width in zip(places, thick, strict=True)]


def _one_each(
    paths: Paths, of: np.ndarray, rest: np.ndarray, low: np.ndarray, high: np.ndarray, filled: np.ndarray,
    stroked: np.ndarray, sub: np.ndarray, straight: np.ndarray, view: View,
) -> list[Shape]:  # fmt: skip
    """One shape for all subpaths of a path that are not rules."""
    if not rest.any():
        return []
    owner = of[rest]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    number = owner[first]
    clips = paths.clips[number]
    left_bottom = np.maximum(np.minimum.reduceat(low[rest], first), clips[:, :2])
    right_top = np.minimum(np.maximum.reduceat(high[rest], first), clips[:, 2:])
    counted = rest[sub]
    segments = np.bincount(paths.path[counted], minlength=len(filled))[number]
    curved = np.bincount(paths.path[counted & paths.bends], minlength=len(filled))[number] > 0
    level = np.bincount(of[rest & ~straight], minlength=len(filled))[number] == 0
    inside = (left_bottom <= right_top).all(axis=1)
    colors = np.where(filled[:, None], paths.fills, paths.strokes)[number]
    rows = zip(
        _placed(left_bottom, right_top, view), inside.tolist(), filled[number].tolist(), stroked[number].tolist(),
        colors.tolist(), curved.tolist(), segments.tolist(), level.tolist(), strict=True,
    )  # fmt: skip
    return [
        Shape(x0, y0, x1, y1, fill, stroke, (color[0], color[1], color[2]), bends, count, even)
        for (x0, y0, x1, y1), shows, fill, stroke, color, bends, count, even in rows
        if shows
    ]


def _shapes(boxes: np.ndarray, colors: np.ndarray, view: View, filled: bool) -> list[Shape]:
    inside = (boxes[:, :2] <= boxes[:, 2:]).all(axis=1)
    return [
        Shape(x0, y0, x1, y1, filled, False, None, False, 4, True)
        for x0, y0, x1, y1 in _placed(boxes[inside, :2], boxes[inside, 2:], view)
    ]


def _placed(low: np.ndarray, high: np.ndarray, view: View) -> list[list[float]]:
    """x0, y0, x1, y1 in the view, to a hundredth of a point."""
    box = view.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    placed: list[list[float]] = np.round(np.stack(box, axis=1), 2).tolist()
    return placed


def joined(rules: list[Rule]) -> list[Rule]:
    """Rules whose touching collinear pieces are one, dashes and dots too: the level ones, then the upright ones."""
    level = _joined([(r.y0, r.x0, r.x1, r.width) for r in rules if r.x1 - r.x0 >= r.y1 - r.y0])
    upright = _joined([(r.x0, r.y0, r.y1, r.width) for r in rules if r.x1 - r.x0 < r.y1 - r.y0])
    return [Rule(start, at, end, at, width) for at, start, end, width in level] + [
        Rule(at, start, at, end, width) for at, start, end, width in upright
    ]


def _dotted(dots: list[Rule]) -> list[Rule]:
    """Rows and columns of dots as rules; a dot on its own is nothing."""
    places = [((dot.x0 + dot.x1) / 2, (dot.y0 + dot.y1) / 2, dot.width) for dot in dots]
    level = _joined([(y, x - size / 2, x + size / 2, size) for x, y, size in places])
    upright = _joined([(x, y - size / 2, y + size / 2, size) for x, y, size in places])
    return [Rule(start, at, end, at, width) for at, start, end, width in level if end - start > _MIN_DOTTED] + [
        Rule(at, start, at, end, width) for at, start, end, width in upright if end - start > _MIN_DOTTED
    ]


_Piece = tuple[float, float, float, float]  # where across, from, to, width


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Pieces on one line (within a point) joined where they touch, or where they are dashes."""
    out: list[_Piece] = []
    for track in _tracks(sorted(pieces)):
        solid = [_one(run) for run in _runs(sorted(track, key=lambda piece: piece[1]), _touches)]
        for run in _runs(solid, _are_dashes):  # only now: the short ends of solid lines are no dashes
            out += run if len(run) < _MIN_DASHES else [_one(run)]
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
    """Pieces in order, parted where the next does not follow the one that reached farthest."""
    runs: list[list[_Piece]] = []
    farthest: _Piece | None = None
    for piece in track:
        if farthest is not None and follows(farthest, piece):
            runs[-1].append(piece)
            farthest = max(farthest, piece, key=lambda each: each[2])
        else:
            runs.append([piece])
            farthest = piece
    return runs


def _touches(before: _Piece, piece: _Piece) -> bool:
    return piece[1] - before[2] <= _TOUCH


def _are_dashes(before: _Piece, piece: _Piece) -> bool:
    return piece[1] - before[2] <= _DASH and piece[2] - piece[1] <= _DASH and before[2] - before[1] <= _DASH


def _one(run: list[_Piece]) -> _Piece:
    longest = max(run, key=lambda piece: piece[2] - piece[1])
    return longest[0], run[0][1], max(piece[2] for piece in run), max(piece[3] for piece in run)
