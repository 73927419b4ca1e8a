"""A real Prefect server and worker: deployments, a schedule that fires, and a query that a downstream job invokes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import PrefectHome
from tests.prefect_server import PREFECT, ROOT, call, end, serving, start, wait

DOWNSTREAM = """
import sys
from prefect.deployments import run_deployment
from tasks.answer import Answer

run = run_deployment("query/query", parameters={"question": sys.argv[1]}, timeout=300, poll_interval=1)
answer = run.state.result(raise_on_failure=True)
assert isinstance(answer, Answer), type(answer)
print("ANSWER " + answer.model_dump_json())
"""


@pytest.fixture
def server(tmp_path: Path, prefect_home: PrefectHome) -> Iterator[Mapping[str, str]]:
    with serving(tmp_path, prefect_home) as environment:
        yield environment


def test_deployed_schedule_and_query(server: Mapping[str, str], tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "data/corpus/reports/board-memo-2025-q1.txt", docs)
    shutil.copy(ROOT / "data/corpus/support/harborview-runbook.md", docs)

    call(server, *PREFECT, "work-pool", "create", "bindery", "--type", "process")
    call(server, *PREFECT, "--no-prompt", "deploy", "--all")
    # The schedule of the project is nightly; this one fires at the next full minute.
    call(
        server, *PREFECT, "--no-prompt", "deploy", "--name", "ingest", "--cron", "* * * * *",
        "--param", f"sources={json.dumps([str(docs)])}",
    )  # fmt: skip
    worker = start(server, tmp_path / "worker.log", "worker", "start", "--pool", "bindery")
    try:
        wait(lambda: (tmp_path / "lake" / "releases" / "1.json").exists(), "a release from the scheduled ingest")
        release = json.loads((tmp_path / "lake" / "releases" / "1.json").read_text())
        assert release["counts"]["documents"] == 2

        printed = call(server, sys.executable, "-c", DOWNSTREAM, "Which antenna supplier delivered late?")
        answer = json.loads(printed.rsplit("ANSWER ", 1)[1])
        assert answer["found"] and answer["release"] >= 1
        assert any(source.endswith("board-memo-2025-q1.txt") for c in answer["citations"] for source in c["sources"])
    finally:
        end(worker)
