"""Sound and pictures in containers (MP4, Matroska, AVI, Ogg): opened, checked by decoding, measured. For workers only.

In: a path and its media type. Out: PyAV's container and what is true of its streams. The demuxer is named: what a file
is has been decided, and is not for the library to guess again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import av_files, recordings
from tasks.clean import clean
from tasks.partition.context import PartContext

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ISO = ("mov", "mov,mp4,m4a,3gp,3g2,mj2")
_MATROSKA = ("matroska", "matroska,webm")
_FORMATS = {  # the library's demuxer by name, and as it calls itself
    "video/mp4": _ISO,
    "video/quicktime": _ISO,
    "audio/mp4": _ISO,
    "video/x-matroska": _MATROSKA,
    "video/webm": _MATROSKA,
    "video/x-msvideo": ("avi", "avi"),
    "audio/ogg": ("ogg", "ogg"),
}
TAGS = ("title", "artist", "album", "date", "comment")
_TAIL_SECONDS = 2.0
_MAX_TRIES = 500  # packets that are looked at for one that decodes
_ENDS_EARLY = 1.0  # seconds that may be missing without a word: sound often goes on a little longer than pictures


def opened(path: Path, media_type: str) -> contextlib.AbstractContextManager[InputContainer]:
    """The container, by the demuxer of its media type. What cannot be read, then or later, is `malformed`."""
    name, own_name = _FORMATS[media_type]
    what = "video" if media_type.startswith("video/") else "recording"
    return av_files.opened(path, what, name, own_name)


def first_frame(container: InputContainer, stream: VideoStream | AudioStream) -> VideoFrame | AudioFrame | None:
    """The first frame that really decodes, or None."""
    import av

    for tried, packet in enumerate(container.demux(stream)):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame | av.AudioFrame) and not frame.is_corrupt:
                    return frame
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
        if tried > _MAX_TRIES:
            return None
    return None


def seconds_of(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    """How long a stream really is, told from its last packets: what a file declares may be absent or cut off.

    Only the end is read where it can be found there, else all of the file. Nothing is decoded.
    """
    declared = declared_seconds(container)
    end = _end(container, stream, max(0.0, declared - _TAIL_SECONDS)) if declared else None
    if end is None:
        end = _end(container, stream, 0.0)
    if end is None or stream.time_base is None:
        return recordings.end_of(declared)
    return recordings.end_of(float((end - (stream.start_time or 0)) * stream.time_base))


def _end(container: InputContainer, stream: VideoStream | AudioStream, start: float) -> int | None:
    """The latest end of the packets after the key frame before `start`, in the stream's time base."""
    import av

    end: int | None = None
    try:
        container.seek(int(start * 1_000_000))
    except av.FFmpegError:
        if start:
            return None
    with contextlib.suppress(av.FFmpegError):  # where it is cut off, what came before counts
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                end = max(end or 0, packet.pts + (packet.duration or 0))
    return end


def warn_if_cut(what: str, seconds: float, declared: float, context: PartContext) -> None:
    """Tell where the `seconds` that there are fall short of what the file declares."""
    if declared - seconds > _ENDS_EARLY:
        context.warn(f"its {what} after {seconds:.1f} of {declared:.1f} s: it may be cut off")


def declared_seconds(container: InputContainer) -> float:
    return max(0, container.duration or 0) / 1_000_000


def tags(container: InputContainer) -> dict[str, str]:
    """What the file says of itself, in the order in which it is told."""
    found = {name.lower(): clean(str(value)) for name, value in container.metadata.items()}
    return {name: found[name] for name in TAGS if found.get(name)}


def described(form: str, tags: dict[str, str]) -> str:
    """The text of a recording: what it is, and its tags."""
    return ". ".join([form, *(f"{name.capitalize()}: {value}" for name, value in tags.items())])
