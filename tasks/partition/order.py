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
    for c in range(count):  # what c spans is parted by it
        spans_both = shared[:, c][:, None] & shared[c]
        lower = y0 >= y1[c] - _SLACK
        higher = y1 <= y0[c] + _SLACK
        left &= ~(spans_both & lower[:, None] & higher)
    before |= left & ~shared
    order: list[int] = []
    rest = sorted(range(count), key=lambda i: (y0[i], x0[i]))
    while rest:
        waiting = {i: int(before[rest, i].sum() - before[i, i]) for i in rest}
        chosen = next((i for i in rest if waiting[i] == 0), None)
        if chosen is None:  # boxes that overlap can wait for each other
            chosen = min(rest, key=lambda i: waiting[i])
        order.append(chosen)
        rest.remove(chosen)
    return order
