"""Prepared inputs in memory → vectors: each modality by batch size, and how well both ways agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.imagebind import flops
from benchmarks.imagebind.measure import Case, Clock, alternate
from benchmarks.imagebind.towers import Towers
from tasks.embed.imagebind import config, tokenizer
from tasks.embed.imagebind.config import ModelConfig
from tasks.rows import Modality

SHORT, FULL = "≤ 20 tokens", "77 tokens"
_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)[:, None, None]
_STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)[:, None, None]
_CLIPS: dict[Modality, tuple[int, ...]] = {
    "image": (1, 3, 224, 224),
    "video": (15, 3, 2, 224, 224),
    "audio": (1, 1, 128, 204),
    "depth": (1, 1, 224, 224),
    "thermal": (1, 1, 224, 224),
    "imu": (1, 6, 2000),
}
# Batches per call on a GPU, so that a batch can travel while the one before it is computed.
_RUN = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What is embedded: a modality, of texts those of a length; and the batch sizes on a CPU and on a GPU."""

    modality: Modality
    label: str
    on_cpu: tuple[int, ...]
    on_gpu: tuple[int, ...]

    @property
    def tower(self) -> str:
        return config.tower_of(self.modality)

    def batches(self, device: torch.device) -> tuple[int, ...]:
        return self.on_gpu if device.type == "cuda" else self.on_cpu


KINDS = (
    Kind("text", SHORT, (1, 32), (1, 64, 1024, 3072)),
    Kind("text", FULL, (1, 16), (1, 64, 512)),
    Kind("image", "224 × 224", (1, 8), (1, 16, 64, 256)),
    Kind("video", "15 crops", (1,), (1, 8)),
    Kind("audio", "2 s clip", (1, 8), (1, 16, 64, 256)),
    Kind("depth", "224 × 224", (1, 8), (1, 64, 256)),
    Kind("thermal", "224 × 224", (1, 8), (1, 64, 256)),
    Kind("imu", "5 s clip", (1, 8), (1, 64, 256)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How far ours is from the plain way in float32, over `items`: the largest 1 − cosine."""

    modality: str
    kind: str
    precision: str
    items: int
    one_minus_cosine: float


def items_of(kind: Kind, count: int, seed: int = 0) -> list[np.ndarray]:
    """Prepared items of random content, as the runtime takes them."""
    random = np.random.default_rng(seed)
    if kind.modality == "text":
        lengths = random.integers(8, 21, count) if kind.label == SHORT else [config.TEXT_TOKENS] * count
        return [
            np.array([[tokenizer.START, *random.integers(1, tokenizer.START, length - 2), tokenizer.END]])
            for length in lengths
        ]
    shape = _CLIPS[kind.modality]
    if kind.modality == "image":
        return [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    return [random.standard_normal(shape, dtype=np.float32) for _ in range(count)]


def plain_rows(kind: Kind, items: Sequence[np.ndarray]) -> np.ndarray:
    """The same as the plain way takes it: texts of 77 tokens, normalised pictures; all clips as rows."""
    if kind.modality == "text":
        return tokenizer.pad([item[0].tolist() for item in items], config.TEXT_TOKENS)
    rows = np.concatenate(items)
    return (rows / np.float32(255) - _MEAN) / _STD if kind.modality == "image" else rows


def measure(kind: Kind, towers: Towers, clock: Clock, seconds: float) -> list[Case]:
    """A case for each batch size, as far as there is time."""
    cases: list[Case] = []
    sizes = kind.batches(towers.device)
    gpu = towers.device.type == "cuda"
    for batch in sizes:
        if clock.left < seconds / 4:
            break
        items = items_of(kind, batch * (_RUN if gpu and batch > 1 else 1))
        ours, plain = _calls(kind, towers, items, batch)
        if gpu:  # kernels are chosen, and pools of memory grow, at first use
            ours()
            plain()
        sides = alternate(ours, plain, towers.device, seconds / len(sizes))
        cases.append(Case(kind.modality, kind.label, batch, flop_of(kind, towers.model, items), *sides))
    return cases


def _calls(
    kind: Kind, towers: Towers, items: list[np.ndarray], batch: int
) -> tuple[Callable[[], int], Callable[[], int]]:
    runtime = towers.runtime(batch * len(items[0]), longest(kind, items))
    rows = plain_rows(kind, items[:batch])

    def ours() -> int:
        return len(runtime.encode(kind.modality, items))

    def plain() -> int:
        return len(towers.plainly(rows, len(rows))) // len(items[0])

    return ours, plain


def longest(kind: Kind, items: Sequence[np.ndarray]) -> int:
    """Tokens of the longest."""
    return max(item.shape[1] for item in items) if kind.modality == "text" else config.TOKENS[kind.tower]


def flop_of(kind: Kind, model: ModelConfig, items: Sequence[np.ndarray]) -> float:
    """Of one item, of texts as long as they are: padding is no work done."""
    if kind.modality == "text":
        return float(np.mean([flops.per_item(model, "text", item.shape[1]) for item in items]))
    return len(items[0]) * flops.per_item(model, kind.tower)


def parity(kind: Kind, towers: Towers) -> Parity:
    count = 16 if towers.device.type == "cuda" else 2
    items = items_of(kind, count, seed=1)
    runtime = towers.runtime(8, config.TOKENS[kind.tower])
    ours = runtime.encode(kind.modality, items).astype(np.float64)
    rows = towers.plainly(plain_rows(kind, items), 8).astype(np.float64)
    plain = rows.reshape(count, -1, rows.shape[1]).mean(axis=1)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(plain, axis=1)
    distance = float((1 - (ours * plain).sum(axis=1) / lengths).max())
    return Parity(kind.modality, kind.label, str(runtime.dtype).removeprefix("torch."), count, max(0.0, distance))
