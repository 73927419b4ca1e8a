"""The endpoint as one run uses it: settings and caps in, answers out, each one's cost put down in the lake's ledger.

One per run and process: all its threads ask through one client, so that one pacer per model and one budget see every
request. `EmbeddingAccount` is the same for one model of embeddings.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from tasks.errors import UsageError
from tasks.llm import wire
from tasks.llm.batch import store as batches
from tasks.llm.batch.lane import Lane
from tasks.llm.client import Client, Endpoint
from tasks.llm.dialect import Dialect
from tasks.llm.embedder import Asked, Embedder
from tasks.llm.embeddings import Embeddings
from tasks.llm.key import find_key
from tasks.llm.ledger import Budget, Ledger
from tasks.llm.limits import RateLimits
from tasks.llm.pacers import Pacers
from tasks.llm.place import Place
from tasks.llm.prices import Usage, price, priced
from tasks.llm.purse import Purse
from tasks.llm.request import Request
from tasks.llm.responses import Response, Responses
from tasks.llm.service import Hosted, Service
from tasks.llm.speech import Speech
from tasks.llm.spend import Settle, most_tokens
from tasks.llm.tokens import prompt_tokens
from tasks.llm.transport import OPENAI
from tasks.settings import LlmSettings
from tasks.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    from pydantic import SecretStr


def check(settings: LlmSettings, models: Iterable[str], max_spend: Decimal | None = None) -> None:
    """Raise UsageError for what would end the run at its first request, or leave its cost unknown."""
    _endpoint(settings, None)
    for model in models:
        priced(settings, model, Usage())
        if max_spend is not None and price(model, Usage(), settings.prices, settings.base_url) is None:
            raise UsageError(
                f"no price is known for model {model!r}, so --max-spend cannot hold",
                "set llm.prices, or use --max-tokens",
                "unknown_price",
            )


class Account:
    """Of one stage of one run, for any thread. Nothing is sent before the first question.

    `lane` is there in the batch lane, and where runs before this one have used it; not for an endpoint that is only
    asked about sound (`batch` is None). `place` is this process's in the limit that several share; without one it takes
    its own.
    """

    def __init__(
        self,
        storage: Storage,
        run: str,
        stage: str,
        settings: LlmSettings,
        budget: Budget,
        batch: bool | None = False,
        place: Place | None = None,
    ) -> None:
        endpoint = _endpoint(settings, find_key(settings))
        self._ledger = Ledger.open(storage)
        self._responses = Responses.open(storage)
        self._purse = Purse(self._ledger, run, stage, settings, budget)
        dialects: dict[str, Dialect] = {}
        pacers = Pacers(_limits(settings))

        def client() -> Client:
            return Client(
                endpoint,
                self._responses,
                pacers,
                self._purse.spent,
                tokens=self._prompt,
                expected=self._answer,
                reserve=self._reserve,
                dialects=dialects,
            )

        try:
            self._service = Service(client, (place or Place(settings.shared_limit)).beside(pacers))
        except BaseException:
            self._close_files()
            raise
        self.lane: Lane | None = None
        if batch or (batch is not None and storage.exists(batches.PATH)):
            self.lane = Lane(
                endpoint,
                settings,
                run,
                stage,
                store=batches.BatchStore.open(storage),
                folder=storage.local(batches.FOLDER),
                responses=self._responses,
                ledger=self._ledger,
                budget=budget,
                price=lambda model, usage: price(model, usage, settings.prices, settings.base_url, batch=True),
                dialects=dialects,
                start=self._service.start,
            )

    def answers_for(self, doc_id: str) -> Callable[[Request], Awaitable[Response]]:
        """Asks on behalf of a document, from any event loop."""

        async def answer(request: Request) -> Response:
            if self.lane is not None:
                self.lane.refuse(request.key())
            return await asyncio.wrap_future(self._service.submit(request, doc_id))

        return answer

    def transcripts_for(self, doc_id: str) -> Callable[[Speech], Awaitable[Response]]:
        """As `answers_for`, of recorded sound."""

        async def transcript(request: Speech) -> Response:
            return await asyncio.wrap_future(self._service.submit(request, doc_id))

        return transcript

    def stop(self) -> None:
        """Send nothing more; returns at once, and what is on its way still arrives and is kept."""
        if self.lane is not None:
            self.lane.stop()
        with contextlib.suppress(RuntimeError):  # it is closed
            self._service.stop()

    def close(self) -> None:
        if self.lane is not None:
            self.lane.close()
        self._service.close()
        self._close_files()

    def _close_files(self) -> None:
        self._responses.close()
        self._ledger.close()

    def _prompt(self, request: wire.Asked) -> int:
        return self._purse.sound(request).prompt if isinstance(request, Speech) else prompt_tokens(request)

    def _answer(self, request: wire.Asked) -> int:
        return self._purse.sound(request).completion if isinstance(request, Speech) else most_tokens(request)

    def _reserve(self, request: wire.Asked, prompt: int) -> contextlib.AbstractAsyncContextManager[Settle]:
        most = self._purse.sound(request) if isinstance(request, Speech) else Usage(prompt, most_tokens(request))
        return self._purse.hold(request.model, most)


class EmbeddingAccount:
    """Of one model and one run, or of a reader; for any thread. Nothing is sent before the first text.

    A reader who may not write into the lake pays again for what it asks again, and puts nothing down. `place` is as in
    `Account`, but without one nothing is shared: a query is not to wait for a place.
    """

    def __init__(
        self,
        storage: Storage,
        run: str,
        stage: str,
        settings: LlmSettings,
        asked: Asked,
        budget: Budget,
        place: Place | None = None,
    ) -> None:
        endpoint = _endpoint(settings, find_key(settings))
        writable = os.access(storage.local("."), os.W_OK)
        self._ledger = Ledger.open(storage) if writable else None
        self._kept = Embeddings.open(storage) if writable else Embeddings(None)
        self._purse = Purse(self._ledger, run, stage, settings, budget)
        self._asked = asked
        pacers = Pacers(_limits(settings))

        def embedder() -> Embedder:
            return Embedder(endpoint, asked, self._kept, pacers, self._purse.spent, room=self._room)

        try:
            self._hosted: Hosted[Embedder] = Hosted(embedder, place.beside(pacers) if place else None)
        except BaseException:
            self._close_files()
            raise

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
        self._close_files()

    def _close_files(self) -> None:
        self._kept.close()
        if self._ledger is not None:
            self._ledger.close()

    def _room(self, tokens: int) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._purse.hold(self._asked.model, Usage(tokens))


def address(settings: LlmSettings) -> str:
    """The endpoint as the store of batches names it."""
    return (settings.base_url or OPENAI).rstrip("/")


def _endpoint(settings: LlmSettings, key: SecretStr | None) -> Endpoint:
    return Endpoint(settings.base_url or OPENAI, key, settings.timeout_seconds)


def _limits(settings: LlmSettings) -> RateLimits:
    return RateLimits(settings.requests_per_minute, settings.tokens_per_minute, settings.max_in_flight)
