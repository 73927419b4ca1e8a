"""Elements that are chunks of their own: tables, pictures, sensors' data, and recordings in windows of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from tasks import recordings, tables, tokens
from tasks.chunk.drafts import Draft, kind_of
from tasks.chunk.prose import cut_text
from tasks.rows import ElementRow, Kind
from tasks.settings import ChunkSettings

_TABLE_FACTOR = 4  # a table stays whole up to this many times max_tokens
_NOUNS = {"audio": "Recording", "video": "Video"}


def own_chunks(
    rows: Sequence[ElementRow], captions: Sequence[str], title: str, settings: ChunkSettings
) -> Iterator[Draft]:
    """Tables, whole or in parts, pictures and sensors' data, whole, and recordings, in windows.

    `captions` are those of the rows. Of a picture without words or bytes there is nothing to show, caption or not.
    """
    for index, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        kind = kind_of(row)
        if kind == "table":
            limit = _TABLE_FACTOR * settings.max_tokens
            for part in tables.split(row.text, row.html, limit, tokens.count, cut_text, caption):
                if part.text or part.html or row.media:
                    yield Draft(index, kind, part.text, (row,), part.html)
        elif kind in _NOUNS and row.media and row.time_end is not None:
            window = settings.audio_seconds if kind == "audio" else settings.video_seconds
            yield from _windows(index, kind, row, title or _NOUNS[kind], window, settings.max_windows)
        elif kind != "text" and (row.text.strip() or row.media):
            yield Draft(index, kind, _under(caption, row.text.strip()), (row,))


def _under(caption: str, text: str) -> str:
    """A picture's words under its caption, unless they hold it."""
    return text if not caption or caption in " ".join(text.split()) else f"{caption}\n{text}".strip()


def _windows(index: int, kind: Kind, row: ElementRow, title: str, window: float, most: int) -> Iterator[Draft]:
    """A recording by ranges of time: the first says what the recording is, the others where in it they are."""
    begin, end = row.time_start or 0.0, row.time_end or 0.0
    whole = recordings.clock(end)
    for number, (start, stop) in enumerate(recordings.windows(end - begin, window, most)):
        start, stop = round(begin + start, 3), round(begin + stop, 3)
        text = f"{title}, {recordings.span(start, stop)} of {whole}" if number else row.text.strip()
        yield Draft(index, kind, text, (dataclasses.replace(row, time_start=start, time_end=stop),))
