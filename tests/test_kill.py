"""kill -9 at random moments of an ingest: the next run completes, and readers always saw one whole release."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
import traceback
import zipfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from tasks.index import open_reader
from tasks.lake import current_release, open_lake
from tests.files import make_pdf
from tests.pipeline import assert_same_index, ingest, inline

KILLS = 30
WORKER_KILLS = 6
PAGES = 24
FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["tests.pipeline", "tests.preload_stages"])


def _ingest_in_child(ready: Connection, docs: str, lake: str) -> None:
    ready.send("ready")
    with inline():
        ingest([docs], lake, allow_mass_delete=True)
    ready.send("done")


def _ingest_with_workers(ready: Connection, docs: str, lake: str) -> None:
    """The same with real worker processes, which share a PDF's pages."""
    os.environ |= {"BINDERY_LIMITS__WORKERS": "2", "BINDERY_LIMITS__PART_PAGES": "2"}
    ready.send("ready")
    ingest([docs], lake, allow_mass_delete=True)
    ready.send("done")


Child = Callable[[Connection, str, str], None]


def _mutate(docs: Path, dice: random.Random, round_number: int) -> None:
    """A new state of the folder: some files new, some changed, some renamed, some gone."""
    for number in range(12):
        path = docs / f"note-{number}.md"
        match dice.randrange(4):
            case 0:
                path.unlink(missing_ok=True)
            case 1 if path.exists():
                path.rename(docs / f"moved-{round_number}-{number}.md")
            case _:
                text = "\n\n".join(f"## Part {p}\n\nRound {round_number}, note {number}, part {p}." for p in range(4))
                path.write_text(f"# Note {number}\n\n{text}\n")
    with zipfile.ZipFile(docs / "pack.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"in-{number}.csv", f"name,value\nround,{round_number}\nrow,{dice.randrange(5)}\n")


class Watcher(threading.Thread):
    """Reads the lake all the while; `problems` lists every release that was not whole."""

    def __init__(self, lake: Path) -> None:
        super().__init__(daemon=True)
        self.lake, self.problems, self.seen = lake, list[str](), 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.02):
            try:
                self._look()
            except Exception:  # noqa: BLE001  the thread must not end unseen
                self.problems.append(traceback.format_exc())

    def _look(self) -> None:
        if not (self.lake / "lake.json").exists():
            return
        lake = open_lake(str(self.lake))
        release = current_release(lake.storage)
        if release.number == 0:
            return
        reader = open_reader(lake, release)
        chunks, documents = reader.all_chunks(), reader.documents()
        sources = [row for row in reader.sources() if not row.skipped]
        held = {row.doc_id for row in sources if row.media_type != "application/zip"}
        per_document = dict.fromkeys(documents, 0)
        for chunk in chunks:
            per_document[chunk.doc_id] = per_document.get(chunk.doc_id, 0) + 1
        if held != set(documents) or per_document != {k: d.chunks for k, d in documents.items()}:
            self.problems.append(f"release {release.number}: documents, sources and chunks do not agree")
        if len(chunks) != release.counts["chunks"]:
            self.problems.append(f"release {release.number}: {len(chunks)} chunks of {release.counts['chunks']}")
        self.seen += 1

    def end(self) -> None:
        """Fails where a release was not whole, or where nobody looked."""
        assert self.is_alive()
        self.stop.set()
        self.join()
        assert self.problems == [] and self.seen > 0


def _run_once(
    docs: Path,
    lake: Path,
    kill_after: float | None,
    target: Child = _ingest_in_child,
    kill_when: Callable[[], bool] = lambda: False,
) -> tuple[bool, float]:
    """One ingest in a child process; whether it ended by itself, and how long it took."""
    ours, theirs = FORK_SERVER.Pipe()
    child = FORK_SERVER.Process(target=target, args=(theirs, str(docs), str(lake)))
    child.start()
    theirs.close()
    assert ours.recv() == "ready" and child.pid is not None
    started = time.monotonic()
    while child.is_alive() and (kill_after is None or time.monotonic() < started + kill_after) and not kill_when():
        child.join(0.002)
    if child.is_alive():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        return False, time.monotonic() - started
    assert child.exitcode == 0 and ours.recv() == "done"
    return True, time.monotonic() - started


def test_killed_runs_lose_nothing(tmp_path: Path) -> None:
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    dice = random.Random(7)
    _mutate(docs, dice, 0)
    _, duration = _run_once(docs, lake, None)
    watcher = Watcher(lake)
    watcher.start()
    kills = 0
    round_number = 0
    while kills < KILLS:
        round_number += 1
        _mutate(docs, dice, round_number)
        done = False
        while not done:
            done, took = _run_once(docs, lake, dice.uniform(0, duration))
            duration = max(duration, took) if done else duration
            kills += not done
            if not done and dice.random() < 0.1:
                done = _run_once(docs, lake, None)[0]
    assert _run_once(docs, lake, None)[0]
    watcher.end()

    with inline():
        ingest([docs], tmp_path / "rebuilt")
    assert_same_index(lake, tmp_path / "rebuilt")
    leftovers = [path for path in lake.rglob(".tmp-*") if "stages" not in path.parts and "blobs" not in path.parts]
    assert len(leftovers) <= kills


def test_runs_killed_with_their_workers_lose_nothing(tmp_path: Path) -> None:
    """As above with real workers; every second kill falls between the parts of a PDF."""
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    dice = random.Random(11)
    parts = lake / "stages" / "partition-part"

    def change(round_number: int) -> None:
        _mutate(docs, dice, round_number)
        lines = [f"Round {round_number} page {page}: the quay master counts crates and ropes." for page in range(PAGES)]
        make_pdf(docs / "log.pdf", [[(72, 700, 12, line)] for line in lines])

    def new_part() -> bool:
        return any(path.name not in before for path in parts.glob("*.parquet"))

    change(0)
    _, duration = _run_once(docs, lake, None, _ingest_with_workers)
    watcher = Watcher(lake)
    watcher.start()
    kills, kept = 0, 0
    while kills < WORKER_KILLS:
        change(kills + 1)
        before = {path.name for path in parts.glob("*.parquet")}
        if kills % 2:
            done, _ = _run_once(docs, lake, dice.uniform(0, duration), _ingest_with_workers)
        else:
            done, _ = _run_once(docs, lake, None, _ingest_with_workers, new_part)
            kept += new_part()
        kills += not done
        if dice.random() < 0.5:
            assert _run_once(docs, lake, None, _ingest_with_workers)[0]
    assert kept > 0, "no kill fell between the parts of the PDF"
    assert _run_once(docs, lake, None, _ingest_with_workers)[0]
    watcher.end()

    ingest([docs], tmp_path / "rebuilt")
    assert_same_index(lake, tmp_path / "rebuilt")
