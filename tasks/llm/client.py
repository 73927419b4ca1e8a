"""Requests in, answers out: from the kept responses if they are there, else from the endpoint at its pace, once.

    client = Client(Endpoint(base_url, key), responses, Pacer(RateLimits()), on_spend)
    response = await client.answer(request)

What is worth another attempt is tried again; what every other request would meet as well stops the client. A reply is
kept before anything else is done with it, while its permit still counts as in flight: a killed process loses no more
answers than it had in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tasks.llm import wire
from tasks.llm.errors import EmptyAnswerError, EndpointError, LlmError, RefusedError, StoppedError
from tasks.llm.responses import Response, Responses
from tasks.llm.spend import Reserve, Settle, Spend, most_tokens, rough_tokens, unlimited
from tasks.llm.transport import Endpoint, Failure, Reply, Transport
from tasks.llm.wire import Asked, Wire

if TYPE_CHECKING:
    from tasks.llm.dialect import Dialect
    from tasks.llm.pacer import Pacer, Permit
    from tasks.llm.pacers import Pacers

__all__ = ["Client", "Counts", "Endpoint", "Reserve", "Retries", "Spend"]


@dataclasses.dataclass(frozen=True, slots=True)
class Retries:
    attempts: int = 6
    limited: int = 40  # attempts that ended in 429 cost nothing and say nothing about the request
    base_seconds: float = 0.5
    most_seconds: float = 30.0
    outage: int = 8  # so many requests given up in a row, and the endpoint counts as down


@dataclasses.dataclass(slots=True)
class Counts:
    reused: int = 0  # answered from the kept responses
    joined: int = 0  # answered by an identical request that was on its way
    sent: int = 0
    answered: int = 0
    limited: int = 0  # 429s
    failed: int = 0  # other attempts without an answer


@dataclasses.dataclass(frozen=True, slots=True)
class _Job:
    key: str
    request: Asked
    owner: str
    prompt: int  # its tokens, estimated
    how: Wire


@dataclasses.dataclass(slots=True)
class _Shared:
    task: asyncio.Task[Response]
    waiting: int = 0


class Client:
    """Belongs to one event loop. `tokens` estimates a prompt; `expected` an answer, which is at most its limit.

    `on_spend` is told of every reply that was paid for, used or not. `reserve(request, prompt tokens)` is held around
    each sending: it may wait or raise BudgetReachedError, and what it yields is told the same. `dialects` are what is
    known of each model's chats, and learnt.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        responses: Responses,
        pacer: Pacer | Pacers,
        on_spend: Callable[[Spend], None],
        *,
        tokens: Callable[[Asked], int] = rough_tokens,
        expected: Callable[[Asked], int] = most_tokens,
        reserve: Reserve = unlimited,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dialects: dict[str, Dialect] | None = None,
    ) -> None:
        self.counts = Counts()
        self._endpoint = endpoint
        self._transport = Transport(endpoint)
        self._responses = responses
        self._pacer = pacer
        self._on_spend = on_spend
        self._tokens = tokens
        self._expected = expected
        self._reserve = reserve
        self._retries = retries or Retries()
        self._sleep = sleep
        # By address and model; those of chats are the batch lane's as well.
        self._dialects: dict[str, dict[str, Any]] = {wire.CHAT: {} if dialects is None else dialects}
        self._shared: dict[str, _Shared] = {}
        self._given_up = 0
        self._stopped: LlmError | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._jitter = random.Random()

    def __repr__(self) -> str:
        return f"Client({self._endpoint.host})"

    async def answer(self, request: Asked, owner: str = "") -> Response:
        """The answer to a request: kept, shared with whoever asks the same now, or asked for.

        A model's refusal and an answer that was cut are answers. Raises LlmError where there is none.
        """
        key = request.key()
        shared = self._shared.get(key)
        if shared is None:
            kept = self._responses.get(key)
            if kept is not None:
                self.counts.reused += 1
                return kept
            job = _Job(key, request, owner, self._tokens(request), wire.of(request))
            shared = self._shared[key] = _Shared(asyncio.create_task(self._fetch(job)))
        else:
            self.counts.joined += 1
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                if self._shared.get(key) is shared:
                    del self._shared[key]
                if not shared.task.done():  # nobody wants it any more
                    shared.task.cancel()

    def stop(self, error: LlmError | None = None) -> None:
        """Send nothing more; whoever waits for its turn gets `error`, and what is on its way arrives."""
        if self._stopped is None:
            self._stopped = error or StoppedError("the run is ending", "run again: what is answered is kept")
            for waiting in list(self._waiting):
                waiting.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Wait for what is on its way, so that it is kept, and close the connections."""
        self.stop()
        await asyncio.gather(*(shared.task for shared in self._shared.values()), return_exceptions=True)
        await self._transport.close()

    async def _fetch(self, job: _Job) -> Response:
        model, learnt = job.request.model, self._dialects.setdefault(job.how.path, {})
        failed = limited = 0
        while True:
            spoken = learnt.get(model) or job.how.begin(self._endpoint.base_url)
            outcome = await self._attempt(job, spoken, retry=failed + limited > 0)
            if isinstance(outcome, Response):
                self._given_up = 0
                return outcome
            if outcome.status in (400, 422):
                if learnt.get(model, spoken) != spoken:
                    continue  # others have learnt meanwhile
                other = spoken.after(outcome.said, job.how.parameters(job.request))
                if other is not None:
                    learnt[model] = other
                    continue
            if outcome.limited:
                limited += 1
            else:
                failed += 1
            if not outcome.retry or failed >= self._retries.attempts or limited >= self._retries.limited:
                raise self._given(outcome)
            await self._pause(self._pacer.of(model), outcome, failed + limited)

    async def _attempt(self, job: _Job, spoken: Any, retry: bool) -> Response | Failure:
        async with self._turn(job, retry) as (permit, settle):
            self.counts.sent += 1
            # The body is made now and not before: thousands of pictures may wait for their turn.
            body, files = job.how.body(job.request, spoken)
            outcome = await self._transport.send(job.how.path, body, files, job.how.patience(job.request))
            permit.learn(outcome.headers)
            if isinstance(outcome, Reply):
                found = self._received(job, outcome.raw, permit, settle)
            else:
                found = outcome
                if outcome.overloaded:
                    permit.failed()
                else:
                    permit.settle(0)
        if isinstance(found, Response):
            self.counts.answered += 1
        elif found.limited:
            self.counts.limited += 1
        else:
            self.counts.failed += 1
        return found

    def _received(self, job: _Job, raw: bytes, permit: Permit, settle: Settle) -> Response | Failure:
        """A reply was paid for: keep it, put it down, and only then see what it is worth."""
        try:
            response = job.how.read(job.key, job.request, raw, job.prompt)
        except ValueError as error:
            permit.settle(job.prompt)
            self._paid(job, (job.prompt, 0, 0), settle, b"")  # billed, and nobody says how much
            return Failure(EndpointError(f"{self._endpoint.host} gave {error}", "check llm.base_url"), retry=True)
        permit.settle(response.prompt_tokens + response.completion_tokens)
        empty = not (response.text.strip() or response.refusal or response.cut or job.how.wordless)
        try:
            kept = response if empty else self._responses.put(response)
            self._paid(job, (response.prompt_tokens, response.completion_tokens, response.cached_tokens), settle, raw)
        except Exception as error:
            self.stop(StoppedError(f"answers cannot be kept: {error}"))  # whatever else is sent would be lost as well
            raise
        if not empty:
            return kept
        if response.finish == "content_filter":
            return Failure(RefusedError(f"{self._endpoint.host} filtered the answer"))
        return Failure(EmptyAnswerError(f"{job.request.model} gave an empty answer"), retry=True)

    def _paid(self, job: _Job, used: tuple[int, int, int], settle: Settle, raw: bytes) -> None:
        spend = Spend(job.key, job.owner, job.request.model, *used, *job.how.billed(job.request, raw), job.how.stage)
        settle(spend)
        self._on_spend(spend)

    async def _pause(self, pacer: Pacer, outcome: Failure, attempt: int) -> None:
        """What the endpoint asks for holds for all who ask this model; our own patience for this request."""
        if outcome.wait is not None:
            pacer.pause(outcome.wait)
            return
        seconds = min(self._retries.most_seconds, self._retries.base_seconds * 2 ** min(attempt - 1, 16))
        seconds *= self._jitter.uniform(0.5, 1.0)
        if outcome.limited:
            pacer.pause(seconds)
            return
        async with self._unless_stopped():
            await self._sleep(seconds)

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
    async def _turn(self, job: _Job, retry: bool) -> AsyncIterator[tuple[Permit, Settle]]:
        """Room in the budget and the pacer's permission, or the error that has stopped the client."""
        async with contextlib.AsyncExitStack() as stack:
            async with self._unless_stopped():
                # First the budget, so that who has room in it is not stopped by one that has none.
                settle = await stack.enter_async_context(self._reserve(job.request, job.prompt))
                pacer = self._pacer.of(job.request.model)
                permit = await stack.enter_async_context(pacer.permit(job.prompt + self._expected(job.request), retry))
            self._check()
            yield permit, settle

    @contextlib.asynccontextmanager
    async def _unless_stopped(self) -> AsyncIterator[None]:
        """Waiting in this block ends when the client is stopped."""
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
