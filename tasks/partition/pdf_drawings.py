"""What is drawn on a PDF page besides text and pictures: rules (the lines of tables) and shapes (charts, fills).

In: a page and its view. Out: Drawings, with objects in forms, matrices and clips applied, what nobody can see left out,
and bounded: a map of a hundred thousand paths is `cut`, and says so.
"""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pypdfium2
import pypdfium2.raw as raw_pdfium

from tasks.partition import pdfium
from tasks.partition.page import Drawings, Rule, Shape, View
from tasks.partition.pdf_rules import Paint, joined, sort_out

_MAX_OBJECTS = 5_000
_MAX_SEGMENTS = 20_000
_MAX_DEPTH = 5
_WHITE = 250
_IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

_Matrix = tuple[float, float, float, float, float, float]
_Box = tuple[float, float, float, float]  # left, bottom, right, top


def page_drawings(page: pypdfium2.PdfPage, view: View) -> Drawings:
    """The visible paths of a page."""
    walk = _Walk(view)
    handle = pdfium.address_of(page.raw)
    walk.container(
        [pdfium.page_object(handle, i) for i in range(min(pdfium.page_count(handle), 20 * _MAX_OBJECTS))],
        _IDENTITY,
        (view.left, view.bottom, view.right, view.top),
        0,
    )
    return Drawings(joined(walk.rules), walk.shapes, walk.cut)


class _Walk:
    """The objects of a page, in the order in which they are painted."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.rules: list[Rule] = []
        self.shapes: list[Shape] = []
        self.dark: list[_Box] = []  # filled regions that are not white: white shows on them
        self.objects = self.segments = 0
        self.cut = False
        self.four = (ctypes.c_uint * 4)()
        self.number = ctypes.c_float()
        self.mode, self.stroked = ctypes.c_int(), ctypes.c_int()

    def container(self, handles: list[int | None], matrix: _Matrix, clip: _Box, depth: int) -> None:
        kinds = list(map(pdfium.object_type, handles))
        for handle, kind in zip(handles, kinds, strict=True):
            if handle is None or kind not in (_PATH, _FORM, _SHADING):
                continue
            if self.objects >= _MAX_OBJECTS or self.segments >= _MAX_SEGMENTS:
                self.cut = True
                return
            self.objects += 1
            if kind == _PATH:
                self._path(handle, matrix, clip)
            elif kind == _SHADING:
                self._shading(handle, matrix, clip)
            elif depth < _MAX_DEPTH:
                count = min(pdfium.form_count(handle), 20 * _MAX_OBJECTS)
                inner = [pdfium.form_object(handle, i) for i in range(count)]
                inside = _narrowed(clip, self._clip(handle, matrix))
                if inside is not None:
                    self.container(inner, _times(self._matrix(handle), matrix), inside, depth + 1)

    def _path(self, handle: int, outer: _Matrix, clip: _Box) -> None:
        pdfium.path_mode(handle, ctypes.addressof(self.mode), ctypes.addressof(self.stroked))
        fill = self._color(pdfium.object_fill, handle) if self.mode.value else None
        stroke = self._color(pdfium.object_stroke, handle) if self.stroked.value else None
        if fill is None and stroke is None:
            return
        count = pdfium.path_segments(handle)
        if count <= 1:
            return
        inside = _narrowed(clip, self._clip(handle, outer))
        if inside is None:
            return
        kept = min(count, _MAX_SEGMENTS - self.segments)
        self.cut = self.cut or kept < count
        self.segments += kept
        matrix = _times(self._matrix(handle), outer)
        kinds, points = _segments(handle, kept, matrix)
        fill = self._visible(fill, points)
        stroke = self._visible(stroke, points)
        if fill is None and stroke is None:
            return
        paint = Paint(fill, stroke, self._stroke_width(handle, matrix) if stroke is not None else 0.0)
        rules, shapes = sort_out(kinds, points, paint, inside, self.view)
        self.rules += rules
        self.shapes += shapes
        if fill is not None and not _is_white(fill):
            low, high = points.min(axis=0), points.max(axis=0)
            if min(high - low) > 4:
                self.dark.append((float(low[0]), float(low[1]), float(high[0]), float(high[1])))

    def _shading(self, handle: int, outer: _Matrix, clip: _Box) -> None:
        inside = _narrowed(clip, self._clip(handle, outer))
        bounds = np.zeros(4, np.float32)
        at = bounds.ctypes.data
        if inside is None or not pdfium.object_bounds(handle, at, at + 4, at + 8, at + 12):
            return
        corners = _mapped(bounds[[0, 1, 2, 3]].reshape(2, 2).astype(np.float64), outer)
        box = _narrowed(inside, (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()))
        if box is not None:
            self.dark.append(box)
            self.shapes.append(Shape(*_rounded(self.view.box(*box)), True, False, None, False, 4))

    def _visible(self, color: tuple[int, int, int] | None, points: np.ndarray) -> tuple[int, int, int] | None:
        """The colour, unless it is white on white paper."""
        if color is None or not _is_white(color):
            return color
        x, y = ((points.min(axis=0) + points.max(axis=0)) / 2).tolist()
        return color if any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in self.dark[-200:]) else None

    def _color(self, call: object, handle: int) -> tuple[int, int, int] | None:
        at = ctypes.addressof(self.four)
        if not call(handle, at, at + 4, at + 8, at + 12):  # type: ignore[operator]
            return (128, 128, 128)  # a pattern
        red, green, blue, alpha = self.four
        return (red, green, blue) if alpha > 8 else None

    def _stroke_width(self, handle: int, matrix: _Matrix) -> float:
        pdfium.object_stroke_width(handle, ctypes.addressof(self.number))
        return float(self.number.value * abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) ** 0.5)

    def _matrix(self, handle: int) -> _Matrix:
        out = np.zeros(6, np.float32)
        if not pdfium.object_matrix(handle, out.ctypes.data):
            return _IDENTITY
        a, b, c, d, e, f = out.tolist()
        return a, b, c, d, e, f

    def _clip(self, handle: int, outer: _Matrix) -> _Box | None:
        """The box of an object's clip path; None where it has none."""
        clip = pdfium.object_clip(handle)
        if not clip:
            return None
        paths = pdfium.clip_paths(clip)
        box: _Box | None = None
        for path in range(min(max(paths, 0), 8)):
            count = min(max(pdfium.clip_segments(clip, path), 0), 64)
            if count < 2:
                continue
            points = _points([pdfium.clip_segment(clip, path, i) for i in range(count)])
            points = _mapped(points, outer)
            found: _Box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
            box = found if box is None else _narrowed(box, found) or (0.0, 0.0, 0.0, 0.0)
        return box


_PATH, _FORM, _SHADING = (
    raw_pdfium.FPDF_PAGEOBJ_PATH,
    raw_pdfium.FPDF_PAGEOBJ_FORM,
    raw_pdfium.FPDF_PAGEOBJ_SHADING,
)


def _segments(handle: int, count: int, matrix: _Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Kinds of segments (with 8 added where one closes its subpath) and their points in page coordinates."""
    segments = list(map(pdfium.path_segment, itertools.repeat(handle, count), range(count)))
    kinds = np.fromiter(map(pdfium.segment_type, segments), np.intc, count)
    closes = np.fromiter(map(pdfium.segment_close, segments), np.intc, count)
    return kinds + 8 * (closes != 0), _mapped(_points(segments), matrix)


def _points(segments: list[int | None]) -> np.ndarray:
    out = np.zeros((len(segments), 2), np.float32)
    start = out.ctypes.data
    xs, ys = range(start, start + 8 * len(segments), 8), range(start + 4, start + 4 + 8 * len(segments), 8)
    all(map(pdfium.segment_point, segments, xs, ys))
    return out.astype(np.float64)


def _mapped(points: np.ndarray, m: _Matrix) -> np.ndarray:
    if m == _IDENTITY:
        return points
    mapped: np.ndarray = points @ np.array([[m[0], m[1]], [m[2], m[3]]]) + np.array([m[4], m[5]])
    return mapped


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    """The matrix that applies `inner`, then `outer`."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _narrowed(box: _Box, by: _Box | None) -> _Box | None:
    """What two boxes share; None where that is nothing. Lines have no area and are still something."""
    if by is None:
        return box
    left, bottom, right, top = max(box[0], by[0]), max(box[1], by[1]), min(box[2], by[2]), min(box[3], by[3])
    return (left, bottom, right, top) if left <= right and bottom <= top else None


def _is_white(color: tuple[int, int, int]) -> bool:
    return min(color) >= _WHITE


def _rounded(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    return round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2)
