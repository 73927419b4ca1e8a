"""One question of any kind to an endpoint → its answer: at the endpoint's pace, within the budget, tried again where
that is worth it. What every other question would meet as well stops the exchange.

A `Job` says what is sent and how a reply is kept; `client` and `embedder` have one each. A reply is kept before
anything else is done with it, while its permit still counts as in flight: a killed process loses no more answers than
it had in flight.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import copy
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tasks.llm.errors import EndpointError, LlmError, StoppedError
from tasks.llm.spend import Settle, Share, Spend
from tasks.llm.transport import Endpoint, Failure, Files, Reply, Transport

if TYPE_CHECKING:
    from tasks.llm.pacer import Pacer, Permit
    from tasks.llm.pacers import Pacers

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Retries:
    attempts: int = 6
    limited: int = 40  # attempts that ended in 429 cost nothing and say nothing about the request
    base_seconds: float = 0.5
    most_seconds: float = 30.0
    outage: int = 8  # so many requests given up in a row, and the endpoint counts as down


@dataclasses.dataclass(slots=True)
class Counts:
    reused: int = 0  # answered from what is kept
    joined: int = 0  # answered by an identical request that was on its way
    sent: int = 0
    answered: int = 0
    limited: int = 0  # 429s
    failed: int = 0  # other attempts without an answer


@dataclasses.dataclass(frozen=True, slots=True)
class Paid(Generic[T]):
    """What a reply was billed at; `keep` keeps it and gives what it says, or why that is of no use."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    keep: Callable[[], T | Failure]


class Job(Protocol[T]):
    """One question. `prompt` are its tokens, estimated; `expected` those of the answer; `shares` as in `Spend`."""

    @property
    def key(self) -> str: ...

    @property
    def owner(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def prompt(self) -> int: ...

    @property
    def expected(self) -> int: ...

    @property
    def shares(self) -> tuple[Share, ...]: ...

    @property
    def stage(self) -> str:
        """What its cost is put down under, if not whoever asks decides that."""
        ...

    @property
    def patience(self) -> float:
        """Seconds to wait beyond the endpoint's own limit."""
        ...

    def body(self) -> tuple[Mapping[str, Any], Files | None]:
        """What is sent: made when it is, because thousands of questions with pictures may wait for their turn."""
        ...

    def sound(self, raw: bytes) -> tuple[float, int]:
        """Seconds and tokens of sound that a reply (b"": unreadable) is billed for."""
        ...

    def room(self) -> contextlib.AbstractAsyncContextManager[Settle]:
        """Room in the budget, held while it is sent; may wait, or raise BudgetReachedError."""
        ...

    def relearn(self, said: str) -> bool:
        """Whether there is another way to put it, after a refusal in these words of what was sent last."""
        ...

    def read(self, raw: bytes) -> Paid[T]:
        """Raises ValueError for what is no answer."""
        ...


class Exchange(abc.ABC):
    """Belongs to one event loop. `on_spend` is told of every reply that was paid for, used or not."""

    def __init__(
        self,
        endpoint: Endpoint,
        pacer: Pacer | Pacers,
        on_spend: Callable[[Spend], None],
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.counts = Counts()
        self._endpoint = endpoint
        self._transport = Transport(endpoint)
        self._pacer = pacer
        self._on_spend = on_spend
        self._retries = retries or Retries()
        self._sleep = sleep
        self._given_up = 0
        self._stopped: LlmError | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._jitter = random.Random()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.host})"

    def stop(self, error: LlmError | None = None) -> None:
        """Send nothing more; whoever waits for its turn gets `error`, and what is on its way arrives."""
        if self._stopped is None:
            self._stopped = error or StoppedError("the run is ending", "run again: what is answered is kept")
            for waiting in list(self._waiting):
                waiting.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Wait for what is on its way, so that it is kept, and close the connections."""
        self.stop()
        await asyncio.gather(*self._on_their_way(), return_exceptions=True)
        await self._transport.close()

    @abc.abstractmethod
    def _on_their_way(self) -> Iterable[asyncio.Task[Any]]: ...

    async def _ask(self, job: Job[T]) -> T:
        """The answer to a question. Raises LlmError where there is none."""
        failed = limited = 0
        while True:
            outcome = await self._attempt(job, retry=failed + limited > 0)
            if not isinstance(outcome, Failure):
                self._given_up = 0
                return outcome
            if outcome.status in (400, 422) and job.relearn(outcome.said):
                continue
            if outcome.limited:
                limited += 1
            else:
                failed += 1
            if not outcome.retry or failed >= self._retries.attempts or limited >= self._retries.limited:
                raise self._given(outcome)
            await self._pause(self._pacer.of(job.model), outcome, failed + limited)

    async def _attempt(self, job: Job[T], retry: bool) -> T | Failure:
        async with self._turn(job, retry) as (permit, settle):
            self.counts.sent += 1
            outcome = await self._transport.send(job.path, *job.body(), job.patience)
            permit.learn(outcome.headers)
            found: T | Failure
            if isinstance(outcome, Reply):
                found = self._received(job, outcome.raw, permit, settle)
            else:
                found = outcome
                if outcome.overloaded:
                    permit.failed()
                else:
                    permit.settle(0)
        if not isinstance(found, Failure):
            self.counts.answered += 1
        elif found.limited:
            self.counts.limited += 1
        else:
            self.counts.failed += 1
        return found

    def _received(self, job: Job[T], raw: bytes, permit: Permit, settle: Settle) -> T | Failure:
        """A reply was paid for: keep it, put it down, and only then see what it is worth."""
        try:
            paid = job.read(raw)
        except ValueError as error:
            permit.settle(job.prompt)
            self._paid(job, (job.prompt, 0, 0), settle, b"")  # billed, and nobody says how much
            return Failure(EndpointError(f"{self._endpoint.host} gave {error}", "check llm.base_url"), retry=True)
        permit.settle(paid.prompt_tokens + paid.completion_tokens)
        try:
            found = paid.keep()
            self._paid(job, (paid.prompt_tokens, paid.completion_tokens, paid.cached_tokens), settle, raw)
        except Exception as error:
            self.stop(StoppedError(f"answers cannot be kept: {error}"))  # whatever else is sent would be lost as well
            raise
        return found

    def _paid(self, job: Job[T], used: tuple[int, int, int], settle: Settle, raw: bytes) -> None:
        spend = Spend(job.key, job.owner, job.model, *used, job.shares, *job.sound(raw), job.stage)
        settle(spend)
        self._on_spend(spend)

    async def _pause(self, pacer: Pacer, outcome: Failure, attempt: int) -> None:
        """What the endpoint asks for holds for all who ask this model; our own patience for this request."""
        if outcome.wait is not None:
            pacer.pause(outcome.wait)
            if outcome.limited:
                return
        seconds = min(self._retries.most_seconds, self._retries.base_seconds * 2 ** min(attempt - 1, 16))
        seconds *= self._jitter.uniform(0.5, 1.0)
        if outcome.limited:
            pacer.pause(seconds)
            return
        async with self._unless_stopped():
            await self._sleep(max(seconds, outcome.wait or 0.0))  # "now" is no reason to try six times at once

    def _given(self, outcome: Failure) -> LlmError:
        """The error to raise, after what it says about all other requests."""
        error = outcome.error
        if error.fatal:
            self.stop(error)
        elif not isinstance(error, EndpointError):
            self._given_up = 0  # it was about this one request: the endpoint works
        else:
            self._given_up += 1
            if self._given_up >= self._retries.outage:
                down = EndpointError(f"{error.message} ({self._given_up} requests in a row were given up)", error.hint)
                down.fatal = True
                self.stop(down)
                return down
        return error

    @contextlib.asynccontextmanager
    async def _turn(self, job: Job[T], retry: bool) -> AsyncIterator[tuple[Permit, Settle]]:
        """Room in the budget and the pacer's permission, or the error that has stopped the exchange."""
        async with contextlib.AsyncExitStack() as stack:
            async with self._unless_stopped():
                # First the budget, so that who has room in it is not stopped by one that has none.
                settle = await stack.enter_async_context(job.room())
                pacer = self._pacer.of(job.model)
                permit = await stack.enter_async_context(pacer.permit(job.prompt + job.expected, retry))
            self._check()
            yield permit, settle

    @contextlib.asynccontextmanager
    async def _unless_stopped(self) -> AsyncIterator[None]:
        """Waiting in this block ends when the exchange is stopped."""
        self._check()
        try:
            async with asyncio.timeout(None) as waiting:
                self._waiting.add(waiting)
                try:
                    yield
                finally:
                    self._waiting.discard(waiting)
        except TimeoutError:
            self._check()
            raise

    def _check(self) -> None:
        if self._stopped is not None:
            raise copy.copy(self._stopped)
