"""Permission to send a request: limits per minute → every request at the first moment that the endpoint will take it.

    async with pacer.permit(tokens) as permit:     # waits; `tokens` is what prompt and answer may come to
        reply = await send()
        permit.learn(reply.headers)                # limits, and what the endpoint thinks is left of them
        permit.settle(reply.usage.total_tokens)    # gives back what was not used

First come, first served, retries before all others. What lasts is the limit itself: see `buckets`. One pacer belongs to
one event loop, and everything but `permit` returns at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Mapping

from tasks.llm.adaptive import Window
from tasks.llm.buckets import Bucket
from tasks.llm.clock import Clock, LoopClock, Timer
from tasks.llm.limits import FIELDS, RateLimits, configured, remaining, stated

__all__ = ["Pacer", "Permit", "RateLimits"]


class Permit:
    """One request on its way; what it reserved and where the buckets stood when it left."""

    __slots__ = ("_levels", "_lowered", "_pacer", "_reserved", "_settled", "_started")

    def __init__(self, pacer: Pacer, tokens: int, started: float) -> None:
        self._pacer, self._reserved, self._started = pacer, tokens, started
        self._settled = False
        self._levels = {name: bucket.level for name, bucket in pacer._buckets.items()}
        self._lowered = {name: bucket.lowered for name, bucket in pacer._buckets.items()}

    def settle(self, actual_tokens: int) -> None:
        """What it really came to, once: the difference is given back, or taken."""
        if not self._settled:
            self._settled = True
            self._pacer._settle(self._reserved - actual_tokens, self._started)

    def failed(self) -> None:
        """The endpoint is overloaded: 429, 5xx, a time-out, a dropped connection. What was reserved stays paid."""
        if not self._settled:
            self._settled = True
            self._pacer._failed(self._started)

    def learn(self, headers: Mapping[str, str]) -> None:
        """As `Pacer.learn`; and where the endpoint has less left than we thought when this was sent, so have we."""
        self._pacer.learn(headers)
        for name, level in self._levels.items():
            if (left := remaining(headers, name)) is not None:
                self._pacer._compare(name, level - left, self._lowered[name])


@dataclasses.dataclass(slots=True)
class _Waiter:
    tokens: int
    granted: asyncio.Future[Permit]


class Pacer:
    def __init__(self, limits: RateLimits, clock: Clock | None = None) -> None:
        self._limits = limits
        self._clock: Clock = clock if clock is not None else LoopClock()
        self._buckets: dict[str, Bucket] = {}
        self._share = 1.0
        self._window = Window(limits.max_in_flight)
        self._retries: deque[_Waiter] = deque()
        self._fresh: deque[_Waiter] = deque()
        self._in_flight = 0
        self._paused_until = float("-inf")
        self._timer: Timer | None = None
        self._wake_at = float("inf")
        self._began = False

    def of(self, model: str) -> Pacer:
        """The same for all models; see `Pacers`."""
        return self

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return sum(not waiter.granted.done() for queue in (self._retries, self._fresh) for waiter in queue)

    @property
    def limits(self) -> RateLimits:
        """With what was learnt; the whole account's, not our share."""
        requests, tokens = (self._buckets[name].per_minute if name in self._buckets else None for name in FIELDS)
        return RateLimits(requests, tokens, self._limits.max_in_flight)

    @contextlib.asynccontextmanager
    async def permit(self, tokens: int, retry: bool = False) -> AsyncIterator[Permit]:
        """Waits for its turn; the place in flight is free again at the end of the block, whatever ends it."""
        permit = await self._wait(tokens, retry)
        try:
            yield permit
        finally:
            self._in_flight -= 1
            self._pump()

    def pause(self, seconds: float) -> None:
        """Nobody sends for so long: the endpoint says that it is full, so that nothing is saved up with it either."""
        now = self._begin()
        self._paused_until = max(self._paused_until, now + seconds)
        for bucket in self._buckets.values():
            bucket.drain(now)
        self._pump()

    def share(self, part: float) -> None:
        """This process's part of the account, 0 to 1, where several share it; at 0 everybody waits."""
        if not 0 <= part <= 1:
            raise ValueError(f"a share is between 0 and 1, not {part}")
        now, self._share = self._begin(), part
        for bucket in self._buckets.values():
            bucket.change(now, share=part)
        self._pump()

    def learn(self, headers: Mapping[str, str]) -> None:
        """Limits per minute as the endpoint states them; those that were set hold where they are lower."""
        now = self._begin()
        for name in FIELDS:
            if not (said := stated(headers, name)):
                continue
            own = configured(self._limits, name)
            limit = min(said, own) if own is not None else said
            if name not in self._buckets:  # what is in flight was sent without it, so that nothing was saved up
                self._buckets[name] = Bucket(limit, now, share=self._share, full=False)
            elif self._buckets[name].per_minute != limit:
                self._buckets[name].change(now, per_minute=limit)
            else:
                continue
            self._pump()

    def _begin(self) -> float:
        """The time; buckets start with the first use, because a loop's clock is there only inside the loop."""
        now = self._clock.now()
        if not self._began:
            self._began = True
            for name in FIELDS:
                limit = configured(self._limits, name)
                if limit is not None:
                    self._buckets[name] = Bucket(limit, now, share=self._share)
        return now

    async def _wait(self, tokens: int, retry: bool) -> Permit:
        if tokens < 0:
            raise ValueError(f"tokens are not negative, but {tokens}")
        self._begin()
        waiter = _Waiter(tokens, asyncio.get_running_loop().create_future())
        (self._retries if retry else self._fresh).append(waiter)
        self._pump()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._undo(waiter)  # granted, and cancelled before it could know
            waiter.granted.cancel()
            self._pump()  # whoever stood behind may need less
            raise

    def _undo(self, waiter: _Waiter) -> None:
        now = self._clock.now()
        self._in_flight -= 1
        for name, bucket in self._buckets.items():
            bucket.give_back(_cost(name, waiter.tokens), now)

    def _pump(self) -> None:
        """Grant whatever may go now, and wake up for the next."""
        now = self._clock.now()
        while (queue := self._next_queue()) is not None:
            if self._in_flight >= self._most_in_flight:
                return  # the end of a request in flight pumps again
            waiter = queue[0]
            seconds = self._paused_until - now
            for name, bucket in self._buckets.items():
                seconds = max(seconds, bucket.wait(_cost(name, waiter.tokens), now))
            if seconds > 0:
                self._wake(now, seconds)
                return
            queue.popleft()
            for name, bucket in self._buckets.items():
                bucket.take(_cost(name, waiter.tokens), now)
            self._in_flight += 1
            waiter.granted.set_result(Permit(self, waiter.tokens, now))

    def _next_queue(self) -> deque[_Waiter] | None:
        for queue in (self._retries, self._fresh):
            while queue and queue[0].granted.done():
                queue.popleft()  # cancelled
            if queue:
                return queue
        return None

    @property
    def _most_in_flight(self) -> int:
        if self._share == 0:
            return 0
        return self._limits.max_in_flight if self._buckets else self._window.size

    def _wake(self, now: float, seconds: float) -> None:
        if seconds == float("inf"):
            return  # a share of nothing; `share` pumps again
        at = now + seconds
        if self._timer is not None:
            if self._wake_at <= at:
                return  # it rings earlier, and looks again
            self._timer.cancel()
        self._wake_at = at
        self._timer = self._clock.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._pump()

    def _settle(self, unused: int, started: float) -> None:
        now = self._clock.now()
        if (bucket := self._buckets.get("tokens")) is not None:
            if unused >= 0:
                bucket.give_back(unused, now)
            else:
                bucket.take(-unused, now)
        full = self._in_flight >= self._most_in_flight and self._next_queue() is not None
        self._window.answered(started, now, wanted=full)
        self._pump()

    def _failed(self, started: float) -> None:
        self._window.failed(started, self._clock.now())

    def _compare(self, name: str, ahead: float, lowered_then: float) -> None:
        """`ahead` is by how much our bucket was above the endpoint's then; some of that is known meanwhile."""
        bucket = self._buckets[name]
        if (excess := ahead - (bucket.lowered - lowered_then)) > 0:
            bucket.lower(excess, self._clock.now())


def _cost(name: str, tokens: int) -> int:
    return 1 if name == "requests" else tokens
