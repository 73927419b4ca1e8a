"""Recordings as elements: one, with the raw bytes, and what the file says about itself. Nothing is transcribed."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import DocumentError
from tasks.partition.clean import clean
from tasks.partition.context import PartContext
from tasks.rows import ElementRow

_TAGS = ("title", "artist", "album", "date", "comment")
_CHANNELS = {1: "mono", 2: "stereo"}


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """One element whose text is its length, form and tags, and whose times span the recording."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            tags = {name: clean(value) for name, value in file.copy_metadata().items() if name in _TAGS}
            if channels < 1 or rate < 1 or file.read(1024).size == 0:  # a header alone is no recording
                raise DocumentError("malformed", "the recording has no samples", "it may be cut off")
    except soundfile.LibsndfileError as error:
        raise DocumentError("malformed", f"the recording cannot be read: {error}", "it may be damaged") from error
    seconds = frames / rate
    form = f"Recording, {seconds:.1f} s, {rate / 1000:g} kHz, {_CHANNELS.get(channels, f'{channels} channels')}"
    context.title = tags.get("title", "")
    text = ". ".join([form, *(f"{name.capitalize()}: {tags[name]}" for name in _TAGS if tags.get(name))])
    media = context.blob(path.read_bytes(), context.media_type)
    return [
        ElementRow(
            0, "Audio", text, media=media, media_type=context.media_type, origin="metadata",
            time_start=0.0, time_end=round(seconds, 3),
        )
    ]  # fmt: skip
