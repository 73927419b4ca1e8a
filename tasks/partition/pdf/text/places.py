"""Where the words of a text page stand and how they are set, from their first and last characters.

In: where words begin and end in the text. Out: the same, words cut where their characters jump, with boxes and styles.
"""

from __future__ import annotations

import itertools

import numpy as np

from tasks.partition.pdf import pdfium
from tasks.partition.pdf.text.fonts import Fonts, Styles, styles


def measured(
    handle: int, starts: np.ndarray, ends: np.ndarray, fonts: Fonts
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Styles]:
    """Begins, ends, boxes (left, bottom, right, top) and styles of words."""
    first, last, style = _ends(handle, starts, ends, fonts)
    broken = _broken(starts, ends, first, last, style)
    if broken.any():
        begin, end = _split(handle, starts[broken], ends[broken], style.of(broken))
        more = _ends(handle, begin, end, fonts)
        starts, ends = np.concatenate([starts[~broken], begin]), np.concatenate([ends[~broken], end])
        order = np.argsort(starts)
        starts, ends = starts[order], ends[order]
        first, last = np.concatenate([first[~broken], more[0]])[order], np.concatenate([last[~broken], more[1]])[order]
        style = style.of(~broken).and_(more[2]).of(order)
    return starts, ends, _boxes(handle, starts, ends, first, last, style), style


def _broken(starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray, style: Styles) -> np.ndarray:
    """Words whose ends are farther apart than their characters can be: a jump that no blank marks."""
    count = ends - starts
    dx = (last[:, 0] + last[:, 2] - first[:, 0] - first[:, 2]) / 2
    dy = (last[:, 1] + last[:, 3] - first[:, 1] - first[:, 3]) / 2
    far = np.hypot(dx, dy) > 1.3 * style.sizes * count
    turn = np.radians(style.angles)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    apart = (np.abs(across) > 0.8 * style.sizes) | (along < -0.8 * style.sizes)
    broken: np.ndarray = (count > 1) & (far | apart)
    return broken


def _ends(handle: int, starts: np.ndarray, ends: np.ndarray, fonts: Fonts) -> tuple[np.ndarray, np.ndarray, Styles]:
    """The boxes (left, top, right, bottom) of words' first and last characters, and how the words are set."""
    first = pdfium.floats(pdfium.text_loose_box, handle, starts.tolist(), 4)
    last = pdfium.floats(pdfium.text_loose_box, handle, (ends - 1).tolist(), 4)
    return first, last, styles(handle, starts, fonts)


def _split(handle: int, starts: np.ndarray, ends: np.ndarray, style: Styles) -> tuple[np.ndarray, np.ndarray]:
    """Broken words cut where their characters jump."""
    found: list[tuple[int, int]] = []
    for start, end, size, angle in zip(starts.tolist(), ends.tolist(), style.sizes, style.angles, strict=True):
        boxes = pdfium.floats(pdfium.text_loose_box, handle, range(start, end), 4)
        turn = np.radians(angle)
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        along = np.diff(x) * np.cos(turn) + np.diff(y) * np.sin(turn)
        across = np.diff(y) * np.cos(turn) - np.diff(x) * np.sin(turn)
        jump = (along > 2 * size) | (along < -0.5 * size) | (np.abs(across) > 0.8 * size)
        found += itertools.pairwise([start, *(start + 1 + np.flatnonzero(jump)).tolist(), end])
    pieces = np.array(found, np.intc)
    return pieces[:, 0], pieces[:, 1]


def _boxes(
    handle: int, starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray, style: Styles
) -> np.ndarray:
    """Left, bottom, right, top of words; where a font's own heights are nonsense, its ink and its size speak."""
    box = np.empty((len(starts), 4), np.float64)
    box[:, 0], box[:, 1] = np.minimum(first[:, 0], last[:, 0]), np.minimum(first[:, 3], last[:, 3])
    box[:, 2], box[:, 3] = np.maximum(first[:, 2], last[:, 2]), np.maximum(first[:, 1], last[:, 1])
    height = first[:, 1] - first[:, 3]
    flat = np.abs(np.sin(np.radians(style.angles))) < 0.3
    odd = flat & ((height < 0.5 * style.sizes) | (height > 2.0 * style.sizes))
    for i in np.flatnonzero(odd):
        ink = [_ink(handle, int(k)) for k in range(starts[i], min(int(ends[i]), int(starts[i]) + 12))]
        low, high = min(b[1] for b in ink), max(b[3] for b in ink)
        if not 0.25 * style.sizes[i] <= high - low <= 4 * style.sizes[i] and high > low:
            style.sizes[i] = (high - low) * 1.3  # a font whose own units are off
        middle, half = (low + high) / 2, max(0.55 * style.sizes[i], (high - low) / 2)
        box[i, 1], box[i, 3] = middle - half, middle + half
    return box


def _ink(handle: int, index: int) -> tuple[float, float, float, float]:
    out = np.zeros(4, np.float64)
    at = out.ctypes.data
    pdfium.text_ink_box(handle, index, at, at + 16, at + 8, at + 24)
    left, bottom, right, top = out.tolist()
    return left, bottom, right, top
