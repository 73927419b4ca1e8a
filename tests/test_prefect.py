"""A real Prefect server and worker: deployments, a schedule that fires, and a query that a downstream job invokes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import PrefectHome

ROOT = Path(__file__).parent.parent
PATIENCE = 240.0  # seconds to wait for what a busy machine may be slow to do; never asserted on
PREFECT = [sys.executable, "-m", "prefect"]

DOWNSTREAM = """
import sys
from prefect.deployments import run_deployment
from tasks.answer import Answer

run = run_deployment("query/query", parameters={"question": sys.argv[1]}, timeout=300, poll_interval=1)
answer = run.state.result(raise_on_failure=True)
assert isinstance(answer, Answer), type(answer)
print("ANSWER " + answer.model_dump_json())
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, prefect_home: PrefectHome) -> Iterator[Mapping[str, str]]:
    """The environment of processes that use a server of this test's own."""
    port = _free_port()
    environment = {
        **os.environ,
        **prefect_home.environment,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_PROFILES_PATH": str(tmp_path / "prefect" / "profiles.toml"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "BINDERY_LAKE": str(tmp_path / "lake"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    process = _start(environment, tmp_path / "server.log", "server", "start", "--port", str(port))
    try:
        _wait(lambda: _healthy(port), "the server")
        yield environment
    finally:
        _end(process)


def _start(environment: Mapping[str, str], log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with open(log, "w") as file:
        return subprocess.Popen(
            [*PREFECT, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
        )


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _run(environment: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def test_deployed_schedule_and_query(server: Mapping[str, str], tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "data/corpus/reports/board-memo-2025-q1.txt", docs)
    shutil.copy(ROOT / "data/corpus/support/harborview-runbook.md", docs)

    _run(server, *PREFECT, "work-pool", "create", "bindery", "--type", "process")
    _run(server, *PREFECT, "--no-prompt", "deploy", "--all")
    # The schedule of the project is nightly; this one fires at the next full minute.
    _run(
        server, *PREFECT, "--no-prompt", "deploy", "--name", "ingest", "--cron", "* * * * *",
        "--param", f"sources={json.dumps([str(docs)])}",
    )  # fmt: skip
    worker = _start(server, tmp_path / "worker.log", "worker", "start", "--pool", "bindery")
    try:
        _wait(lambda: (tmp_path / "lake" / "releases" / "1.json").exists(), "a release from the scheduled ingest")
        release = json.loads((tmp_path / "lake" / "releases" / "1.json").read_text())
        assert release["counts"]["documents"] == 2

        printed = _run(server, sys.executable, "-c", DOWNSTREAM, "Which antenna supplier delivered late?")
        answer = json.loads(printed.rsplit("ANSWER ", 1)[1])
        assert answer["found"] and answer["release"] >= 1
        assert any(source.endswith("board-memo-2025-q1.txt") for c in answer["citations"] for source in c["sources"])
    finally:
        _end(worker)
