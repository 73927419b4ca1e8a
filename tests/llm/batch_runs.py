"""A run of the batch lane without documents: requests in, answers or errors out, as the step `ask` and its stage do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tasks.llm.account import Account
from tasks.llm.batch.lane import ROUNDS, Lane
from tasks.llm.ledger import Budget, SpendRow, read_ledger
from tasks.llm.request import Message, Request, Sampling, Schema, Text
from tasks.llm.responses import Response
from tasks.settings import LlmSettings, Price
from tasks.storage import LocalStorage
from tests.llm.endpoint import FakeEndpoint

PRICES = {name: Price(input=Decimal(2), output=Decimal(8)) for name in ("m", "seer")}
SCHEMA = Schema(
    "summary",
    {
        "type": "object",
        "properties": {"summary": {"type": "string"}},
        "required": ["summary"],
        "additionalProperties": False,
    },
)


def ask(number: int, model: str = "m") -> Request:
    text = Text(f"Table {number} of the annual report, in thousands of crates")
    return Request(model, (Message("user", (text,)),), Sampling(0.0, 50), SCHEMA)


def settings(base_url: str, key: str = "sk-fake", **changes: Any) -> LlmSettings:
    given = {"batch_poll_seconds": 0.005, "prices": PRICES, "timeout_seconds": 5.0, **changes}
    return LlmSettings(base_url=base_url, api_key=SecretStr(key), model="m", **given)


def account(lake: Path, llm: LlmSettings, run: str, budget: Budget | None = None, batch: bool = True) -> Account:
    return Account(LocalStorage(lake), run, "summarize", llm, budget or Budget(), batch)


def submit(lane: Lane, requests: Sequence[Request], seconds: float = 60.0) -> None:
    """What the step does."""
    lane.collect()
    for _ in range(ROUNDS):
        lane.short = False
        for number, request in enumerate(requests):
            lane.put(request, f"doc {number}")
        lane.flush()
        if not lane.pending or not lane.wait(seconds):
            break
    lane.finish()


def answers(of: Account, requests: Sequence[Request]) -> list[Response | BaseException]:
    """What the stage gets."""

    async def all_of() -> list[Response | BaseException]:
        asked = (of.answers_for(f"doc {number}")(request) for number, request in enumerate(requests))
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(all_of())


def run(
    lake: Path,
    endpoint: FakeEndpoint,
    requests: Sequence[Request],
    name: str = "r1",
    budget: Budget | None = None,
    seconds: float = 60.0,
    **changes: Any,
) -> list[Response | BaseException]:
    """A whole run in the batch lane."""
    used = account(lake, settings(endpoint.base_url, endpoint.behaviour.api_key, **changes), name, budget)
    try:
        assert used.lane is not None
        submit(used.lane, requests, seconds)
        return answers(used, requests)
    finally:
        used.close()


def run_live(
    lake: Path, endpoint: FakeEndpoint, requests: Sequence[Request], name: str = "live"
) -> list[Response | BaseException]:
    used = account(lake, settings(endpoint.base_url, endpoint.behaviour.api_key), name, batch=False)
    try:
        if used.lane is not None:
            used.lane.collect()
        return answers(used, requests)
    finally:
        used.close()


def ledger(lake: Path) -> list[SpendRow]:
    return read_ledger(LocalStorage(lake))


def assert_paid(lake: Path, endpoint: FakeEndpoint) -> None:
    """The ledger says what the two bills of the endpoint say, each at its price, and nothing was bought twice."""
    live, batch, rows = endpoint.bill(), endpoint.batches.bill(), ledger(lake)
    assert {name: sum(getattr(row, name) for row in rows) for name in live} == {n: live[n] + batch[n] for n in live}
    money = sum(
        share * (bill["prompt_tokens"] * 2 + bill["completion_tokens"] * 8) / Decimal(1_000_000)
        for bill, share in ((live, Decimal(1)), (batch, Decimal("0.5")))
    )
    assert sum(row.money for row in rows) == money
