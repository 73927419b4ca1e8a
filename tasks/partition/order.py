"""The order in which boxes of a page are read, after Breuel ("High performance document layout analysis", 2003).

One box comes before another where it stands above it in the same column, or wholly to its left and nothing between the
two spans both: that ends the columns above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SLACK = 2.0  # points by which boxes may overlap and still be apart


def in_order(boxes: Sequence[tuple[float, float, float, float]]) -> list[int]:
    """The boxes' numbers in reading order."""
    count = len(boxes)
    if count < 2:
        return list(range(count))
    x0, y0, x1, y1 = np.array(boxes).T
    shared = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > _SLACK
    above = y0[:, None] + y1[:, None] < y0 + y1
    left = x1[:, None] <= x0 + _SLACK
    before = shared & above
    lower, higher = y0[:, None] >= y1 - _SLACK, y1[:, None] <= y0 + _SLACK
    for c in range(count):  # what c spans is parted by it
        below, over = np.flatnonzero(shared[:, c] & lower[:, c]), np.flatnonzero(shared[:, c] & higher[:, c])
        if len(below) and len(over):
            left[np.ix_(below, over)] = False
    before |= left & ~shared
    np.fill_diagonal(before, False)
    rest = np.lexsort((x0, y0))
    waiting = before.sum(axis=0)
    order: list[int] = []
    while len(rest):
        chosen = rest[np.argmin(waiting[rest])]  # boxes that overlap can wait for each other: then the least
        order.append(int(chosen))
        waiting -= before[chosen]
        rest = rest[rest != chosen]
    return order
