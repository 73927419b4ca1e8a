"""kill -9 at random moments of an ingest: the next run completes, and readers always saw one whole release."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
import zipfile
from multiprocessing.connection import Connection
from pathlib import Path

from tasks.index import open_reader
from tasks.lake import current_release, open_lake
from tests.pipeline import contents, ingest, inline

KILLS = 30
FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["tests.pipeline", "tests.preload_stages"])


def _ingest_in_child(ready: Connection, docs: str, lake: str) -> None:
    ready.send("ready")
    with inline():
        ingest([docs], lake, allow_mass_delete=True)
    ready.send("done")


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
        while not self.stop.is_set():
            if not (self.lake / "lake.json").exists():
                continue
            lake = open_lake(str(self.lake))
            release = current_release(lake.storage)
            if release.number == 0:
                continue
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


def _run_once(docs: Path, lake: Path, kill_after: float | None) -> tuple[bool, float]:
    """One ingest in a child process; whether it ended by itself, and how long it took."""
    ours, theirs = FORK_SERVER.Pipe()
    child = FORK_SERVER.Process(target=_ingest_in_child, args=(theirs, str(docs), str(lake)))
    child.start()
    theirs.close()
    assert ours.recv() == "ready" and child.pid is not None
    started = time.monotonic()
    child.join(kill_after)
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
    watcher.stop.set()
    watcher.join()

    with inline():
        ingest([docs], tmp_path / "rebuilt")
    assert contents(lake) == contents(tmp_path / "rebuilt")
    assert watcher.problems == [] and watcher.seen > 0
    leftovers = [path for path in lake.rglob(".tmp-*") if "stages" not in path.parts and "blobs" not in path.parts]
    assert len(leftovers) <= kills
