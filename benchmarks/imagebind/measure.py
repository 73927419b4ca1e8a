"""Two ways of doing the same, turn by turn: seconds, processor time and peak memory of each."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import torch

_SAMPLE_SECONDS = 0.02


@dataclasses.dataclass(slots=True)
class Side:
    """One of the two: of each run the wall and processor seconds per item, and the peak MB beyond what was held."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    cpu_seconds: list[float] = dataclasses.field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def per_item(self) -> float:
        """The best turn: what disturbs a turn can only make it longer."""
        return min(self.seconds)

    @property
    def rate(self) -> float:
        return 1 / self.per_item


@dataclasses.dataclass(slots=True)
class Case:
    """What was measured: `kind` and `batch` of a modality, ours and the plain way; `flop` is of one item."""

    modality: str
    kind: str
    batch: int
    flop: float
    ours: Side
    plain: Side | None

    @property
    def ratio(self) -> float | None:
        """How many times as fast ours is, by wall time."""
        return self.plain.per_item / self.ours.per_item if self.plain else None

    @property
    def cpu_ratio(self) -> float | None:
        if self.plain is None:
            return None
        return min(self.plain.cpu_seconds) / max(1e-9, min(self.ours.cpu_seconds))


class Clock:
    """The time that the whole run may take."""

    def __init__(self, seconds: float) -> None:
        self._start, self._seconds = time.perf_counter(), seconds

    @property
    def spent(self) -> float:
        return time.perf_counter() - self._start

    @property
    def left(self) -> float:
        return self._seconds - self.spent


def alternate(
    ours: Callable[[], int], plain: Callable[[], int] | None, device: torch.device, seconds: float, most: int = 9
) -> tuple[Side, Side | None]:
    """Turn by turn for about so long, each at least once; the calls return how many items they did."""
    sides = [(ours, Side())] if plain is None else [(ours, Side()), (plain, Side())]
    start = time.perf_counter()
    for turn in range(most):
        for call, side in sides if turn % 2 == 0 else reversed(sides):
            _once(call, side, device)
        spent = time.perf_counter() - start
        if spent + spent / (turn + 1) > seconds:
            break
    return sides[0][1], sides[1][1] if plain is not None else None


def _once(call: Callable[[], int], side: Side, device: torch.device) -> None:
    with _peak(device) as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        count = call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    side.seconds.append(wall / count)
    side.cpu_seconds.append(cpu / count)
    side.peak_mb = max(side.peak_mb, peak[0])


@contextlib.contextmanager
def _peak(device: torch.device) -> Iterator[list[float]]:
    """The MB that the block had at most beyond those before it: of the GPU, or resident ones of this process."""
    found = [0.0]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        torch.cuda.synchronize(device)
        found[0] = (torch.cuda.max_memory_allocated(device) - before) / 1e6
        return
    process, done = psutil.Process(), threading.Event()
    start = process.memory_info().rss

    def watch() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            found[0] = max(found[0], (process.memory_info().rss - start) / 1e6)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def roofline(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product: what this device can do at best."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    repeats = 20 if device.type == "cuda" else 3
    best = 0.0
    for _ in range(3):  # the first warms up
        _synchronize(device)
        start = time.perf_counter()
        for _ in range(repeats):
            torch.mm(left, right)
        _synchronize(device)
        best = max(best, repeats * 2 * side**3 / (time.perf_counter() - start))
    return best


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
