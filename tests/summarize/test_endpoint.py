"""Summaries over real sockets, with the client, the kept responses, the ledger and the budget, from a fake endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.llm.client import Client, Endpoint, Retries, Spend
from tasks.llm.errors import BudgetReachedError
from tasks.llm.ledger import Budget, Ledger, Spent, read_ledger
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.prices import Usage, price
from tasks.llm.responses import Responses
from tasks.llm.spend import most_tokens
from tasks.llm.tokens import prompt_tokens
from tasks.llm.wire import Asked
from tasks.rows import ChunkRow, SummaryRow, from_table
from tasks.settings import Price, Settings
from tasks.stage import StageOutput
from tasks.storage import LocalStorage
from tasks.summarize import look
from tasks.summarize.llm import summaries
from tests.files import encoded, picture
from tests.llm import made_up
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault
from tests.summarize.fakes import PROSE, SETTINGS, chunk
from tests.summarize.test_untrusted import INJECTIONS, disguised

PRICES = {
    "small": Price(input=Decimal("0.15"), output=Decimal("0.6")),
    "seer": Price(input=Decimal(2), output=Decimal(8)),
}
KEY = "sk-canary-3c90"


@dataclasses.dataclass
class Bench:
    """A lake and an endpoint."""

    storage: LocalStorage
    endpoint: FakeEndpoint

    def run(
        self, chunks: Sequence[ChunkRow], budget: Budget | None = None, run: str = "run", max_in_flight: int = 8
    ) -> StageOutput:
        return asyncio.run(self._run(chunks, budget or Budget(), run, max_in_flight))

    async def _run(self, chunks: Sequence[ChunkRow], budget: Budget, run: str, max_in_flight: int) -> StageOutput:
        responses, ledger = Responses.open(self.storage), Ledger.open(self.storage)

        def cost(spend: Spend) -> tuple[Usage, Decimal | None]:
            usage = Usage(spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens)
            return usage, price(spend.model, usage, PRICES)

        def spent(spend: Spend) -> None:
            ledger.add(run, "summarize", spend.model, spend.owner, *cost(spend))

        @contextlib.asynccontextmanager
        async def reserve(request: Asked, prompt: int) -> AsyncIterator[Callable[[Spend], None]]:
            most = Usage(prompt, most_tokens(request))
            async with budget.hold(most.total, price(request.model, most, PRICES)) as settle:
                yield lambda spend: settle(cost(spend)[0].total, cost(spend)[1])

        client = Client(
            Endpoint(self.endpoint.base_url, SecretStr(KEY)),
            responses,
            Pacer(RateLimits(max_in_flight=max_in_flight)),
            spent,
            tokens=prompt_tokens,
            reserve=reserve,
            retries=Retries(attempts=3, base_seconds=0.01),
        )
        try:
            seen = look(self.storage, SETTINGS, lambda function, *args: function(*args))
            return await summaries(chunks, SETTINGS, functools.partial(client.answer, owner="doc"), look=seen)
        finally:
            await client.close()
            responses.close()
            ledger.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    storage = LocalStorage(tmp_path)
    storage.write("blobs/aa/x.png", encoded(picture("Revenue 2025", (800, 600))))
    with FakeEndpoint(Behaviour(api_key=KEY)) as endpoint:
        yield Bench(storage, endpoint)


def passages(count: int) -> list[ChunkRow]:
    return [chunk(str(number), text=f"Number {number}. {PROSE}") for number in range(count)]


_connected: list[Any] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect":
        _connected.append(arguments[1])


def test_the_injection_corpus_reaches_nobody_but_the_endpoint(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sys.addaudithook(_watch)
    _connected.clear()
    monkeypatch.setattr(f"{__name__}._watching", True)
    chunks = [
        dataclasses.replace(row, chunk_id=f"{row.chunk_id}{number}", media=row.media and "blobs/aa/x.png")
        for number, text in enumerate(INJECTIONS)
        for row in disguised(text)
    ]
    copies = {row.chunk_id: f"blobs/aa/{row.chunk_id}.png" for row in chunks if row.media}
    for path in copies.values():
        bench.storage.write(path, bench.storage.read("blobs/aa/x.png"))
    chunks = [dataclasses.replace(row, media=copies.get(row.chunk_id)) for row in chunks]
    output = bench.run(chunks)
    monkeypatch.setattr(f"{__name__}._watching", False)
    assert output.degraded == () and output.info.counts["llm"] == len(chunks) == 5 * len(INJECTIONS)
    port = int(bench.endpoint.base_url.rpartition(":")[2].removesuffix("/v1"))
    assert {tuple(address) for address in _connected} == {("127.0.0.1", port)}
    bodies = bench.endpoint.bodies()
    assert len(bodies) == len(chunks) - 1  # without the invisible words, two passages are one
    for body in bodies:
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert set(body) <= {
            "model",
            "messages",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "response_format",
        }
        assert all(url.startswith("data:image/png;base64,") for url in made_up.image_urls(body))
    assert sum(len(made_up.image_urls(body)) for body in bodies) == len(INJECTIONS)


def test_each_flaw_is_repaired_or_falls_back_and_all_is_put_down(bench: Bench) -> None:
    bench.endpoint.script(
        *(Fault.NOT_JSON, None),  # repaired
        *(Fault.LENGTH, Fault.REFUSAL),  # given up
        *(Fault.EMPTY, Fault.SERVER_ERROR, None),  # the client's own attempts
        Fault.BAD_REQUEST,  # this one request is wrong
        None,
    )
    outputs = [bench.run([row], max_in_flight=1) for row in passages(5)]
    counts = [output.info.counts for output in outputs]
    assert counts == [
        {"llm": 1, "repaired": 1, "text": 1},
        {"fallback": 1, "text": 1},
        {"llm": 1, "text": 1},
        {"fallback": 1, "text": 1},
        {"llm": 1, "text": 1},
    ]
    degraded = [reason for output in outputs for reason in output.degraded]
    assert len(degraded) == 2 and degraded[0] == "1 extractive instead of written, text: the answer was refused"
    assert degraded[1].startswith("1 extractive instead of written, text: rejected (127.0.0.1:")
    (row,) = read_ledger(bench.storage, "run")
    bill = bench.endpoint.bill()
    assert (row.calls, row.prompt_tokens, row.completion_tokens) == tuple(bill.values())
    assert row.money == price("small", Usage(row.prompt_tokens, row.completion_tokens), PRICES)
    assert (row.model, row.doc_id, row.unpriced) == ("small", "doc", 0)


def test_a_finished_document_asks_nothing_again(bench: Bench) -> None:
    chunks = [chunk("i", kind="image", media="blobs/aa/x.png"), *passages(6)]
    first = bench.run(chunks)
    assert first.info.counts == {"image": 1, "llm": 7, "text": 6}
    assert bench.run(chunks).digest == first.digest and len(bench.endpoint.calls) == 7
    assert bench.run([chunks[0], *passages(7)]).info.counts["llm"] == 8 and len(bench.endpoint.calls) == 8
    assert Spent.of(read_ledger(bench.storage)).calls == 8


def test_a_budget_ends_the_run_and_the_next_one_finishes_the_remainder(bench: Bench) -> None:
    chunks = passages(40)
    cap = 12_000
    with pytest.raises(BudgetReachedError):
        bench.run(chunks, Budget(max_tokens=cap), run="first", max_in_flight=4)
    (first,) = read_ledger(bench.storage, "first")
    spent = first.prompt_tokens + first.completion_tokens
    assert cap - 1300 < spent <= cap and 0 < first.calls < 40  # 1,300: one request at its dearest
    output = bench.run(chunks, run="second")
    assert output.info.counts == {"llm": 40, "text": 40} and output.degraded == ()
    (second,) = read_ledger(bench.storage, "second")
    assert first.calls + second.calls == 40 == bench.endpoint.bill()["calls"] and bench.endpoint.billed_twice() == 0
    assert len({row.text for row in from_table(output.table, SummaryRow)}) > 1


def test_the_key_is_nowhere_in_the_lake(bench: Bench) -> None:
    bench.run(passages(3))
    files = [path for path in Path(bench.storage.root).rglob("*") if path.is_file()]
    assert any(path.name == "ledger.sqlite" for path in files)
    assert all(KEY.encode() not in path.read_bytes() for path in files)
    assert bench.endpoint.statuses() == {200: 3}
    assert KEY not in Settings(llm=SETTINGS.llm.model_copy(update={"api_key": SecretStr(KEY)})).model_dump_json()
