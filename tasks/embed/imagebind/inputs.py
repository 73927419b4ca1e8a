"""A whole file as the official code takes it, a picture, samples or an array in → the clips that the model reads out.

The pipeline has its own way (`prepare`), which leaves nothing of a long recording out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.embed.imagebind import audio, images, sensors
from tasks.embed.imagebind import prepare as files
from tasks.embed.imagebind.config import IMU_CHANNELS, MAP_SIZE
from tasks.embed.media import MediaItem
from tasks.errors import DocumentError, UsageError
from tasks.rows import Modality

if TYPE_CHECKING:
    from PIL.Image import Image

_MILLIMETRES = 1000


def from_file(modality: Modality, path: str) -> np.ndarray:
    """(clips, ...). Raises DocumentError naming the file."""
    if modality != "audio":
        return files.prepare([MediaItem(modality, path)])[0]
    try:
        return audio.clips(*audio.load(path))
    except OSError as error:
        raise DocumentError("unreadable", f"{path}: {error.strerror or error}", "check that it is there") from error
    except DocumentError as error:
        if path in error.message:
            raise
        raise DocumentError(error.code, f"{path}: {error.message}", error.hint) from error


def prepare(modality: Modality, item: Any) -> np.ndarray:
    """(clips, ...) of a path, a PIL image, a pair of samples and their rate, or an array.

    Raises DocumentError for data that cannot be embedded, UsageError for what is no such data at all.
    """
    if isinstance(item, (str, os.PathLike)):
        return from_file(modality, os.fspath(item))
    if modality == "image":
        return images.official(_picture(item))[None]
    if modality == "audio" and isinstance(item, tuple) and len(item) == 2:
        samples, rate = item
        return audio.clips(np.atleast_2d(np.asarray(samples, dtype=np.float32)), rate)
    if modality in ("depth", "thermal", "imu") and isinstance(item, np.ndarray):
        if item.dtype.kind not in "fiu" or not item.size or not np.isfinite(item).any():
            raise DocumentError("malformed", f"{item.dtype} of shape {item.shape} holds no numbers", "check its source")
        return _motion(item) if modality == "imu" else _map(modality, item)
    raise UsageError(f"a {type(item).__name__} cannot be embedded as {modality}", "see the methods of ImageBind")


def _picture(item: Any) -> Image:
    from PIL import Image

    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or not item.size:
            expected = "pictures as arrays are uint8 of (height, width, 3)"
            raise DocumentError("wrong_shape", f"{item.dtype} of shape {item.shape}", expected)
        return Image.fromarray(item)
    if isinstance(item, Image.Image):
        return item.convert("RGB")
    raise UsageError(f"a {type(item).__name__} cannot be embedded as image", "a path, a PIL image or a uint8 array")


def _motion(values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or IMU_CHANNELS not in values.shape:
        expected = f"({IMU_CHANNELS}, samples) or (samples, {IMU_CHANNELS})"
        raise DocumentError("wrong_shape", f"an array of shape {values.shape}", expected)
    return sensors.imu(values if len(values) == IMU_CHANNELS else values.T)


def _map(modality: Modality, values: np.ndarray) -> np.ndarray:
    if values.dtype == np.float32 and values.shape == (1, MAP_SIZE, MAP_SIZE):
        return values[None]
    if values.ndim != 2:
        expected = f"(height, width), or float32 (1, {MAP_SIZE}, {MAP_SIZE}) to be used as it is"
        raise DocumentError("wrong_shape", f"an array of shape {values.shape}", expected)
    if modality == "thermal":
        return sensors.thermal(values)
    if values.dtype == np.uint8:
        return sensors.relative_depth(values)
    return sensors.depth(values if values.dtype.kind == "f" else values.astype(np.float32) / _MILLIMETRES)
