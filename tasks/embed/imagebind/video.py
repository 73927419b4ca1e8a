"""Films as ImageBind sees them: a file in, 5 clips of 2 s x 3 crops x 2 frames out, as normalised floats.

As in the reference, clips are spread evenly, of each the first and the last frame are taken, scaled to a short side of
224 without smoothing, and cut into left, centre and right (or top, centre and bottom). Only those ten frames are
decoded, with what lies between them and the key frames before them, and at most one is held in full size.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tasks import av_files
from tasks.embed.imagebind.config import IMAGE_FRAMES, IMAGE_SIZE
from tasks.embed.imagebind.containers import MEND, opened
from tasks.embed.imagebind.images import MAX_PIXELS
from tasks.errors import DocumentError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

CLIPS, CLIP_SECONDS, CROPS = 5, 2, 3
_SLOWEST = 1e-6  # frames a second
_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), dtype=np.float32)
_STD = np.array((0.26862954, 0.26130258, 0.27577711), dtype=np.float32)


@dataclasses.dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a film says about itself. `width` and `height` are those of its frames as stored."""

    duration: float
    fps: float
    width: int
    height: int
    has_audio: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Frames:
    """The frames of a range: when each is shown, in order, and where decoding can begin (shown, decoded at)."""

    times: list[int]
    keys: list[tuple[int, int]]


def describe(path: str | os.PathLike[str]) -> VideoInfo:
    """The film's header. Raises DocumentError naming the file: `malformed`, `no_frames`."""
    with opened(path) as container:
        stream = _stream(container, path)
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        return VideoInfo(_duration(container, stream), fps, stream.width, stream.height, bool(container.streams.audio))


def load(path: str | os.PathLike[str], start: float | None = None, end: float | None = None) -> np.ndarray:
    """(15, 3, 2, 224, 224) float32 of the seconds from `start` to `end` (None: its ends), clip by clip.

    Raises DocumentError naming the file: `malformed`, `no_frames`, `too_large`.
    """
    with opened(path) as container:
        stream = _stream(container, path)
        if stream.width * stream.height > MAX_PIXELS:
            raise DocumentError(
                "too_large", f"{path}: its frames have {stream.width} x {stream.height} pixels", "scale it down"
            )
        found = _frames(container, stream, start, end)
        if not found.times:
            raise _no_frames(path)
        wanted = frame_indices(len(found.times), float(stream.average_rate or stream.guessed_rate or 0))
        crops: dict[int, np.ndarray] = {}
        for index, frame in _decoded(container, stream, found, sorted({i for pair in wanted for i in pair})):
            crops[index] = _crops(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
    if not crops:
        raise _no_frames(path)
    earliest = next(iter(crops.values()))  # for what is damaged before it
    clips = np.empty((CLIPS, CROPS, 3, IMAGE_FRAMES, IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    for clip, pair in zip(clips, wanted, strict=True):
        for number, index in enumerate(pair):
            clip[:, :, number] = crops.get(index, earliest)
    return clips.reshape(-1, *clips.shape[2:])


def frame_indices(frames: int, fps: float) -> list[tuple[int, int]]:
    """The first and last frame of each clip, of `frames` in all."""
    if fps < _SLOWEST:  # unknown: as if it were one clip
        fps = frames / CLIP_SECONDS
    last = Fraction(max(frames / fps - CLIP_SECONDS, 0))  # of the float, as the reference has it
    pairs = []
    for number in range(CLIPS):
        start = last / (CLIPS - 1) * number
        first = min(math.ceil(fps * start), frames - 1)
        pairs.append((first, max(first, min(math.ceil(fps * (start + CLIP_SECONDS)), frames) - 1)))
    return pairs


def _stream(container: InputContainer, path: str | os.PathLike[str]) -> VideoStream:
    stream = av_files.pictures(container)
    if stream is None:
        raise _no_frames(path)
    return stream


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000


def _frames(container: InputContainer, stream: VideoStream, start: float | None, end: float | None) -> _Frames:
    """Read, but do not decode, the range. A range in which none begins has the frame that is still shown there."""
    base, origin = stream.time_base or Fraction(1, 1_000_000), stream.start_time or 0
    low = -math.inf if start is None else origin + start / base
    high = math.inf if end is None else origin + end / base
    times: list[int] = []
    keys: list[tuple[int, int]] = []
    before: list[int] = []
    if start:
        container.seek(int(low), stream=stream)
    for packet in container.demux(stream):
        shown, read = _first(packet.pts, packet.dts), _first(packet.dts, packet.pts)
        if shown is None or read is None or packet.is_discard:
            continue
        if packet.dts is not None and read >= high:
            break
        if packet.is_keyframe:
            keys.append((shown, read))
        if shown < low:
            before.append(shown)
        elif shown < high:
            times.append(shown)
    if not times and before and (start or 0.0) < _duration(container, stream):
        times = [max(before)]
    return _Frames(sorted(times), sorted(keys))


def _decoded(
    container: InputContainer, stream: VideoStream, found: _Frames, indexes: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames with these indexes, in order; what cannot be found has the one before it, if there is one."""
    starts = [shown for shown, _ in found.keys]
    frames: Iterator[VideoFrame] = iter(())
    last: VideoFrame | None = None
    shown = -math.inf
    for index in indexes:
        target = found.times[index]
        key = bisect.bisect_right(starts, target) - 1
        if last is None or (key >= 0 and starts[key] > shown):
            frames, last = _decode_from(container, stream, found.keys, key, target), None
        while last is None or shown < target:
            frame = next(frames, None)
            if frame is None:
                break
            last, shown = frame, _shown(frame)
        if last is not None:
            yield index, last


def _decode_from(
    container: InputContainer, stream: VideoStream, keys: Sequence[tuple[int, int]], key: int, target: int
) -> Iterator[VideoFrame]:
    """Frames from a key frame on; from an earlier one where a seek for this one leads behind the target."""
    for earlier in (key, key - 2, 0):
        if keys:
            container.seek(keys[max(earlier, 0)][1], stream=stream)
        else:
            container.seek(0)
        frames = _whole_frames(container, stream)
        first = next(frames, None)
        if first is None:
            continue
        if _shown(first) <= target or earlier <= 0:
            yield first
            yield from frames
            return


def _whole_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames from here to the first damage: of a film that is cut off, what came before counts."""
    import av

    try:
        for frame in container.decode(stream):
            if _shown(frame) > -math.inf:
                yield frame
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise


def _shown(frame: VideoFrame) -> float:
    found = _first(frame.pts, frame.dts)
    return -math.inf if found is None else found


def _first(time: int | None, other: int | None) -> int | None:
    return other if time is None else time


def _crops(frame: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 → (3 crops, 3, 224, 224) float32: scaled, cut and normalised."""
    upright = frame.shape[1] < frame.shape[0]
    lying = frame.transpose(1, 0, 2) if upright else frame
    height, width = lying.shape[:2]
    scaled = math.floor(width / height * IMAGE_SIZE)
    offsets = [0, math.ceil((scaled - IMAGE_SIZE) / 2), scaled - IMAGE_SIZE]
    columns = np.arange(scaled)
    if scaled > CROPS * IMAGE_SIZE:  # only what is in a crop
        columns = np.concatenate([columns[offset : offset + IMAGE_SIZE] for offset in offsets])
        offsets = [number * IMAGE_SIZE for number in range(CROPS)]
    left, right, across = _between(columns, width, scaled)
    top, bottom, down = _between(np.arange(IMAGE_SIZE), height, IMAGE_SIZE)
    rows, places = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    lines = _mixed(lying[rows], left, right, across[:, None], axis=1)
    pixels = _mixed(lines, places[:IMAGE_SIZE], places[IMAGE_SIZE:], down[:, None, None], axis=0)
    pixels = (pixels / np.float32(255) - _MEAN) / _STD
    order = (2, 1, 0) if upright else (2, 0, 1)
    return np.stack([pixels[:, offset : offset + IMAGE_SIZE].transpose(order) for offset in offsets])


def _mixed(values: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, axis: int) -> np.ndarray:
    """Between `values` at `first` and at `second`, by how large the `share` of the second is."""
    start = values.take(first, axis).astype(np.float32)
    mixed: np.ndarray = start + (values.take(second, axis).astype(np.float32) - start) * share
    return mixed


def _between(at: np.ndarray, size: int, scaled: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pixels `at` of a scaled side: the two pixels of the side that each lies between, and how near the second."""
    place = np.maximum((at.astype(np.float32) + np.float32(0.5)) * np.float32(size / scaled) - np.float32(0.5), 0)
    first = np.minimum(place.astype(np.int64), size - 1)
    return first, np.minimum(first + 1, size - 1), place - first.astype(np.float32)


def _no_frames(path: str | os.PathLike[str]) -> DocumentError:
    return DocumentError("no_frames", f"{path}: it has no pictures there", MEND)
