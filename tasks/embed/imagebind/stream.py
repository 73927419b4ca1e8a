"""Jobs in → decoded in threads, some ahead of the device → vectors out, in the order of the jobs.

Whatever decodes (worker processes, or the threads themselves) and whatever computes work at the same time. Memory is
bounded by `ahead`. What goes wrong with one job is its result and does not touch the others.
"""

from __future__ import annotations

import abc
import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from tasks.embed.imagebind.batches import Result, matrix, named
from tasks.errors import BinderyError, DocumentError
from tasks.rows import Modality

J = TypeVar("J")
Started = Callable[[], list[Result]]  # waits for what was started; called once
Prepared = Sequence[np.ndarray] | DocumentError
_Part = tuple[J, int | DocumentError]  # a job and how many items it was prepared to
_AHEAD_BYTES = 256 << 20
# What one job's decoded items take, about; a picture has several views.
_JOB_BYTES: dict[Modality, int] = {"text": 1 << 10, "image": 1 << 20, "video": 18 << 20}
_OTHER_BYTES = 512 << 10


class Encoder(abc.ABC):
    """What computes: one device (`runtime.Runtime`) or several (`devices.Devices`)."""

    @property
    @abc.abstractmethod
    def dimension(self) -> int: ...

    @property
    @abc.abstractmethod
    def in_flight(self) -> int:
        """How many batches are worth starting before the first one's results are asked for."""

    @abc.abstractmethod
    def batch_rows(self, modality: Modality) -> int:
        """How many clips, or full texts, one batch takes: with fewer at a time it is not busy."""

    @abc.abstractmethod
    def start(self, modality: Modality, arrays: Sequence[np.ndarray]) -> Started:
        """Begin with prepared items (clips, ...); the result is called once, for a vector or an error for each."""

    @abc.abstractmethod
    def encode_texts(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """As `encode`, for texts as token ids, of any lengths up to 77, end-of-text last."""

    def encode(self, modality: Modality, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """(n, dimension) float32: the official outputs of prepared items (clips, ...), scaled, averaged over clips.

        Raises the first item's DocumentError, which names it by its index.
        """
        return matrix(self.try_encode(modality, arrays), self.dimension)

    def try_encode(self, modality: Modality, arrays: Sequence[np.ndarray]) -> list[Result]:
        """A vector or the reason why there is none, for each item; one's failure does not touch the others."""
        return named(self.start(modality, arrays)(), modality)

    def encode_stream(
        self,
        modality: Modality,
        jobs: Iterable[J],
        prepare: Callable[[J], Sequence[np.ndarray]],
        ahead: int | None = None,
        threads: int | None = None,
    ) -> Iterator[tuple[J, np.ndarray | DocumentError]]:
        """See the function of this name."""
        return encode_stream(self, modality, jobs, prepare, ahead, threads)


def encode_stream(
    encoder: Encoder,
    modality: Modality,
    jobs: Iterable[J],
    prepare: Callable[[J], Sequence[np.ndarray]],
    ahead: int | None = None,
    threads: int | None = None,
) -> Iterator[tuple[J, np.ndarray | DocumentError]]:
    """For each job, in order: (items, dimension) of scaled outputs for the items it was prepared to, or its error.

    `prepare` runs in up to `threads` threads and may raise. At most `ahead` jobs are being prepared, or are prepared
    and not yet given to the device. A BinderyError ends the stream; so does closing it, without waiting for decoders.
    """
    if ahead is None:
        job = _JOB_BYTES.get(modality, _OTHER_BYTES)
        ahead = max(4, min(_AHEAD_BYTES // job, 2 * encoder.batch_rows(modality) + 4))
    pool = ThreadPoolExecutor(max(1, threads or ahead - 2), thread_name_prefix="bindery-prepare")
    running: collections.deque[tuple[list[_Part[J]], Started]] = collections.deque()
    try:
        for batch in _batches(pool, jobs, prepare, max(1, ahead), encoder.batch_rows(modality)):
            arrays = [array for _, found in batch if not isinstance(found, DocumentError) for array in found]
            parts = [(job, found if isinstance(found, DocumentError) else len(found)) for job, found in batch]
            batch.clear()
            running.append((parts, encoder.start(modality, arrays)))
            del arrays
            while len(running) > encoder.in_flight:
                yield from _finished(*running.popleft(), encoder.dimension)
        while running:
            yield from _finished(*running.popleft(), encoder.dimension)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _batches(
    pool: ThreadPoolExecutor,
    jobs: Iterable[J],
    prepare: Callable[[J], Sequence[np.ndarray]],
    ahead: int,
    rows: int,
) -> Iterator[list[tuple[J, Prepared]]]:
    """Prepared jobs in order, as many together as fill a batch; half of `ahead` stays with the decoders meanwhile."""
    waiting: collections.deque[tuple[J, Future[Prepared]]] = collections.deque()
    batch: list[tuple[J, Prepared]] = []
    todo, more = iter(jobs), True
    while more or waiting:
        while more and len(waiting) + len(batch) < ahead:
            try:
                job = next(todo)
            except StopIteration:
                more = False
            else:
                waiting.append((job, pool.submit(_prepare, prepare, job)))
        if waiting:
            job, future = waiting.popleft()
            batch.append((job, future.result()))
        clips = sum(len(array) for _, found in batch if not isinstance(found, DocumentError) for array in found)
        if clips >= rows or len(batch) >= max(1, ahead // 2) or not (more or waiting):
            if batch:
                yield batch
            batch = []


def _prepare(prepare: Callable[[J], Sequence[np.ndarray]], job: J) -> Prepared:
    try:
        return prepare(job)
    except DocumentError as error:
        return error
    except (BinderyError, concurrent.futures.CancelledError):
        raise
    except MemoryError:
        return DocumentError("memory", "ran out of memory while it was decoded", "free memory, or split it")
    except Exception as error:  # noqa: BLE001  whatever a library raises, this input is what failed
        message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return DocumentError("malformed", message, "it may be damaged")


def _finished(
    parts: Sequence[_Part[J]], started: Started, dimension: int
) -> Iterator[tuple[J, np.ndarray | DocumentError]]:
    results = started()
    position = 0
    for job, found in parts:
        if isinstance(found, DocumentError):
            yield job, found
            continue
        mine = results[position : position + found]
        position += found
        try:
            vectors = matrix(mine, dimension)
        except DocumentError as error:
            yield job, error
        else:
            yield job, vectors
