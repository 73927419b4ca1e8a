"""A pacer per model: one model's limits do not hold back another, and a share of the account is one of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from tasks.llm.client import Client, Endpoint
from tasks.llm.limits import RateLimits
from tasks.llm.pacers import Pacers
from tasks.llm.request import Message, Request, Text
from tasks.llm.responses import SqliteResponses
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.llm.virtual import now, run


async def _sends(pacers: Pacers, model: str, count: int) -> float:
    """When the last of so many requests may be sent."""
    for _ in range(count):
        async with pacers.of(model).permit(10):
            pass
    return now()


def test_each_model_has_the_limits_for_itself() -> None:
    async def main() -> Sequence[float]:
        pacers = Pacers(RateLimits(requests_per_minute=60))
        pacers.of("busy").pause(100)
        return await asyncio.gather(_sends(pacers, "busy", 2), _sends(pacers, "small", 11), _sends(pacers, "seer", 11))

    busy, *others = run(main())
    assert busy > 100 and all(9 < seconds < 11 for seconds in others)


def test_a_share_is_one_of_every_model_also_of_those_asked_later() -> None:
    async def main() -> Sequence[float]:
        pacers = Pacers(RateLimits(requests_per_minute=60))
        early = pacers.of("small")
        pacers.share(0.5)
        assert pacers.of("small") is early
        return await asyncio.gather(_sends(pacers, "small", 11), _sends(pacers, "seer", 11))

    assert all(19 < seconds < 21 for seconds in run(main()))


def test_a_client_paces_models_by_themselves(tmp_path: Path) -> None:
    async def main() -> None:
        client = Client(
            Endpoint(endpoint.base_url, SecretStr(endpoint.behaviour.api_key)),
            SqliteResponses(tmp_path / "responses.sqlite"),
            Pacers(RateLimits(max_in_flight=1)),
            lambda spend: None,
        )
        asked = [(model, str(number)) for number in range(3) for model in ("small", "seer")]
        requests = (Request(model, (Message("user", (Text(text),)),)) for model, text in asked)
        await asyncio.gather(*map(client.answer, requests))
        await client.close()

    with FakeEndpoint(Behaviour(latency=(0.3, 0.0))) as endpoint:
        asyncio.run(main())
    assert endpoint.most_open == 2
