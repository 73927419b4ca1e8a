"""Sounds at the rate that the model hears: float32 samples at one rate in, at another out, by a windowed sinc.

The filter is the reference's, whose taps are computed in float32: a Hann window of six zero crossings, cut off at 0.99
of the lower of both Nyquist frequencies. Only taps inside the window are computed, so that rates without a common
divisor cost little more than others.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

_ZEROS = 6
_ROLLOFF = 0.99
_GROUP = 32  # outputs of one matrix product


def resample(sound: np.ndarray, rate: int, target: int) -> np.ndarray:
    """(channels, frames) float32 at `rate` per second → the same at `target`, ceil(frames · target / rate) of them."""
    divisor = math.gcd(rate, target)
    old, new = rate // divisor, target // divisor
    if old == new:
        return sound
    several = -(-_GROUP // new)
    first, taps = _filters(old, new, several)
    old, new = old * several, new * several
    channels, frames = sound.shape
    count = -(-frames * new // old)
    blocks = -(-count // new)  # each has `new` samples of the output, and begins `old` samples after the last
    before, width = -int(first[0]), taps.shape[1]
    end = (blocks - 1) * old + int(first[-1]) + width
    padded = np.pad(sound, ((0, 0), (before, max(0, end - frames))))
    found = np.empty((channels, blocks, new), dtype=np.float32)
    for low in range(0, new, _GROUP):
        # A product of matrices, not with a vector, adds up in the reference's order: quiet bands would show another.
        high = min(low + _GROUP, new)
        weights = np.zeros((width + int(first[high - 1] - first[low]), high - low), dtype=np.float32)
        for phase in range(low, high):
            shift = int(first[phase] - first[low])
            weights[shift : shift + width, phase - low] = taps[phase]
        start = before + int(first[low])
        spans = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=1)
        spans = spans[:, start : start + (blocks - 1) * old + 1 : old]
        found[:, :, low:high] = spans @ weights
    return found.reshape(channels, -1)[:, :count]


@functools.lru_cache(maxsize=16)
def _filters(old: int, new: int, several: int) -> tuple[np.ndarray, np.ndarray]:
    """For each output of `several` blocks: where its filter begins, relative to the first block, and the taps."""
    base = min(old, new) * _ROLLOFF
    width = math.ceil(_ZEROS * old / base)
    phase = np.arange(new, dtype=np.int64)
    first = phase * old // new - width
    at = (first[:, None] + np.arange(2 * width + 2)).astype(np.float32) / np.float32(old)
    time = -phase.astype(np.float32)[:, None] / np.float32(new) + at
    time = np.clip(time * np.float32(base), np.float32(-_ZEROS), np.float32(_ZEROS))
    pi = np.float32(math.pi)
    window = _exact(np.cos, time * pi / np.float32(_ZEROS) / np.float32(2)) ** 2
    time = time * pi
    sinc = np.divide(_exact(np.sin, time), time, out=np.ones_like(time), where=time != 0)
    taps = sinc * (window * np.float32(base / old))
    return np.concatenate([first + block * old for block in range(several)]), np.tile(taps, (several, 1))


def _exact(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The nearest float32, which numpy's own functions of float32 do not always give."""
    return function(x.astype(np.float64)).astype(np.float32)
