"""The arithmetic of one item by formula: two operations for each multiplication of a matrix product."""

from __future__ import annotations

from tasks.embed.imagebind import config
from tasks.embed.imagebind.config import ModelConfig

_PATCHES = {
    "vision": 3 * config.IMAGE_PATCH**2,  # the kernel summed over time: what a picture needs
    "audio": config.AUDIO_PATCH**2,
    "depth": config.MAP_PATCH**2,
    "thermal": config.MAP_PATCH**2,
    "imu": config.IMU_CHANNELS * config.IMU_PATCH,
    "text": 0,
}


def per_item(model: ModelConfig, tower: str, tokens: int | None = None) -> float:
    """All of a tower for one clip or text of this many tokens, the last block whole (which ours leaves out in part)."""
    size = model.tower(tower)
    count = config.TOKENS[tower] if tokens is None else tokens
    keys = count + (tower not in ("vision", "text"))  # the learnt extra key
    block = 24 * count * size.width**2 + 4 * count * keys * size.width
    stem = 2 * (count - 1) * size.width * _PATCHES[tower]
    return float(size.blocks * block + stem + 2 * size.width * model.dimension)
