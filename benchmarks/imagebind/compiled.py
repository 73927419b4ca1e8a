"""torch.compile against the same without, on a GPU: what it saves, and what it costs at first."""

from __future__ import annotations

import dataclasses
import statistics
import time

import torch

from benchmarks.imagebind.model_only import Kind, items_of
from benchmarks.imagebind.towers import Pair, pretend_installed
from tasks.embed.imagebind import config
from tasks.embed.imagebind.config import ModelConfig
from tasks.embed.imagebind.runtime import Runtime


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


def measure(kind: Kind, model: ModelConfig, pair: Pair, device: torch.device, precision: str, flop: float) -> Compiled:
    """At the largest batch. Leaves the tower compiled."""
    batch = kind.batches(device)[-1]
    items = items_of(kind, 4 * batch)
    length = max(item.shape[1] for item in items) if kind.modality == "text" else config.TOKENS[kind.tower]
    rates, first = [], 0.0
    for compiled in (False, True):
        runtime = Runtime(
            pretend_installed(model), str(device), precision, load=lambda *_: pair.fast, compiled=compiled
        )
        runtime.budgets.start(pair.fast.name, batch * len(items[0]) * length)
        start = time.perf_counter()
        runtime.encode(kind.modality, items)
        first = time.perf_counter() - start
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            runtime.encode(kind.modality, items)
            seconds.append(time.perf_counter() - start)
        rates.append(len(items) / statistics.median(seconds))
    first -= len(items) / rates[1]
    return Compiled(kind.modality, kind.label, batch, flop, rates[0], rates[1], max(0.0, first))
