"""Recordings in windows: how long ones are cut into ranges of time, and how these are written.

In: a length in seconds. Out: (start, end) pairs that cover it without gaps or overlaps.
"""

from __future__ import annotations

import math

_SHORTEST = 2.0  # seconds: a remainder below this joins the window before it


def end_of(seconds: float) -> float:
    """Where a recording of this length ends, in whole milliseconds: never at 0, since then nothing would be in it."""
    return max(0.001, round(seconds, 3))


def windows(seconds: float, window: float, most: int) -> list[tuple[float, float]]:
    """At most `most` windows of equal length, the last one longer or shorter; longer ones where there would be more."""
    if seconds > window * most:
        window = float(math.ceil(seconds / most))
    count = max(1, math.floor(seconds / window))
    if seconds - count * window >= _SHORTEST:
        count += 1
    starts = [round(number * window, 3) for number in range(count)]
    return list(zip(starts, [*starts[1:], end_of(seconds)], strict=True))


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(start: float, end: float) -> str:
    """`0:10–0:20`."""
    return f"{clock(start)}–{clock(end)}"
