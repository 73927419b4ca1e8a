"""A pacer for each model of an endpoint, which limits each by itself: a model in, its pacer out."""

from __future__ import annotations

from tasks.llm.clock import Clock
from tasks.llm.limits import RateLimits
from tasks.llm.pacer import Pacer


class Pacers:
    """`limits` are those of each model. Belongs to one event loop, as its pacers do."""

    def __init__(self, limits: RateLimits, clock: Clock | None = None) -> None:
        self._limits, self._clock = limits, clock
        self._pacers: dict[str, Pacer] = {}
        self._part: float | None = None  # None: nobody shares the account

    def of(self, model: str) -> Pacer:
        if model not in self._pacers:
            pacer = self._pacers[model] = Pacer(self._limits, self._clock)
            if self._part is not None:
                pacer.share(self._part)
        return self._pacers[model]

    def share(self, part: float) -> None:
        """This process's part of each model's limits, also of those that are not asked yet."""
        self._part = part
        for pacer in self._pacers.values():
            pacer.share(part)
