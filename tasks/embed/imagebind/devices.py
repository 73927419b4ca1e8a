"""Several devices as one: prepared items in, shared among one process per device; results in the order of the items.

Each process loads what it needs of the model once. It ends with `close`, and with this process, however that ends.
The processes are spawned: a script that uses this has its code below `if __name__ == "__main__":`.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tasks.embed.imagebind import device_process, stream
from tasks.embed.imagebind.batches import Result, matrix, named
from tasks.embed.imagebind.device_process import PENDING
from tasks.embed.imagebind.installed import Installed
from tasks.embed.imagebind.stream import Started
from tasks.errors import BinderyError
from tasks.rows import Modality

if TYPE_CHECKING:
    from tasks.embed.imagebind.runtime import Runtime

_CLOSE_SECONDS = 30.0


class DeviceLostError(BinderyError):
    """The process of a device ended by itself: killed, out of memory, or a failure of the device's driver."""

    code = "device_lost"


Task = tuple[str, tuple[Any, ...], "Future[Any]"]  # a method of Runtime and its arguments


class Devices(stream.Encoder):
    """One process per device, such as ("cuda:0", "cuda:1"). Use as a context manager."""

    def __init__(self, installed: Installed, devices: Sequence[str], precision: str = "auto") -> None:
        self._installed = installed
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._lock = threading.Lock()  # nothing is queued once `ended`: nobody might be left to answer it
        self._lost: DeviceLostError | None = None
        self._rows: dict[Modality, int] = {}
        self._closed = False
        context = multiprocessing.get_context("spawn")
        threads = max(1, _cores() // len(devices))
        self.processes: list[Any] = []
        self._feeders: list[threading.Thread] = []
        for device in devices:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=device_process.serve,
                args=(theirs, installed, device, precision, threads),
                name=f"bindery-{device}",
                daemon=True,
            )
            process.start()
            theirs.close()  # so that its end is seen when the process dies
            self.processes.append(process)
            feeder = threading.Thread(target=self._feed, args=(ours, process, device), daemon=True)
            feeder.start()
            self._feeders.append(feeder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def dimension(self) -> int:
        return self._installed.config.dimension

    @property
    def in_flight(self) -> int:
        return len(self.processes) * PENDING - 1

    @property
    def ended(self) -> bool:
        """Whether there will be no more results: closed, or a process died."""
        return self._closed or self.lost

    @property
    def lost(self) -> bool:
        """Whether a process died."""
        return self._lost is not None

    def batch_rows(self, modality: Modality) -> int:
        if modality not in self._rows:
            self._rows[modality] = int(self._ask("batch_rows", modality).result())
        return self._rows[modality]

    def start(self, modality: Modality, arrays: Sequence[np.ndarray]) -> Started:
        """Queue the items for whichever device is free, in parts of a batch each."""
        futures = [self._ask("start", modality, part) for part in _parts(arrays, self.batch_rows(modality))]

        def finished() -> list[Result]:
            return [result for future in futures for result in future.result()]

        return finished

    def encode_texts(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        # sorted by length, so that each device gets texts of like length
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
        results = self.start("text", [np.asarray(ids[index], dtype=np.int64)[None] for index in order])()
        by_place = dict(zip(order, results, strict=True))
        return matrix(named([by_place[index] for index in range(len(ids))], "text"), self.dimension)

    def close(self) -> None:
        """End the processes, after what they have begun."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in self.processes:
                self._tasks.put(None)
        for feeder in self._feeders:
            feeder.join(_CLOSE_SECONDS)
        for process in self.processes:
            process.join(_CLOSE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        self._drain(BinderyError("the devices are closed"))

    def _ask(self, method: str, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise BinderyError("the devices are closed", "open them again")
            if self._lost is not None:
                raise self._lost
            self._tasks.put((method, arguments, future))
        return future

    def _feed(self, connection: Connection, process: Any, device: str) -> None:
        """Give one process tasks, some ahead, and hand its answers to who waits for them."""
        pending: collections.deque[Future[Any]] = collections.deque()
        open_ended = True
        try:
            while open_ended or pending:
                while open_ended and len(pending) < PENDING:
                    try:
                        task = self._tasks.get(block=not pending)
                    except queue.Empty:
                        break
                    if task is None:
                        open_ended = False
                        break
                    method, arguments, future = task
                    pending.append(future)
                    connection.send((method, arguments))
                if pending:
                    error, value = connection.recv()
                    future = pending.popleft()
                    future.set_exception(error) if error is not None else future.set_result(value)
            connection.send(None)
        except (EOFError, OSError):
            process.join(_CLOSE_SECONDS)
            lost = DeviceLostError(
                f"the process of device {device} died ({_how(process.exitcode)})",
                "run again; if it happens again, look at the machine's memory and the driver's log",
            )
            with self._lock:
                self._lost = lost
            for future in pending:
                future.set_exception(lost)
            self._drain(lost)
        finally:
            connection.close()

    def _drain(self, error: BinderyError) -> None:
        """Nobody waits for ever: what is queued fails. Each end that is meant for a feeder stays."""
        ends = 0
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is None:
                    ends += 1
                else:
                    task[2].set_exception(error)
        for _ in range(ends):
            self._tasks.put(None)


def encoder_for(installed: Installed, device: str = "auto", precision: str = "auto") -> Runtime | Devices:
    """This process's encoder: the runtime of one device, or for several ("cuda:0,cuda:1") their processes."""
    names = [name.strip() for name in device.split(",")]
    if len(names) == 1:
        from tasks.embed.imagebind.runtime import runtime_for

        return runtime_for(installed, device, precision)
    key = (installed, tuple(names), precision)
    with _devices_lock:
        if key not in _devices or _devices[key].ended:
            _devices[key] = Devices(installed, names, precision)
            atexit.register(_devices[key].close)
        return _devices[key]


_devices: dict[tuple[Installed, tuple[str, ...], str], Devices] = {}
_devices_lock = threading.Lock()


def _parts(arrays: Sequence[np.ndarray], rows: int) -> Iterator[list[np.ndarray]]:
    """Runs of items of about `rows` clips each, at least one item."""
    part: list[np.ndarray] = []
    clips = 0
    for array in arrays:
        part.append(array)
        clips += len(array) if array.ndim else 1
        if clips >= rows:
            yield part
            part, clips = [], 0
    if part:
        yield part


def _how(code: int | None) -> str:
    return "it does not answer" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
