"""What sensors measured, from files: `.npy`, `.csv` and pictures in, real numbers out.

A header is believed only as far as the file bears it out. Errors are DocumentError: `malformed`, `too_large`,
`wrong_shape`; they do not name the file, which the caller knows.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tasks.errors import DocumentError

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = 6  # of motion: three of acceleration, three of rotation
PREPARED = (1, 224, 224)  # float32 of this shape is what a model gets, whatever its values mean
_MIN_SAMPLES = 8
_MAX_HEADER = 10_000
_MAX_CSV_BYTES = 256 << 20
_MAGIC = b"\x93NUMPY"
_MODES = frozenset({"L", "I", "F", "I;16", "I;16B", "I;16L"})  # Pillow's of one channel

Path_ = str | os.PathLike[str]


def is_npy(path: Path_) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def is_prepared(values: np.ndarray) -> bool:
    return values.shape == PREPARED and values.dtype == np.float32


def array(path: Path_, max_values: int) -> np.ndarray:
    """The numbers of a `.npy` file, mapped: what its header claims is checked before anything is read."""
    shape, dtype, start = _header(path)
    if dtype.hasobject:
        raise DocumentError("malformed", "the array holds pickled Python objects, not numbers", "save it as float32")
    if dtype.kind not in "fiu":
        raise DocumentError("malformed", f"the array holds {dtype}, not real numbers", "save it as float32")
    count = math.prod(shape)
    if count > max_values:
        raise DocumentError(
            "too_large",
            f"the array has {count:,} values, more than partition.max_pixels ({max_values:,})",
            "split it, or scale it down",
        )
    if count < 1:
        raise _wrong_shape("at least one value", shape)
    there, claimed = os.path.getsize(path), start + count * dtype.itemsize
    if there < claimed:
        raise DocumentError("malformed", f"the array is cut off: {there} of {claimed} bytes", "fetch it again")
    values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


def plane(values: np.ndarray) -> np.ndarray:
    """The two dimensions of a map; one more of a single channel is left out, unless all of it is prepared."""
    if is_prepared(values):
        return values
    found = values
    if found.ndim == 3 and 1 in (found.shape[0], found.shape[2]):
        found = found[0] if found.shape[0] == 1 else found[..., 0]
    if found.ndim != 2:
        raise _wrong_shape("one channel: an array of (height, width)", values.shape)
    return found


def pixels(picture: Image, colour: bool) -> np.ndarray:
    """(height, width) of a picture, neither turned nor scaled; one in colours, where they may be, by its brightness.

    Its size is for the caller to check, before it is decoded here.
    """
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        raise DocumentError("wrong_shape", f"expected one picture, found {frames} in one file", "save each by itself")
    if picture.mode not in _MODES and not colour:
        raise DocumentError(
            "wrong_shape",
            f"expected a depth map of one channel, found {len(picture.getbands())} ({picture.mode})",
            "save it as 16-bit grey, in millimetres",
        )
    try:
        picture.load()
        return np.asarray(picture if picture.mode in _MODES else picture.convert("RGB").convert("L"))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DocumentError(
            "malformed", f"the picture cannot be decoded: {error}", "it may be cut off; fetch it again"
        ) from error


def motion(path: Path_, max_values: int) -> np.ndarray:
    """(6, samples) of a `.npy` file or of CSV, with or without a line of names."""
    values = array(path, max_values) if is_npy(path) else _table(path)
    shape = values.shape
    if values.ndim != 2 or CHANNELS not in shape:
        raise _wrong_shape(f"{CHANNELS} channels: an array of (N, {CHANNELS}) or ({CHANNELS}, N)", shape)
    samples = values if shape[0] == CHANNELS else values.T
    if samples.shape[1] < _MIN_SAMPLES:
        raise _wrong_shape(f"at least {_MIN_SAMPLES} samples", shape)
    return samples


def _header(path: Path_) -> tuple[tuple[int, ...], np.dtype, int]:
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


def _table(path: Path_) -> np.ndarray:
    """(lines, columns) float64 of a CSV file; a first line that is no numbers names the columns."""
    if os.path.getsize(path) > _MAX_CSV_BYTES:
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


def _wrong_shape(expected: str, shape: tuple[int, ...]) -> DocumentError:
    return DocumentError("wrong_shape", f"expected {expected}, found {shape}", "reshape it and save it again")
