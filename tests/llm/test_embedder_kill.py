"""kill -9 while texts are embedded: what arrived is kept whole and never bought again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from pathlib import Path

from pydantic import SecretStr

from tasks.llm.embedder import Asked, Embedder
from tasks.llm.embeddings import Embeddings
from tasks.llm.ledger import Budget
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.spend import Spend
from tasks.llm.transport import Endpoint
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.llm.nursery import nursery, serve, until

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


def test_kill_at_random_moments(tmp_path: Path) -> None:
    path, dice = tmp_path / "embeddings.sqlite", random.Random(9)
    key_of = {text: _ASKED.key(text) for text in _TEXTS}

    def kept() -> set[str]:
        with Embeddings(path) as embeddings:
            found = embeddings.known(key_of.values())
        return {text for text, key in key_of.items() if key in found}

    with FakeEndpoint(Behaviour(latency=(0.02, 0.5))) as endpoint:
        with nursery("tests.llm.test_embedder_kill") as children:
            before, lost = kept(), 0
            for _ in range(_KILLS):
                already = len(endpoint.calls)
                children.start(endpoint.base_url, path)
                wanted = already + dice.randint(1, 2 * len(_TEXTS) // _BATCH // _KILLS - 6)
                until(lambda wanted=wanted: len(endpoint.calls) >= wanted)  # type: ignore[misc]
                time.sleep(dice.random() * 0.03)
                children.kill()
                assert children.ended() == signal.SIGKILL
                until(lambda: not endpoint.connected)
                batches = [set(call.body["input"]) for call in endpoint.calls[already:]]
                asked, after = set().union(*batches), kept()
                assert not asked & before and before <= after <= before | asked
                assert all(batch <= after or not batch & after for batch in batches)  # all of a reply, or nothing
                assert len(asked - after) <= _IN_FLIGHT * _BATCH
                before, lost = after, lost + len(asked - after)
        sent = asyncio.run(_embed_all(endpoint.base_url, str(path)))
        assert sent > 0 and kept() == set(_TEXTS)
        bought = sum(len(call.body["input"]) for call in endpoint.calls)
        assert 0 < bought - len(_TEXTS) <= lost
        assert asyncio.run(_embed_all(endpoint.base_url, str(path))) == 0


if __name__ == "__main__":
    serve(lambda base_url, path: asyncio.run(_embed_all(base_url, path)))
