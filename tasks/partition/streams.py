"""Sound and pictures in containers (MP4, Matroska, AVI, Ogg): opened, checked by decoding, measured. For workers only.

In: a path and its media type. Out: PyAV's container and what is true of its streams. The demuxer is named and neither
a playlist nor another file is followed: what a hostile file asks the library to open is not opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import DocumentError
from tasks.partition.clean import clean

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
_HINT = "it may be damaged or cut off; fetch it again"


@contextlib.contextmanager
def opened(path: Path, media_type: str) -> Iterator[InputContainer]:
    """The container, its streams known. What the library cannot read, then or later, is DocumentError `malformed`."""
    import av

    name, own_name = _FORMATS[media_type]
    options = {"protocol_whitelist": "file", "format_whitelist": own_name}
    try:
        with av.open(str(path), format=name, options=options, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        what = "video" if media_type.startswith("video/") else "recording"
        raise DocumentError("malformed", f"the {what} cannot be read: {error.strerror}", _HINT) from error


def pictures(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures: a cover is none."""
    import av

    cover = av.stream.Disposition.attached_pic
    found = (stream for stream in container.streams.video if not stream.disposition & cover)
    stream = next(found, None)
    if stream is not None:
        stream.codec_context.thread_count = 1  # one worker per core
    return stream


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
    declared = max(0, container.duration or 0) / 1_000_000
    end = _end(container, stream, max(0.0, declared - _TAIL_SECONDS)) if declared else None
    if end is None:
        end = _end(container, stream, 0.0)
    if end is None or stream.time_base is None:
        return declared
    return max(0.0, round(float((end - (stream.start_time or 0)) * stream.time_base), 3))


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


def tags(container: InputContainer) -> dict[str, str]:
    """What the file says of itself, in the order in which it is told."""
    found = {name.lower(): clean(str(value)) for name, value in container.metadata.items()}
    return {name: found[name] for name in TAGS if found.get(name)}


def described(form: str, tags: dict[str, str]) -> str:
    """The text of a recording: what it is, and its tags."""
    return ". ".join([form, *(f"{name.capitalize()}: {value}" for name, value in tags.items())])
