"""The batch lane against the fake endpoint: what is submitted, split, collected, tried again, paid and refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import BinderyError
from tasks.llm.batch import api
from tasks.llm.batch.store import BatchStore, open_batches, pending_keys
from tasks.llm.errors import (
    AuthenticationError,
    BatchError,
    BudgetReachedError,
    LlmError,
    PendingError,
    QuotaError,
    RejectedError,
)
from tasks.llm.ledger import Budget
from tasks.llm.request import Message, Request, Text
from tasks.llm.responses import Response
from tasks.storage import LocalStorage
from tests.llm.batch_runs import account, answers, ask, assert_paid, ledger, run, run_live, settings, submit
from tests.llm.batches import CHAT, BatchBehaviour
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault

CANARY = "sk-canary-b47c11"
TEN = [ask(number) for number in range(10)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_BASE_SECONDS", 0.001)


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


def _texts(found: list[Response | BaseException]) -> list[str]:
    assert all(isinstance(one, Response) for one in found), found
    return [one.text for one in found if isinstance(one, Response)]


def _errors(found: list[Response | BaseException], kind: type[LlmError]) -> int:
    assert all(isinstance(one, (Response, kind)) for one in found), found
    return sum(isinstance(one, kind) for one in found)


def test_the_same_answers_for_half_the_price(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=4)
    found = run(tmp_path / "batch", endpoint, TEN)
    assert endpoint.calls == [] and endpoint.batches.sizes() == [10]
    assert endpoint.batches.operations["retrieve"] == 4
    assert {row.run for row in ledger(tmp_path / "batch")} == {"r1"}
    assert {row.doc_id for row in ledger(tmp_path / "batch")} == {f"doc {number}" for number in range(10)}
    assert_paid(tmp_path / "batch", endpoint)
    assert endpoint.batches.files == {} and list((tmp_path / "batch/responses/batches").iterdir()) == []
    assert open_batches(LocalStorage(tmp_path / "batch")) == []

    assert _texts(run_live(tmp_path / "live", endpoint, TEN)) == _texts(found)
    live, batch = (sum(row.money for row in ledger(tmp_path / name)) for name in ("live", "batch"))
    assert batch == live / 2 > 0
    before = endpoint.batches.operations.copy()
    assert run(tmp_path / "batch", endpoint, TEN, "r2") == found and endpoint.batches.operations == before


def test_the_lines_are_the_live_requests(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    uploaded: list[bytes] = []
    endpoint.batches.on["created"] = lambda: uploaded.extend(raw for _, raw in endpoint.batches.files.values())
    run(tmp_path / "a", endpoint, TEN[:2])
    run_live(tmp_path / "b", endpoint, TEN[:2])
    lines = [json.loads(line) for line in uploaded[0].splitlines()]
    assert [line["custom_id"] for line in lines] == [request.key() for request in TEN[:2]]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", CHAT)}
    assert sorted(map(json.dumps, (line["body"] for line in lines))) == sorted(map(json.dumps, endpoint.bodies()))


def test_files_are_cut_at_their_limits_and_hold_one_model(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(max_requests=4)
    both = [ask(number, model) for number in range(10) for model in ("m", "seer")]
    _texts(run(tmp_path / "a", endpoint, both, batch_requests=4))
    assert sorted(endpoint.batches.sizes()) == [2, 2, 4, 4, 4, 4]
    assert_paid(tmp_path / "a", endpoint)


def test_files_are_cut_at_their_bytes(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    sizes: list[int] = []
    line = 500
    endpoint.batches.behaviour = BatchBehaviour(max_bytes=3 * line)
    long = ask(100, "m" * 2000)  # no file can hold it: it is asked live
    upload = endpoint.batches._upload

    def noted(headers: Any, raw: bytes) -> Any:
        sizes.append(raw.count(b'"custom_id"'))
        return upload(headers, raw)

    endpoint.batches._upload = noted  # type: ignore[method-assign]
    _texts(run(tmp_path, endpoint, [*TEN, long], batch_bytes=3 * line, prices={}, allow_unknown_price=True))
    assert sum(sizes) == 10 and len(sizes) > 3 and max(sizes) > 1
    assert [call.body["model"] for call in endpoint.calls] == [long.model]


def test_what_fails_goes_into_another_batch_and_then_live(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    shares = dict.fromkeys((Fault.SERVER_ERROR, Fault.EMPTY, Fault.GARBAGE, Fault.ODD, Fault.RATE_LIMITED), 0.15)
    endpoint.batches.behaviour = BatchBehaviour(failures=shares)
    many = [ask(number) for number in range(60)]
    _texts(run(tmp_path, endpoint, many))
    sizes = endpoint.batches.sizes()
    assert len(sizes) == 3 and sizes[0] == 60 > sizes[1] > sizes[2] > len(endpoint.calls) > 0
    assert {call.fault for call in endpoint.batches.calls if call.billed} >= {"", "empty", "garbage", "odd"}
    # An answer that was no use, of which nobody says what it took, is put down by our own count.
    exact = {row.doc_id: row for row in ledger(tmp_path)}
    assert sum(row.calls for row in exact.values()) == endpoint.bill()["calls"] + endpoint.batches.bill()["calls"]


def test_answers_that_say_what_they_took_are_put_down_exactly(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    shares = dict.fromkeys((Fault.EMPTY, Fault.LENGTH, Fault.REFUSAL, Fault.UNAVAILABLE), 0.2)
    endpoint.batches.behaviour = BatchBehaviour(failures=shares, polls=3)
    found = run(tmp_path, endpoint, [ask(number) for number in range(60)])
    assert {one.finish for one in found if isinstance(one, Response)} == {"stop", "length"}
    assert any(one.refusal for one in found if isinstance(one, Response))
    assert_paid(tmp_path, endpoint)


def test_an_expired_batch_gives_what_it_has(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(answered=4, polls=2)
    _texts(run(tmp_path, endpoint, TEN))
    assert endpoint.batches.sizes() == [10, 6, 2] and endpoint.calls == []
    assert_paid(tmp_path, endpoint)
    assert endpoint.billed_twice() == 0


def test_a_request_that_is_wrong_is_not_asked_again_by_this_run(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(failures={Fault.BAD_REQUEST: 0.3})
    found = run(tmp_path, endpoint, TEN)
    wrong = [number for number, one in enumerate(found) if isinstance(one, RejectedError)]
    assert 0 < len(wrong) < 10 and _errors(found, RejectedError) == len(wrong)
    assert endpoint.batches.sizes() == [10] and endpoint.calls == []
    assert "Invalid request" in str(found[wrong[0]])
    again = run_live(tmp_path, endpoint, TEN)
    assert _errors(again, RejectedError) == 0 and len(endpoint.calls) == len(wrong)
    assert_paid(tmp_path, endpoint)


@pytest.mark.parametrize(("fault", "kind"), [(Fault.QUOTA, QuotaError), (Fault.FORBIDDEN, AuthenticationError)])
def test_what_every_request_would_meet_ends_the_run(
    endpoint: FakeEndpoint, tmp_path: Path, fault: Fault, kind: type[LlmError]
) -> None:
    endpoint.batches.behaviour = BatchBehaviour(failures={fault: 0.4})
    with pytest.raises(kind):
        run(tmp_path, endpoint, TEN)
    endpoint.batches.behaviour = BatchBehaviour()
    _texts(run(tmp_path, endpoint, TEN, "r2"))  # what was answered is kept
    assert endpoint.billed_twice() == 0 and 0 < endpoint.batches.sizes()[1] < 10
    assert_paid(tmp_path, endpoint)


def test_words_that_the_endpoint_does_not_understand_are_learnt(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behaviour = Behaviour(refused_parameters=("temperature",), formats=("json_object",))
    _texts(run(tmp_path, endpoint, TEN))
    assert endpoint.batches.sizes() == [10, 10, 10]
    assert endpoint.batches.bill()["calls"] == 10 and endpoint.calls == []


def test_live_requests_learn_from_batches(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behaviour = Behaviour(refused_parameters=("temperature",))
    used = account(tmp_path, settings(endpoint.base_url), "r1")
    assert used.lane is not None
    submit(used.lane, TEN)
    _texts(answers(used, [ask(99)]))
    used.close()
    assert endpoint.statuses() == {200: 1}


def test_a_budget_holds_and_is_used_up(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    whole = Budget()
    run(tmp_path / "a", endpoint, TEN, budget=whole)
    cap = whole.spent.tokens * 6 // 10
    before = endpoint.batches.bill()
    found = run(tmp_path / "b", endpoint, TEN, budget=Budget(max_tokens=cap))
    spent = {name: endpoint.batches.bill()[name] - before[name] for name in before}
    left = _errors(found, BudgetReachedError)
    assert 0 < left < 10 and spent["calls"] == 10 - left
    assert 0 < spent["prompt_tokens"] + spent["completion_tokens"] <= cap
    assert len(endpoint.batches.sizes()) > 2  # what came back cheaper made room for more
    assert endpoint.calls == []
    _texts(run(tmp_path / "b", endpoint, TEN, "r2"))
    assert endpoint.batches.sizes()[-1] == left and endpoint.billed_twice() == 10  # once for each lake


def test_money_is_capped_at_the_price_of_a_batch(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    whole = Budget()
    run(tmp_path / "a", endpoint, TEN, budget=whole, seconds=60)
    assert whole.spent.money == sum(row.money for row in ledger(tmp_path / "a"))
    found = run(tmp_path / "b", endpoint, TEN, budget=Budget(max_spend=Decimal(0)))
    assert _errors(found, BudgetReachedError) == 10 and len(endpoint.batches.sizes()) == 1


def test_what_a_running_batch_may_cost_counts(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    """And nobody waits for room that only its end would make."""
    endpoint.batches.behaviour = BatchBehaviour(polls=10_000)
    room = Budget(max_tokens=500)
    found = run(tmp_path, endpoint, TEN, budget=room, seconds=0)
    assert all(isinstance(one, (PendingError, BudgetReachedError)) for one in found)
    assert endpoint.batches.sizes() == [_errors([one for one in found if isinstance(one, PendingError)], PendingError)]
    assert 0 < endpoint.batches.sizes()[0] < 10 and endpoint.calls == []


def test_a_live_run_beside_a_running_batch(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=3)
    found = run(tmp_path, endpoint, TEN, "backfill", seconds=0)
    assert _errors(found, PendingError) == 10 and endpoint.batches.bill()["calls"] == 0
    assert pending_keys(LocalStorage(tmp_path), endpoint.base_url) == {request.key() for request in TEN}
    more = [*TEN, ask(50), ask(51)]
    found = run_live(tmp_path, endpoint, more)  # the first look
    assert [isinstance(one, PendingError) for one in found] == [True] * 10 + [False] * 2
    assert len(endpoint.calls) == 2
    pending = next(one for one in found if isinstance(one, PendingError))
    assert "--lane batch waits" in pending.hint and pending.exit_code == 4
    assert _errors(run_live(tmp_path, endpoint, more, "second"), PendingError) == 10
    _texts(run_live(tmp_path, endpoint, more, "third"))
    assert len(endpoint.calls) == 2 and endpoint.billed_twice() == 0
    # The run that has decided to spend, and whose caps held, is the one that pays.
    assert {row.run: row.calls for row in ledger(tmp_path)}.keys() == {"backfill", "live"}
    assert_paid(tmp_path, endpoint)


def test_another_endpoint_is_not_waited_for(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=10_000)
    run(tmp_path, endpoint, TEN, seconds=0)
    with FakeEndpoint() as other:
        _texts(run_live(tmp_path, other, TEN))
        assert len(other.calls) == 10 and other.batches.operations == {}
    assert [batch.endpoint for batch in open_batches(LocalStorage(tmp_path))] == [endpoint.base_url]


def test_a_key_of_another_project_does_not_buy_again(
    endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, endpoint, TEN, seconds=0)
    endpoint.batches.batches.clear()
    assert _errors(run_live(tmp_path, endpoint, TEN), PendingError) == 10
    monkeypatch.setattr("tasks.llm.batch.exchange._FORGOTTEN_SECONDS", 0.0)
    _texts(run_live(tmp_path, endpoint, TEN))
    assert len(endpoint.calls) == 10


def test_answers_whose_file_is_gone_are_asked_for_again(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    run(tmp_path, endpoint, TEN, seconds=0)
    endpoint.batches.on["retrieved"] = lambda: endpoint.batches.files.clear()
    _texts(run_live(tmp_path, endpoint, TEN))
    assert len(endpoint.calls) == 10


def test_a_cancelled_batch_gives_what_it_has(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=5)
    run(tmp_path, endpoint, TEN, seconds=0)
    run_live(tmp_path, endpoint, [])
    (batch,) = endpoint.batches.batches.values()
    endpoint.batches._finish(batch, "cancelled")
    _texts(run(tmp_path, endpoint, TEN, "r2"))
    assert endpoint.batches.sizes() == [10, 8] and endpoint.calls == [] and endpoint.billed_twice() == 0
    assert_paid(tmp_path, endpoint)


def test_an_endpoint_without_batches_says_what_to_do(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(supported=False)
    with pytest.raises(BatchError, match="no Batch API") as caught:
        run(tmp_path, endpoint, TEN)
    assert "--lane live" in caught.value.hint and caught.value.fatal
    _texts(run_live(tmp_path, endpoint, TEN))  # it blocks nothing
    assert len(endpoint.calls) == 10


def test_a_batch_that_is_refused_as_a_whole_says_why(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(max_requests=5)
    with pytest.raises(BatchError, match=r"refuses batch batch_1: A batch has 1 to 5 requests \(too_many"):
        run(tmp_path, endpoint, TEN)
    assert endpoint.batches.files == {} and open_batches(LocalStorage(tmp_path)) == []
    _texts(run(tmp_path, endpoint, TEN, "r2", batch_requests=5))
    assert endpoint.batches.bill()["calls"] == 10 and endpoint.billed_twice() == 0


def test_batches_wait_for_one_another_where_the_queue_is_full(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(enqueued=4, polls=2)
    _texts(run(tmp_path, endpoint, TEN, batch_requests=4))
    assert endpoint.batches.bill()["calls"] == 10 and endpoint.calls == [] and endpoint.billed_twice() == 0
    statuses = [batch.status for batch in endpoint.batches.batches.values()]
    assert statuses.count("completed") == 3 and statuses.count("failed") >= 2
    assert_paid(tmp_path, endpoint)
    with pytest.raises(BatchError, match="Enqueued limit") as caught:
        run(tmp_path, endpoint, [ask(number) for number in range(20, 30)])
    assert "llm.batch_requests" in caught.value.hint


@pytest.mark.parametrize("operation", ["upload", "create", "retrieve", "content", "delete"])
@pytest.mark.parametrize(
    "fault", [Fault.DROP, Fault.CUT, Fault.SERVER_ERROR, Fault.RATE_LIMITED, Fault.GARBAGE], ids=str
)
def test_no_fault_of_the_line_pays_twice(endpoint: FakeEndpoint, tmp_path: Path, operation: str, fault: Fault) -> None:
    endpoint.batches.script(operation, fault, fault)
    _texts(run(tmp_path, endpoint, TEN))
    assert endpoint.batches.sizes() == [10] and endpoint.calls == [] and endpoint.billed_twice() == 0
    assert_paid(tmp_path, endpoint)
    assert operation == "delete" or endpoint.batches.files == {}  # deleting is tried once


def test_an_outage_while_waiting_loses_nothing(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.script("retrieve", *[Fault.UNAVAILABLE] * 20)
    _texts(run(tmp_path, endpoint, TEN))
    endpoint.batches.script("retrieve", *[Fault.UNAVAILABLE] * 1000)
    more = [ask(number) for number in range(20, 30)]
    with pytest.raises(BatchError, match="503") as caught:
        run(tmp_path, endpoint, more, "r2")
    assert "go on at the endpoint" in caught.value.hint
    endpoint.batches.script("retrieve")
    _texts(run_live(tmp_path, endpoint, more))
    assert endpoint.batches.sizes() == [10, 10] and endpoint.calls == [] and endpoint.billed_twice() == 0
    assert_paid(tmp_path, endpoint)


def test_a_batch_without_its_mark_is_found_by_its_file(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(shows_metadata=False)
    endpoint.batches.script("create", Fault.CUT)
    _texts(run(tmp_path, endpoint, TEN))
    assert endpoint.batches.sizes() == [10]


def test_a_batch_is_found_on_a_later_page(
    endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_PAGE", 2)
    run(tmp_path / "ours", endpoint, TEN, seconds=0)
    run(tmp_path / "others", endpoint, TEN, batch_requests=2)
    store = BatchStore(tmp_path / "ours/responses/batches.sqlite")
    (batch,) = open_batches(LocalStorage(tmp_path / "ours"))
    store._set(batch.id, state="intended", remote=None)  # killed before it was put down
    store.close()
    _texts(run(tmp_path / "ours", endpoint, TEN, "r2"))
    assert endpoint.batches.sizes() == [10, 2, 2, 2, 2, 2] and endpoint.batches.operations["list"] >= 3


def test_the_key_is_nowhere(
    endpoint: FakeEndpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.behaviour = Behaviour(api_key=CANARY)
    told: list[str] = []
    repeats = Request("m", (Message("user", (Text(f"Bearer {CANARY} is the key"),)),))  # and so does its answer
    endpoint.batches.on["created"] = lambda: told.append("".join(_on_disk(tmp_path)))
    found = _texts(run(tmp_path, endpoint, [*TEN[:3], repeats]))
    assert "[key]" in found[-1] or "canary" not in found[-1]
    for behaviour, script in (
        (BatchBehaviour(supported=False), ()),
        (BatchBehaviour(max_requests=1), ()),
        (BatchBehaviour(), (Fault.REDIRECT,)),
    ):
        endpoint.behaviour = Behaviour(api_key=CANARY, redirect_to="http://127.0.0.1:9/v1")
        endpoint.batches.behaviour = behaviour
        endpoint.batches.script("upload", *script)
        with pytest.raises(BinderyError) as caught:
            run(tmp_path, endpoint, TEN, "again")
        told.append(f"{caught.value!r} {caught.value.hint} {vars(caught.value)}")
    endpoint.behaviour = Behaviour(api_key="another")
    wrong = account(tmp_path, settings(endpoint.base_url, CANARY), "r9")
    assert wrong.lane is not None
    with pytest.raises(AuthenticationError) as refused:
        submit(wrong.lane, TEN)
    wrong.close()
    told.append(f"{refused.value!r} {refused.value.hint} {vars(refused.value)}")
    assert "[key]" in told[-1]  # it was repeated to us
    output = capfd.readouterr()
    told += [output.out, output.err, *(record.getMessage() + repr(vars(record)) for record in caplog.records)]
    assert [text for text in [*told, *_on_disk(tmp_path)] if CANARY in text] == []


def _on_disk(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
