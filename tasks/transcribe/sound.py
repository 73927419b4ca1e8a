"""The sound of a recording as it is sent: a file in, FLAC files of its windows and when they are out. For workers.

Decoded once, as a stream, to 16 kHz and one channel, which is what speech models hear. A window is cut in a pause near
its end, where there is one; else the next one begins a few seconds before it ends, so that each word is whole in one
of them. FLAC loses nothing, every endpoint reads it, and twelve minutes of the worst noise stay below 25 MB.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tasks import av_files
from tasks.errors import DocumentError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

RATE = 16_000
OVERLAP_SECONDS = 3.0
EARLIEST = 0.75  # of a window: a pause is looked for from here on
_FRAME = RATE // 50  # samples that a level is told of
_PAUSE_FRAMES = 15
_BELOW = 20.0  # dB that a pause is quieter than the loud parts around it
_SILENCE = -60.0  # dB of full scale; what stays below says nothing
_HEARD_FRAMES = 5  # above it, for a sound to be more than a click
_REMAINDER = RATE  # samples; a shorter rest joins the window before it
_SHORTEST = RATE // 10  # samples; endpoints refuse less
_JUMP = 0.5  # seconds that are missing between two frames
_BEYOND = 60.0  # seconds of sound after the end of the recording as partitioning measured it


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end` in seconds of decoded sound, of which the first `lead` are also the end of the window
    before. `file` is empty where nothing is to be heard. `digest` is the sha256 of the samples."""

    start: float
    end: float
    lead: float
    digest: str
    file: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclasses.dataclass(frozen=True, slots=True)
class Sound:
    """`jumps` are (from this second of sound on, seconds that the recording's own time is ahead of it)."""

    windows: tuple[Window, ...]
    jumps: tuple[tuple[float, float], ...] = ()

    def moment(self, seconds: float) -> float:
        """A second of sound in the recording's own time."""
        return seconds + next((ahead for at, ahead in reversed(self.jumps) if at <= seconds), 0.0)


def cut(path: str, folder: str, window: float, end: float) -> Sound:
    """The windows of a recording that is `end` seconds long, as files in `folder`; none where it has no sound.

    Raises DocumentError `malformed`. What was written till then is removed.
    """
    sound = _Cutter(folder, round(window * RATE))
    try:
        with av_files.opened(path, "recording") as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                return Sound(())
            pictures = av_files.pictures(container)
            lead = pictures if pictures is not None and pictures.start_time is not None else stream
            begin = float((lead.start_time or 0) * (lead.time_base or 0))
            for frame in _decoded(container, stream):
                sound.hear(frame, begin, end)
                if sound.seconds > end + _BEYOND:
                    break
        sound.finish()
    except BaseException:
        sound.remove()
        raise
    return Sound(tuple(sound.windows), tuple(sound.jumps))


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """All frames that decode: of what is damaged or cut off, the rest counts. Raises DocumentError where none does."""
    import av

    found, damage = False, ""
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                if isinstance(error, MemoryError):
                    raise
                damage = error.strerror or "damage"
                continue
            for frame in frames:
                if isinstance(frame, av.AudioFrame) and frame.samples:
                    found = True
                    yield frame
    except av.FFmpegError as error:
        if isinstance(error, MemoryError) or not found:
            raise
    if not found and damage:
        raise DocumentError("malformed", f"the recording's sound cannot be decoded: {damage}", av_files.HINT)


class _Cutter:
    """Takes frames as they are decoded; holds no more samples than a window."""

    def __init__(self, folder: str, longest: int) -> None:
        self.windows: list[Window] = []
        self.jumps: list[tuple[float, float]] = []
        self._folder, self._longest = folder, longest
        self._resampler: object | None = None
        self._held: list[np.ndarray] = []
        self._count = 0  # samples held
        self._start = 0  # of the first sample that is held
        self._lead = 0
        self._read = 0.0  # seconds of frames

    @property
    def seconds(self) -> float:
        return (self._start + self._count) / RATE

    def hear(self, frame: AudioFrame, begin: float, end: float) -> None:
        if frame.time is not None:
            now, ahead = frame.time - begin, self.jumps[-1][1] if self.jumps else 0.0
            limit = _JUMP if self._read else 0.0
            if now - self._read - ahead > limit and now <= end:  # what is missing shifts what follows
                self.jumps.append((self._read, now - self._read))
        if frame.sample_rate > 0:
            self._read += frame.samples / frame.sample_rate
        self._add(self._resampled(frame))
        while self._count > self._longest + _REMAINDER:
            self._cut()

    def finish(self) -> None:
        self._add(self._resampled(None))
        while self._count > self._longest + _REMAINDER:
            self._cut()
        if self._count > self._lead or (self._count and not self.windows):
            self._write(self._samples(), self._lead)

    def remove(self) -> None:
        for window in self.windows:
            if window.file:
                os.unlink(window.file)

    def _resampled(self, frame: AudioFrame | None) -> list[np.ndarray]:
        import av

        if frame is None and self._resampler is None:
            return []
        if not isinstance(self._resampler, av.AudioResampler):
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        try:
            found = self._resampler.resample(frame)
        except ValueError:  # the form of the sound changes within the file
            rest = self._resampler.resample(None)
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            found = [*rest, *self._resampler.resample(frame)]
        return [each.to_ndarray().reshape(-1) for each in found]

    def _add(self, parts: list[np.ndarray]) -> None:
        self._held += parts
        self._count += sum(map(len, parts))

    def _samples(self) -> np.ndarray:
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held)]
        return self._held[0]

    def _cut(self) -> None:
        samples = self._samples()
        border = pause(samples[: self._longest])
        overlap = 0 if border is not None else min(round(OVERLAP_SECONDS * RATE), self._longest // 4)
        border = self._longest if border is None else border
        self._write(samples[:border], self._lead)
        self._held = [samples[border - overlap :].copy()]
        self._start += border - overlap
        self._count, self._lead = len(self._held[0]), overlap

    def _write(self, samples: np.ndarray, lead: int) -> None:
        """FLAC by soundfile: one call, where a muxer takes twenty lines."""
        import soundfile

        start, end = self._start / RATE, (self._start + len(samples)) / RATE
        digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
        file = ""
        if len(samples) >= _SHORTEST and audible(samples):
            handle, file = tempfile.mkstemp(prefix="speech-", suffix=".flac", dir=self._folder)
            os.close(handle)
        self.windows.append(Window(start, end, lead / RATE, digest, file))
        if file:
            soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")


def levels(samples: np.ndarray) -> np.ndarray:
    """The loudness of each 20 ms, in dB of full scale."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32)
    power: np.ndarray = np.mean(frames**2, axis=1) / 32768.0**2
    return np.asarray(10 * np.log10(power + 1e-12))


def audible(samples: np.ndarray) -> bool:
    return int((levels(samples) > _SILENCE).sum()) >= _HEARD_FRAMES


def pause(samples: np.ndarray) -> int | None:
    """The sample in the middle of the best pause near the end: 0.3 s in which nobody speaks. None where all is loud."""
    level = levels(samples)
    searched = level[-max(_PAUSE_FRAMES, round(len(level) * (1 - EARLIEST))) :]
    if len(searched) < _PAUSE_FRAMES:
        return None
    loudest = np.lib.stride_tricks.sliding_window_view(searched, _PAUSE_FRAMES).max(axis=1)
    place = len(loudest) - 1 - int(loudest[::-1].argmin())  # of equal ones the last
    if loudest[place] > max(_SILENCE, float(np.percentile(level, 90)) - _BELOW):
        return None
    middle = len(level) - len(searched) + place + _PAUSE_FRAMES // 2
    return middle * _FRAME
