"""A whole ingest whose summaries a model writes: the sample corpus, real sockets, a fake endpoint with its own bill."""

from __future__ import annotations

import collections
import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import cli, terminal
from tasks import ingest as run
from tasks import recipes, shards
from tasks.errors import BinderyError, MissingCapabilityError, UsageError
from tasks.llm.errors import AuthenticationError
from tasks.llm.ledger import SpendRow, read_ledger
from tasks.progress import listening
from tasks.report.run import RunReport, plan_lines
from tasks.report.spend import Estimate, estimate_line, estimate_words, spend_line
from tasks.rows import DocumentRow, SourceRow, StageMark, SummaryRow, from_table
from tasks.settings import EmbedSettings, LlmSettings, Settings
from tasks.stage import Recipe, StageRef, find, load
from tasks.status import lake_status
from tasks.summarize import prompt
from tests.llm import made_up
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault
from tests.pipeline import configure, ingest, ingest_planned, inline, opened, statuses

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
CANARY = "sk-canary-77e1c0"
CAP = 9_000
OPTIONS = run.plan_options(False, False, True, False, None)
PROSE = "Members spent more on travel and dining, and the average fee per card rose for the third year in a row."
_MAP = shards._map  # as it is when no test replaces it


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEndpoint]:
    """One that the settings point at, for all that a model can be asked about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FakeEndpoint(Behaviour(api_key=CANARY)) as endpoint, inline():
        values = {
            "PROFILE": "openai",
            "LLM__BASE_URL": endpoint.base_url,
            "LLM__API_KEY": CANARY,
            "LLM__MODEL": "small",
            "LLM__VISION_MODEL": "seer",
            "LLM__PRICES": '{"small": {"input": 0.15, "output": 0.6}, "seer": {"input": 2, "output": 8}}',
            "SUMMARIZE__KINDS": '["text", "table", "image", "audio"]',
            "PARTITION__OCR": "false",
        }
        configure(monkeypatch, values)
        yield endpoint


def _summaries(lake: Path) -> list[SummaryRow]:
    """Those that readers search by."""
    from tasks.index import open_reader

    storage = opened(lake).storage
    refs: list[StageRef | None] = []
    for document in open_reader(opened(lake)).documents().values():
        mark = document.mark("summarize")
        assert mark is not None
        refs.append(find(storage, "summarize", mark.key))
    return [row for ref in refs if ref for row in from_table(load(storage, ref), SummaryRow)]


def _found(lake: Path, words: str) -> set[str]:
    """The names of files that have the words in what full text search reads."""
    from tasks.index import open_reader

    reader = open_reader(opened(lake))
    hits = reader.chunks([found.chunk_id for found in reader.matching("search_text", words, 100)])
    names = {row.doc_id: Path(row.uri).name for row in reader.sources()}
    return {names[hit.chunk.doc_id] for hit in hits if words in hit.summary}


def _assert_paid(lake: Path, endpoint: FakeEndpoint, *reports: RunReport) -> None:
    """The ledger, the reports and the status say what the endpoint's own bill says."""
    bill, rows = endpoint.bill(), read_ledger(opened(lake).storage)

    def sums(given: list[SpendRow]) -> dict[str, int]:
        return {name: sum(getattr(each, name) for each in given) for name in bill}

    assert bill["calls"] > 0 and sums(rows) == bill
    assert {row.run for row in rows} <= {report.run for report in reports}
    told = [each for report in reports for each in report.spend]
    assert {name: sum(getattr(each, name) for each in told) for name in bill} == bill
    status = lake_status(str(lake))["spend"]
    assert {name: sum(each[name] for each in status) for name in bill} == bill
    dollars = float(sum(row.money for row in rows))
    assert sum(each["dollars"] for each in status) == pytest.approx(dollars) and dollars > 0
    assert endpoint.billed_twice() == 0


def _assert_secret(lake: Path, *texts: str) -> None:
    files = [path for path in lake.rglob("*") if path.is_file()]
    assert {"ledger.sqlite", "responses.sqlite", "report.json"} <= {path.name for path in files}
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert not [text for text in texts if CANARY in text]


def test_a_model_writes_the_summaries_once(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    plan, report = ingest_planned([CORPUS], lake)
    assert report.quarantined == report.left == 0 and report.counts["degraded"] == 0
    rows = _summaries(lake)
    methods = {row.method for row in rows}
    assert methods == {"llm:small", "llm:seer", "extractive"}  # short passages and sounds keep theirs
    asked = len(endpoint.calls)
    assert endpoint.statuses() == {200: asked}
    assert sum(row.method.startswith("llm:") for row in rows) >= asked > 20
    assert [(each.stage, each.model) for each in report.spend] == [("summarize", "seer"), ("summarize", "small")]
    assert report.summary[-1].startswith(f"spent: {asked:,} calls, ")
    _assert_paid(lake, endpoint, report)
    assert _found(lake, made_up.ENGLISH) == {"TG-400-产品说明.md"} and len([row for row in rows if row.english]) < 9
    again = ingest([CORPUS], lake, restage=True)
    assert again.counts["processed"] == 0 and again.spend == []
    assert len(endpoint.calls) == asked
    _assert_secret(lake, report.model_dump_json(), repr(plan), repr(again), str(lake_status(str(lake))))


def test_a_budget_leaves_documents_for_the_next_run(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    plan, _ = run.preview([str(CORPUS)], OPTIONS, str(lake))
    assert plan.cost == Estimate(unknown=len(plan.work)) and not lake.exists()
    first = ingest([CORPUS], lake, max_tokens=CAP)
    spent = sum(each.prompt_tokens + each.completion_tokens for each in first.spend)
    assert 0 < spent <= CAP and first.quarantined == 0
    left = {source.source for source in first.sources if source.status == "left"}
    assert first.left == len(left) > 0 and first.counts["published"] == first.counts["sources"] - len(left) > 0
    final = f"could pass it; the run spent {spend_line(first.spend)}"
    for source in first.sources:
        assert source.status != "left" or (source.stage == "summarize" and source.reason.endswith(final))
    assert lake_status(str(lake))["quarantine"] == 0 and cli._exit_code(first) == cli.BUDGET_REACHED
    assert {row.uri for row in _published(lake)} == {s.source for s in first.sources} - left

    asked = len(endpoint.calls)
    before = _files(lake)
    cost = run.preview([str(CORPUS)], OPTIONS, str(lake))[0].cost
    assert cost is not None and len(endpoint.calls) == asked and _files(lake) == before
    assert (cost.unknown, cost.documents) == (0, len({s.doc_id for s in first.sources if s.status == "left"}))
    second = ingest([CORPUS], lake)
    assert {s.source for s in second.sources if s.status == "new"} == left and cli._exit_code(second) == 0
    assert len(endpoint.calls) - asked == cost.calls
    told = [sum(getattr(each, name) for each in second.spend) for name in ("prompt_tokens", "completion_tokens")]
    assert 0 < told[1] < cost.completion_tokens and cost.dollars and cost.dollars > sum(s.dollars for s in second.spend)
    _assert_paid(lake, endpoint, first, second)
    _assert_secret(lake, first.model_dump_json(), second.model_dump_json())


def _published(lake: Path) -> list[SourceRow]:
    from tasks.index import open_reader

    return open_reader(opened(lake)).sources()


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Crate {number}\n\nCrate {number} is on the quay. {PROSE}\n")
    return folder


def test_documents_are_asked_about_at_the_same_time(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_map", _MAP)
    endpoint.behaviour = dataclasses.replace(endpoint.behaviour, latency=(1.0, 0.0))
    assert ingest([notes], tmp_path / "lake").counts["published"] == 6
    assert endpoint.most_open > 1 and len(endpoint.calls) == 6


def test_what_every_request_would_meet_ends_the_run(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    endpoint.script(None, None, Fault.UNAUTHORIZED)
    with pytest.raises(AuthenticationError) as caught:
        ingest([notes], tmp_path / "lake")
    assert CANARY not in f"{caught.value} {caught.value.hint}" and caught.value.exit_code == 1
    assert lake_status(str(tmp_path / "lake"))["release"] == 0
    report = ingest([notes], tmp_path / "lake")
    assert report.counts["published"] == 6 and endpoint.bill()["calls"] == 6 and endpoint.billed_twice() == 0


def test_a_changed_document_that_is_left_keeps_what_readers_have(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    ingest([notes], lake)
    before = {row.uri: row.doc_id for row in _published(lake)}
    for name in ("0.md", "new.md"):
        (notes / name).write_text(f"# {name}\n\nAnother crate is on the quay. {PROSE} It came with {name}.\n")
    report = ingest([notes], lake, max_spend=0)
    assert statuses(report, notes) == {
        "0.md": "left", "new.md": "left", **{f"{number}.md": "unchanged" for number in range(1, 6)},
    }  # fmt: skip
    assert {row.uri: row.doc_id for row in _published(lake)} == before and report.spend == []
    assert statuses(ingest([notes], lake), notes) == statuses(report, notes) | {"0.md": "changed", "new.md": "new"}


@pytest.mark.parametrize(
    ("changes", "caps", "error", "said"),
    [
        ({"LLM__MODEL": None}, {}, MissingCapabilityError, "needs a model"),
        ({"LLM__API_KEY": None, "LLM__BASE_URL": None}, {}, MissingCapabilityError, "an endpoint: a key"),
        ({"LLM__BASE_URL": f"http://me:{CANARY}@host/v1"}, {}, UsageError, "more than an address"),
        ({"LLM__PRICES": "{}"}, {}, UsageError, "no price is known for model 'small'"),
        ({"LLM__PRICES": "{}", "LLM__ALLOW_UNKNOWN_PRICE": "true"}, {"max_spend": 1.0}, UsageError, "cannot hold"),
        ({}, {"max_spend": float("nan")}, UsageError, "no amount of dollars"),
        ({}, {"max_tokens": -1}, UsageError, "no number of tokens"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    endpoint: FakeEndpoint,
    notes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    caps: dict[str, Any],
    error: type[BinderyError],
    said: str,
) -> None:
    configure(monkeypatch, changes)
    for start in (run.preflight, ingest):
        with pytest.raises(error, match=said) as caught:
            start([str(notes)], str(tmp_path / "lake"), **caps)
        assert "\n" not in caught.value.message and caught.value.hint
        assert CANARY not in caught.value.message + caught.value.hint
    assert not (tmp_path / "lake").exists() and endpoint.calls == []


def test_a_model_without_a_price_can_be_allowed(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINDERY_LLM__PRICES", "{}")
    monkeypatch.setenv("BINDERY_LLM__ALLOW_UNKNOWN_PRICE", "true")
    (spending,) = ingest([notes], tmp_path / "lake").spend
    assert (spending.calls, spending.unpriced, spending.dollars) == (6, 6, 0)


def test_tags_decide_whether_summaries_are_up_to_date() -> None:
    """A model is not asked about decorations; extractive summaries do not look at tags."""
    llm = LlmSettings(model="small", base_url="http://127.0.0.1/v1")
    for profile, tagged in (("openai", ["t"]), ("local", [])):
        settings = Settings(profile=profile, llm=llm, embed=EmbedSettings(spaces=("minilm",)))
        found = dataclasses.replace(recipes.resolve(settings), tag=Recipe("tag", 1, {}, {}))
        assert found.tag is not None
        keys = {
            "partition": found.partition("text/plain").key("d", "text/plain"),
            "chunk": found.chunk.key("d", "p"),
            "tag": found.tag.key("c"),
            "summarize": found.summarize.key("c", *tagged),
            **{each.stage: each.key("c", "s") for each in found.embed.values()},
        }
        marks = tuple(StageMark(name, key, name[0]) for name, key in keys.items())
        document = DocumentRow("d", "text/plain", 1, "", 1, 1, 1, False, marks)
        assert found.up_to_date(document, "text/plain")
        retagged = tuple(dataclasses.replace(mark, digest="u") if mark.stage == "tag" else mark for mark in marks)
        assert found.up_to_date(dataclasses.replace(document, stages=retagged), "text/plain") == (not tagged)


def test_what_the_command_shows(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = ["--lake", str(tmp_path / "lake")]

    def shown(*arguments: str) -> str:
        handler = signal.getsignal(signal.SIGTERM)
        assert cli.run([*arguments, *lake]) == 0
        signal.signal(signal.SIGTERM, handler)
        return capsys.readouterr().out

    assert "at most $0.0000, for 0 documents; 6 documents are not read yet" in shown("ingest", str(notes), "--dry-run")
    report = ingest([notes], tmp_path / "lake", max_tokens=2000)
    terminal.print_run(report)
    told = capsys.readouterr()
    assert "sources left for the next run: the budget of this run (2,000 tokens)" in told.err
    assert "spent: " in told.out and "spent      " in shown("status")
    found = json.loads(shown("ingest", str(notes), "--dry-run", "--json"))
    assert found["schema_version"] == 1 and found["estimate"]["calls"] == report.left == 6 - endpoint.bill()["calls"]
    (spend,) = json.loads(shown("status", "--json"))["spend"]
    assert spend["calls"] == endpoint.bill()["calls"]
    assert CANARY not in told.out + told.err


def test_a_changed_prompt_is_paid_for_where_it_is_used_and_said_before(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    for number in range(2):
        table = f"| Crate {number} | 2024 | 2025 |\n|---|---|---|\n| weight in kilograms | 12 | 1{number} |\n"
        (notes / f"table{number}.md").write_text(f"# Weights {number}\n\n{PROSE} This is list {number}.\n\n{table}")
    ingest([notes], lake)
    asked = _asked(endpoint)
    assert set(asked) == {"text_summary", "table_summary"} and asked["table_summary"] == 2
    assert run.preview([str(notes)], OPTIONS, str(lake))[0].pending_cost is None

    changed = prompt.load("table")
    changed = dataclasses.replace(changed, version=99, digest="new", text=f"{changed.text}\nBe brief.")
    real = prompt.load
    monkeypatch.setattr(prompt, "load", lambda name: changed if name == "table" else real(name))

    plan, _ = run.preview([str(notes)], OPTIONS, str(lake))
    held = plan.pending_cost
    assert held and [(line.kind, line.model, line.calls) for line in held.lines] == [("table", "small", 2)]
    assert held.documents == len(plan.pending) == 8 and held.dollars and not plan.work
    line = f"^ restage 8 documents: settings or software changed; run with --restage ({estimate_words(held)})"
    said: list[str] = []
    with listening(lambda event: said.append(event.label)):
        waiting = ingest([notes], lake)
    assert line in plan_lines(plan) and line in said  # a dry run's plan, and that of a run
    assert waiting.restage_estimate == held and _asked(endpoint) == asked
    both = run.preview([str(notes)], dataclasses.replace(OPTIONS, restage=True), str(lake))[0]
    assert both.cost == held and estimate_line(held) in plan_lines(both)

    said.clear()
    with listening(lambda event: said.append(event.label)):
        report = ingest([notes], lake, restage=True)
    assert estimate_line(held) in said and report.counts["restaged"] == 8
    assert _asked(endpoint) == asked | {"table_summary": 4} and endpoint.billed_twice() == 0
    assert [(spend.model, spend.calls) for spend in report.spend] == [("small", 2)]


def _asked(endpoint: FakeEndpoint) -> dict[str, int]:
    """Calls by the form of the answer."""
    forms = (body["response_format"]["json_schema"]["name"] for body in endpoint.bodies())
    return dict(collections.Counter(forms))
