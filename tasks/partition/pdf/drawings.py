"""What is drawn on a PDF page besides text and pictures: rules (the lines of tables) and shapes (charts, fills).

In: a page and its view. Out: Drawings, with objects in forms, matrices and clips applied, what nobody can see left out,
and bounded: a map of a hundred thousand paths is `cut`, and says so. All paths of a page are read at once, into arrays;
`rules` says what they are.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as raw_pdfium

from tasks.partition.pdf import pdfium
from tasks.partition.pdf.content import Drawings, View
from tasks.partition.pdf.rules import Paths, joined, rules_and_shapes

_MAX_OBJECTS = 100_000  # looked at, in all forms together
_MAX_PATHS = 8_000  # read; of those beyond, evenly spread ones, so that no region of a map goes unseen
_MAX_SAMPLED = 2_000
_MAX_SEGMENTS = 40_000
_MAX_SEGMENTS_OF_PATH = 4_000
_MAX_DEPTH = 5
_MAX_CLIPS = 8
_PATH, _FORM, _SHADING = (
    raw_pdfium.FPDF_PAGEOBJ_PATH,
    raw_pdfium.FPDF_PAGEOBJ_FORM,
    raw_pdfium.FPDF_PAGEOBJ_SHADING,
)


@dataclasses.dataclass(slots=True)
class _Found:
    """Paths and shadings in the order in which they are painted, each with its container's matrix and clip."""

    handles: list[int] = dataclasses.field(default_factory=list)
    containers: list[int] = dataclasses.field(default_factory=list)
    shadings: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    matrices: list[np.ndarray] = dataclasses.field(default_factory=list)  # 3 x 3 each, of row vectors
    clips: list[np.ndarray] = dataclasses.field(default_factory=list)  # left, bottom, right, top
    looked_at: int = 0
    cut: bool = False


def page_drawings(page: pypdfium2.PdfPage, view: View) -> Drawings:
    """The visible paths of a page."""
    found = _Found()
    page_box = np.array([view.left, view.bottom, view.right, view.top])
    _collect(pdfium.address_of(page.raw), pdfium.page_count, pdfium.page_object, np.eye(3), page_box, found, 0)
    if not found.handles and not found.shadings:
        return Drawings([], [], found.cut)
    rules, shapes = rules_and_shapes(_read(found), view)
    return Drawings(joined(rules), shapes, found.cut)


def _collect(
    container: int, count: Callable[..., int], child: Callable[..., Any], matrix: np.ndarray, clip: np.ndarray,
    found: _Found, depth: int,
) -> None:  # fmt: skip
    """The paths in a page or form, and in the forms in it."""
    number = len(found.matrices)
    found.matrices.append(matrix)
    found.clips.append(clip)
    total = max(count(container), 0)
    looked_at = min(total, _MAX_OBJECTS - found.looked_at)
    found.cut = found.cut or looked_at < total
    found.looked_at += looked_at
    handles = list(map(child, itertools.repeat(container, looked_at), range(looked_at)))
    kinds = list(map(pdfium.object_type, handles))
    for handle, kind in zip(handles, kinds, strict=True):
        if handle is None:
            continue
        if kind == _PATH:
            found.handles.append(handle)
            found.containers.append(number)
        elif kind == _SHADING:
            found.shadings.append((handle, number))
        elif kind == _FORM and depth < _MAX_DEPTH:
            inner = _matrices([handle])[0] @ matrix
            inside = _narrowed(clip[None], _clip_boxes([handle], matrix[None]))[0]
            if (inside[:2] <= inside[2:]).all():
                _collect(handle, pdfium.form_count, pdfium.form_object, inner, inside, found, depth + 1)


def _read(found: _Found) -> Paths:
    """Everything about the paths, by arrays."""
    which = _chosen(len(found.handles))
    found.cut = found.cut or len(which) < len(found.handles)
    handles = [found.handles[i] for i in which]
    containers = np.array([found.containers[i] for i in which], np.intc)
    modes = pdfium.filled(pdfium.path_mode, handles, np.intc, (1, 1))
    fills = pdfium.filled(pdfium.object_fill, handles, np.uintc, (1, 1, 1, 1), default=128)
    strokes = pdfium.filled(pdfium.object_stroke, handles, np.uintc, (1, 1, 1, 1), default=128)
    counts = np.fromiter(map(pdfium.path_segments, handles), np.intc, len(handles))
    is_filled, is_stroked = (modes[:, 0] != 0) & (fills[:, 3] > 8), (modes[:, 1] != 0) & (strokes[:, 3] > 8)
    keep = np.flatnonzero((is_filled | is_stroked) & (counts > 1))
    room = np.minimum(counts[keep], _MAX_SEGMENTS_OF_PATH)
    inside = np.cumsum(room) <= _MAX_SEGMENTS
    found.cut = found.cut or not bool(inside.all()) or bool((counts[keep] > room).any())
    keep, room = keep[inside], room[inside]
    handles = [handles[i] for i in keep.tolist()]
    outer = np.stack(found.matrices)[containers[keep]]
    matrices = _matrices(handles) @ outer
    path, kinds, closes, points = _segments(handles, room)
    widths = pdfium.filled(pdfium.object_stroke_width, handles, np.float32, (1,))[:, 0]
    scale = np.sqrt(np.abs(matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]))
    return Paths(
        fills=np.where(is_filled[keep, None], fills[keep, :3].astype(int), -1),
        strokes=np.where(is_stroked[keep, None], strokes[keep, :3].astype(int), -1),
        widths=widths * scale,
        clips=_narrowed(np.stack(found.clips)[containers[keep]], _clip_boxes(handles, outer)),
        path=path,
        moves=kinds == raw_pdfium.FPDF_SEGMENT_MOVETO,
        bends=kinds == raw_pdfium.FPDF_SEGMENT_BEZIERTO,
        closes=closes,
        points=(points[:, None, :] @ matrices[path, :2, :2])[:, 0] + matrices[path, 2, :2],
        shadings=_shadings(found),
    )


def _chosen(count: int) -> list[int]:
    """Which of so many paths are read: all, or the first ones and a sample of the rest."""
    if count <= _MAX_PATHS + _MAX_SAMPLED:
        return list(range(count))
    sample = np.linspace(_MAX_PATHS, count - 1, _MAX_SAMPLED).astype(int).tolist()
    return [*range(_MAX_PATHS), *sample]


def _segments(handles: Sequence[int], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For every segment: its path's number, its kind, whether it closes its subpath, and its point."""
    path = np.repeat(np.arange(len(handles)), counts)
    total = len(path)
    index = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    segments = list(map(pdfium.path_segment, (handles[i] for i in path.tolist()), index.tolist()))
    kinds = np.fromiter(map(pdfium.segment_type, segments), np.intc, total)
    closes = np.fromiter(map(pdfium.segment_close, segments), np.intc, total) != 0
    return path, kinds, closes, pdfium.filled(pdfium.segment_point, segments, np.float32, (1, 1)).astype(np.float64)


def _matrices(handles: Sequence[int]) -> np.ndarray:
    """The objects' own matrices, 3 x 3, for row vectors."""
    given = pdfium.filled(pdfium.object_matrix, handles, np.float32, (6,))
    matrices = np.zeros((len(handles), 3, 3))
    matrices[:, :, :2] = given.reshape(-1, 3, 2)
    matrices[:, 2, 2] = 1
    return matrices


def _clip_boxes(handles: Sequence[int], outer: np.ndarray) -> np.ndarray:
    """The boxes of objects' clip paths (left, bottom, right, top); without end where they have none."""
    boxes = np.tile(np.array([-np.inf, -np.inf, np.inf, np.inf]), (len(handles), 1))
    for i, handle in enumerate(handles):
        clip = pdfium.object_clip(handle)
        if not clip:
            continue
        for number in range(min(pdfium.clip_paths(clip), _MAX_CLIPS)):
            count = pdfium.clip_segments(clip, number)
            if not 2 <= count <= 256:
                continue
            segments = list(map(pdfium.clip_segment, (clip,) * count, (number,) * count, range(count)))
            points = pdfium.filled(pdfium.segment_point, segments, np.float32, (1, 1)) @ outer[i, :2, :2]
            points += outer[i, 2, :2]
            boxes[i] = _narrowed(boxes[i], np.concatenate([points.min(axis=0), points.max(axis=0)]))
    return boxes


def _narrowed(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """What boxes share; where that is nothing, their left is right of their right."""
    shared: np.ndarray = np.concatenate(
        [np.maximum(boxes[..., :2], by[..., :2]), np.minimum(boxes[..., 2:], by[..., 2:])], axis=-1
    )
    return shared


def _shadings(found: _Found) -> np.ndarray:
    """The boxes of gradients."""
    handles = [handle for handle, _ in found.shadings[:_MAX_SAMPLED]]
    containers = np.array([number for _, number in found.shadings[:_MAX_SAMPLED]], np.intc)
    if not handles:
        return np.zeros((0, 4))
    outer = np.stack(found.matrices)[containers]
    bounds = pdfium.filled(pdfium.object_bounds, handles, np.float32, (1, 1, 1, 1)).astype(np.float64)
    corners = bounds[:, [0, 1, 0, 3, 2, 1, 2, 3]].reshape(-1, 4, 2) @ outer[:, :2, :2] + outer[:, 2:, :2]
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    clips = _narrowed(np.stack(found.clips)[containers], _clip_boxes(handles, outer))
    return _narrowed(boxes, clips)
