"""Who pays for the calls of one stage of a run: each is priced, held against the budget, put down in the ledger."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from decimal import Decimal

from tasks.llm.ledger import Budget, Ledger
from tasks.llm.prices import Usage, by_time, of_sound, price
from tasks.llm.speech import Speech
from tasks.llm.spend import Settle, Spend
from tasks.settings import LlmSettings


class Purse:
    """For any thread. Without a ledger nothing is put down."""

    def __init__(self, ledger: Ledger | None, run: str, stage: str, settings: LlmSettings, budget: Budget) -> None:
        self._ledger, self._run, self._stage, self._settings, self._budget = ledger, run, stage, settings, budget
        self._timed: dict[str, bool] = {}  # models that are billed by the length of sound

    def spent(self, spend: Spend) -> None:
        """A reply that was paid for."""
        if self._ledger is not None:
            shares = spend.shares or ((spend.owner, 1),)
            self._ledger.add_shared(self._run, spend.stage or self._stage, spend.model, shares, *self._cost(spend))

    @contextlib.asynccontextmanager
    async def hold(self, model: str, most: Usage) -> AsyncIterator[Settle]:
        """Room for a request that may use so much. Raises BudgetReachedError."""
        async with self._budget.hold(most.total, self._price(model, most)) as settle:

            def settled(spend: Spend) -> None:
                usage, money = self._cost(spend)
                settle(usage.total, money)

            yield settled

    def _cost(self, spend: Spend) -> tuple[Usage, Decimal | None]:
        usage = Usage(
            spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens, spend.audio_tokens, spend.seconds
        )
        if usage.seconds and not usage.total and not self._by_time(spend.model):
            usage = of_sound(usage.seconds, timed=False)  # it does not say how many
        return usage, self._price(spend.model, usage)

    def sound(self, request: Speech) -> Usage:
        """What it may come to; tokens only where those may be billed."""
        return of_sound(math.ceil(request.seconds), self._by_time(request.model))

    def _by_time(self, model: str) -> bool:
        if model not in self._timed:
            self._timed[model] = by_time(model, self._settings.prices, self._settings.base_url)
        return self._timed[model]

    def _price(self, model: str, usage: Usage) -> Decimal | None:
        return price(model, usage, self._settings.prices, self._settings.base_url)
