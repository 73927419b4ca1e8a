"""The endpoint as one run uses it: settings and caps in, answers out, each one's cost put down in the lake's ledger.

One per run and process: all its threads ask through one client, so that one pacer and one budget see every request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from decimal import Decimal
from typing import TypeVar

from pydantic import SecretStr

from tasks.errors import UsageError
from tasks.llm.batch import store as batches
from tasks.llm.batch.lane import Lane
from tasks.llm.client import Client, Endpoint
from tasks.llm.dialect import Dialect
from tasks.llm.key import find_key
from tasks.llm.ledger import Budget, Ledger
from tasks.llm.limits import RateLimits
from tasks.llm.pacers import Pacers
from tasks.llm.prices import Usage, by_time, of_sound, price, priced
from tasks.llm.request import Request
from tasks.llm.responses import Response, Responses
from tasks.llm.service import Beside, Service
from tasks.llm.shares import hold_share, prefect_places
from tasks.llm.speech import Speech
from tasks.llm.spend import Settle, Spend, most_tokens
from tasks.llm.tokens import prompt_tokens
from tasks.llm.transport import OPENAI
from tasks.llm.wire import Asked
from tasks.settings import LlmSettings
from tasks.storage import Storage

_T = TypeVar("_T")


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
    asked about sound (`batch` is None).
    """

    def __init__(
        self, storage: Storage, run: str, stage: str, settings: LlmSettings, budget: Budget, batch: bool | None = False
    ) -> None:
        self._run, self._stage, self._settings, self._budget = run, stage, settings, budget
        self._timed: dict[str, bool] = {}  # models that are billed by the length of sound
        endpoint = _endpoint(settings, find_key(settings))
        limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute, settings.max_in_flight)
        self._ledger = Ledger.open(storage)
        self._responses = Responses.open(storage)
        dialects: dict[str, Dialect] = {}
        pacers = Pacers(limits)

        def client() -> Client:
            return Client(
                endpoint,
                self._responses,
                pacers,
                self._spent,
                tokens=self._prompt,
                expected=self._answer,
                reserve=self._reserve,
                dialects=dialects,
            )

        try:
            self._service = Service(client, _sharing(settings.shared_limit, pacers))
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

    def _cost(self, spend: Spend) -> tuple[Usage, Decimal | None]:
        usage = Usage(
            spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens, spend.audio_tokens, spend.seconds
        )
        if usage.seconds and not usage.total and not self._by_time(spend.model):
            return usage, self._price(spend.model, of_sound(usage.seconds, timed=False))  # it does not say how many
        return usage, self._price(spend.model, usage)

    def _prompt(self, request: Asked) -> int:
        return self._sound(request).prompt if isinstance(request, Speech) else prompt_tokens(request)

    def _answer(self, request: Asked) -> int:
        return self._sound(request).completion if isinstance(request, Speech) else most_tokens(request)

    def _sound(self, request: Speech) -> Usage:
        """What it may come to; tokens only where those may be billed."""
        return of_sound(math.ceil(request.seconds), self._by_time(request.model))

    def _by_time(self, model: str) -> bool:
        if model not in self._timed:
            self._timed[model] = by_time(model, self._settings.prices, self._settings.base_url)
        return self._timed[model]

    def _price(self, model: str, usage: Usage) -> Decimal | None:
        return price(model, usage, self._settings.prices, self._settings.base_url)

    def _spent(self, spend: Spend) -> None:
        self._ledger.add(self._run, spend.stage or self._stage, spend.model, spend.owner, *self._cost(spend))

    @contextlib.asynccontextmanager
    async def _reserve(self, request: Asked, prompt: int) -> AsyncIterator[Settle]:
        most = self._sound(request) if isinstance(request, Speech) else Usage(prompt, most_tokens(request))
        async with self._budget.hold(most.total, self._price(request.model, most)) as settle:

            def settled(spend: Spend) -> None:
                usage, money = self._cost(spend)
                settle(usage.total, money)

            yield settled


def _sharing(name: str | None, pacers: Pacers) -> Beside | None:
    """With other processes, by the Prefect limit of that name."""
    if name is None:
        return None

    @contextlib.asynccontextmanager
    async def held() -> AsyncIterator[None]:
        async with prefect_places(name) as places, hold_share(places, pacers):
            yield

    return held


def address(settings: LlmSettings) -> str:
    """The endpoint as the store of batches names it."""
    return (settings.base_url or OPENAI).rstrip("/")


def _endpoint(settings: LlmSettings, key: SecretStr | None) -> Endpoint:
    return Endpoint(settings.base_url or OPENAI, key, settings.timeout_seconds)
