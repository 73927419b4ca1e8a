"""Towers with random weights, made on the device: ours and the plain way's, of the same values.

No checkpoint is needed. The weights have unit gain, so that values stay in the range of a trained model's; they say
nothing about quality.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.embed.imagebind.config import HUGE, ModelConfig, TowerConfig
from tasks.embed.imagebind.installed import Installed
from tasks.embed.imagebind.lane import find_dtype
from tasks.embed.imagebind.model import Tower, build_tower, finish
from tasks.embed.imagebind.runtime import Runtime

TINY = ModelConfig(
    dimension=64,
    vision=TowerConfig(64, 3, 4),
    text=TowerConfig(64, 3, 4),
    audio=TowerConfig(64, 3, 4),
    depth=TowerConfig(64, 3, 4),
    thermal=TowerConfig(64, 3, 4),
    imu=TowerConfig(64, 3, 4),
)
MODELS = {"huge": HUGE, "tiny": TINY}
_SCALES = {"text": 100.0, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}


@dataclasses.dataclass(frozen=True, slots=True)
class Towers:
    """One tower twice: `fast` in the precision to measure, `plain` in float32."""

    model: ModelConfig
    device: torch.device
    precision: str
    fast: Tower
    plain: Tower

    def runtime(self, rows: int, tokens: int, compiled: bool = False) -> Runtime:
        """Over the fast tower, with batches of this many rows of so many tokens."""
        pretended = Installed(Path("/none"), self.model, "random", "float32", (), "", "random weights", "")
        runtime = Runtime(
            pretended, str(self.device), self.precision, load=lambda name, device, dtype: self.fast, compiled=compiled
        )
        runtime.budgets.start(self.fast.name, rows * tokens)
        return runtime

    def plainly(self, rows: np.ndarray, batch: int) -> np.ndarray:
        """The plain way: batch by batch, each awaited."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(rows), batch):
                x = torch.from_numpy(rows[start : start + batch]).to(self.device)
                found.append(finish(self.plain(x), self.plain.scale).cpu().numpy())
        return np.concatenate(found)


def make_towers(model: ModelConfig, name: str, device: torch.device, precision: str) -> Towers:
    """Where both are float32 they share their weights."""
    made: dict[str, Tensor] = {}

    def source(key: str, shape: tuple[int, ...]) -> Tensor:
        if key not in made:
            made[key] = _random(key, shape, device)
        return made[key]

    plain = build_tower(model, name, plain=True).fill(source, device, torch.float32)
    fast = build_tower(model, name).fill(source, device, find_dtype(precision, device))
    return Towers(model, device, precision, fast, plain)


def _random(key: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    if key.endswith(".mask"):
        return torch.full(shape, -math.inf, device=device).triu(1)
    if key.endswith("log_logit_scale"):
        return torch.tensor(math.log(_SCALES[key.split(".")[1]]), device=device)
    generator = torch.Generator(device).manual_seed(zlib.crc32(key.encode()))
    values = torch.empty(shape, device=device).uniform_(-(3**0.5), 3**0.5, generator=generator)
    if len(shape) == 1:
        return values.mul_(0.1).add_(1 if key.endswith(".weight") else 0)
    if key.endswith(("bias_k", "bias_v")):
        return values
    if key.endswith(("cls_token", "pos_embed", "token_embedding.weight")):
        return values.mul_(0.5)
    return values.mul_(math.prod(shape[1:]) ** -0.5)
