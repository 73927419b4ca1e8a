"""Films and recordings opened by PyAV: only formats that hold the data themselves, and only their own file is read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.errors import DocumentError

if TYPE_CHECKING:
    from av.container import InputContainer

MEND = "it may be cut off or damaged; fetch it again"
# A playlist would make the library open whatever it names, on this machine or elsewhere.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,ivf,gif,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,opus"
)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """The file, its header read. Whatever the library raises inside is a DocumentError `malformed` naming the file."""
    import av

    try:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        with av.open(os.fspath(path), options=options, metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise DocumentError("malformed", f"{path}: it cannot be decoded: {error.strerror}", MEND) from error
