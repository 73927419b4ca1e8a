"""Recordings as elements: one, with the raw bytes, and what the file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks import recordings, sound_files
from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition import streams
from tasks.partition.context import PartContext
from tasks.rows import ElementRow

if TYPE_CHECKING:
    from av.container import InputContainer

_CHANNELS = {1: "mono", 2: "stereo"}
_EXTENSIONS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/quicktime": "mov",
    "audio/x-matroska": "mka",
    "audio/webm": "webm",
    "audio/x-msvideo": "avi",
}


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """One element whose text is its length, form and tags, and whose times span the recording."""
    import soundfile

    try:
        with sound_files.opened(path) as file:
            rate, channels = file.samplerate, file.channels
            told = {name: clean(value) for name, value in file.copy_metadata().items() if name in streams.TAGS}
            if channels < 1 or rate < 1 or file.read(1024).size == 0:  # a header alone is no recording
                raise _no_samples()
            frames = sound_files.decodable(file)
            streams.warn_if_cut("sound ends", frames / rate, file.frames / rate, context)
    except soundfile.LibsndfileError as error:
        if context.media_type == "audio/ogg":  # of a codec that this library does not know
            with streams.opened(path, context.media_type) as container:
                return [from_container(path, container, context)]
        raise DocumentError("malformed", f"the recording cannot be read: {error}", "it may be damaged") from error
    told = {name: told[name] for name in streams.TAGS if told.get(name)}
    return [_element(path, frames / rate, rate, channels, told, context.media_type, context)]


def from_container(path: Path, container: InputContainer, context: PartContext) -> ElementRow:
    """The same of the sound of a container without moving pictures, whatever its name promised."""
    stream = next(iter(container.streams.audio), None)
    frame = streams.first_frame(container, stream) if stream is not None else None
    if stream is None or frame is None:
        raise _no_samples()
    seconds = streams.seconds_of(container, stream)
    streams.warn_if_cut("sound ends", seconds, streams.declared_seconds(container), context)
    media_type = f"audio/{context.media_type.partition('/')[2]}"
    return _element(path, seconds, stream.rate, stream.channels, streams.tags(container), media_type, context)


def _no_samples() -> DocumentError:
    return DocumentError("malformed", "the recording has no samples", "it may be cut off")


def _element(
    path: Path, seconds: float, rate: int, channels: int, told: dict[str, str], media_type: str, context: PartContext
) -> ElementRow:
    form = f"Recording, {seconds:.1f} s, {rate / 1000:g} kHz, {_CHANNELS.get(channels, f'{channels} channels')}"
    context.title = told.get("title", "")
    return ElementRow(
        0, "Audio", streams.described(form, told), media=context.keep(path, _EXTENSIONS[media_type]),
        media_type=media_type, origin="metadata", time_start=0.0, time_end=recordings.end_of(seconds),
    )  # fmt: skip
