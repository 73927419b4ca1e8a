"""How many requests to keep in flight where nobody says what the limit is: latencies and failures → a window.

TCP's way (slow start, then one more per round; less after trouble, once per round), with Vegas's second sign of
trouble: answers that take twice as long as they do at best are waiting in a queue that we made. What "at best" is gets
measured again now and then, with half the window for a round: texts become longer, and a standing queue hides itself.
"""

from __future__ import annotations

import statistics

_START = 4.0
_AFTER_FAILURE = 0.7
_SLOW = 2.0
_SAMPLES = 8  # a round has at least so many answers, or one slow answer would be a median
_PROBE_ROUNDS = 32


class Window:
    """`size` is at least 1 and at most `most`."""

    __slots__ = (
        "_before_probe",
        "_best",
        "_changed",
        "_latencies",
        "_most",
        "_round",
        "_rounds",
        "_size",
        "_slow_start",
    )

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._size = min(_START, self._most)
        self._slow_start = True
        self._changed = float("-inf")  # what started before says nothing about the window of now
        self._best = float("inf")
        self._before_probe: float | None = None
        self._latencies: list[float] = []
        self._round = _SAMPLES
        self._rounds = 0

    @property
    def size(self) -> int:
        return int(self._size)

    def answered(self, started: float, now: float, *, wanted: bool) -> None:
        """A request that started then has its answer; `wanted`: others were waiting for a place."""
        if started < self._changed:
            return
        self._latencies.append(now - started)
        if wanted and self._before_probe is None:
            self._size = min(self._most, self._size + (1.0 if self._slow_start else 1.0 / self._size))
        if len(self._latencies) >= self._round:
            self._end_round(now)

    def failed(self, started: float, now: float) -> None:
        """Overload: 429, 5xx, a time-out, a dropped connection."""
        if started >= self._changed:
            self._slow_start = False
            self._resize((self._before_probe or self._size) * _AFTER_FAILURE, now)

    def _end_round(self, now: float) -> None:
        median = statistics.median(self._latencies)
        self._rounds += 1
        if self._before_probe is not None:
            self._best = median
            self._resize(self._before_probe, now)
        elif median > self._best * _SLOW:
            self._slow_start = False
            self._resize(self._size * max(0.5, min(0.95, self._best * _SLOW / median)), now)
        elif self._rounds % _PROBE_ROUNDS == 0:
            size = self._size
            self._resize(size / 2, now)
            self._before_probe = size
        else:
            self._best = min(self._best, median)
            self._begin_round()

    def _resize(self, size: float, now: float) -> None:
        self._size = max(1.0, size)
        self._changed = now
        self._before_probe = None
        self._begin_round()

    def _begin_round(self) -> None:
        self._latencies.clear()
        self._round = max(_SAMPLES, self.size)
