"""GriTS, grid table similarity (Smock, Pesala, Abraham 2022: "GriTS: Grid table similarity metric for table structure
recognition"): how much two tables agree when rows and columns may be left out to align them.

In: two tables as grids. Out: an F-score of topology (spans) and of content (text). The most similar substructure of two
matrices is NP-hard; as in the paper, rows and columns are aligned apart, each by dynamic programming over the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Spanned = tuple[int, int, int, int, str]  # row, column, row span, column span, text


def grits(
    gold: Sequence[Spanned], gold_size: tuple[int, int], found: Sequence[Spanned], found_size: tuple[int, int]
) -> tuple[float, float]:
    """GriTS_Top and GriTS_Con; 0 where nothing was found."""
    if not min(*gold_size, *found_size):
        return 0.0, 0.0
    spans, texts = zip(*(_grid(cells, size) for cells, size in ((gold, gold_size), (found, found_size))), strict=True)
    topology = _iou(spans[0], spans[1])
    seen: dict[tuple[str, str], float] = {}
    content = np.array([[_alike(a, b, seen) for b in texts[1]] for a in texts[0]])
    shape = (*gold_size, *found_size)
    return _aligned(topology.reshape(shape)), _aligned(content.reshape(shape))


def _grid(cells: Sequence[Spanned], size: tuple[int, int]) -> tuple[Floats, list[str]]:
    """Per place of the grid, row by row: its cell's extent relative to it, and its cell's text."""
    spans = np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (size[0] * size[1], 1))
    texts = [""] * (size[0] * size[1])
    for row, column, rows, columns, text in cells:
        for r in range(row, min(row + rows, size[0])):
            for c in range(column, min(column + columns, size[1])):
                spans[r * size[1] + c] = (row - r, column - c, row + rows - r, column + columns - c)
                texts[r * size[1] + c] = text
    return spans, texts


def _iou(a: Floats, b: Floats) -> Floats:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    sizes = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (a, b)]
    shares: Floats = common / (sizes[0][:, None] + sizes[1][None, :] - common)
    return shares


def _alike(a: str, b: str, seen: dict[tuple[str, str], float]) -> float:
    """Twice the longest common subsequence through the sum of the lengths."""
    if a == b:
        return 1.0
    if (a, b) not in seen:
        seen[a, b] = 2 * _subsequence(a, b) / (len(a) + len(b))
    return seen[a, b]


def _subsequence(a: str, b: str) -> int:
    """Length of the longest common subsequence, a bit per character of `a` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, character in enumerate(a):
        places[character] = places.get(character, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for character in b:
        hits = row & places.get(character, 0)
        row = (row + hits | row - hits) & full
    return len(a) - row.bit_count()


def _aligned(rewards: Floats) -> float:
    """The F-score over the places of rows and columns that align. `rewards`: gold row, column, found row, column."""
    rows = _pairs(_best_sums(rewards.transpose(0, 2, 1, 3)))
    columns = _pairs(_best_sums(rewards.transpose(1, 3, 0, 2)))
    total = sum(float(rewards[i, k, j, m]) for i, j in rows for k, m in columns)
    places = rewards.shape[0] * rewards.shape[1] + rewards.shape[2] * rewards.shape[3]
    return 2 * total / float(places)


def _best_sums(rewards: Floats) -> Floats:
    """For every pair of rows (of columns), the best sum of an in-order alignment of their cells."""
    best = np.zeros((*rewards.shape[:2], rewards.shape[2] + 1, rewards.shape[3] + 1))
    for k in range(rewards.shape[2]):
        for m in range(rewards.shape[3]):
            either = np.maximum(best[:, :, k, m + 1], best[:, :, k + 1, m])
            best[:, :, k + 1, m + 1] = np.maximum(either, best[:, :, k, m] + rewards[:, :, k, m])
    sums: Floats = best[:, :, -1, -1]
    return sums


def _pairs(scores: Floats) -> list[tuple[int, int]]:
    """The in-order alignment of two sequences with the best sum of scores."""
    n, m = scores.shape
    best = np.zeros((n + 1, m + 1))
    for i in range(n):
        for j in range(m):
            best[i + 1, j + 1] = max(best[i, j + 1], best[i + 1, j], best[i, j] + scores[i, j])
    pairs, i, j = [], n, m
    while i and j:
        if best[i, j] == best[i - 1, j - 1] + scores[i - 1, j - 1]:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]
