"""Means with confidence intervals, by the percentile bootstrap over questions (Efron and Tibshirani, 1993).

Seeded: equal values give equal intervals. Questions about one document are not independent, which makes intervals of
few documents a little too narrow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000
_BLOCK = 1_000
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Mean:
    """A mean of `count` values, and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float
    count: int


def mean(values: Sequence[float]) -> Mean:
    """The mean of at least one value. Of paired differences, it differs from chance where the interval excludes 0."""
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(0)
    means = np.concatenate(
        [array[random.integers(0, len(array), (_BLOCK, len(array)))].mean(axis=1) for _ in range(_RESAMPLES // _BLOCK)]
    )
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Mean(float(array.mean()), float(low), float(high), len(array))
