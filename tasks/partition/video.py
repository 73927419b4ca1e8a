"""Videos as elements: one, with the raw bytes, and what the file says about itself.

One without pictures is a recording. A video counts as readable when a frame of it decodes; its times are those of its
pictures.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import av_files
from tasks.errors import DocumentError
from tasks.partition import audio, ocr, streams
from tasks.partition.context import PartContext
from tasks.rows import ElementRow

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_EXTENSIONS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-msvideo": "avi",
}


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """One element whose text is the video's length, form and tags, and whose times span it."""
    with streams.opened(path, context.media_type) as container:
        stream = av_files.pictures(container)
        if stream is None and container.streams.audio:
            return [audio.from_container(path, container, context)]
        if stream is None:
            raise DocumentError("no_frames", "the file has neither pictures nor sound", "it may be damaged")
        return [_element(path, container, stream, context)]


def _element(path: Path, container: InputContainer, stream: VideoStream, context: PartContext) -> ElementRow:
    import av

    ocr.check_pixels((stream.width, stream.height), context.settings.max_pixels)
    frame = streams.first_frame(container, stream)
    if not isinstance(frame, av.VideoFrame):
        raise DocumentError(
            "no_frames", "no picture of the video can be decoded", "it may be damaged, empty or of an unknown codec"
        )
    width, height = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
    seconds = streams.seconds_of(container, stream)
    streams.warn_if_cut("pictures end", seconds, streams.declared_seconds(container), context)
    sound = "with sound" if container.streams.audio else "without sound"
    form = f"Video, {seconds:.1f} s, {width} × {height}, {_rate(stream.average_rate)}{sound}"
    told = streams.tags(container)
    context.title = told.get("title", "")
    return ElementRow(
        0, "Video", streams.described(form, told), media=context.keep(path, _EXTENSIONS[context.media_type]),
        media_type=context.media_type, origin="metadata", time_start=0.0, time_end=seconds,
    )  # fmt: skip


def _rate(frames_per_second: Fraction | None) -> str:
    return f"{round(float(frames_per_second), 2):g} fps, " if frames_per_second else ""
