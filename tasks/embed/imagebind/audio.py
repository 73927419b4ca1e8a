"""Sounds as ImageBind hears them: a file in, clips of 2 s as normalised mel spectrograms out.

The reference takes three clips, spread evenly; `clip_count` says how many leave nothing out. Its ways are kept: the
mean of a clip over all channels is removed in place, so that a later clip which overlaps it is shifted already, and of
the result only the first channel is heard. What a short sound lacks of 2 s is zero in the spectrogram, before
normalisation; one without even a frame of 25 ms is filled up with silence to one.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tasks import sound_files
from tasks.embed.imagebind.config import MEL_BINS, MEL_FRAMES
from tasks.embed.imagebind.containers import MEND, opened
from tasks.embed.imagebind.fbank import FRAME, RATE, fbank
from tasks.embed.imagebind.resample import resample
from tasks.errors import DocumentError

CLIP_SECONDS = 2
CLIPS = 3
_MEAN, _STD = np.float32(-4.268), np.float32(9.138)
_RATES = range(1, 1_000_001)  # others are damage; the resampler's filters grow with them
_BATCH = 32  # clips
_LEAD = 0.2  # seconds; a decoder's first samples after a seek lack what came before them


def clip_count(seconds: float) -> int:
    """How many clips leave out nothing between them: at least three, as the reference takes."""
    return max(CLIPS, math.ceil(seconds / CLIP_SECONDS))


def clips(waveform: np.ndarray, rate: int, count: int = CLIPS) -> np.ndarray:
    """(channels, frames) float32 → (count, 1, 128, 204) float32.

    Raises DocumentError: `no_samples` where there is none, `malformed` where one is not a number.
    """
    if waveform.ndim != 2 or waveform.size == 0:
        raise DocumentError("no_samples", "the recording has no samples", MEND)
    if not np.isfinite(waveform).all() or rate not in _RATES:
        raise DocumentError("malformed", "the recording has samples or a rate that are no numbers of a sound", MEND)
    sound = resample(waveform.astype(np.float32), rate, RATE)
    heard = np.zeros((count, max(FRAME, min(sound.shape[1], CLIP_SECONDS * RATE))), dtype=np.float32)
    for row, (start, end) in zip(heard, clip_ranges(sound.shape[1], count), strict=True):
        clip = sound[:, start:end]
        clip -= clip.mean(dtype=np.float32)
        row[: clip.shape[1]] = clip[0]
    found = np.zeros((count, 1, MEL_BINS, MEL_FRAMES), dtype=np.float32)
    for first in range(0, count, _BATCH):
        mel = fbank(heard[first : first + _BATCH])
        found[first : first + _BATCH, 0, :, : mel.shape[1]] = mel.transpose(0, 2, 1)
    found -= _MEAN
    found /= _STD
    return found


def clip_ranges(frames: int, count: int) -> list[tuple[int, int]]:
    """Where clips begin and end, in samples at 16 kHz: spread evenly from the first to the last moment."""
    last = Fraction(max(frames / RATE - CLIP_SECONDS, 0))  # of the float, as the reference has it
    starts = [int(last / max(count - 1, 1) * number * RATE) for number in range(count)]
    return [(start, min(start + CLIP_SECONDS * RATE, frames)) for start in starts]


def duration(path: str | os.PathLike[str]) -> float:
    """How many seconds it lasts. Raises DocumentError as `load` does."""
    import soundfile

    try:
        with sound_files.opened(path) as file:
            return float(sound_files.decodable(file) / file.samplerate)
    except soundfile.LibsndfileError:
        with opened(path) as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise _no_samples(path) from None
            if stream.duration and stream.time_base:
                return float(stream.duration * stream.time_base)
            return (container.duration or 0) / 1_000_000


def load(path: str | os.PathLike[str], start: float | None = None, end: float | None = None) -> tuple[np.ndarray, int]:
    """The samples from second `start` to `end` (None: its ends) as (channels, frames) float32, and their rate.

    WAV, FLAC, MP3 and Ogg by libsndfile, everything else and the sound of films by PyAV. Raises DocumentError naming
    the file: `malformed`, `no_samples`.
    """
    import soundfile

    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(sound_files.opened(path))
        except soundfile.LibsndfileError:
            return _load_any(path, start or 0.0, math.inf if end is None else end)
        rate = file.samplerate
        if rate not in _RATES:
            raise DocumentError("malformed", f"{path}: it claims {rate} samples per second", MEND)
        first = round((start or 0.0) * rate)
        lead = min(first, round(_LEAD * rate))
        last = file.frames if end is None else min(file.frames, round(end * rate))
        try:
            parts = list(sound_files.blocks(file, last - first + lead, first - lead)) if last > first else []
        except soundfile.LibsndfileError as error:
            raise DocumentError("malformed", f"{path}: the recording cannot be decoded: {error}", MEND) from error
    found = np.ascontiguousarray(np.concatenate(parts)[lead:].T) if parts else np.empty((0, 0))
    if not found.size:
        raise _no_samples(path)
    return found, rate


def _load_any(path: str | os.PathLike[str], start: float, end: float) -> tuple[np.ndarray, int]:
    import av

    with opened(path) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise _no_samples(path)
        origin = float((stream.start_time or 0) * (stream.time_base or 0))
        if start and stream.time_base:
            container.seek(int((max(0.0, start - _LEAD) + origin) / stream.time_base), stream=stream)
        to_float = av.AudioResampler(format="fltp")
        parts: list[np.ndarray] = []
        rate, at = 0, None  # `at`: the second at which the next frame begins

        def frames() -> Iterator[av.AudioFrame]:
            try:
                for frame in container.decode(stream):
                    if isinstance(frame, av.AudioFrame):
                        yield from to_float.resample(frame)
            except av.FFmpegError as error:  # of what is cut off, what came before counts
                if at is None or isinstance(error, MemoryError):
                    raise
            yield from to_float.resample(None)

        for frame in frames():
            samples, rate = frame.to_ndarray(), frame.sample_rate
            if at is None:
                at = frame.time - origin if frame.time is not None else 0.0
            if at >= end:
                break
            first = max(0, round((start - at) * rate))
            parts.append(samples[:, first : None if math.isinf(end) else max(0, round((end - at) * rate))])
            at += samples.shape[1] / rate
    if rate not in _RATES or not sum(part.shape[1] for part in parts):
        raise _no_samples(path)
    return np.concatenate(parts, axis=1).astype(np.float32, copy=False), rate


def _no_samples(path: str | os.PathLike[str]) -> DocumentError:
    return DocumentError("no_samples", f"{path}: it has no samples of sound there", MEND)
