"""Measures a system that runs as a process of its own: wall time, processor time and memory, stage by stage.

In: a command that speaks as `benchmarks.channel` does. Out: a `Run`. The meter looks from outside, the same way at
every system, so measuring costs the measured process nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.channel import Job, Result

ROOT = Path(__file__).resolve().parent.parent
START = "start"  # from the launch of the process to its first stage
_SAMPLE_SECONDS = 0.05
_CHILDREN_SAMPLES = 10  # look for new processes at every so many samples: it reads all of /proc


class SystemFailedError(Exception):
    """A measured system ended without a result; the message holds the end of what it wrote to standard error."""


@dataclasses.dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage of one run. CPU seconds are those of the process and everything below it, memory is resident MB."""

    seconds: float
    cpu_seconds: float
    parent_mb: float
    child_mb: float
    documents: int
    pages: int


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of one system, stages in order. `others_cpu_seconds` went to whatever else ran meanwhile."""

    stages: dict[str, StageFigures]
    others_cpu_seconds: float
    result: Result


def measure(command: Sequence[str], job: Job, environment: Mapping[str, str]) -> Run:
    """Run a system on a job (its file is the command's last argument) and measure it.

    Raises SystemFailedError where it ends badly.
    """
    job_file = Path(job.folder) / "job.json"
    job.write(job_file)
    with tempfile.TemporaryFile() as errors, _process([*command, str(job_file)], environment, errors) as process:
        watch = _Watch(process.pid)
        started = time.perf_counter()
        try:
            run = _listen(process, watch, started)
        finally:
            watch.stop()
        process.wait()
        if run is None:
            errors.seek(0)
            tail = errors.read().decode(errors="replace").strip().splitlines()[-15:]
            raise SystemFailedError("\n".join([f"{' '.join(command)} ended with {process.returncode}", *tail]))
        return run


def _listen(process: subprocess.Popen[str], watch: _Watch, started: float) -> Run | None:
    assert process.stdin and process.stdout
    stages: dict[str, StageFigures] = {}
    cpu, busy = 0.0, machine.busy_seconds()
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "result":
            fields = event["result"]
            others = max(0.0, machine.busy_seconds() - busy - watch.cpu_seconds())
            _answer(process)
            return Run(stages, others, Result(**{**fields, "notes": tuple(fields["notes"])}))
        if event["event"] == "begin" and not stages:  # the launch is a stage that nobody announces
            event = {"event": "end", "stage": START, "seconds": time.perf_counter() - started}
        if event["event"] == "end":
            now = watch.cpu_seconds()
            peak = watch.take_peaks()
            stages[event["stage"]] = StageFigures(
                event["seconds"], now - cpu, *peak, event.get("documents", 0), event.get("pages", 0)
            )
            cpu = now
        _answer(process)
    return None


def _answer(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


class _Watch:
    """The processor time of a process tree, and its largest resident sets, sampled by a thread."""

    def __init__(self, pid: int) -> None:
        self._parent = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._parent_peak = self._child_peak = 0.0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cpu_seconds(self) -> float:
        """Of all processes of the tree, those that have ended included (they count as their parent's children)."""
        total = 0.0
        for process in [self._parent, *self._find_children()]:
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])
        return total

    def take_peaks(self) -> tuple[float, float]:
        """The largest resident MB of the parent and of any child since the last call."""
        self._sample()
        with self._lock:
            peaks = self._parent_peak, self._child_peak
            self._parent_peak = self._child_peak = 0.0
        return peaks

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        count = 0
        while not self._done.wait(_SAMPLE_SECONDS):
            if count % _CHILDREN_SAMPLES == 0:
                self._find_children()
            count += 1
            self._sample()

    def _find_children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            self._children = self._parent.children(recursive=True)
        return self._children

    def _sample(self) -> None:
        parent = _resident_mb(self._parent)
        child = max(map(_resident_mb, self._children), default=0.0)
        with self._lock:
            self._parent_peak = max(self._parent_peak, parent)
            self._child_peak = max(self._child_peak, child)


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


@contextlib.contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str], errors: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block, and everything below it too."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
        process.wait()
