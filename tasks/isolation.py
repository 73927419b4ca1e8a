"""Work on untrusted bytes in processes of its own: with a time limit, a memory limit, and no way to take others down.

`Workers.call` runs one function in one worker and blocks. Whatever happens in there ends as a result or a
DocumentError: `timeout`, `memory`, `crash`, `malformed` (any other exception), or the one that was raised.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from tasks.errors import DocumentError
from tasks.settings import Limits
from tasks.worker import Outcome, ready, start

T = TypeVar("T")
_TASKS_PER_WORKER = 200  # a worker is replaced after this many, whatever its libraries leaked
_POLL_SECONDS = 0.1
PRELOAD = ("tasks.partition.preload",)


class Workers:
    """A pool of worker processes, started at the first call. Use as a context manager; call from any thread."""

    def __init__(self, limits: Limits, preload: Sequence[str] = PRELOAD) -> None:
        self._limits = limits
        self._preload = list(preload)
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._futures: set[ProcessFuture[Outcome]] = set()
        self._pids: dict[int, psutil.Process] = {}
        self._over: dict[int, int] = {}  # pid -> MB, of workers killed for memory
        self._peak_mb = 0
        self._closed = threading.Event()
        self._alive: Connection | None = None  # workers end when this end closes, however this process ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def peak_memory_mb(self) -> int:
        """The largest resident set that any worker had."""
        return self._peak_mb

    def call(self, fn: Callable[..., T], *args: Any, seconds: float, name: str) -> T:
        """`fn(*args)` in a worker. `fn` is a module-level function; `name` says in messages what was being done.

        Raises DocumentError, or CancelledError when the pool is closed meanwhile.
        """
        for attempt in (1, 2):
            try:
                outcome = self._wait(self._schedule(fn, args, seconds))
            except concurrent.futures.TimeoutError:
                raise DocumentError(
                    "timeout",
                    f"took longer than {seconds:g} s ({name})",
                    "raise limits.seconds_per_page or limits.seconds_per_document",
                ) from None
            except ProcessExpired as error:
                raise self._death(error, name) from None
            except BrokenProcessPool:  # a worker died between two tasks; pebble gives the whole pool up then
                if attempt == 2 or self._closed.is_set():
                    raise DocumentError("worker_lost", f"the worker pool broke ({name})", "run again") from None
                continue
            self._peak_mb = max(self._peak_mb, outcome.peak_mb)
            if outcome.error is not None:
                raise outcome.error
            return outcome.value  # type: ignore[no-any-return]
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Stop the workers; calls that still wait end with CancelledError."""
        with self._lock:
            self._closed.set()
            pool, self._pool = self._pool, None
            futures = list(self._futures)
        for future in futures:
            future.cancel()  # type: ignore[no-untyped-call]
        if pool is not None:
            self._end(pool)

    def _schedule(self, fn: Callable[..., T], args: tuple[Any, ...], seconds: float) -> ProcessFuture[Outcome]:
        with self._lock:
            if self._closed.is_set():
                raise concurrent.futures.CancelledError("the workers are closed")
            if self._pool is not None and not self._pool.active:
                self._end(self._pool)
                self._pool = None
            if self._pool is None:
                self._pool = self._start()
            try:
                future = self._pool.schedule(start, args=(fn, args), timeout=seconds)
            except RuntimeError as error:
                raise BrokenProcessPool(str(error)) from error
            self._futures.add(future)
            return future

    def _wait(self, future: ProcessFuture[Outcome]) -> Outcome:
        try:
            return future.result()
        finally:
            self._futures.discard(future)

    def _start(self) -> ProcessPool:
        """A pool by forkserver where there is one, else spawn; never fork, since this process has threads."""
        methods = multiprocessing.get_all_start_methods()
        method = "forkserver" if "forkserver" in methods else "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(self._preload)
        pids, announce = context.Pipe(duplex=False)
        watched, self._alive = context.Pipe(duplex=False)
        pool = ProcessPool(
            max_workers=self._limits.workers,
            max_tasks=_TASKS_PER_WORKER,
            initializer=ready,
            initargs=(announce, watched, self._limits.memory_mb, self._limits.max_file_bytes),
            context=context,
        )
        # The workers' ends stay open here too: workers that replace others are handed them again.
        keep = (announce, watched)
        threading.Thread(target=self._watch, args=(pool, pids, keep), daemon=True, name="bindery-memory").start()
        return pool

    def _end(self, pool: ProcessPool) -> None:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
        if self._alive is not None:
            self._alive.close()

    def _watch(self, pool: ProcessPool, pids: Connection, keep: tuple[Connection, ...]) -> None:
        """Kill workers above the memory limit, ten times a second, until the pool is gone."""
        while self._pool is pool or (self._pool is None and not self._closed.is_set()):
            with contextlib.suppress(OSError, EOFError):
                while pids.poll(_POLL_SECONDS):
                    pid = pids.recv()
                    with contextlib.suppress(psutil.NoSuchProcess):
                        self._pids[pid] = psutil.Process(pid)
                        self._over.pop(pid, None)
            for pid, process in list(self._pids.items()):
                try:
                    resident = process.memory_info().rss >> 20
                    self._peak_mb = max(self._peak_mb, resident)
                    if resident > self._limits.memory_mb:
                        self._over[pid] = resident
                        process.kill()
                        del self._pids[pid]
                except psutil.Error:
                    self._pids.pop(pid, None)
        for connection in (*keep, pids):
            connection.close()

    def _death(self, error: ProcessExpired, name: str) -> DocumentError:
        """What the end of a worker means: our own kill for memory, or a crash."""
        if error.pid in self._over:
            return DocumentError(
                "memory",
                f"needed more than {self._limits.memory_mb} MB of memory ({name})",
                "raise limits.memory_mb, or split the document",
            )
        code = error.exitcode or 0
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"signal {-code}, {signal.Signals(-code).name}"
        hint = (
            "the system may be short of memory: fewer workers" if code == -9 else "the file may be hostile or damaged"
        )
        return DocumentError("crash", f"the worker process died ({how}; {name})", hint)
