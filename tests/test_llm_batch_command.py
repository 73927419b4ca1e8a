"""The real command in the batch lane, through Prefect: interrupted while it waits, and finished by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.status import lake_status
from tests.conftest import PrefectHome
from tests.llm.batches import BatchBehaviour
from tests.llm.endpoint import FakeEndpoint

ROOT = Path(__file__).parent.parent
PATIENCE = 240.0  # seconds to wait for what a busy machine may be slow to do; never asserted on
PROSE = "Members spent more on travel and dining, and the average fee per card rose for the third year in a row."
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes as POSIX does")


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        endpoint.batches.behaviour = BatchBehaviour(polls=1_000_000)
        yield endpoint


@pytest.fixture
def start(endpoint: FakeEndpoint, tmp_path: Path, prefect_home: PrefectHome) -> Callable[[], subprocess.Popen[str]]:
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(40):  # of two shards
        (notes / f"{number}.md").write_text(f"# Crate {number}\n\nCrate {number} is on the quay. {PROSE}\n")
    environment = {
        **os.environ,
        **prefect_home.environment,
        "BINDERY_LAKE": str(tmp_path / "lake"),
        "BINDERY_PROFILE": "openai",
        "BINDERY_LLM__BASE_URL": endpoint.base_url,
        "BINDERY_LLM__API_KEY": "sk-fake",
        "BINDERY_LLM__MODEL": "small",
        "BINDERY_LLM__PRICES": '{"small": {"input": 0.15, "output": 0.6}}',
        "BINDERY_LLM__BATCH_POLL_SECONDS": "0.05",
        "BINDERY_SUMMARIZE__KINDS": '["text"]',
        "BINDERY_LIMITS__WORKERS": "1",
    }
    command = [sys.executable, "-m", "flows.cli", "ingest", str(notes), "--lane", "batch"]

    def run() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return run


def _until(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_interrupted_while_it_waits(
    endpoint: FakeEndpoint, start: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start()
    _until(process, lambda: endpoint.batches.operations["retrieve"] > 1)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130, told
    assert "interrupted; what is finished is kept" in told and "Traceback" not in told
    assert lake_status(str(tmp_path / "lake"))["release"] == 0 and endpoint.batches.sizes() == [40]
    endpoint.batches.behaviour = BatchBehaviour(polls=1)
    process = start()
    told = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, told
    assert "40 sources in, 40 published" in told and "sk-fake" not in told
    assert endpoint.batches.sizes() == [40] and endpoint.calls == [] and endpoint.billed_twice() == 0
    assert endpoint.batches.bill()["calls"] == 40 and endpoint.batches.files == {}
