"""The endpoint as one run uses it: settings and caps in, answers out, each one's cost put down in the lake's ledger.

One per run and process: all its threads ask through one client, so that one pacer and one budget see every request.
`EmbeddingAccount` is the same for one model of embeddings, whose limits endpoints count by themselves.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal

import numpy as np

from tasks.errors import UsageError
from tasks.llm.client import Client, Endpoint
from tasks.llm.embedder import Asked, Embedder
from tasks.llm.embeddings import Embeddings
from tasks.llm.ledger import Budget
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.prices import Usage, price, priced
from tasks.llm.purse import Purse
from tasks.llm.request import Request
from tasks.llm.responses import Response, Responses
from tasks.llm.service import Hosted, Service
from tasks.llm.spend import Settle
from tasks.llm.tokens import prompt_tokens
from tasks.llm.transport import OPENAI
from tasks.settings import LlmSettings
from tasks.storage import Storage


def check(settings: LlmSettings, models: Iterable[str], max_spend: Decimal | None = None) -> None:
    """Raise UsageError for what would end the run at its first request, or leave its cost unknown."""
    endpoint_of(settings)
    for model in models:
        priced(settings, model, Usage())
        if max_spend is not None and price(model, Usage(), settings.prices, settings.base_url) is None:
            raise UsageError(
                f"no price is known for model {model!r}, so --max-spend cannot hold",
                "set llm.prices, or use --max-tokens",
                "unknown_price",
            )


class Account:
    """Of one stage of one run, for any thread. Nothing is sent before the first question."""

    def __init__(self, storage: Storage, run: str, stage: str, settings: LlmSettings, budget: Budget) -> None:
        endpoint, limits = endpoint_of(settings), _limits(settings)
        self._purse = Purse(storage, run, stage, settings, budget)
        self._responses = Responses.open(storage)
        self._service = _Submitting(
            lambda: Client(
                endpoint,
                self._responses,
                Pacer(limits),
                self._purse.spent,
                tokens=prompt_tokens,
                reserve=self._reserve,
            )
        )

    def answers_for(self, doc_id: str) -> Callable[[Request], Awaitable[Response]]:
        """Asks on behalf of a document, from any event loop."""

        async def answer(request: Request) -> Response:
            return await asyncio.wrap_future(self._service.submit(request, doc_id))

        return answer

    def stop(self) -> None:
        """Send nothing more; returns at once, and what is on its way still arrives and is kept."""
        with contextlib.suppress(RuntimeError):  # it is closed
            self._service.stop()

    def close(self) -> None:
        self._service.close()
        self._responses.close()
        self._purse.close()

    def _reserve(self, request: Request, prompt: int) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._purse.hold(request.model, Usage(prompt, request.sampling.max_tokens))


class EmbeddingAccount:
    """Of one model and one run, or of a reader; for any thread. Nothing is sent before the first text.

    A reader who may not write into the lake pays again for what it asks again, and puts nothing down.
    """

    def __init__(
        self, storage: Storage, run: str, stage: str, settings: LlmSettings, asked: Asked, budget: Budget
    ) -> None:
        endpoint, limits = endpoint_of(settings), _limits(settings)
        writable = os.access(storage.local("."), os.W_OK)
        self._purse = Purse(storage if writable else None, run, stage, settings, budget)
        self._kept = Embeddings.open(storage) if writable else Embeddings(None)
        self._asked = asked
        self._hosted: Hosted[Embedder] = Hosted(
            lambda: Embedder(endpoint, asked, self._kept, Pacer(limits), self._purse.spent, room=self._room)
        )

    def vectors(self, wanted: Mapping[str, str]) -> dict[str, np.ndarray]:
        """The vector of each text, as `Embedder.vectors`; blocks the calling thread."""
        return self._hosted.run(lambda embedder: embedder.vectors(wanted))

    def dimension(self) -> int | None:
        """As far as what is kept tells it."""
        return self._kept.dimension(self._asked.model, self._asked.dimensions)

    def stop(self) -> None:
        """As `Account.stop`."""
        with contextlib.suppress(RuntimeError):
            self._hosted.stop()

    def close(self) -> None:
        self._hosted.close()
        self._kept.close()
        self._purse.close()

    def _room(self, tokens: int) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._purse.hold(self._asked.model, Usage(tokens))


class _Submitting(Service):
    """A service whose answers can be awaited elsewhere."""

    def submit(self, request: Request, owner: str) -> concurrent.futures.Future[Response]:
        return self.start(lambda client: client.answer(request, owner))


def endpoint_of(settings: LlmSettings) -> Endpoint:
    return Endpoint(settings.base_url or OPENAI, settings.key(), settings.timeout_seconds)


def _limits(settings: LlmSettings) -> RateLimits:
    return RateLimits(settings.requests_per_minute, settings.tokens_per_minute, settings.max_in_flight)
