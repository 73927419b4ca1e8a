"""kill -9 while texts are embedded: what arrived is kept whole and never bought again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from tasks.llm.embedder import Asked, Embedder
from tasks.llm.embeddings import Embeddings
from tasks.llm.ledger import Budget
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.spend import Spend
from tasks.llm.transport import Endpoint
from tests.llm.endpoint import Behaviour, FakeEndpoint

_TEXTS = [f"Table {number} of the annual report" for number in range(700)]
_BATCH, _IN_FLIGHT, _KILLS = 3, 4, 20
_ASKED = Asked("m", batch_inputs=_BATCH)


async def _embed_all(base_url: str, path: str) -> int:
    """All texts, as a run makes them; returns how many requests were sent."""

    def spent(spend: Spend) -> None:
        assert kept.get([spend.key])  # kept before anybody hears of it

    with Embeddings(Path(path)) as kept:
        pacer, budget = Pacer(RateLimits(requests_per_minute=1e9, max_in_flight=_IN_FLIGHT)), Budget()

        @contextlib.asynccontextmanager
        async def room(tokens: int):  # type: ignore[no-untyped-def]
            async with budget.hold(tokens, None) as settle:
                yield lambda spend: settle(spend.prompt_tokens, None)

        endpoint = Endpoint(base_url, SecretStr("sk-fake"))
        embedder = Embedder(endpoint, _ASKED, kept, pacer, spent, room=room)
        assert (await embedder.vectors(dict.fromkeys(_TEXTS, "d"))).keys() == set(_TEXTS)
        await embedder.close()
        return embedder.counts.sent


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_kill_at_random_moments(tmp_path: Path) -> None:
    path, dice = tmp_path / "embeddings.sqlite", random.Random(9)
    key_of = {text: _ASKED.key(text) for text in _TEXTS}

    def kept() -> set[str]:
        with Embeddings(path) as embeddings:
            found = embeddings.known(key_of.values())
        return {text for text, key in key_of.items() if key in found}

    command = [sys.executable, "-m", "tests.llm.test_embedder_kill"]
    with FakeEndpoint(Behaviour(latency=(0.02, 0.5))) as endpoint:
        nursery = subprocess.Popen(
            [*command, endpoint.base_url, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert nursery.stdin is not None and nursery.stdout is not None
        try:
            before, lost = kept(), 0
            for _ in range(_KILLS):
                already = len(endpoint.calls)
                nursery.stdin.write("\n")
                nursery.stdin.flush()
                pid = int(nursery.stdout.readline())
                wanted = already + dice.randint(1, 2 * len(_TEXTS) // _BATCH // _KILLS - 6)
                _until(lambda wanted=wanted: len(endpoint.calls) >= wanted)  # type: ignore[misc]
                time.sleep(dice.random() * 0.03)
                os.kill(pid, signal.SIGKILL)
                assert int(nursery.stdout.readline()) == signal.SIGKILL
                _until(lambda: not endpoint.connected)
                batches = [set(call.body["input"]) for call in endpoint.calls[already:]]
                asked, after = set().union(*batches), kept()
                assert not asked & before and before <= after <= before | asked
                assert all(batch <= after or not batch & after for batch in batches)  # all of a reply, or nothing
                assert len(asked - after) <= _IN_FLIGHT * _BATCH
                before, lost = after, lost + len(asked - after)
        finally:
            nursery.kill()
            nursery.wait()
        sent = asyncio.run(_embed_all(endpoint.base_url, str(path)))
        assert sent > 0 and kept() == set(_TEXTS)
        bought = sum(len(call.body["input"]) for call in endpoint.calls)
        assert 0 < bought - len(_TEXTS) <= lost
        assert asyncio.run(_embed_all(endpoint.base_url, str(path))) == 0


def _nursery(base_url: str, path: str) -> None:
    """A process that has imported everything and forks one child per line of its input: kills cost no start-up."""
    import openai  # noqa: F401

    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_embed_all(base_url, path))
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    _nursery(sys.argv[1], sys.argv[2])
