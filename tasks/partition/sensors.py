"""What sensors measure as elements: depth maps, thermal pictures and motion (IMU), each one with its raw bytes.

In: `NAME.depth.*`, `NAME.thermal.*`, `NAME.imu.*` (see `detect`). Out: one element that says size and range. Depth is
in metres where it is of floats and in millimetres where it is of whole numbers above 8 bits; 0 is "not measured". A
float32 array of (1, 224, 224) is what a model gets, whatever its values mean. An IMU has three channels of acceleration
and three of rotation, as six rows or six columns.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tasks.errors import DocumentError
from tasks.partition import detect, image, ocr
from tasks.partition.context import PartContext
from tasks.rows import ElementRow

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

CHANNELS = 6
_MIN_SAMPLES = 8
_MAX_HEADER = 10_000
_MAX_CSV_BYTES = 256 << 20
_BLOCK = 1 << 20  # values that are looked at together
_NPY = b"\x93NUMPY"
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "TIFF": "tiff"}
_MODES_OF_MAPS = frozenset({"L", "I", "F", "I;16", "I;16B", "I;16L"})
_MILLIMETRES = 1000
_PREPARED = (1, 224, 224)


def partition_map(path: Path, context: PartContext) -> list[ElementRow]:
    """One Image element: a depth map, or a thermal picture (one in false colours counts by its brightness)."""
    import numpy as np

    depth = context.media_type == detect.DEPTH
    if _is_npy(path):
        values, extension = _plane(_array(path, context)), "npy"
    else:
        with image.open_picture(path) as opened:
            values, extension = _pixels(opened, context), _EXTENSIONS[str(opened.format)]
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
    npy = _is_npy(path)
    values = _array(path, context) if npy else _table(path)
    shape = values.shape
    if values.ndim != 2 or CHANNELS not in shape:
        _wrong_shape(f"{CHANNELS} channels: an array of (N, {CHANNELS}) or ({CHANNELS}, N)", shape)
    samples = shape[1] if shape[0] == CHANNELS else shape[0]
    if samples < _MIN_SAMPLES:
        _wrong_shape(f"at least {_MIN_SAMPLES} samples", shape)
    _range(values, positive=False)
    text = f"Motion recording (IMU), {samples} samples, {CHANNELS} channels"
    return [_row("Imu", text, path, "npy" if npy else "csv", context)]


def _row(category: str, text: str, path: Path, extension: str, context: PartContext) -> ElementRow:
    media = context.keep(path, extension)
    return ElementRow(0, category, text, media=media, media_type=context.media_type, origin="metadata")


def _is_npy(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_NPY)) == _NPY


def _array(path: Path, context: PartContext) -> np.ndarray:
    """The numbers of a `.npy` file, mapped: what its header claims is checked before anything is read."""
    import numpy as np

    shape, dtype, start = _header(path)
    if dtype.hasobject:
        raise DocumentError("malformed", "the array holds pickled Python objects, not numbers", "save it as float32")
    if dtype.kind not in "fiu":
        raise DocumentError("malformed", f"the array holds {dtype}, not real numbers", "save it as float32")
    count = math.prod(shape)
    if count > context.settings.max_pixels:
        raise DocumentError(
            "too_large", f"the array has {count:,} values, more than partition.max_pixels", "split it, or scale it down"
        )
    if count < 1:
        _wrong_shape("at least one value", shape)
    there, claimed = path.stat().st_size, start + count * dtype.itemsize
    if there < claimed:
        raise DocumentError("malformed", f"the array is cut off: {there} of {claimed} bytes", "fetch it again")
    values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type and where the numbers begin."""
    from numpy.lib import format as npy

    with open(path, "rb") as file:
        try:
            version = npy.read_magic(file)
            form, reader = {
                (1, 0): ("<H", npy.read_array_header_1_0),
                (2, 0): ("<I", npy.read_array_header_2_0),
            }[version]
            (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
            if length > _MAX_HEADER:
                raise ValueError(f"its header has {length} bytes")
            file.seek(-struct.calcsize(form), io.SEEK_CUR)
            shape, _, dtype = reader(file)
            if any(size < 0 for size in shape):
                raise ValueError(f"its shape is {shape}")
        except Exception as error:  # a header is Python text, and reading it raises many kinds
            raise DocumentError(
                "malformed", f"not an .npy file that can be read: {str(error)[:200]}", "save it with numpy.save"
            ) from error
        return shape, dtype, file.tell()


def _plane(values: np.ndarray) -> np.ndarray:
    """The two dimensions of a map; one more of a single channel is left out, unless it says that this is prepared."""
    plane = values
    if values.shape == _PREPARED and values.dtype == "float32":
        return values
    if plane.ndim == 3 and 1 in (plane.shape[0], plane.shape[2]):
        plane = plane[0] if plane.shape[0] == 1 else plane[..., 0]
    if plane.ndim != 2:
        _wrong_shape("one channel: an array of (height, width)", values.shape)
    return plane


def _pixels(opened: Image.Image, context: PartContext) -> np.ndarray:
    import numpy as np

    frames = getattr(opened, "n_frames", 1)
    if frames != 1:
        raise DocumentError("wrong_shape", f"expected one picture, found {frames} in one file", "save each by itself")
    ocr.check_pixels(opened.size, context.settings.max_pixels)
    if context.media_type == detect.DEPTH and opened.mode not in _MODES_OF_MAPS:
        channels = len(opened.getbands())
        raise DocumentError(
            "wrong_shape",
            f"expected a depth map of one channel, found {channels} ({opened.mode})",
            "save it as 16-bit grey, in millimetres",
        )
    try:
        opened.load()
        return np.asarray(opened if opened.mode in _MODES_OF_MAPS else opened.convert("RGB").convert("L"))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DocumentError(
            "malformed", f"the picture cannot be decoded: {error}", "it may be cut off; fetch it again"
        ) from error


def _table(path: Path) -> np.ndarray:
    """The numbers of a CSV file; a first line that is none names the columns."""
    import numpy as np

    if path.stat().st_size > _MAX_CSV_BYTES:
        raise DocumentError("too_large", f"more than {_MAX_CSV_BYTES >> 20} MB of CSV", "save it as .imu.npy")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(_MAX_HEADER)
        lines: Iterator[str] = file if _names(first) else itertools.chain((first,), file)
        try:
            return np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
        except ValueError as error:
            raise DocumentError("malformed", f"not a table of numbers: {error}", "one sample a line") from error


def _names(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return True
    return False


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


def _wrong_shape(expected: str, shape: tuple[int, ...]) -> NoReturn:
    raise DocumentError("wrong_shape", f"expected {expected}, found {shape}", "reshape it and save it again")
