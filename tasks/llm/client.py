"""Requests in, answers out: from the kept responses if they are there, else from the endpoint at its pace, once.

    client = Client(Endpoint(base_url, key), responses, Pacer(RateLimits()), on_spend)
    response = await client.answer(request)

How a request is sent, paced, paid for and tried again is `exchange`'s, and how each kind of request travels `wire`'s.
Here is what is asked once, and kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tasks.llm import wire
from tasks.llm.errors import EmptyAnswerError, RefusedError
from tasks.llm.exchange import Counts, Exchange, Paid, Retries
from tasks.llm.responses import Response, Responses
from tasks.llm.spend import Reserve, Settle, Share, Spend, most_tokens, rough_tokens, unlimited
from tasks.llm.transport import Endpoint, Failure, Files
from tasks.llm.wire import Asked

if TYPE_CHECKING:
    from tasks.llm.dialect import Dialect
    from tasks.llm.pacer import Pacer
    from tasks.llm.pacers import Pacers

__all__ = ["Client", "Counts", "Endpoint", "Reserve", "Retries", "Spend"]


@dataclasses.dataclass(slots=True)
class _Shared:
    task: asyncio.Task[Response]
    waiting: int = 0


class Client(Exchange):
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
        super().__init__(endpoint, pacer, on_spend, retries, sleep)
        self._responses = responses
        self._tokens = tokens
        self._expected = expected
        self._reserve = reserve
        # By address and model; those of chats are the batch lane's as well.
        self._dialects: dict[str, dict[str, Any]] = {wire.CHAT: {} if dialects is None else dialects}
        self._shared: dict[str, _Shared] = {}

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
            job = _Question(self, key, request, owner)
            shared = self._shared[key] = _Shared(asyncio.create_task(self._ask(job)))
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

    def _on_their_way(self) -> Iterable[asyncio.Task[Response]]:
        return [shared.task for shared in self._shared.values()]


class _Question:
    """A request as a job of the exchange, in the dialect that its model was last heard to understand."""

    shares: tuple[Share, ...] = ()

    def __init__(self, client: Client, key: str, request: Asked, owner: str) -> None:
        self.key, self.owner, self.model = key, owner, request.model
        self.prompt, self.expected = client._tokens(request), client._expected(request)
        self._client, self._request, self._how = client, request, wire.of(request)
        self.path, self.stage, self.patience = self._how.path, self._how.stage, self._how.patience(request)
        self._learnt = client._dialects.setdefault(self.path, {})
        self._spoken = self._dialect()

    def _dialect(self) -> Any:
        return self._learnt.get(self.model) or self._how.begin(self._client._endpoint.base_url)

    def body(self) -> tuple[Mapping[str, Any], Files | None]:
        self._spoken = self._dialect()
        return self._how.body(self._request, self._spoken)

    def room(self) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._client._reserve(self._request, self.prompt)

    def relearn(self, said: str) -> bool:
        if self._dialect() != self._spoken:
            return True  # others have learnt meanwhile
        other = self._spoken.after(said, self._how.parameters(self._request))
        if other is None:
            return False
        self._learnt[self.model] = other
        return True

    def sound(self, raw: bytes) -> tuple[float, int]:
        return self._how.billed(self._request, raw)

    def read(self, raw: bytes) -> Paid[Response]:
        response = self._how.read(self.key, self._request, raw, self.prompt)

        def keep() -> Response | Failure:
            if response.text.strip() or response.refusal or response.cut or self._how.wordless:
                return self._client._responses.put(response)
            if response.finish == "content_filter":
                return Failure(RefusedError(f"{self._client._endpoint.host} filtered the answer"))
            return Failure(EmptyAnswerError(f"{self.model} gave an empty answer"), retry=True)

        return Paid(response.prompt_tokens, response.completion_tokens, response.cached_tokens, keep)
