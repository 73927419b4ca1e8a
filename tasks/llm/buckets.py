"""One limit per minute as a bucket: a cost → how long to wait until it may be paid. Times are given, never read.

The bucket holds at most half a second of the limit, and a cost may be paid once it holds the cost or a quarter of a
second, whichever is less. The other quarter is for timers that fire late: what accrued meanwhile is not lost. A cost
above that leaves a debt. So any window of w seconds holds at most w seconds of the limit, half a second more, and one
cost.
"""

from __future__ import annotations

BURST_SECONDS = 0.5
_ENOUGH_SECONDS = BURST_SECONDS / 2
_ROUNDING = 1e-9


class Bucket:
    """`per_minute` is what the account has, `share` the part of it that is ours."""

    __slots__ = ("_level", "_lowered", "_per_minute", "_rate", "_share", "_stamp")

    def __init__(self, per_minute: float, now: float, *, share: float = 1.0, full: bool = True) -> None:
        if per_minute <= 0:
            raise ValueError(f"a limit is above zero, not {per_minute}")
        self._per_minute, self._share = per_minute, share
        self._rate = per_minute * share / 60
        self._level = self._rate * BURST_SECONDS if full else 0.0
        self._stamp = now
        self._lowered = 0.0

    @property
    def per_minute(self) -> float:
        return self._per_minute

    @property
    def level(self) -> float:
        """As of the last time given."""
        return self._level

    @property
    def lowered(self) -> float:
        """All that `lower` has taken so far."""
        return self._lowered

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be paid; 0 means now."""
        self._accrue(now)
        enough = min(cost, self._rate * _ENOUGH_SECONDS)
        missing = enough - self._level
        if missing <= _ROUNDING * max(1.0, enough):
            return 0.0
        return missing / self._rate if self._rate > 0 else float("inf")

    def take(self, cost: float, now: float) -> None:
        """Pay, allowed or not: what an answer cost beyond its reservation is owed all the same."""
        self._accrue(now)
        self._level -= cost

    def give_back(self, cost: float, now: float) -> None:
        self._accrue(now)
        self._level = min(self._level + cost, self._most)

    def lower(self, amount: float, now: float) -> None:
        """The endpoint has counted more than we have."""
        self.take(amount, now)
        self._lowered += amount

    def drain(self, now: float) -> None:
        """Whatever was saved up is void; a debt stays."""
        self._accrue(now)
        self._level = min(self._level, 0.0)

    def change(self, now: float, *, per_minute: float | None = None, share: float | None = None) -> None:
        self._accrue(now)
        self._per_minute = per_minute if per_minute is not None else self._per_minute
        self._share = share if share is not None else self._share
        self._rate = self._per_minute * self._share / 60
        self._level = min(self._level, self._most)

    @property
    def _most(self) -> float:
        return self._rate * BURST_SECONDS

    def _accrue(self, now: float) -> None:
        if now > self._stamp:
            self._level = min(self._level + (now - self._stamp) * self._rate, self._most)
            self._stamp = now
