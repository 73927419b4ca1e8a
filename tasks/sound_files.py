"""Recordings that libsndfile reads (WAV, FLAC, MP3, Ogg). In: an open file. Out: its samples, as far as they decode.

A header of FLAC or MP3 promises the length that the recording had before it was cut off.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tasks.worker import in_worker

if TYPE_CHECKING:
    from soundfile import SoundFile

_BLOCK = 1 << 18  # frames read at a time: a damaged header can promise any number


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[SoundFile]:
    """The file, its header read. Raises soundfile.LibsndfileError, as everything that reads may."""
    import soundfile

    with _silent(), soundfile.SoundFile(os.fspath(path)) as file:
        yield file


def decodable(file: SoundFile) -> int:
    """How many frames there really are. All is decoded only where the last one that the header promises is missing."""
    import soundfile

    if file.frames < 1:
        return 0
    try:
        file.seek(file.frames - 1)
        if len(file.read(1)):
            return int(file.frames)
    except soundfile.LibsndfileError:
        pass
    with opened(file.name) as again:
        return sum(map(len, blocks(again, file.frames)))


def blocks(file: SoundFile, frames: int, start: int = 0) -> Iterator[np.ndarray]:
    """At most `frames` frames from `start` on, as (frames, channels) float32, to the first that does not decode.

    Raises soundfile.LibsndfileError where none does.
    """
    import soundfile

    at, end, size, seek = start, start + frames, _BLOCK, start > 0
    with contextlib.ExitStack() as stack:
        while at < end:
            try:
                if seek:
                    file.seek(at)
                block, seek = file.read(min(size, end - at), dtype="float32", always_2d=True), False
            except soundfile.LibsndfileError:
                if size > 1:  # of a block with damage the library drops what it decoded: on in smaller ones
                    stack.close()
                    file = stack.enter_context(opened(file.name))  # a decoder that lost its way does not find it back
                    size, seek = size // 4, at > 0
                    continue
                if at == start:
                    raise
                return
            if not len(block):
                return
            yield block
            at += len(block)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing on standard error, where this process is a worker: libmpg123 writes of a cut file there at each seek."""
    if not in_worker():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
