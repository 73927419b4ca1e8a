"""The sizes of an ImageBind model: one `TowerConfig` per tower, and the published model's as `HUGE`.

Source: Girdhar et al., "ImageBind: One Embedding Space To Bind Them All" (CVPR 2023), and the published state dict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tasks.rows import Modality

# The names of the towers in the state dict.
TOWERS = ("vision", "text", "audio", "depth", "thermal", "imu")
TEXT_TOKENS, VOCABULARY = 77, 49_408
IMAGE_SIZE, IMAGE_PATCH, IMAGE_FRAMES = 224, 14, 2
MEL_BINS, MEL_FRAMES, AUDIO_PATCH, AUDIO_STRIDE = 128, 204, 16, 10
MAP_SIZE, MAP_PATCH = 224, 16  # depth and thermal maps
IMU_CHANNELS, IMU_SAMPLES, IMU_PATCH = 6, 2000, 8
TOKENS = {
    "vision": (IMAGE_SIZE // IMAGE_PATCH) ** 2 + 1,
    "text": TEXT_TOKENS,
    "audio": ((MEL_BINS - AUDIO_PATCH) // AUDIO_STRIDE + 1) * ((MEL_FRAMES - AUDIO_PATCH) // AUDIO_STRIDE + 1) + 1,
    "depth": (MAP_SIZE // MAP_PATCH) ** 2 + 1,
    "thermal": (MAP_SIZE // MAP_PATCH) ** 2 + 1,
    "imu": IMU_SAMPLES // IMU_PATCH + 1,
}


@dataclasses.dataclass(frozen=True, slots=True)
class TowerConfig:
    """A transformer's width, number of blocks and of attention heads."""

    width: int
    blocks: int
    heads: int


@dataclasses.dataclass(frozen=True, slots=True)
class ModelConfig:
    """All towers, and the dimension of the space that they share."""

    dimension: int
    vision: TowerConfig
    text: TowerConfig
    audio: TowerConfig
    depth: TowerConfig
    thermal: TowerConfig
    imu: TowerConfig

    def tower(self, name: str) -> TowerConfig:
        found: TowerConfig = getattr(self, name)
        return found

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_json`. Raises KeyError or TypeError where something is missing or unknown."""
        return cls(int(value["dimension"]), *(TowerConfig(**value[name]) for name in TOWERS))


HUGE = ModelConfig(
    dimension=1024,
    vision=TowerConfig(1280, 32, 16),
    text=TowerConfig(1024, 24, 16),
    audio=TowerConfig(768, 12, 12),
    depth=TowerConfig(384, 12, 8),
    thermal=TowerConfig(768, 12, 12),
    imu=TowerConfig(512, 6, 8),
)


def tower_of(modality: Modality) -> str:
    """The tower that embeds a modality: images and video share one."""
    return "vision" if modality in ("image", "video") else modality
