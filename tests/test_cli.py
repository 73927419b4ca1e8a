"""The command as programs use it: real processes, the sample corpus, the JSON contract and the exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flows import cli
from tests.conftest import PrefectHome

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "data" / "corpus"


class Bindery:
    """Runs `bindery` in a folder of its own."""

    def __init__(self, folder: Path, prefect: PrefectHome) -> None:
        self.folder = folder
        self.environment = {**os.environ, **prefect.environment, "BINDERY_LAKE": str(folder / "lake")}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = self.run(*arguments)
        assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*arguments, "--json", code=code))
        assert found["schema_version"] == 1
        return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, prefect_home: PrefectHome) -> Iterator[tuple[Bindery, Path]]:
    """The sample corpus, ingested by the command."""
    folder = tmp_path_factory.mktemp("cli")
    docs = folder / "corpus"
    shutil.copytree(CORPUS, docs)
    bindery = Bindery(folder, prefect_home)
    first = bindery.json("ingest", str(docs))
    assert {source["status"] for source in first["sources"]} == {"new"}
    assert all(source["chunks"] > 0 and source["error"] is None for source in first["sources"])
    assert first["release"] == 1 and first["counts"]["quarantined"] == 0
    yield bindery, docs


def test_what_ingest_prints(sample: tuple[Bindery, Path]) -> None:
    bindery, docs = sample
    again = bindery.json("ingest", str(docs))
    assert set(again) >= {"run", "release", "counts", "sources", "seconds"}
    assert again["release"] == 1 and again["counts"]["processed"] == 0
    assert set(again["sources"][0]) >= {"source", "parent", "status", "doc_id", "chunks", "stage", "error"}
    assert {source["status"] for source in again["sources"]} == {"unchanged"}
    (member,) = [source for source in again["sources"] if source["parent"]]
    assert member["source"] == f"{member['parent']}!/1/order-PO-7718.xlsx"
    assert bindery.json("ingest", str(docs), "--changed-only", "--dry-run")["sources"] == []
    assert bindery("ingest", str(docs), "--dry-run").strip() == f"= {len(again['sources'])} unchanged"


def test_search_contract(sample: tuple[Bindery, Path]) -> None:
    bindery, docs = sample
    found = bindery.json("search", "revenue of radar gauges 2025", "-k", "3")
    assert set(found) == {"schema_version", "query", "terms", "release", "hits", "notes"} and len(found["hits"]) == 3
    words = {"weight": 1.0, "modality": "text", "text": "revenue of radar gauges 2025", "path": None}
    assert (found["query"], found["terms"]) == ("revenue of radar gauges 2025", [words])
    hit = found["hits"][0]
    assert set(hit) == {
        "chunk_id", "doc_id", "sources", "pages", "time_range", "kind", "score", "text", "html", "image", "boxes",
        "modality", "located", "picture_tag", "media", "media_type",
    }  # fmt: skip
    scores = [each["score"] for each in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert any(str(docs / "reports/annual-report-2025.pdf") in each["sources"] for each in found["hits"])
    boxes = [box for each in found["hits"] for box in each["boxes"]]
    assert boxes and all(set(box) == {"page", "x0", "y0", "x1", "y1"} and box["page"] >= 1 for box in boxes)
    assert all(0 <= box["x0"] <= box["x1"] <= 1 and 0 <= box["y0"] <= box["y1"] <= 1 for box in boxes)


def test_search_filters(sample: tuple[Bindery, Path]) -> None:
    bindery, docs = sample
    images = bindery.json("search", "harborview dashboard", "--kind", "image")["hits"]
    assert images and {hit["kind"] for hit in images} == {"image"}
    lake = Path(bindery.environment["BINDERY_LAKE"])
    assert all((lake / hit["image"]).is_file() for hit in images)
    sheets = bindery.json("search", "shipments", "--source", "*.xlsx")["hits"]
    assert sheets and all(hit["sources"][0].endswith(".xlsx") for hit in sheets)
    tagged = bindery.json("search", "antenna", "--tag", "finance")["hits"]
    assert {tuple(hit["sources"]) for hit in tagged} == {(str(docs / "reports/board-memo-2025-q1.txt"),)}
    audio = bindery.json("search", "surge alarm recording", "--kind", "audio")["hits"]
    assert [0.0, 2.4] in [hit["time_range"] for hit in audio]
    assert bindery.json("search", "antenna", "--tag", "' OR 1=1 --")["hits"] == []


def test_spaces_and_terms_of_a_lake_of_words(
    sample: tuple[Bindery, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bindery, docs = sample
    plain = bindery.json("search", "antenna tower", "-k", "3")
    assert bindery.json("search", "antenna tower", "-k", "3", "--space", "minilm") == plain
    monkeypatch.setenv("BINDERY_LAKE", bindery.environment["BINDERY_LAKE"])

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        """The command in this process, which spares its start."""
        handler = signal.getsignal(signal.SIGTERM)
        assert (cli.run([*arguments, "--json"]), arguments) == (code, arguments)
        signal.signal(signal.SIGTERM, handler)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def refused(*arguments: str) -> dict[str, str]:
        error: dict[str, str] = run(*arguments, code=2)["error"]
        assert error["code"] == "usage"
        return error

    assert run("search", "antenna", "--plus", "tower", "-k", "3")["hits"] == plain["hits"]
    (said,) = run("search", "antenna", "--tag", "diagram")["notes"]
    assert said.endswith("--picture-tag diagram") and run("search", "antenna", "--tag", "nope")["notes"] == []
    question = "What revenue did radar gauges bring in 2025, in thousand euros?"
    asked = [run("ask", question, *options) for options in ([], ["--space", "minilm"])]
    assert asked[0]["found"] and asked[0]["citations"] == asked[1]["citations"]

    sign = str(docs / "media" / "caution-sign.jpg")
    for arguments in (
        ["search", "--image", sign],
        ["search", "x", "--plus", "@" + sign],
        ["ask", "x", "--image", sign],
    ):
        error = refused(*arguments)
        assert error["message"] == "the lake has no space that can be asked by files; its spaces: minilm"
        assert "bindery models add imagebind" in error["hint"]
    assert "weights and --minus" in refused("search", "antenna", "--minus", "0.5*tower")["message"]
    assert refused("search", "--audio", "nowhere.wav")["message"] == "there is no file nowhere.wav"
    assert "does not say which modality" in refused("search", "x", "--plus", "@notes.txt")["message"]
    for command in ("search", "ask"):
        assert "no space 'imagebind'" in refused(command, "x", "--space", "imagebind")["message"]
    assert "the query is empty" in refused("search")["message"]
    assert "the question is empty" in refused("ask", " ", "--image", sign)["message"]


@pytest.mark.parametrize(
    ("question", "source", "expected"),
    [
        ("TG-400雷达验潮仪在中国区的价格是多少?", "TG-400-产品说明.md", "45,800"),
        ("How many instruments went to East Asia in the second quarter of 2025?", "shipments-2025.xlsx", "Q2: 152"),
        ("What revenue did radar gauges bring in 2025, in thousand euros?", "annual-report-2025.pdf", "12,930"),
        (
            "Which serial number does the instrument of calibration certificate HC-2025-0731 have?",
            "annual-report-2025.pdf",
            "40-11873",
        ),
    ],
)
def test_the_questions_of_the_demo(
    sample: tuple[Bindery, Path], tmp_path: Path, question: str, source: str, expected: str
) -> None:
    bindery, _ = sample
    page = tmp_path / "answer.html"
    answer = bindery.json("ask", question, "--html", str(page))
    assert set(answer) == {"schema_version", "answer", "found", "method", "citations", "release", "seconds"}
    assert answer["found"] and expected in answer["answer"] and answer["method"] == "extractive"
    citation = answer["citations"][0]
    assert set(citation) == {
        "sources", "pages", "time_range", "kind", "quote", "boxes", "chunk_id",
    }  # fmt: skip
    assert any(each["sources"][0].endswith(source) for each in answer["citations"])
    assert "<script" not in page.read_text(encoding="utf-8").lower()


def test_evaluate_measures_and_holds_to_what_is_required(sample: tuple[Bindery, Path], tmp_path: Path) -> None:
    bindery, docs = sample
    questions = tmp_path / "questions.jsonl"
    scan = next(docs.rglob("*.pdf")).name
    lines = [
        {"question": "What is the order number of the antenna?", "doc": "no such file.pdf", "pages": [1]},
        {"question": "lot number on the scanned certificate", "docs": [scan], "groups": ["PDF"]},
    ]
    questions.write_text("\n".join(map(json.dumps, lines)))
    found = bindery.json("evaluate", str(questions))
    assert (found["measures"][0]["group"], found["measures"][0]["name"]) == ("all", "hit@1")
    assert found["missing"] == ["no such file.pdf"]
    assert found["questions"][0]["page_ranks"] == [None] and len(found["questions"][0]["found"]) == 10
    before = tmp_path / "before.json"
    before.write_text(json.dumps(found))
    printed = bindery("evaluate", str(questions), "--against", str(before))
    assert "change of hit@5: +0.000" in printed and printed.splitlines()[2].startswith("PDF")
    assert bindery.json("evaluate", str(questions), "--require", "hit@5=0.9", code=6)["below"] == ["hit@5"]


def test_what_became_of_a_document(sample: tuple[Bindery, Path]) -> None:
    bindery, _ = sample
    (found,) = bindery.json("status", "--document", "annual-report-2025.pdf")["documents"]
    losses = found["losses"]
    assert losses["pages"] == losses["pages_out"] >= 1 and losses["pages_ocr"] >= 1
    assert losses["coverage"] == 1.0 and losses["characters_elements"] == losses["characters_chunks"] > 50
    assert losses["seconds"] > 0 and losses["peak_mb"] > 50
    printed = bindery("status", "--document", "reports/annual*")
    assert "read by OCR" in printed and "100.00% of the text in them" in printed
    bindery("status", "--document", "no such thing", code=2)


def test_not_found_is_said(sample: tuple[Bindery, Path]) -> None:
    bindery, _ = sample
    answer = bindery.json("ask", "Who won the ice hockey final of 1994?")
    assert answer["found"] is False and answer["citations"] == []


def test_changes_show_as_they_are(sample: tuple[Bindery, Path]) -> None:
    bindery, docs = sample
    (docs / "support" / "harborview-runbook.md").rename(docs / "support" / "renamed.md")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\ngarbage")
    (docs / "notes.xyz").write_text("unsupported")
    found = bindery.json("ingest", str(docs), "--changed-only", code=3)
    by_name = {source["source"].removeprefix(f"{docs}/"): source for source in found["sources"]}
    assert {name: source["status"] for name, source in by_name.items()} == {
        "support/renamed.md": "moved",
        "broken.pdf": "quarantined",
    }
    assert by_name["broken.pdf"]["stage"] == "partition" and by_name["broken.pdf"]["error"]["message"]
    assert found["counts"]["skipped"] == 1

    listed = bindery.json("quarantine", "list")["documents"]
    assert [(entry["sources"], entry["attempts"]) for entry in listed] == [([str(docs / "broken.pdf")], 1)]
    retried = bindery.json("quarantine", "retry", "*broken*", code=3)
    assert [source["status"] for source in retried["sources"]] == ["quarantined"]
    assert bindery.json("quarantine", "list")["documents"][0]["attempts"] == 2
    status = bindery.json("status")
    assert status["quarantine"] == 1 and status["release"] == found["release"]
    error = bindery.json("status", "--document", "broken.pdf", code=2)["error"]
    assert "broken.pdf is in quarantine: the PDF cannot be read" in error["message"]


def test_errors_are_objects_too(sample: tuple[Bindery, Path], tmp_path: Path) -> None:
    bindery, _ = sample
    assert bindery.json("ingest", str(tmp_path / "nowhere"), code=1)["error"]["code"] == "source_root"
    assert bindery.json("ingest", code=2)["error"]["code"] == "usage"
    assert bindery.json("search", "x", "--kind", "smell", code=2)["error"]["code"] == "usage"
    assert bindery.json("search", " ", code=2)["error"]["code"] == "usage"
    assert bindery.json("search", "x", "--lake", str(tmp_path / "none"), code=1)["error"]["code"] == "lake"
    assert bindery.json("ingest", str(tmp_path), "--profile", "openai", code=1)["error"]["hint"]
    for_people = bindery.run("search", "x", "--lake", str(tmp_path / "none"))
    assert for_people.stdout == "" and "there is no lake" in for_people.stderr


def test_a_busy_lake_is_told_at_once(sample: tuple[Bindery, Path]) -> None:
    from tasks.lease import hold
    from tasks.storage import LocalStorage

    bindery, docs = sample
    with hold(LocalStorage(bindery.environment["BINDERY_LAKE"]), "ingest"):
        assert bindery.json("ingest", str(docs), code=5)["error"]["code"] == "lake_busy"
        assert bindery.json("search", "antenna")["hits"]


def imports(environment: Mapping[str, str], *arguments: str) -> set[str]:
    """The modules that a command loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows.cli", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}


HEAVY = {"prefect", "torch", "unstructured", "spacy", "transformers"}


def test_reading_commands_import_no_server(sample: tuple[Bindery, Path]) -> None:
    bindery, _ = sample
    for arguments in (["status"], ["search", "antenna"], ["ask", "antenna?"]):
        loaded = imports(bindery.environment, *arguments)
        assert not loaded & HEAVY, arguments
        assert arguments[0] != "status" or not loaded & {"lancedb", "onnxruntime"}


def test_a_lake_with_media_loads_their_model_only_where_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_home: PrefectHome
) -> None:
    """With a toy model of random weights: what is found means nothing, that it is asked does."""
    pytest.importorskip("torch")
    from tasks.embed import spaces
    from tests.embed.imagebind.tiny import install_tiny
    from tests.pipeline import ingest, inline

    install_tiny(tmp_path / "models")
    docs = tmp_path / "docs"
    shutil.copytree(CORPUS / "sales", docs)
    for name in ("bell.png", "bell.wav", "siren.wav"):
        shutil.copy(CORPUS / "media" / name, docs)
    monkeypatch.setenv("BINDERY_MODELS", str(tmp_path / "models"))
    spaces.open_space.cache_clear()
    try:
        with inline():
            assert ingest([docs], tmp_path / "lake").quarantined == 0
    finally:
        spaces.open_space.cache_clear()
    bindery = Bindery(tmp_path, prefect_home)
    bindery.environment["BINDERY_MODELS"] = str(tmp_path / "models")
    bell = str(docs / "bell.wav")
    found = bindery.json("search", "--audio", bell, "--minus", "0.001*gauge")
    assert found["query"] == f"audio:{bell} - 0.001*gauge"
    assert [term["weight"] for term in found["terms"]] == [1, -0.001]
    assert found["hits"][0]["sources"] == [bell] and found["hits"][0]["modality"] == "audio"
    assert {hit["kind"] for hit in found["hits"]} >= {
        "audio",
        "image",
        "table",
    }  # texts without a summary are not in this space
    assert "torch" in imports(bindery.environment, "search", "tide gauge")
    for arguments in (["ask", "tide gauge?"], ["search", "tide gauge", "--space", "minilm"]):
        assert not imports(bindery.environment, *arguments) & HEAVY, arguments
    classified = bindery.json("classify", bell, str(docs / "none.png"), "--labels", "bell,siren", code=3)
    assert [row["error"] is None for row in classified["files"]] == [True, False]
    shutil.rmtree(tmp_path / "models")
    missing = bindery.json("search", "tide gauge", code=1)["error"]
    assert missing["code"] == "missing_capability" and "or search without it: --space minilm" in missing["hint"]
    assert bindery.json("ask", "tide gauge?")["release"] == 1
