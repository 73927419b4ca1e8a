"""torch.compile against the same without, on a GPU: what it saves, and what it costs at first."""

from __future__ import annotations

import dataclasses
import statistics
import time

from benchmarks.imagebind.model_only import Kind, flop_of, items_of, longest
from benchmarks.imagebind.towers import Towers


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """Items per second without and with, and the seconds that the first call took longer."""

    modality: str
    kind: str
    batch: int
    flop: float
    plain_rate: float
    compiled_rate: float
    first_seconds: float


def measure(kind: Kind, towers: Towers) -> Compiled:
    """At the largest batch."""
    batch = kind.batches(towers.device)[-1]
    items = items_of(kind, 4 * batch)
    rates: list[float] = []
    first = 0.0
    try:
        for compiled in (False, True):
            runtime = towers.runtime(batch * len(items[0]), longest(kind, items), compiled)
            seconds = []
            for _ in range(4):
                start = time.perf_counter()
                runtime.encode(kind.modality, items)
                seconds.append(time.perf_counter() - start)
            rates.append(len(items) / statistics.median(seconds[1:]))
            first = seconds[0] - statistics.median(seconds[1:])
    finally:
        for block in towers.fast.blocks:  # what is measured after this is without again
            block._compiled_call_impl = None
    without, with_it = rates
    flop = flop_of(kind, towers.model, items)
    return Compiled(kind.modality, kind.label, batch, flop, without, with_it, max(0.0, first))
