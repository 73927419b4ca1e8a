"""`bindery cost`: forecasts against what the fake endpoint is then asked, and the ledger by run, stage and document."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import cli
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.pipeline import configure, ingest, inline

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
FILES = ("reports/shipments-2025.xlsx", "network/stations.csv", "support/harborview-runbook.md", "media/clock.png")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEndpoint]:
    monkeypatch.chdir(tmp_path)
    with FakeEndpoint(Behaviour()) as endpoint, inline():
        values = {
            "PROFILE": "openai",
            "LAKE": str(tmp_path / "lake"),
            "LLM__BASE_URL": endpoint.base_url,
            "LLM__API_KEY": endpoint.behaviour.api_key,
            "LLM__MODEL": "small",
            "LLM__VISION_MODEL": "seer",
            "LLM__PRICES": '{"small": {"input": 0.15, "output": 0.6}, "seer": {"input": 2, "output": 8}}',
            "SUMMARIZE__KINDS": '["text", "table", "image"]',
            "PARTITION__OCR": "false",
        }
        configure(monkeypatch, values)
        yield endpoint


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in FILES:
        shutil.copy(CORPUS / name, folder)
    return folder


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, code: int = 0) -> str:
        handler = signal.getsignal(signal.SIGTERM)
        assert cli.run(list(arguments)) == code
        signal.signal(signal.SIGTERM, handler)
        return capsys.readouterr().out

    return run


def test_reading_first_makes_the_forecast_exact_and_costs_nothing(
    endpoint: FakeEndpoint, docs: Path, tmp_path: Path, shown: Any
) -> None:
    rough = json.loads(shown("cost", str(docs), "--json"))
    assert rough["estimate"] == {
        "lane": "live", "documents": 0, "unknown": 4, "in_batches": 0, "lines": [],
        "calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "minutes": 0, "dollars": 0,
    }  # fmt: skip
    assert not (tmp_path / "lake").exists() and rough["unread"] == []
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    found = json.loads(shown("cost", str(docs), "--read", "--json"))
    assert endpoint.calls == [] and not (tmp_path / "lake" / "releases").exists()
    assert [one["source"] for one in found["unread"]] == [str(docs / "broken.pdf")]
    exact = found["estimate"]
    assert (exact["documents"], exact["unknown"]) == (4, 0)
    lines = {(line["stage"], line["model"], line["kind"]): line for line in exact["lines"]}
    assert set(lines) == {("summarize", "small", kind) for kind in ("table", "text")} | {("summarize", "seer", "image")}
    assert sum(line["calls"] for line in lines.values()) == exact["calls"]
    assert sum(line["dollars"] for line in lines.values()) == pytest.approx(exact["dollars"])
    for line in lines.values():
        price = (0.15, 0.6) if line["model"] == "small" else (2, 8)
        dollars = (line["prompt_tokens"] * price[0] + line["completion_tokens"] * price[1]) / 1e6
        assert line["dollars"] == pytest.approx(dollars) and line["completion_tokens"] == 700 * line["calls"]

    table = shown("cost", str(docs)).splitlines()
    assert table[0].split() == ["stage", "model", "kind", "calls", "tokens", "in", "tokens", "out", "dollars"]
    assert len(table) == 5 and table[-1].startswith(f"to ask: {exact['calls']} calls, ")

    ingest([docs], tmp_path / "lake")
    asked = [body["response_format"]["json_schema"]["name"] for body in endpoint.bodies()]
    assert {kind: asked.count(f"{kind}_summary") for kind in ("text", "table", "image")} == {
        key[2]: line["calls"] for key, line in lines.items()
    }
    after = json.loads(shown("cost", str(docs), "--restage", "--json"))
    assert after["estimate"] is after["restage_estimate"] is None  # there is nothing left to do


def test_what_was_paid_by_run_and_document(endpoint: FakeEndpoint, docs: Path, tmp_path: Path, shown: Any) -> None:
    assert json.loads(shown("cost", "--json", code=1))["error"]["code"] == "lake"
    first = ingest([docs], tmp_path / "lake")
    memo = shutil.copy(CORPUS / "reports" / "board-memo-2025-q1.txt", docs)
    second = ingest([docs], tmp_path / "lake")
    found = json.loads(shown("cost", "--json"))
    assert [run["run"] for run in found["runs"]] == [second.run, first.run]
    assert [run["spend"] for run in found["runs"]] == [
        [each.model_dump() for each in report.spend] for report in (second, first)
    ]
    for name in ("calls", "prompt_tokens", "completion_tokens"):
        assert sum(each[name] for each in found["spend"]) == endpoint.bill()[name]
    documents = found["documents"]
    assert {Path(each["sources"][0]).name for each in documents} == {Path(name).name for name in (*FILES, memo)}
    dollars = [each["dollars"] for each in documents]
    assert dollars == sorted(dollars, reverse=True)
    assert sum(dollars) == pytest.approx(sum(each["dollars"] for each in found["spend"]))
    assert len(json.loads(shown("cost", "--top", "2", "--json"))["documents"]) == 2
    told = shown("cost", "--top", "1")
    assert second.run in told and Path(documents[0]["sources"][0]).name in told
    assert f"spent: {endpoint.bill()['calls']} calls" in told


def test_without_a_model_there_is_nothing_to_pay(endpoint: FakeEndpoint, docs: Path, shown: Any) -> None:
    assert shown("cost", str(docs), "--profile", "local") == "no model is asked: nothing to pay\n"
    assert json.loads(shown("cost", "--read", "--json", code=2))["error"]["code"] == "usage"
