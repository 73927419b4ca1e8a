"""A fake ImageBind: the official checkpoint format at toy sizes, with random weights. For plumbing only; no quality.

Weights and inputs follow a recipe that gives the same bits on every platform; `tests/data/imagebind/model_tiny.npz` has
the reference implementation's outputs for them.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.embed.imagebind.config import TOWERS, ModelConfig, TowerConfig
from tasks.embed.imagebind.installed import Installed, Precision
from tasks.embed.imagebind.weights import convert, expected

TINY = ModelConfig(
    dimension=16,
    vision=TowerConfig(32, 3, 4),
    text=TowerConfig(40, 2, 5),
    audio=TowerConfig(24, 2, 3),
    depth=TowerConfig(16, 2, 2),
    thermal=TowerConfig(48, 2, 4),
    imu=TowerConfig(8, 2, 2),
)
# Text's is above ln(100) on purpose: the scale is clipped there.
_LOG_SCALES = {"text": 4.7, "audio": np.log(20.0), "depth": np.log(5.0), "thermal": np.log(10.0), "imu": np.log(5.0)}


def unit(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 in [-1, 1) from the name alone, exact on every platform."""
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw(int(np.prod(shape)))
    values = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return np.asarray(values.reshape(shape), dtype=np.float32)


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of a key of the state dict: unit variance, scaled by what the key is."""
    if key.endswith("log_logit_scale"):
        return np.asarray(_LOG_SCALES[key.split(".")[1]], dtype=np.float32)
    if key.endswith(".mask"):
        return np.triu(np.full(shape, -np.inf, np.float32), 1)
    values = unit(key, shape) * np.float32(3**0.5)
    if len(shape) == 1:
        return np.float32(0.1) * values + np.float32(1 if key.endswith(".weight") else 0)
    if key.endswith(("bias_k", "bias_v")):
        return values
    if key.endswith(("cls_token", "pos_embed", "token_embedding.weight")):
        return np.float32(0.5) * values
    return values * np.float32(1 / np.sqrt(np.prod(shape[1:])))


def tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """`weight` for `Tower.fill`."""
    return torch.from_numpy(weight(key, shape))


def state_dict(config: ModelConfig = TINY) -> dict[str, Tensor]:
    return {key: tensor(key, shape) for key, shape in expected(config).items()}


def constructor(config: ModelConfig = TINY) -> dict[str, int]:
    """The sizes under the names that the official constructor has for them."""
    found = {"out_embed_dim": config.dimension}
    for tower in TOWERS:
        size = config.tower(tower)
        found |= {
            f"{tower}_embed_dim": size.width,
            f"{tower}_num_blocks": size.blocks,
            f"{tower}_num_heads": size.heads,
        }
    return found


def write_tiny_checkpoint(folder: Path, config: ModelConfig = TINY) -> Path:
    """`tiny.pth` in the official format, with `tiny.json` beside it, which says its sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.pth"
    torch.save(state_dict(config), path)
    path.with_suffix(".json").write_text(json.dumps(constructor(config)), encoding="utf-8")
    return path


def install_tiny(models: Path, precision: Precision = "float32") -> Installed:
    """Convert the tiny checkpoint into a folder of models, as `bindery models add` does."""
    checkpoint = write_tiny_checkpoint(models / "downloads")
    try:
        return convert(checkpoint, models, precision)
    finally:
        checkpoint.unlink()
        checkpoint.with_suffix(".json").unlink()
