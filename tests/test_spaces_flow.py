"""Ingest and search in spaces of the user's own: a model behind a fake endpoint, and a toy model in a folder."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import cli
from flows.search_options import Selection, Terms, retrieve_selected
from tasks import ingest as run
from tasks import tokens
from tasks.embed.spaces import Spaces, at_hand
from tasks.errors import BinderyError, LakeError, MissingCapabilityError, UsageError
from tasks.lake import Release, current_release
from tasks.llm.errors import AuthenticationError
from tasks.llm.key import embedding_settings, find_key
from tasks.llm.ledger import read_ledger
from tasks.report.spend import Estimate
from tasks.result import SearchResult
from tasks.retrieve import retrieve
from tasks.settings import load_settings
from tasks.space_names import full, slug
from tasks.status import lake_status
from tests.embed.toy_folder import DIMENSION, e5_prompts, save_toy_folder
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault
from tests.pipeline import ingest, ingest_planned, inline, opened, statuses

CANARY = "sk-canary-2c9d41"
MODEL = "Org/Embed é-大"
SPACE = f"endpoint:{MODEL}"
PRICES = json.dumps({MODEL: {"input": 0.5}, "small": {"input": 1, "output": 2}})
PLAIN = run.plan_options(False, False, True, False, None)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Away from the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BINDERY_PARTITION__OCR", "false")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with inline():
        yield


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    with FakeEndpoint(Behaviour(api_key=CANARY)) as endpoint:
        for name, value in {
            "EMBED__ENDPOINT__BASE_URL": endpoint.base_url,
            "EMBED__ENDPOINT__API_KEY": CANARY,
            "EMBED__ENDPOINT__BATCH_INPUTS": "4",
            "LLM__PRICES": PRICES,
        }.items():
            monkeypatch.setenv(f"BINDERY_{name}", value)
        yield endpoint


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number, noun in enumerate(("buoy", "crane", "gauge", "harbour", "quay", "tide")):
        text = f"# Note {number}\n\nThe {noun} was painted in the spring of 20{number}0.\n\n"
        rows = "".join(f"| {noun} {row} | {row * number} |\n" for row in range(3))
        (folder / f"{noun}.md").write_text(f"{text}| what | count |\n| --- | --- |\n{rows}")
        os.utime(folder / f"{noun}.md", (1e9, 1e9 + number))
    return folder


def _release(lake: Path) -> Release:
    return current_release(opened(lake).storage)


def _search(lake: Path, query: str, *spaces: str, asks: bool = False) -> SearchResult:
    return retrieve_selected(query, Terms(), Selection(lake=str(lake), space=list(spaces)), asks=asks)


def _signals(result: SearchResult) -> set[str]:
    return {signal.name for hit in result.hits for signal in hit.signals}


def _assert_secret(folder: Path, *texts: str) -> None:
    assert [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []
    assert not [text for text in texts if CANARY in text]


def _cost(notes: Path, lake: Path, *spaces: str) -> Estimate:
    plan, _ = run.preview([str(notes)], run.plan_options(False, True, True, False, None), str(lake), spaces=spaces)
    assert plan.cost is not None
    return plan.cost


def _tokens(lake: Path) -> int:
    return sum(row.prompt_tokens for row in read_ledger(opened(lake).storage))


def test_an_endpoint_from_ingest_to_search(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    plan, report = ingest_planned([notes], lake, spaces=["minilm", SPACE])
    release = _release(lake)
    assert report.counts["published"] == 6 and report.quarantined == 0
    assert release.spaces == {"minilm": 384, SPACE: 64} and release.counts[f"documents_{SPACE}"] == 6
    tables = release.tables.keys() - {"sources", "documents", "chunks", "vectors_minilm"}
    assert len(tables) == 1 and all(
        part.isascii() and part.isalnum() for part in next(iter(tables)).split("_")[1].split("-")
    )
    bill = endpoint.bill()
    assert endpoint.billed_twice() == 0 and all(len(body["input"]) <= 4 for body in endpoint.bodies())
    rows = read_ledger(opened(lake).storage)
    assert {(row.run, row.stage, row.model) for row in rows} == {(report.run, "embed", MODEL)}
    assert {row.doc_id for row in rows} == {work.doc_id for work in plan.work}  # each document's own part
    assert sum(row.calls for row in rows) == bill["calls"] and _tokens(lake) == bill["prompt_tokens"]
    assert float(sum(row.money for row in rows)) == pytest.approx(bill["prompt_tokens"] * 0.5e-6)
    assert [(each.stage, each.model, each.calls) for each in report.spend] == [("embed", MODEL, bill["calls"])]

    asked = len(endpoint.calls)
    again = ingest([notes], lake, spaces=["minilm", SPACE], restage=True)
    assert again.counts["processed"] == 0 and len(endpoint.calls) == asked
    found = _search(lake, "who painted the buoy")
    assert f"vector:{SPACE}" in _signals(found) and found.hits[0].sources[0].endswith("buoy.md")
    assert len(endpoint.calls) == asked + 1
    only = _search(lake, "who painted the buoy", SPACE, asks=True)
    assert "vector:minilm" not in _signals(only) and len(endpoint.calls) == asked + 1  # a query is kept as well
    assert f"vector:{SPACE}" in _signals(retrieve(opened(lake), "tide", spaces=(SPACE,)))
    stages = {row.stage: row for row in read_ledger(opened(lake).storage) if row.doc_id == ""}
    assert stages["query"].run.startswith("queries-") and stages["query"].calls == 2
    status = lake_status(str(lake))
    assert {each["stage"]: each["calls"] for each in status["spend"]} == {"embed": bill["calls"], "query": 2}
    assert status["spaces"] == dict(release.spaces)
    _assert_secret(lake, report.model_dump_json(), repr(plan), repr(load_settings()), str(status), repr(release))


def test_what_was_paid_for_makes_a_lost_index_again(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ingest([notes], lake, spaces=[SPACE])
    asked, before = len(endpoint.calls), _release(lake)
    for name in ("index", "stages"):
        shutil.rmtree(lake / name)
    ingest([notes], lake, spaces=[SPACE])
    assert len(endpoint.calls) == asked and _release(lake).spaces == before.spaces
    (notes / "buoy.md").write_text((notes / "buoy.md").read_text() + "\nIt was moored again in the autumn.\n")
    ingest([notes], lake, spaces=[SPACE])
    assert sum(len(body["input"]) for body in endpoint.bodies()[asked:]) <= 2  # what changed


def test_a_budget_leaves_documents_for_the_next_run(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    lake, spaces = tmp_path / "lake", ["minilm", SPACE]
    unknown = _cost(notes, lake, *spaces)
    assert (unknown.unknown, unknown.lines) == (6, []) and not lake.exists()
    first = ingest([notes], lake, spaces=spaces, max_tokens=120)
    assert 0 < _tokens(lake) <= 120 and first.left > 0 == first.quarantined
    assert cli._exit_code(first) == cli.BUDGET_REACHED
    left = {source.source for source in first.sources if source.status == "left"}
    assert all("budget" in s.reason and s.stage == "embed" for s in first.sources if s.status == "left")
    asked = len(endpoint.calls)
    cost = _cost(notes, lake, *spaces)
    (line,) = cost.lines
    assert len(endpoint.calls) == asked and cost.unknown == 0
    assert (line.stage, line.model) == ("embed", MODEL) and line.dollars == pytest.approx(line.prompt_tokens * 0.5e-6)
    second = ingest([notes], lake, spaces=spaces)
    assert cli._exit_code(second) == 0 and {s.source for s in second.sources if s.status == "new"} == left
    sent = [text for body in endpoint.bodies()[asked:] for text in body["input"]]
    assert sum(map(tokens.count, sent)) == line.prompt_tokens
    assert 0 < len(endpoint.calls) - asked <= line.calls
    assert endpoint.billed_twice() == 0 and _tokens(lake) == endpoint.bill()["prompt_tokens"]
    assert _release(lake).counts[f"documents_{SPACE}"] == 6
    shutil.rmtree(lake / "index")
    done = _cost(notes, lake, *spaces)
    assert (done.documents, done.unknown, done.lines) == (6, 0, [])


def test_money_is_a_cap_too_and_summaries_and_vectors_share_it(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PROFILE": "openai",
        "BASE_URL": endpoint.base_url,
        "API_KEY": CANARY,
        "MODEL": "small",
    }.items():
        monkeypatch.setenv("BINDERY_PROFILE" if name == "PROFILE" else f"BINDERY_LLM__{name}", value)
    monkeypatch.setenv("BINDERY_SUMMARIZE__KINDS", '["table"]')
    lake = tmp_path / "lake"
    first = ingest([notes], lake, spaces=[SPACE], max_spend=0.006)
    dollars = float(sum(row.money for row in read_ledger(opened(lake).storage)))
    assert 0 < dollars <= 0.006
    second = ingest([notes], lake, spaces=[SPACE])
    assert second.left == 0 and {each.stage for each in (*first.spend, *second.spend)} == {"embed", "summarize"}
    assert endpoint.billed_twice() == 0 and _tokens(lake) == endpoint.bill()["prompt_tokens"]
    for folder in (lake / "index", *(lake / "stages").glob("embed*")):
        shutil.rmtree(folder)
    cost = _cost(notes, lake, SPACE)
    assert (cost.documents, cost.unknown, cost.lines) == (6, 0, [])  # vectors are kept
    shutil.rmtree(lake / "stages" / "summarize")
    (line,) = _cost(notes, lake, SPACE).lines  # answers are kept as well; what they are is only known by their stage
    assert line.stage == "embed"
    _assert_secret(lake)


def test_another_model_is_refused_until_all_is_embedded_again(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    ingest([notes], lake, spaces=[SPACE])
    monkeypatch.setenv("BINDERY_EMBED__ENDPOINT__DIMENSIONS", json.dumps({MODEL: 32}))
    with pytest.raises(LakeError, match="made by another model"):
        ingest([notes], lake, spaces=[SPACE])
    with pytest.raises(LakeError, match="made by another model"):
        _search(lake, "buoy")
    ingest([notes], lake, spaces=[SPACE], restage=True)
    assert _release(lake).spaces == {SPACE: 32} and f"vector:{SPACE}" in _signals(_search(lake, "buoy"))
    monkeypatch.delenv("BINDERY_EMBED__ENDPOINT__DIMENSIONS")
    asked = len(endpoint.calls)
    ingest([notes], lake, spaces=[SPACE], restage=True)
    assert _release(lake).spaces == {SPACE: 64} and len(endpoint.calls) == asked  # those are kept still


def test_one_document_that_the_endpoint_refuses_fails_alone(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.llm import endpoint as served

    def unsupported(body: dict[str, list[str]], behaviour: Behaviour) -> object:
        bad = any("crane" in text for text in body["input"])
        return served._error("invalid_request_error", "Input not allowed") if bad else None

    monkeypatch.setattr(served, "_unsupported", unsupported)
    report = ingest([notes], tmp_path / "lake", spaces=[SPACE])
    found = statuses(report, notes)
    assert report.quarantined == 1 and {name for name in found if found[name] != "new"} == {"crane.md"}
    assert _release(tmp_path / "lake").counts["documents"] == 5 and endpoint.billed_twice() == 0


def test_what_every_text_would_meet_ends_the_run(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    endpoint.script(None, Fault.UNAUTHORIZED)
    with pytest.raises(AuthenticationError) as caught:
        ingest([notes], tmp_path / "lake", spaces=[SPACE])
    assert CANARY not in f"{caught.value} {caught.value.hint}"
    ingest([notes], tmp_path / "lake", spaces=[SPACE])
    assert endpoint.billed_twice() == 0
    endpoint.script(Fault.UNAUTHORIZED)
    with pytest.raises(AuthenticationError):
        _search(tmp_path / "lake", "a query that nobody asked yet")
    _assert_secret(tmp_path / "lake")


@pytest.mark.parametrize(
    ("changes", "caps", "error", "said"),
    [
        (
            {"EMBED__ENDPOINT__BASE_URL": None, "EMBED__ENDPOINT__API_KEY": None},
            {},
            MissingCapabilityError,
            "an endpoint",
        ),
        ({"EMBED__ENDPOINT__BASE_URL": f"http://me:{CANARY}@host/v1"}, {}, UsageError, "more than an address"),
        ({"LLM__PRICES": "{}"}, {}, UsageError, "no price is known for model"),
        ({"LLM__PRICES": "{}", "LLM__ALLOW_UNKNOWN_PRICE": "true"}, {"max_spend": 1.0}, UsageError, "cannot hold"),
        ({"EMBED__ENDPOINT__BATCH_INPUTS": "4096"}, {}, UsageError, "batch_inputs"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    endpoint: FakeEndpoint,
    notes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    caps: dict[str, float],
    error: type[BinderyError],
    said: str,
) -> None:
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(f"BINDERY_{name}")
        else:
            monkeypatch.setenv(f"BINDERY_{name}", value)
    for start in (run.preflight, ingest):
        with pytest.raises(error, match=said) as caught:
            start([str(notes)], str(tmp_path / "lake"), spaces=[SPACE], **caps)  # type: ignore[arg-type]
        assert CANARY not in caught.value.message + caught.value.hint and caught.value.hint
    assert not (tmp_path / "lake").exists() and endpoint.calls == []


def test_keys_go_to_their_own_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_LLM__BASE_URL", "https://chat.example/v1")
    monkeypatch.setenv("BINDERY_LLM__API_KEY", CANARY)

    def key() -> str | None:
        """As a worker finds it, to which settings travel without keys."""
        travelled = pickle.dumps(load_settings())
        assert CANARY.encode() not in travelled and b"sk-own" not in travelled
        keys = [find_key(embedding_settings(each)) for each in (load_settings(), pickle.loads(travelled))]
        first, second = (found.get_secret_value() if found else None for found in keys)
        assert first == second
        return first

    assert key() == CANARY and embedding_settings(load_settings()).base_url == "https://chat.example/v1"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    monkeypatch.setenv("BINDERY_EMBED__ENDPOINT__BASE_URL", "http://embed.example/v1")
    assert key() == "none"  # as is sent to endpoints that ask for none
    monkeypatch.setenv("BINDERY_EMBED__ENDPOINT__BASE_URL", "https://api.openai.com/v1")
    assert key() == "sk-theirs"
    monkeypatch.setenv("BINDERY_EMBED__ENDPOINT__API_KEY", "sk-own")
    assert key() == "sk-own" and "sk-own" not in repr(load_settings()) + load_settings().model_dump_json()


def test_what_costs_money_is_used_only_where_it_is_named(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    assert all(":" not in name for name in at_hand()[0])
    lake = tmp_path / "lake"
    ingest([notes], lake, spaces=["minilm", SPACE])
    for start in (run.preflight, ingest):
        with pytest.raises(MissingCapabilityError, match="costs money") as caught:
            start([str(notes)], str(lake))
        assert f"--space {SPACE}" in caught.value.hint
    ingest([notes], lake, spaces=["minilm"])
    assert _release(lake).spaces == {"minilm": 384}


def test_a_reader_who_may_not_write_can_search(endpoint: FakeEndpoint, notes: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ingest([notes], lake, spaces=[SPACE])
    rows = read_ledger(opened(lake).storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.llm.account.os.access", lambda path, mode: False)
        assert f"vector:{SPACE}" in _signals(_search(lake, "a new question about tide"))
    assert read_ledger(opened(lake).storage) == rows


def test_what_the_command_shows(
    endpoint: FakeEndpoint, notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*arguments: str, code: int = 0) -> str:
        handler = signal.getsignal(signal.SIGTERM)
        assert cli.run([*arguments, "--lake", str(tmp_path / "lake")]) == code
        signal.signal(signal.SIGTERM, handler)
        return capsys.readouterr().out

    said = shown("ingest", str(notes), "--dry-run", "--space", SPACE)
    assert "to ask: 0 calls" in said and "6 documents are not read yet" in said
    ingest([notes], tmp_path / "lake", spaces=[SPACE])
    asked = len(endpoint.calls)
    found = json.loads(shown("search", "the crane", "--space", SPACE, "--json"))
    assert found["hits"][0]["sources"] == [str(notes / "crane.md")] and len(endpoint.calls) == asked + 1
    assert SPACE in shown("status")
    assert json.loads(shown("ask", "When was the crane painted?", "--json"))["release"] == 1
    assert json.loads(shown("ingest", str(notes), "--dry-run", "--json", "--space", "path:", code=2))["error"]
    error = json.loads(shown("search", "the crane", "--space", "endpoint:other", "--json", code=2))["error"]
    assert SPACE in error["hint"]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_toy_folder(folder / "多语 model", e5_prompts())
    save_toy_folder(folder / "other", seed=1)
    return folder


@pytest.fixture
def toy(toys: Path, tmp_path: Path) -> Path:
    """A model of one's own to move about."""
    shutil.copytree(toys / "多语 model", tmp_path / "多语 model")
    return tmp_path / "多语 model"


def test_a_folder_from_ingest_to_search(toy: Path, notes: Path, tmp_path: Path) -> None:
    (notes / "价格.md").write_text("# 价格\n\n北京市港口雷达验潮仪的价格是 45800 元。\n", encoding="utf-8")
    lake, space = tmp_path / "lake", f"path:{toy}"
    report = ingest([notes], lake, spaces=["path:多语 model"])  # as the user is in its parent
    assert report.counts["published"] == 7 and report.spend == []
    release = _release(lake)
    assert release.spaces == {space: DIMENSION} and not (lake / "responses" / "embeddings.sqlite").exists()
    name = slug(space, release.models[space])
    assert f"vectors_{name}" in release.tables and (lake / "stages" / f"embed-{name}").is_dir()
    hits = _search(lake, "北京市的价格是多少", "path:多语 model").hits
    assert hits[0].sources[0].endswith("价格.md")
    assert hits[0].score > 1 / 61 + 0.9 / 61  # a model of the user's choice counts in full, whatever the language
    assert f"vector:{space}" in _signals(_search(lake, "tide", asks=True))


def test_a_folder_that_moves_is_the_same_space(toy: Path, notes: Path, tmp_path: Path) -> None:
    lake, moved = tmp_path / "lake", tmp_path / "moved"
    ingest([notes], lake, spaces=["minilm", f"path:{toy}"])
    before = _release(lake)
    again = ingest([notes], lake)  # what readers have of a folder goes on without being named
    assert again.release == before.number
    toy.rename(moved)
    for refused in (lambda: ingest([notes], lake), lambda: _search(lake, "tide")):
        with pytest.raises(MissingCapabilityError, match="there is no folder") as caught:
            refused()
        assert "--space minilm" in caught.value.hint and "--space path:" in caught.value.hint
    report = ingest([notes], lake, spaces=["minilm", f"path:{moved}"])
    after = _release(lake)
    assert report.counts["processed"] == report.counts["restage_pending"] == 0 and after.tables == before.tables
    assert after.spaces == {"minilm": 384, f"path:{moved}": DIMENSION} and after.models.keys() == after.spaces.keys()
    assert f"vector:path:{moved}" in _signals(_search(lake, "tide"))


def test_two_models_and_two_copies_of_one(toys: Path, notes: Path, tmp_path: Path) -> None:
    lake, spaces = tmp_path / "lake", [f"path:{toys / name}" for name in ("多语 model", "other")]
    ingest([notes], lake, spaces=spaces)
    assert {f"vector:{space}" for space in spaces} <= _signals(_search(lake, "tide"))
    copy = tmp_path / "copy"
    shutil.copytree(toys / "other", copy)
    with pytest.raises(UsageError, match="are the same model"):
        ingest([notes], lake, spaces=[*spaces, f"path:{copy}"])
    shutil.copytree(toys / "多语 model", copy, dirs_exist_ok=True)
    other = tmp_path / "other-lake"
    ingest([notes], other, spaces=[f"path:{copy}"])
    shutil.rmtree(copy)
    shutil.copytree(toys / "other", copy)  # another model in the same place
    with pytest.raises(LakeError, match="made by another model"):
        ingest([notes], other)
    with pytest.raises(LakeError, match="made by another model"):
        _search(other, "tide")
    ingest([notes], other, restage=True)
    assert _search(other, "tide").hits


def test_names() -> None:
    assert full("minilm") == slug("minilm", "f") == "minilm" and full("path:~") == f"path:{Path.home()}"
    assert slug("path:/a", "f") == slug("path:/b", "f") != slug("path:/a", "g")
    made = {slug(name, "f") for name in ("endpoint:a/b", "endpoint:a-b", "endpoint:A/B", "endpoint:大", "endpoint:小")}
    assert len(made) == 5 and all(name.isascii() and "/" not in name and name == name.lower() for name in made)
    assert len(slug("endpoint:" + "m" * 500, "f")) < 64
    for empty in ("endpoint:", "path: "):
        with pytest.raises(UsageError, match="names nothing"):
            full(empty)
    with pytest.raises(UsageError) as unknown:
        Spaces().open("word2vec")
    assert "endpoint:MODEL" in unknown.value.hint and "path:FOLDER" in unknown.value.hint
