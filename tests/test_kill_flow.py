"""kill -9 and Ctrl-C of the real command, through the flow and Prefect's embedded server: nothing is lost or left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tasks.lake import current_release
from tests.conftest import PrefectHome
from tests.files import make_scan, make_zip
from tests.pipeline import contents, ingest, inline, opened

ROOT = Path(__file__).parent.parent
PATIENCE = 240.0  # seconds to wait for what a busy machine may be slow to do; never asserted on
_POLL = 0.005
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes as POSIX does")


class Ingest:
    """A running `bindery ingest` in a session of its own, and the processes that it has started."""

    def __init__(self, docs: Path, lake: Path, log: Path, home: PrefectHome) -> None:
        self.lake, self.log = lake, log
        self.seen: dict[int, psutil.Process] = {}
        environment = {**os.environ, **home.environment, "BINDERY_LAKE": str(lake), "BINDERY_LIMITS__WORKERS": "2"}
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", "ingest", str(docs)],
                cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
            )  # fmt: skip

    @property
    def stderr(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, reached: Callable[[Ingest], bool]) -> None:
        """Wait until the run has come so far. Fails where it ends before."""
        deadline = time.monotonic() + PATIENCE
        while not reached(self):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.stderr[-2000:]}"
            assert time.monotonic() < deadline, f"it did not get there: {self.stderr[-2000:]}"
            time.sleep(_POLL)
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self.seen[child.pid] = child

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    @property
    def workers(self) -> list[psutil.Process]:
        return [child for child in self.seen.values() if not _is_server(child)]

    def orphans(self) -> list[psutil.Process]:
        """The processes that are left, after waiting for them to notice."""
        alive: list[psutil.Process] = psutil.wait_procs(self.workers, timeout=PATIENCE)[1]
        return alive

    def end(self) -> None:
        """End what is left: the embedded server does not notice that the process it serves was killed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for child in self.seen.values():
            if child.is_running():  # by identity, not by a pid that somebody else may have by now
                child.kill()


def _is_server(process: psutil.Process) -> bool:
    try:
        return "uvicorn" in process.cmdline()
    except psutil.Error:
        return False


@pytest.fixture
def start(tmp_path: Path, prefect_home: PrefectHome) -> Iterator[Callable[[], Ingest]]:
    docs, lake = _documents(tmp_path / "docs"), tmp_path / "lake"
    started: list[Ingest] = []

    def run() -> Ingest:
        started.append(Ingest(docs, lake, tmp_path / f"run-{len(started)}.log", prefect_home))
        return started[-1]

    yield run
    for each in started:
        each.end()


def _documents(docs: Path) -> Path:
    """Pages to read by OCR, so that partitioning takes its time, and many chunks, so that embedding does."""
    docs.mkdir()
    for number in range(3):
        make_scan(docs / f"scan-{number}.pdf", [f"HARBOUR LOG {number}\nPAGE {page}" for page in range(3)])
    for number in range(6):
        parts = "\n\n".join(f"## Part {part}\n\n" + f"Quay {number} holds crate {part}. " * 40 for part in range(10))
        (docs / f"note-{number}.md").write_text(f"# Note {number}\n\n{parts}\n")
    make_zip(docs / "pack.zip", {f"in-{n}.csv": b"name,value\nbollard,%d\n" % n for n in range(4)})
    return docs


def _files(lake: Path, stage: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (lake / "stages" / stage).glob("*.parquet")}


def _partitioning(run: Ingest) -> bool:
    return bool(_files(run.lake, "partition"))


def _embedding(run: Ingest) -> bool:
    return bool(_files(run.lake, "summarize")) and "bindery: publish" not in run.stderr


def _publishing(run: Ingest) -> bool:
    return "bindery: publish" in run.stderr


def test_a_run_killed_in_any_phase_goes_on(start: Callable[[], Ingest], tmp_path: Path) -> None:
    done: dict[Path, int] = {}
    for phase in (_partitioning, _embedding, _publishing):
        run = start()  # takes the lease of the killed one at once, else it would end with exit code 5
        run.until(phase)
        run.process.kill()
        assert run.wait() == -signal.SIGKILL
        assert run.workers and run.orphans() == []
        assert current_release(opened(run.lake).storage).number == 0, "the kill came too late to tell anything"
        done |= {path: stamp for stage in ("partition", "chunk") for path, stamp in _files(run.lake, stage).items()}
    last = start()
    assert last.wait() == 0, last.stderr[-4000:]
    assert {path: path.stat().st_mtime_ns for path in done} == done  # what was finished was not done again
    with inline():
        ingest([tmp_path / "docs"], tmp_path / "rebuilt")
    assert contents(last.lake) == contents(tmp_path / "rebuilt")


@pytest.mark.parametrize("whole_group", [False, True], ids=["kill -INT", "Ctrl-C in a terminal"])
def test_an_interrupted_run_says_so_and_ends(start: Callable[[], Ingest], whole_group: bool) -> None:
    run = start()
    run.until(_partitioning)
    if whole_group:  # a terminal sends it to the workers and the server, too
        os.killpg(run.process.pid, signal.SIGINT)
    else:
        run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130, run.stderr[-4000:]
    assert "interrupted; what is finished is kept" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.orphans() == []
    assert psutil.wait_procs(list(run.seen.values()), timeout=PATIENCE)[1] == []  # the server neither
