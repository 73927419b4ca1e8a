"""A whole ingest whose summaries come through batches: half the price, the same index, and a lane that can be left."""

from __future__ import annotations

import dataclasses
import signal
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from flows import cli, terminal
from tasks import ingest as run
from tasks import progress
from tasks.errors import UsageError
from tasks.llm.batch import api
from tasks.llm.errors import BatchError
from tasks.llm.ledger import read_ledger
from tasks.report.run import RunReport
from tasks.status import lake_status
from tests.llm.batches import BatchBehaviour
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault
from tests.pipeline import assert_same_index, configure, ingest, inline, opened, statuses

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
SOME = [CORPUS / "support", CORPUS / "sales"]
MORE = [*SOME, CORPUS / "media", CORPUS / "network"]
PROSE = "Members spent more on travel and dining, and the average fee per card rose for the third year in a row."
PRICES = {"small": (Decimal("0.15"), Decimal("0.6")), "seer": (Decimal(2), Decimal(8))}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEndpoint]:
    """One that the settings point at, for all that a model can be asked about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(api, "_BASE_SECONDS", 0.001)
    with FakeEndpoint(Behaviour(api_key="sk-batch")) as endpoint, inline():
        values = {
            "PROFILE": "openai",
            "LLM__BASE_URL": endpoint.base_url,
            "LLM__API_KEY": "sk-batch",
            "LLM__MODEL": "small",
            "LLM__VISION_MODEL": "seer",
            "LLM__PRICES": '{"small": {"input": 0.15, "output": 0.6}, "seer": {"input": 2, "output": 8}}',
            "LLM__BATCH_POLL_SECONDS": "0.01",
            "SUMMARIZE__KINDS": '["text", "table", "image", "audio"]',
            "PARTITION__OCR": "false",
        }
        configure(monkeypatch, values)
        yield endpoint


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(6):
        _write(folder / f"{number}.md")
    return folder


def _write(path: Path) -> None:
    path.write_text(f"# Crate {path.stem}\n\nCrate {path.stem} is on the quay. {PROSE}\n")


def _assert_paid(lake: Path, endpoint: FakeEndpoint, *reports: RunReport) -> None:
    """The ledger and the reports say what the endpoint's two bills say, each at its price."""
    rows = read_ledger(opened(lake).storage)
    bills = Counter(endpoint.bill()) + Counter(endpoint.batches.bill())
    assert {name: sum(getattr(row, name) for row in rows) for name in bills} == dict(bills)
    calls = [(call, Decimal(1)) for call in endpoint.calls] + [(c, Decimal("0.5")) for c in endpoint.batches.calls]
    money = sum(
        share * (call.prompt_tokens * PRICES[model][0] + call.completion_tokens * PRICES[model][1]) / 1_000_000
        for call, share in calls
        for model in [call.body["model"]]
    )
    assert sum(row.money for row in rows) == pytest.approx(money, abs=Decimal("1e-9"))
    told = [each for report in reports for each in report.spend]
    assert {name: sum(getattr(each, name) for each in told) for name in bills} == dict(bills)
    assert endpoint.billed_twice() == 0


def test_the_same_index_for_half_the_price(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    endpoint.batches.behaviour = BatchBehaviour(polls=3)
    events: list[progress.Event] = []
    with progress.listening(events.append):
        report = ingest(MORE, lake, lane="batch")
    assert report.quarantined == report.left == 0 and report.counts["degraded"] == 0
    assert len(endpoint.batches.sizes()) == 2 and endpoint.calls == []  # one for each model
    asked = sum(endpoint.batches.sizes())
    for kind in ("planned", "done"):
        assert sum(event.amount for event in events if (event.kind, event.stage) == (kind, "ask")) == asked > 20
    _assert_paid(lake, endpoint, report)
    assert report.summary[-1].startswith(f"spent: {asked:,} calls, ")
    again = ingest(MORE, lake, restage=True, lane="batch")
    assert again.counts["processed"] == 0 and sum(endpoint.batches.sizes()) == asked

    live = ingest(MORE, tmp_path / "live")
    assert_same_index(lake, tmp_path / "live")
    dollars = [sum(each.dollars for each in one.spend) for one in (report, live)]
    assert dollars[0] == pytest.approx(dollars[1] / 2)


def test_partial_failure_and_repairs(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    """Every document is published; what batches cannot answer is asked live, and so is what needs a repair."""
    shares = dict.fromkeys((Fault.SERVER_ERROR, Fault.NOT_JSON, Fault.REFUSAL, Fault.LENGTH, Fault.BAD_REQUEST), 0.12)
    endpoint.batches.behaviour = BatchBehaviour(failures=shares, polls=2)
    report = ingest(SOME, tmp_path / "lake", lane="batch")
    assert report.quarantined == report.left == 0
    assert len(endpoint.batches.sizes()) > 2 and len(endpoint.calls) > 0
    assert 0 < report.counts["degraded"] < report.counts["documents"]  # the requests that are wrong
    _assert_paid(tmp_path / "lake", endpoint, report)


def test_a_batch_can_be_left_and_collected_by_a_nightly_run(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lake = tmp_path / "lake"
    monkeypatch.setenv("BINDERY_LLM__BATCH_WAIT_HOURS", "0")
    endpoint.batches.behaviour = BatchBehaviour(polls=2)
    first = ingest([notes], lake, lane="batch")
    assert set(statuses(first, notes).values()) == {"left"} and cli._exit_code(first) == cli.BUDGET_REACHED
    assert endpoint.batches.sizes() == [6] and first.spend == []
    (waiting,) = lake_status(str(lake))["batches"]
    assert (waiting["requests"], waiting["model"], waiting["run"]) == (6, "small", first.run)
    terminal.print_run(first)
    terminal.print_status(lake_status(str(lake)))
    told = capsys.readouterr()
    assert "6 sources left for the next run: the endpoint still works on batches" in told.err
    assert "6 requests of small" in told.out

    options = run.plan_options(False, False, True, False, None)
    cost = run.preview([str(notes)], options, str(lake), lane="batch")[0].cost
    assert cost is not None and (cost.calls, cost.in_batches, cost.dollars) == (0, 6, 0)

    _write(notes / "new.md")
    second = ingest([notes], lake)  # live, and the batch is still at work
    assert statuses(second, notes) == {**{f"{number}.md": "left" for number in range(6)}, "new.md": "new"}
    third = ingest([notes], lake)
    assert statuses(third, notes) == {**{f"{number}.md": "new" for number in range(6)}, "new.md": "unchanged"}
    assert len(endpoint.calls) == 1 and endpoint.batches.sizes() == [6] and lake_status(str(lake))["batches"] == []
    # What a batch costs belongs to the run that submitted it, whose caps held: its report was written before.
    by_run = {row.run: 0 for row in read_ledger(opened(lake).storage)}
    assert by_run.keys() == {first.run, second.run} and third.spend == []
    spend = lake_status(str(lake))["spend"]
    assert sum(each["calls"] for each in spend) == 7


def test_a_budget_leaves_documents_for_the_next_run(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    first = ingest(SOME, lake, lane="batch", max_tokens=6_000)
    spent = sum(each.prompt_tokens + each.completion_tokens for each in first.spend)
    assert 0 < spent <= 6_000 and first.left > 0 and cli._exit_code(first) == cli.BUDGET_REACHED
    assert all("budget" in source.reason for source in first.sources if source.status == "left")
    assert endpoint.calls == [] and first.quarantined == 0
    second = ingest(SOME, lake, lane="batch")
    assert second.left == 0
    _assert_paid(lake, endpoint, first, second)


def test_the_estimate_is_at_the_price_of_a_batch(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = ["--lake", str(tmp_path / "lake")]
    ingest([notes], tmp_path / "lake", max_spend=0)
    options = run.plan_options(False, False, True, False, None)
    live, batch = (run.preview([str(notes)], options, lake[1], lane=lane)[0].cost for lane in ("live", "batch"))
    assert live is not None and batch is not None and live.dollars and batch.dollars
    assert batch.dollars == pytest.approx(live.dollars / 2) and batch.calls == live.calls == 6
    handler = signal.getsignal(signal.SIGTERM)
    assert cli.run(["ingest", str(notes), "--dry-run", "--lane", "batch", *lake]) == 0
    signal.signal(signal.SIGTERM, handler)
    assert f"at most ${batch.dollars:.4f} in batches" in capsys.readouterr().out


def test_the_lane_is_for_models(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINDERY_PROFILE", "local")
    for start in (run.preflight, ingest):
        with pytest.raises(UsageError, match="--lane batch"):
            start([str(notes)], str(tmp_path / "lake"), lane="batch")
    assert not (tmp_path / "lake").exists()


def test_no_lane_without_a_batch_api(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    endpoint.batches.behaviour = dataclasses.replace(endpoint.batches.behaviour, supported=False)
    with pytest.raises(BatchError, match="no Batch API"):
        ingest([notes], tmp_path / "lake", lane="batch")
    assert ingest([notes], tmp_path / "lake").counts["published"] == 6
