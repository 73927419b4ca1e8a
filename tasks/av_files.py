"""Sound and films in files that PyAV reads. In: a path. Out: its container, opened so that it reaches nothing else.

Only formats that hold the data themselves are known, and only the file is read: a playlist would make the library open
whatever it names, on this machine or elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.errors import DocumentError
from tasks.worker import in_worker

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

HINT = "it may be damaged or cut off; fetch it again"
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,ivf,gif,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,opus"
)


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], what: str = "file", demuxer: str | None = None, formats: str = FORMATS
) -> Iterator[InputContainer]:
    """The container, its streams known. What the library cannot read, then or later, is DocumentError `malformed`.

    `what` it is called there; `demuxer` where the content is to decide no more, and `formats` as demuxers call
    themselves.
    """
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": formats}
    try:
        with av.open(os.fspath(path), format=demuxer, options=options, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise DocumentError("malformed", f"the {what} cannot be read: {error.strerror}", HINT) from error


def pictures(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures: a cover is none. Workers, of which there is one per core, decode in one thread."""
    import av

    cover = av.stream.Disposition.attached_pic
    found = (stream for stream in container.streams.video if not stream.disposition & cover)
    stream = next(found, None)
    if stream is not None and in_worker():
        stream.codec_context.thread_count = 1
    return stream
