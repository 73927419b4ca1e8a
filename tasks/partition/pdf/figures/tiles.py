"""Pictures that their producer cut into strips or tiles, joined again; photographs laid edge to edge stay apart.

In: the pictures of a page, as placed. Out: the same, with those that belong together as one.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import pypdfium2

from tasks.partition.boxes import Box, area, groups, iou, union
from tasks.partition.pdf.content import View
from tasks.partition.pdf.figures.pictures import Placed, joined
from tasks.partition.pdf.render import region

_SEAM = 1.2  # points between pieces of one picture
_MANY = 9  # pieces of a size: nobody lays out so many photographs edge to edge
_SCALES = 1.04  # by which pieces of one picture differ in pixels per point, being rounded to whole pixels
_PIXELS = 400_000
_LESS_LIKE = 0.3  # of the correlation between neighbouring lines of pixels
_STACK = 0.8  # intersection over union
_STEP = 2.5  # times the usual step between neighbouring lines of pixels: a seam between two pictures


def join_tiles(images: list[Placed], page: pypdfium2.PdfPage, view: View) -> list[Placed]:
    """The pictures of a page, each once, in the order in which they are painted."""
    if len(images) < 2:
        return images
    found: list[tuple[int, Placed]] = []
    edges = np.array([(*image.box, *image.pixels) for image in images])
    for members in groups([image.box for image in images], _SEAM):
        left = members
        while left:
            piece = _pieces_with(edges, left)
            parts = [images[i] for i in piece]
            if len(parts) > 1 and (len(parts) >= _MANY or _runs_on(parts, page, view)):
                found.append((piece[0], joined(parts)))
            else:
                found += [(i, images[i]) for i in piece]
            taken = set(piece)
            left = [i for i in left if i not in taken]
    return [placed for _, placed in sorted(found, key=lambda pair: pair[0])]


def stacked(images: list[Placed]) -> list[Placed]:
    """Pictures that lie on each other as one: a photograph and its frame, a cut-out and its shadow."""
    found: list[Placed] = []
    for image in images:
        under = next((i for i, other in enumerate(found) if iou(other.box, image.box) >= _STACK), None)
        if under is None:
            found.append(image)
        else:
            found[under] = joined([found[under], image])
    return found


def _pieces_with(edges: np.ndarray, left: list[int]) -> list[int]:
    """The first picture that is left, and what fits to it edge by edge until they fill a rectangle; else only it."""
    open_ = np.array(left)
    piece = [left[0]]
    open_ = open_[open_ != left[0]]
    for i in piece:  # grows while it is walked
        fits = _fits(edges[i], edges[open_])
        piece += open_[fits].tolist()
        open_ = open_[~fits]
    boxes = edges[piece, :4]
    whole = np.prod(boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0))
    filled = float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum())
    return sorted(piece) if 0.93 * whole <= filled <= 1.05 * whole else [left[0]]


def _fits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which pictures share a whole edge with one, at the same scale: rows of box and pixels."""
    flush = np.abs(b[:, :4] - a[:4])
    meets = np.minimum(np.abs(b[:, :2] - a[2:4]), np.abs(b[:, 2:4] - a[:2])) <= _SEAM
    least, most = np.minimum(b[:, 4:], a[4:]), np.maximum(b[:, 4:], a[4:])
    alike = most <= _SCALES * least + 1
    below = (flush[:, 0] + flush[:, 2] <= 2 * _SEAM) & meets[:, 1] & alike[:, 0]
    beside = (flush[:, 1] + flush[:, 3] <= 2 * _SEAM) & meets[:, 0] & alike[:, 1]
    fits: np.ndarray = below | beside
    return fits


def _runs_on(parts: list[Placed], page: pypdfium2.PdfPage, view: View) -> bool:
    """Whether most seams are as smooth as the picture around them."""
    box = union(part.box for part in parts)
    scale = min(2.0, max(part.density for part in parts), math.sqrt(_PIXELS / max(area(box), 1.0)))
    pixels = np.asarray(region(page, view, box, scale, _PIXELS).convert("L"), np.int16)
    smooth = [_smooth(pixels, scale, box, seam) for seam in _seams(parts)]
    return sum(smooth) > 0.5 * len(smooth)


def _seams(parts: list[Placed]) -> list[tuple[bool, float, float, float]]:
    """(whether upright, where across, from, to) of the edges that parts share."""
    found = []
    edges = np.array([(*part.box, *part.pixels) for part in parts])
    for i, a in enumerate(parts):
        for j in (np.flatnonzero(_fits(edges[i], edges[i + 1 :])) + i + 1).tolist():
            b = parts[j].box
            if min(abs(a.box[2] - b[0]), abs(b[2] - a.box[0])) <= _SEAM:
                found.append((True, max(a.box[0], b[0]), a.box[1], a.box[3]))
            else:
                found.append((False, max(a.box[1], b[1]), a.box[0], a.box[2]))
    return found


def _smooth(pixels: np.ndarray, scale: float, box: Box, seam: tuple[bool, float, float, float]) -> bool:
    """Whether the step across a seam is like the steps beside it."""
    upright, at, begin, end = seam
    lines = pixels.T if upright else pixels
    where, start = (box[0], box[1]) if upright else (box[1], box[0])
    y = round((at - where) * scale)
    span = slice(max(0, round((begin - start) * scale)), max(1, round((end - start) * scale)))
    around = lines[max(0, y - 12) : y + 12, span]
    if len(around) < 8 or around.shape[1] == 0:
        return False
    # Two lines apart: the seam itself is blurred over a line of pixels where it does not fall between two.
    steps = np.abs(around[2:] - around[:-2]).mean(axis=1)
    likeness = [_likeness(a, b) for a, b in zip(around[:-3], around[3:], strict=True)]
    seam_at = min(y, 12) - 1
    near = slice(max(0, seam_at - 2), seam_at + 2)
    far = [i for i in range(len(likeness)) if not near.start <= i < near.stop]
    if not far or not likeness[near]:
        return False
    usual = statistics.median(steps[i] for i in far), statistics.median(likeness[i] for i in far)
    return bool(steps[near].max() <= _STEP * usual[0] + 6 and min(likeness[near]) >= usual[1] - _LESS_LIKE)


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two lines of pixels; flat lines are alike where their shade is."""
    if min(a.std(), b.std()) < 3:
        return float(abs(a.mean() - b.mean()) < 6)
    return float(np.corrcoef(a, b)[0, 1])
