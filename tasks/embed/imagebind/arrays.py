"""Arrays from files: .npy and .csv in, real numbers out. A header is believed only as far as the file bears it out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np

from tasks.errors import DocumentError

MAX_VALUES = 100_000_000
_MAX_CSV_BYTES = 256 << 20
_MAX_LINE = 10_000
_MAGIC = b"\x93NUMPY"


def is_npy(path: str | os.PathLike[str]) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def load_npy(path: str | os.PathLike[str], max_values: int = MAX_VALUES) -> np.ndarray:
    """The array, mapped and not yet read. Raises DocumentError naming the file: `malformed`, `too_large`."""
    try:
        values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is Python text, and reading it raises many kinds
        raise DocumentError(
            "malformed", f"{path}: it is no .npy file that can be read: {str(error)[:200]}", "save it with numpy.save"
        ) from error
    if values.dtype.kind not in "fiu":
        raise DocumentError("malformed", f"{path}: it holds {values.dtype}, not real numbers", "save it as float32")
    if values.size > max_values:
        raise DocumentError(
            "too_large",
            f"{path}: it has {values.size:,} values, more than {max_values:,}",
            "split it, or scale it down",
        )
    return values


def load_csv(path: str | os.PathLike[str]) -> np.ndarray:
    """(lines, columns) float64; a first line that is no numbers names the columns. Raises DocumentError as above."""
    if os.path.getsize(path) > _MAX_CSV_BYTES:
        raise DocumentError("too_large", f"{path}: more than {_MAX_CSV_BYTES >> 20} MB of CSV", "save it as .npy")
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(_MAX_LINE)
        lines: Iterator[str] = itertools.chain((first,), file) if _numbers(first) else file
        try:
            return np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
        except ValueError as error:
            raise DocumentError(
                "malformed", f"{path}: it is no table of numbers: {error}", "one sample a line, between commas"
            ) from error


def _numbers(line: str) -> bool:
    try:
        return bool([float(cell) for cell in line.split(",")])
    except ValueError:
        return False


def wrong_shape(path: str | os.PathLike[str], expected: str, found: tuple[int, ...]) -> DocumentError:
    return DocumentError("wrong_shape", f"{path}: expected {expected}, found {found}", "reshape it and save it again")
