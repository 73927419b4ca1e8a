"""Texts to vectors against the fake endpoint, over real sockets: what is sent, kept, shared, cut in two and refused."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import SecretStr

from tasks.errors import LakeError
from tasks.llm import embedding_reply
from tasks.llm.embedder import PROBE, Asked, Embedder
from tasks.llm.embeddings import Embeddings, key
from tasks.llm.errors import (
    AuthenticationError,
    BudgetReachedError,
    DimensionError,
    EndpointError,
    LlmError,
    RejectedError,
    StoppedError,
)
from tasks.llm.exchange import Retries
from tasks.llm.ledger import Budget
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.spend import Settle, Spend
from tasks.llm.transport import Endpoint
from tests.llm import made_up
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


@dataclasses.dataclass
class Bench:
    """An embedder with what it is made of, and what it reported."""

    endpoint: FakeEndpoint
    path: Path
    asked: Asked = dataclasses.field(default_factory=lambda: Asked("m"))
    budget: Budget = dataclasses.field(default_factory=Budget)
    spent: list[Spend] = dataclasses.field(default_factory=list)

    @contextlib.asynccontextmanager
    async def room(self, tokens: int) -> AsyncIterator[Settle]:
        async with self.budget.hold(tokens, None) as settle:
            yield lambda spend: settle(spend.prompt_tokens, None)

    def run(self, work: Callable[[Embedder], Coroutine[Any, Any, Any]], **options: Any) -> Any:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(0)

        async def main() -> Any:
            where = Endpoint(self.endpoint.base_url, SecretStr("sk-fake"), options.pop("timeout", 30.0))
            limits = RateLimits(max_in_flight=options.pop("max_in_flight", 8))
            with Embeddings(self.path) as kept:
                options.setdefault("sleep", sleep)
                embedder = Embedder(
                    where, self.asked, kept, Pacer(limits), self.spent.append, room=self.room, **options
                )
                try:
                    return await work(embedder)
                finally:
                    await embedder.close()

        return asyncio.run(main())

    def vectors(self, *texts: str, **options: Any) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = self.run(lambda one: one.vectors(dict.fromkeys(texts, "d")), **options)
        return found


@pytest.fixture
def bench(endpoint: FakeEndpoint, tmp_path: Path) -> Bench:
    return Bench(endpoint, tmp_path / "embeddings.sqlite")


def texts(count: int) -> list[str]:
    return [f"crate {number} is on the quay" for number in range(count)]


def sizes(endpoint: FakeEndpoint) -> list[int]:
    return [len(body["input"]) for body in endpoint.bodies()]


def test_texts_are_asked_for_once_in_batches_and_kept(bench: Bench) -> None:
    bench.asked = Asked("m", batch_inputs=4)
    found = bench.vectors(*texts(10))
    for text, vector in found.items():
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, made_up.embedding(text, 64), atol=1e-6)
    assert sorted(sizes(bench.endpoint)) == [2, 4, 4]
    assert bench.endpoint.bodies()[0].keys() == {"model", "input", "encoding_format"}
    assert [(spend.model, spend.shares[0][0]) for spend in bench.spent] == [("m", "d")] * 3
    assert sum(spend.prompt_tokens for spend in bench.spent) == bench.endpoint.bill()["prompt_tokens"]
    again = bench.vectors(*texts(12))
    assert sizes(bench.endpoint)[3:] == [2]
    assert all((again[text] == found[text]).all() for text in texts(10))


def test_a_batch_keeps_within_its_tokens(bench: Bench) -> None:
    bench.asked = Asked("m", batch_tokens=20)
    long = "buoy " * 60
    bench.vectors("one two", long, "three four", "five six")
    assert sorted(sizes(bench.endpoint)) == [1, 1, 2]  # what is longer than a batch may be is sent alone


def test_the_key_holds_the_model_and_the_dimensions() -> None:
    keys = {key("m", None, "t"), key("n", None, "t"), key("m", 8, "t"), key("m", None, "u")}
    assert len(keys) == 4


def test_what_is_on_its_way_is_not_asked_for_again(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(latency=(0.05, 0.0))

    async def work(embedder: Embedder) -> tuple[Any, Any]:
        wanted = dict.fromkeys(texts(6), "a")
        first, second = await asyncio.gather(embedder.vectors(wanted), embedder.vectors(dict.fromkeys(texts(8), "b")))
        assert embedder.counts.joined == 6
        return first, second

    first, second = bench.run(work)
    assert sorted(sizes(bench.endpoint)) == [2, 6] and all((first[text] == second[text]).all() for text in first)


def test_several_pay_for_their_part(bench: Bench) -> None:
    bench.run(lambda one: one.vectors({"a buoy": "d1", "a crane on the quay in rain": "d2", "tide": "d1"}))
    [spend] = bench.spent
    assert dict(spend.shares).keys() == {"d1", "d2"} and dict(spend.shares)["d2"] > dict(spend.shares)["d1"]


def test_an_endpoint_without_base64_gets_floats_from_then_on(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(refused_parameters=("encoding_format",))
    bench.asked = Asked("m", batch_inputs=1)
    found = bench.vectors(*texts(6), max_in_flight=1)
    np.testing.assert_allclose(found[texts(1)[0]], made_up.embedding(texts(1)[0], 64), atol=1e-6)
    assert [call.status for call in bench.endpoint.calls] == [400, *[200] * 6]
    assert len(bench.vectors(*texts(6))) == 6 and len(bench.endpoint.calls) == 7


RETRIED = [
    Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.TIMEOUT, Fault.CONFLICT, Fault.DROP, Fault.CUT,
    Fault.GARBAGE,
]  # fmt: skip


@pytest.mark.parametrize("fault", RETRIED)
def test_what_is_worth_another_attempt(bench: Bench, fault: Fault) -> None:
    bench.endpoint.script(fault)
    assert bench.vectors("a buoy")["a buoy"].shape == (64,)
    assert len(bench.endpoint.calls) == 2
    assert len(bench.spent) == 2 - (fault is not Fault.GARBAGE)  # a broken reply was paid for


def test_a_crowd_with_faults_loses_nothing(bench: Bench) -> None:
    bench.asked = Asked("m", batch_inputs=3)
    bench.endpoint.behaviour = Behaviour(faults=dict.fromkeys(RETRIED, 0.03), latency=(0.005, 0.5), seed=2)
    found = bench.vectors(*texts(300))
    assert found.keys() == set(texts(300)) and len({call.fault for call in bench.endpoint.calls}) > 4
    wasted = sum(call.billed and bool(call.fault) for call in bench.endpoint.calls)
    assert bench.endpoint.billed_twice() == wasted


def test_what_every_text_would_meet_stops_it(bench: Bench) -> None:
    bench.asked = Asked("m", batch_inputs=1)
    bench.endpoint.script(None, Fault.UNAUTHORIZED)
    with pytest.raises(AuthenticationError):
        bench.vectors(*texts(20), max_in_flight=1)
    assert len(bench.endpoint.calls) == 2
    assert len(bench.vectors(*texts(20))) == 20
    assert bench.endpoint.billed_twice() == 0 and sum(sizes(bench.endpoint)[2:]) == 19


def test_one_bad_text_spoils_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint rejects whatever holds the word `poison`."""
    _reject(monkeypatch, lambda inputs: any("poison" in text for text in inputs))
    wanted = [*texts(9), "poison", *texts(12)[9:]]

    async def work(embedder: Embedder) -> None:
        with pytest.raises(RejectedError, match="no poison") as caught:
            await embedder.vectors(dict.fromkeys(wanted, "d"))
        assert not caught.value.fatal

    bench.run(work)
    asked = len(bench.endpoint.calls)
    assert len(bench.vectors(*texts(12))) == 12 and len(bench.endpoint.calls) == asked
    assert bench.endpoint.billed_twice() == 0


def test_fewer_texts_at_once_where_the_endpoint_takes_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _reject(monkeypatch, lambda inputs: len(inputs) > 8)

    async def work(embedder: Embedder) -> None:
        await embedder.vectors(dict.fromkeys(texts(32), "d"))
        before = len(bench.endpoint.calls)
        await embedder.vectors(dict.fromkeys(texts(64)[32:], "d"))
        assert sizes(bench.endpoint)[before:] == [8] * 4

    bench.run(work)


def test_a_model_that_takes_nothing_stops_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _reject(monkeypatch, lambda inputs: True)
    with pytest.raises(RejectedError) as caught:
        bench.vectors(*texts(500), max_in_flight=2)
    assert caught.value.fatal and "embed.endpoint.dimensions" in caught.value.hint
    assert len(bench.endpoint.calls) <= 6 and [PROBE] in [body["input"] for body in bench.endpoint.bodies()]


def _reject(monkeypatch: pytest.MonkeyPatch, bad: Callable[[list[str]], bool]) -> None:
    from tests.llm import endpoint

    def unsupported(body: Any, behaviour: Behaviour) -> dict[str, Any] | None:
        return endpoint._error("invalid_request_error", "no poison, and not so much") if bad(body["input"]) else None

    monkeypatch.setattr(endpoint, "_unsupported", unsupported)


def test_dimensions_are_asked_for_and_must_be_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.asked = Asked("m", dimensions=16)
    assert bench.vectors("a buoy")["a buoy"].shape == (16,)
    assert bench.endpoint.bodies()[0]["dimensions"] == 16
    bench.asked = Asked("other", dimensions=16)
    monkeypatch.setattr(made_up, "embedding", lambda text, dimension: [0.6, 0.8])
    with pytest.raises(DimensionError, match="2 dimensions, not 16"):
        bench.vectors("a crane")
    bench.asked = Asked("third")
    bench.vectors("a crane")
    monkeypatch.setattr(made_up, "embedding", lambda text, dimension: [0.6, 0.0, 0.8])
    with pytest.raises(DimensionError, match="3 dimensions, not 2"):  # another model under the same name
        bench.vectors("a boat")


def test_an_outage_ends_it(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(faults={Fault.SERVER_ERROR: 1.0})
    bench.asked = Asked("m", batch_inputs=8)
    with pytest.raises(EndpointError) as caught:
        bench.vectors(*texts(200), retries=Retries(attempts=2, outage=3))
    assert caught.value.fatal and len(bench.endpoint.calls) < 40


def test_a_budget_is_never_passed_and_what_arrived_is_kept(bench: Bench) -> None:
    bench.asked, bench.budget = Asked("m", batch_inputs=2), Budget(max_tokens=60)
    with pytest.raises(BudgetReachedError):
        bench.vectors(*texts(40), max_in_flight=1)
    paid = bench.endpoint.bill()
    assert 40 < paid["prompt_tokens"] <= 60
    with Embeddings(bench.path) as kept:
        assert kept.count() == 2 * paid["calls"]
    bench.budget = Budget()
    bench.vectors(*texts(40))
    assert bench.endpoint.billed_twice() == 0 and sum(sizes(bench.endpoint)) == 40


def test_vectors_that_cannot_be_kept_are_not_bought(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise LakeError("database or disk is full")

    monkeypatch.setattr(Embeddings, "put", full)
    bench.asked = Asked("m", batch_inputs=1)
    with pytest.raises((LakeError, StoppedError)):
        bench.vectors(*texts(30), max_in_flight=2)
    assert len(bench.endpoint.calls) <= 2


def test_stop_lets_arrive_what_is_on_its_way(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(latency=(0.1, 0.0))
    bench.asked = Asked("m", batch_inputs=1)

    async def work(embedder: Embedder) -> None:
        task = asyncio.create_task(embedder.vectors(dict.fromkeys(texts(30), "d")))
        while len(bench.endpoint.calls) < 3:
            await asyncio.sleep(0.005)
        embedder.stop()
        with pytest.raises(StoppedError):
            await task

    bench.run(work, max_in_flight=3)
    with Embeddings(bench.path) as kept:
        assert kept.count() == len(bench.endpoint.calls) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"data": "none"},
        {"data": []},
        {"data": [{"embedding": [1.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0, 0.0]}]},
        {"data": [{"embedding": []}, {"embedding": []}]},
        {"data": [{"embedding": "***"}, {"embedding": "***"}]},
        {"data": [{"embedding": None}, {"embedding": None}]},
        {"data": [{"embedding": [[1.0]]}, {"embedding": [[1.0]]}]},
        {"data": [1, 2]},
        [1],
    ],
)
def test_what_are_no_embeddings(body: Any) -> None:
    with pytest.raises(ValueError, match="embeddings"):
        embedding_reply.read(orjson.dumps(body), 2)


def test_replies_are_read_leniently() -> None:
    first, second = {"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [0.0, 1.0]}
    vectors, used = embedding_reply.read(orjson.dumps({"data": [second, first], "usage": {"prompt_tokens": 7}}), 2)
    assert [list(vector) for vector in vectors] == [[1, 0], [0, 1]] and used == 7
    unnamed = [{"embedding": row["embedding"]} for row in (first, second)]
    vectors, used = embedding_reply.read(orjson.dumps({"data": unnamed}), 2)
    assert [list(vector) for vector in vectors] == [[1, 0], [0, 1]] and used is None


def test_threads_share_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    with Embeddings(path) as kept, Embeddings(path) as other:
        assert kept.dimension("m", None) is None
        many = {f"{number:064x}": np.full(3, number, np.float32) for number in range(1200)}
        kept.put("m", None, many)
        kept.put("m", None, {"0" * 64: np.ones(3, np.float32)})  # the first one stays
        found = other.get([*many, "f" * 64])
        assert found.keys() == many.keys() == other.known([*many, "f" * 64])
        assert all((found[name] == many[name]).all() for name in many)
        assert (other.dimension("m", None), other.dimension("m", 3)) == (3, None)
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(LakeError, match="embeddings"):
        Embeddings(path)


def test_errors_are_llm_errors() -> None:
    assert issubclass(DimensionError, LlmError) and DimensionError.fatal
