"""Requests in, answers out: from the kept responses if they are there, else from the endpoint at its pace, once.

    client = Client(Endpoint(base_url, key), responses, Pacer(RateLimits()), on_spend)
    response = await client.answer(request)

How a request is sent, paced, paid for and tried again is `exchange`'s; here is what makes it a chat.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tasks.llm import dialect, reply
from tasks.llm.errors import EmptyAnswerError, RefusedError
from tasks.llm.exchange import Counts, Exchange, Paid, Retries
from tasks.llm.request import Request, parameters, to_openai
from tasks.llm.responses import Response, Responses
from tasks.llm.spend import Reserve, Settle, Share, Spend, rough_tokens, unlimited
from tasks.llm.transport import Endpoint, Failure

if TYPE_CHECKING:
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
    known of each model, and learnt.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        responses: Responses,
        pacer: Pacer | Pacers,
        on_spend: Callable[[Spend], None],
        *,
        tokens: Callable[[Request], int] = rough_tokens,
        expected: Callable[[Request], int] | None = None,
        reserve: Reserve = unlimited,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dialects: dict[str, dialect.Dialect] | None = None,
    ) -> None:
        super().__init__(endpoint, pacer, on_spend, retries, sleep)
        self._responses = responses
        self._tokens = tokens
        self._expected = expected or (lambda request: request.sampling.max_tokens)
        self._reserve = reserve
        self._dialects = {} if dialects is None else dialects
        self._shared: dict[str, _Shared] = {}

    async def answer(self, request: Request, owner: str = "") -> Response:
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
            job = _Chat(self, key, request, owner)
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


class _Chat:
    """A request as a job of the exchange, in the dialect that its model was last heard to understand."""

    path = "/chat/completions"
    shares: tuple[Share, ...] = ()

    def __init__(self, client: Client, key: str, request: Request, owner: str) -> None:
        self.key, self.owner, self.model = key, owner, request.model
        self.prompt, self.expected = client._tokens(request), client._expected(request)
        self._client, self._request = client, request
        self._spoken = self._dialect()

    def _dialect(self) -> dialect.Dialect:
        return self._client._dialects.get(self.model) or dialect.of(self._client._endpoint.base_url)

    def body(self) -> Mapping[str, Any]:
        self._spoken = self._dialect()
        return self._spoken.spoken(to_openai(self._request))

    def room(self) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._client._reserve(self._request, self.prompt)

    def relearn(self, said: str) -> bool:
        if self._dialect() != self._spoken:
            return True  # others have learnt meanwhile
        other = self._spoken.after(said, parameters(self._request))
        if other is None:
            return False
        self._client._dialects[self.model] = other
        return True

    def read(self, raw: bytes) -> Paid[Response]:
        response = reply.read(self.key, self.model, raw, self.prompt)

        def keep() -> Response | Failure:
            if response.text.strip() or response.refusal or response.cut:
                return self._client._responses.put(response)
            if response.finish == "content_filter":
                return Failure(RefusedError(f"{self._client._endpoint.host} filtered the answer"))
            return Failure(EmptyAnswerError(f"{self.model} gave an empty answer"), retry=True)

        return Paid(response.prompt_tokens, response.completion_tokens, response.cached_tokens, keep)
