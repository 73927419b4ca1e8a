"""What sensors measure as elements: depth maps, thermal pictures and motion (IMU), each one with its raw bytes.

In: `NAME.depth.*`, `NAME.thermal.*`, `NAME.imu.*` (see `detect`). Out: one element that says size and range. Depth is
in metres where it is of floats and in millimetres where it is of whole numbers above 8 bits; 0 is "not measured". How
the files are read and what they may be: `tasks.sensor_files`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import sensor_files
from tasks.errors import DocumentError
from tasks.partition import detect, image, ocr
from tasks.partition.context import PartContext
from tasks.rows import ElementRow

if TYPE_CHECKING:
    import numpy as np

_BLOCK = 1 << 20  # values that are looked at together
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "TIFF": "tiff"}
_MILLIMETRES = 1000


def partition_map(path: Path, context: PartContext) -> list[ElementRow]:
    """One Image element: a depth map, or a thermal picture (one in false colours counts by its brightness)."""
    import numpy as np

    depth = context.media_type == detect.DEPTH
    if sensor_files.is_npy(path):
        values, extension = sensor_files.plane(sensor_files.array(path, context.settings.max_pixels)), "npy"
    else:
        with image.open_picture(path) as opened:
            ocr.check_pixels(opened.size, context.settings.max_pixels)
            values, extension = sensor_files.pixels(opened, colour=not depth), _EXTENSIONS[str(opened.format)]
    height, width = values.shape[-2:]
    text = f"{'Depth map' if depth else 'Thermal picture'}, {width} × {height}, "
    if values.ndim == 3:
        _range(values[0], positive=False)
        text += "prepared for a model"
    else:
        low, high = _range(values, positive=depth)
        if not depth:
            text += f"values {low:g}–{high:g}"
        elif values.dtype == np.uint8:
            text += f"relative, {low:g}–{high:g} of 255"
        else:
            scale = _MILLIMETRES if values.dtype.kind in "iu" else 1
            text += f"{low / scale:.1f}–{high / scale:.1f} m"
    return [_row("Image", text, path, extension, context)]


def partition_imu(path: Path, context: PartContext) -> list[ElementRow]:
    """One Imu element of a `.npy` array or of CSV, with or without a line of names."""
    values = sensor_files.motion(path, context.settings.max_pixels)
    _range(values.T, positive=False)
    text = f"Motion recording (IMU), {values.shape[1]} samples, {sensor_files.CHANNELS} channels"
    return [_row("Imu", text, path, "npy" if sensor_files.is_npy(path) else "csv", context)]


def _row(category: str, text: str, path: Path, extension: str, context: PartContext) -> ElementRow:
    media = context.keep(path, extension)
    return ElementRow(0, category, text, media=media, media_type=context.media_type, origin="metadata")


def _range(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """The least and the largest finite value; `positive` leaves out 0 and below.

    Raises DocumentError where there is none.
    """
    import numpy as np

    low, high, finite = math.inf, -math.inf, False
    rows = max(1, _BLOCK // values.shape[1])
    for start in range(0, values.shape[0], rows):
        block = np.asarray(values[start : start + rows], dtype=np.float64)
        block = block[np.isfinite(block)]
        finite = finite or block.size > 0
        block = block[block > 0] if positive else block
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
    if not finite:
        raise DocumentError("malformed", "none of its values is a finite number", "it may be damaged")
    if low > high:
        raise DocumentError("no_samples", "nothing in it was measured: no value is above 0", "it may be damaged")
    return low, high
