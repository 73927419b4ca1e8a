"""Prepared items in → rows, and batches of rows to run together; rows' vectors in → one result per item, in order.

A row is a text cut at its end, or one clip of an item of another modality. Nothing here knows of devices.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from tasks.embed.imagebind import config
from tasks.errors import DocumentError
from tasks.rows import Modality

Result = np.ndarray | DocumentError  # of one item: its vector, or why there is none

# One clip, as the tower takes it. Texts and pictures have several shapes and are checked by rules.
_SHAPES: dict[Modality, tuple[int, ...]] = {
    "video": (3, config.IMAGE_FRAMES, config.IMAGE_SIZE, config.IMAGE_SIZE),
    "audio": (1, config.MEL_BINS, config.MEL_FRAMES),
    "depth": (1, config.MAP_SIZE, config.MAP_SIZE),
    "thermal": (1, config.MAP_SIZE, config.MAP_SIZE),
    "imu": (config.IMU_CHANNELS, config.IMU_SAMPLES),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Rows that run together, each padded to `length` tokens."""

    rows: tuple[int, ...]
    length: int


@dataclasses.dataclass(slots=True)
class Rows:
    """The rows of a call's items. `owners` says which item each row is of; `errors` has the items that are none."""

    modality: Modality
    count: int
    rows: list[np.ndarray] = dataclasses.field(default_factory=list)
    owners: list[int] = dataclasses.field(default_factory=list)
    errors: dict[int, DocumentError] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, modality: Modality, arrays: Sequence[np.ndarray]) -> Rows:
        """Of items as arrays (clips, ...)."""
        made = cls(modality, len(arrays))
        for index, array in enumerate(arrays):
            flaw = _flaw(modality, array)
            if flaw:
                made.errors[index] = DocumentError("wrong_shape", flaw, "prepare it as `prepare` does")
                continue
            # an end-of-text has the largest id: what follows it cannot change the feature there
            clips = [row[: int(row.argmax()) + 1] for row in array] if modality == "text" else list(array)
            made.rows += clips
            made.owners += [index] * len(clips)
        return made

    def batches(self, budget: int) -> Iterator[Batch]:
        """Neighbours by length, the longest first, each batch of at most `budget` tokens and at least one row.

        The longest first: what does not fit into memory shows at once. A batch's rows are stackable once padded.
        """
        lengths = [self._tokens(row) for row in self.rows]
        groups: dict[Hashable, list[int]] = {}
        for index, row in enumerate(self.rows):
            kind = row.dtype.str if self.modality == "text" else (row.shape, row.dtype.str)
            groups.setdefault(kind, []).append(index)
        for group in groups.values():
            group.sort(key=lambda index: -lengths[index])  # stable: equal inputs always meet in the same batches
            start = 0
            while start < len(group):
                length = lengths[group[start]]
                size = max(1, budget // length)
                yield Batch(tuple(group[start : start + size]), length)
                start += size

    def stacked(self, batch: Batch) -> Sequence[np.ndarray]:
        """The batch's rows, all of one shape."""
        rows = [self.rows[index] for index in batch.rows]
        if self.modality != "text":
            return rows
        padded = np.zeros((len(rows), batch.length), dtype=rows[0].dtype)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded  # type: ignore[return-value]  # an array is a sequence of its rows

    def fail(self, row: int, error: DocumentError) -> None:
        """A row could not be computed, and so its item has no vector."""
        self.errors.setdefault(self.owners[row], error)

    def results(self, vectors: np.ndarray) -> list[Result]:
        """For each item the mean of its rows' vectors, or its error; NaN and zero vectors are errors."""
        counts = collections.Counter(self.owners)
        present = sorted(counts)
        means = segment_means(vectors, [counts[index] for index in present])
        finite, nonzero = np.asarray(np.isfinite(means).all(axis=1)), np.asarray(means.any(axis=1))
        found: dict[int, Result] = {
            index: mean if fine and some else _refused(fine)
            for index, mean, fine, some in zip(present, means, finite, nonzero, strict=True)
        }
        return [self.errors.get(index) or found[index] for index in range(self.count)]

    def _tokens(self, row: np.ndarray) -> int:
        if self.modality == "text":
            return len(row)
        if self.modality == "image":
            return int(row.size // 3 // config.IMAGE_PATCH**2 + 1)
        return config.TOKENS[config.tower_of(self.modality)]


class Budgets:
    """The tokens that a batch of each tower may hold: as sized at the start, halved where memory ran out."""

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, tower: str, tokens: int) -> None:
        with self._lock:
            self._tokens.setdefault(tower, max(1, tokens))

    def tokens(self, tower: str) -> int:
        return self._tokens[tower]

    def shrink(self, tower: str, failed: int) -> None:
        """A batch of `failed` tokens did not fit: later ones hold at most half of it."""
        with self._lock:
            self._tokens[tower] = max(1, min(self._tokens[tower], failed // 2))


def segment_means(rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The mean of each item's rows; a single row comes through bit by bit. No item may be without rows."""
    if all(count == 1 for count in counts):  # no copies: most calls are like this, and large
        return rows
    starts = np.cumsum([0, *counts[:-1]])
    sums = np.add.reduceat(rows, starts, axis=0)
    return (sums / np.asarray(counts, dtype=np.float32)[:, None]).astype(np.float32)


def named(results: Sequence[Result], modality: Modality) -> list[Result]:
    """The same, with errors that say which item of the call they are of."""
    return [
        DocumentError(result.code, f"item {index} ({modality}): {result.message}", result.hint)
        if isinstance(result, DocumentError)
        else result
        for index, result in enumerate(results)
    ]


def matrix(results: Sequence[Result], dimension: int) -> np.ndarray:
    """(n, dimension) float32. Raises the first error there is."""
    vectors: list[np.ndarray] = []
    for result in results:
        if isinstance(result, DocumentError):
            raise result
        vectors.append(result)
    return np.stack(vectors) if vectors else np.zeros((0, dimension), dtype=np.float32)


def _refused(finite: bool) -> DocumentError:
    return DocumentError(
        "embed_failed",
        f"the model's output is {'zero' if finite else 'not finite'}",
        "its values are out of all range; where they are not, please report it",
    )


def _flaw(modality: Modality, array: np.ndarray) -> str:
    """What is wrong with a prepared item, if anything."""
    if array.ndim < 2 or not len(array):
        return f"an array of shape {array.shape} holds no clips"
    shape = array.shape[1:]
    if modality == "text":
        fits = array.ndim == 2 and 0 < shape[0] <= config.TEXT_TOKENS and array.dtype.kind == "i"
        return "" if fits else f"{array.dtype} of shape {array.shape} are not up to {config.TEXT_TOKENS} token ids"
    fits = _is_picture(shape, array.dtype) if modality == "image" else shape == _SHAPES[modality]
    if fits and array.dtype in (np.uint8, np.float32):
        return ""
    return f"clips of shape {shape}, {array.dtype}, are not what the model reads"


def _is_picture(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """(3, H, W), or pixels as they are decoded: (H, W, 3); sides of whole patches."""
    if len(shape) != 3:
        return False
    sides = shape[:2] if dtype == np.uint8 and shape[2] == 3 else shape[1:] if shape[0] == 3 else (0, 0)
    return all(side >= config.IMAGE_PATCH and side % config.IMAGE_PATCH == 0 for side in sides)
