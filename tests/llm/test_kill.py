"""kill -9 at random moments: what was kept is never bought again, and what is bought twice was in flight at a kill."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

from pydantic import SecretStr

from tasks.llm.client import Client, Endpoint, Spend
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.request import Message, Request, Sampling, Text, to_openai
from tasks.llm.responses import SqliteResponses
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.llm.made_up import request_hash
from tests.llm.nursery import nursery, serve, until

_REQUESTS = 400
_IN_FLIGHT = 8
_KILLS = 20


def _requests() -> list[Request]:
    texts = (f"Table {number} of the annual report" for number in range(_REQUESTS))
    return [Request("m", (Message("user", (Text(text),)),), Sampling(0.0, 50)) for text in texts]


async def _answer_all(base_url: str, path: str) -> int:
    """All requests, as a run makes them; returns how many were sent."""

    def spent(spend: Spend) -> None:
        assert responses.get(spend.key) is not None  # kept before anybody hears of it

    with SqliteResponses(path) as responses:
        pacer = Pacer(RateLimits(requests_per_minute=1e9, max_in_flight=_IN_FLIGHT))
        client = Client(Endpoint(base_url, SecretStr("sk-fake")), responses, pacer, spent)
        answers = await asyncio.gather(*map(client.answer, _requests()))
        assert [answer.key for answer in answers] == [request.key() for request in _requests()]
        await client.close()
        return client.counts.sent


def test_kill_at_random_moments(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    dice = random.Random(4)
    key_of = {request_hash(["/v1/chat/completions", to_openai(request)]): request.key() for request in _requests()}

    def kept() -> set[str]:
        with SqliteResponses(path) as responses:
            return {name for name, key in key_of.items() if responses.get(key) is not None}

    with FakeEndpoint(Behaviour(latency=(0.02, 0.5))) as endpoint, nursery("tests.llm.test_kill") as children:
        before, lost = kept(), 0
        for _ in range(_KILLS):
            already = len(endpoint.calls)
            children.start(endpoint.base_url, path)
            wanted = already + dice.randint(1, 2 * _REQUESTS // _KILLS - 10)
            until(lambda wanted=wanted: len(endpoint.calls) >= wanted)  # type: ignore[misc]
            time.sleep(dice.random() * 0.03)
            children.kill()
            assert children.ended() == signal.SIGKILL  # it was at work, and not done
            until(lambda: not endpoint.connected)  # what has reached the endpoint is billed, though nobody listens

            asked, after = {call.hash for call in endpoint.calls[already:]}, kept()
            assert asked & before == set()  # every answer that was kept is used
            assert before <= after <= before | asked
            assert len(asked - after) <= _IN_FLIGHT
            before, lost = after, lost + len(asked - after)

        children.start(endpoint.base_url, path)
        assert children.ended() == 0  # this one may finish
        assert endpoint.billed().keys() == key_of.keys() == kept()
        assert 0 < endpoint.billed_twice() <= lost <= _IN_FLIGHT * _KILLS

        calls = len(endpoint.calls)
        assert asyncio.run(_answer_all(endpoint.base_url, str(path))) == 0
        assert len(endpoint.calls) == calls


if __name__ == "__main__":
    serve(lambda base_url, path: asyncio.run(_answer_all(base_url, path)))
