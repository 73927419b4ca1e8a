"""Chunk: a document's elements in, the units that are retrieved and shown out.

Tables, pictures and recordings are chunks of their own; a long recording is one for each window of time. Text runs are
cut by unstructured's `chunk_by_title`, in o200k tokens, after over-long elements were cut at sentences. Headers,
footers and page numbers are left out, unless there is nothing else. What is said in recordings, where it is known, are
chunks of text with their times.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks import recordings, speech, stage, tables, tokens
from tasks.headings import contexts
from tasks.losses import characters, kept
from tasks.rows import ChunkRow, ElementRow, Kind, Origin, SegmentRow, content_id, digest, from_table, to_table
from tasks.sentences import sentences
from tasks.settings import ChunkSettings, Settings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage

if TYPE_CHECKING:
    from unstructured.documents.elements import Element

STAGE_VERSION = 4
_FURNITURE = frozenset({"Header", "Footer", "PageNumber", "PageBreak"})
_TABLE_FACTOR = 4  # a table stays whole up to this many times max_tokens
_SEPARATOR = "\n\n"  # between the elements of a chunk, as unstructured has it
# Stands for a line end while unstructured's chunker, which makes all white space blanks, has the text: the rows of an
# aligned table stay lines. Partitioning drops private-use characters, so no text holds it.
_LINE_END = "\ue000"
_LINE_ENDS = re.compile(rf"\s*{_LINE_END}\s*")
_SENSORS: dict[str, Kind] = {"image/x-depth": "depth", "image/x-thermal": "thermal", "application/x-imu": "imu"}
_NOUNS = {"audio": "Recording", "video": "Video"}


def recipe(settings: Settings, capabilities: Mapping[str, str]) -> Recipe:
    """What decides the chunks besides the elements: the settings, and the library that cuts."""
    used = {name: value for name, value in capabilities.items() if name == "unstructured"}
    return Recipe("chunk", STAGE_VERSION, settings.chunk.model_dump(mode="json"), used)


@dataclasses.dataclass(frozen=True, slots=True)
class _Draft:
    """A chunk before it has a context, an id and an ordinal. `first` is the index of its first element."""

    first: int
    kind: Kind
    text: str
    elements: tuple[ElementRow, ...]
    html: str | None = None
    context: str = ""  # beyond its element's


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """A run of text and the indexes of the elements it was made of."""

    text: str
    indexes: tuple[int, ...]
    tokens: int


def chunk_elements(
    doc_id: str,
    elements: Sequence[ElementRow],
    info: StageInfo,
    settings: ChunkSettings,
    said: Sequence[SegmentRow] = (),
) -> StageOutput:
    """The chunks of one document in reading order."""
    rows = [row for row in elements if row.category not in _FURNITURE]
    if not any(row.text.strip() or row.media for row in rows):
        rows = list(elements)
    drafts = [
        *_own_chunks(rows, info.title, settings), *_text_chunks(rows, settings), *_speech_chunks(rows, said, settings)
    ]  # fmt: skip
    drafts.sort(key=lambda draft: draft.first)  # stable: the parts of one element stay in order
    context = contexts(info.title, rows)
    seen: collections.Counter[str] = collections.Counter()
    chunks: list[ChunkRow] = []
    for draft in drafts:
        chunk = _row(doc_id, draft, " > ".join(filter(None, (context[draft.first], draft.context))))
        occurrence = seen[chunk.chunk_id]
        seen[chunk.chunk_id] += 1
        chunk_id = content_id(chunk.chunk_id, occurrence) if occurrence else chunk.chunk_id
        chunks.append(dataclasses.replace(chunk, chunk_id=chunk_id, ordinal=len(chunks)))
    counts = dict(sorted(collections.Counter[str](chunk.kind for chunk in chunks).items()))
    held = characters([*(row.text for row in rows), *(segment.text for segment in said)])
    counts |= {"characters_elements": held.total(), "characters_chunks": kept(held, (chunk.text for chunk in chunks))}
    out = StageInfo(title=info.title, pages=info.pages, characters=info.characters, counts=counts)
    return StageOutput(to_table(chunks, ChunkRow), digest(chunks, out), out)


def chunk_document(
    storage: Storage,
    doc_id: str,
    partition: StageRef,
    recipe: Recipe,
    settings: ChunkSettings,
    transcript: StageRef | None = None,
) -> StageRef:
    """The stage file of chunks for a partitioned document, and for what is said in it."""

    def compute(key: str) -> StageOutput:
        elements = from_table(stage.load(storage, partition), ElementRow)
        said = from_table(stage.load(storage, transcript), SegmentRow) if transcript else []
        return chunk_elements(doc_id, elements, partition.info, settings, said)

    return stage.run(storage, recipe, chunk_inputs(doc_id, partition, transcript), compute)


def chunk_inputs(doc_id: str, partition: StageRef, transcript: StageRef | None) -> tuple[str, ...]:
    """What the chunks depend on. The id is an input of its own: it is part of every row."""
    return (doc_id, partition.digest, transcript.digest) if transcript else (doc_id, partition.digest)


def _kind(row: ElementRow) -> Kind:
    media = (row.media_type or "").partition("/")[0] if row.media else ""
    if row.category == "Table":
        return "table"
    if row.media and row.media_type in _SENSORS:
        return _SENSORS[row.media_type]
    if media == "audio" or row.category == "Audio":
        return "audio"
    if media == "video" or row.category == "Video":
        return "video"
    return "image" if media == "image" or row.category in ("Image", "Picture", "Figure") else "text"


def _own_chunks(rows: Sequence[ElementRow], title: str, settings: ChunkSettings) -> Iterator[_Draft]:
    """Tables, whole or in parts, pictures and sensors' data, whole, and recordings, in windows."""
    for index, row in enumerate(rows):
        kind = _kind(row)
        if kind == "table":
            limit = _TABLE_FACTOR * settings.max_tokens
            for part in tables.split(row.text, row.html, limit, tokens.count, cut_text):
                if part.text or part.html or row.media:
                    yield _Draft(index, kind, part.text, (row,), part.html)
        elif kind in _NOUNS and row.media and row.time_end is not None:
            window = settings.audio_seconds if kind == "audio" else settings.video_seconds
            yield from _windows(index, kind, row, title or _NOUNS[kind], window, settings.max_windows)
        elif kind != "text" and (row.text.strip() or row.media):
            yield _Draft(index, kind, row.text.strip(), (row,))


def _windows(index: int, kind: Kind, row: ElementRow, title: str, window: float, most: int) -> Iterator[_Draft]:
    """A recording by ranges of time: the first says what the recording is, the others where in it they are."""
    begin, end = row.time_start or 0.0, row.time_end or 0.0
    whole = recordings.clock(end)
    for number, (start, stop) in enumerate(recordings.windows(end - begin, window, most)):
        start, stop = round(begin + start, 3), round(begin + stop, 3)
        text = f"{title}, {recordings.span(start, stop)} of {whole}" if number else row.text.strip()
        yield _Draft(index, kind, text, (dataclasses.replace(row, time_start=start, time_end=stop),))


def _text_chunks(rows: Sequence[ElementRow], settings: ChunkSettings) -> Iterator[_Draft]:
    runs = _merged(_by_title(_pieces(rows, settings), settings), settings)
    for run in runs:
        yield _Draft(run.indexes[0], "text", run.text, tuple(rows[index] for index in run.indexes))


def _speech_chunks(rows: Sequence[ElementRow], said: Sequence[SegmentRow], settings: ChunkSettings) -> Iterator[_Draft]:
    """Of each recording. They hold no medium: a space that embeds sound does so once, by the recording's windows."""
    for index, row in enumerate(rows):
        own = [segment for segment in said if segment.element == row.ordinal]
        for passage in speech.passages(own, settings, cut_text):
            words = dataclasses.replace(
                row, text=passage.text, media=None, media_type=None, origin="speech",
                time_start=passage.start, time_end=passage.end,
            )  # fmt: skip
            yield _Draft(index, "text", passage.text, (words,), context=passage.context)


def _pieces(rows: Sequence[ElementRow], settings: ChunkSettings) -> Iterator[tuple[int, bool, str]]:
    """Each text element as (index, is a title, text), an over-long one as several.

    Headings not yet followed by text are counted in, so that their chunk also holds the beginning of that text.
    """
    soft = min(settings.soft_tokens, settings.max_tokens)
    heading = 0
    for index, row in enumerate(rows):
        if _kind(row) != "text" or not row.text.strip():
            continue
        size = tokens.count(row.text)
        is_title = row.category == "Title"
        limit = settings.max_tokens - (0 if is_title else heading)
        fits = size <= limit
        yield from ((index, is_title, text) for text in ([row.text] if fits else cut_text(row.text, min(soft, limit))))
        heading = heading + size + 1 if is_title and fits else 0
        if heading > settings.max_tokens // 2:  # not a heading, whatever its category
            heading = 0


def cut_text(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` tokens: whole sentences, packed; longer ones are cut at blanks, or anywhere."""
    pieces: list[str] = []
    size = 0
    for sentence in sentences(text):
        for part in _halves(sentence, limit):
            part_size = tokens.count(part) + 1  # 1: what joining can cost
            if pieces and size + part_size <= limit:
                pieces[-1] = _join(pieces[-1], part)
                size += part_size
            else:
                pieces.append(part)
                size = part_size
    return pieces


def _join(left: str, right: str) -> str:
    """No blank after a Chinese stop, where the text had none that matters."""
    return left + right if left[-1] > "\u2e80" else f"{left} {right}"


def _halves(text: str, limit: int) -> list[str]:
    if tokens.count(text) <= limit or len(text) < 2:
        return [text]
    middle = len(text) // 2
    left, right = text.rfind(" ", middle // 2, middle), text.find(" ", middle, middle + middle // 2)
    near = [place for place in (left, right) if place > 0]
    cut = min(near, key=lambda place: abs(place - middle)) if near else middle
    return [part for half in (text[:cut].strip(), text[cut:].strip()) if half for part in _halves(half, limit)]


def _by_title(pieces: Iterable[tuple[int, bool, str]], settings: ChunkSettings) -> list[_Run]:
    """unstructured's chunker over the pieces; each run knows which elements it came from."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # the import would otherwise call home
    os.environ.setdefault("SCARF_NO_ANALYTICS", "true")
    os.environ.setdefault("UNSTRUCTURED_DISABLE_NOTICE", "1")
    from unstructured.chunking.title import chunk_by_title
    from unstructured.documents.elements import Text, Title

    tokens.encoding()  # registers it, so that the chunker finds it without a download
    elements: list[Element] = [
        (Title if is_title else Text)(text=text.replace("\n", f" {_LINE_END} "), element_id=str(index))
        for index, is_title, text in pieces
    ]
    composites = chunk_by_title(
        elements,
        max_tokens=settings.max_tokens,
        new_after_n_tokens=settings.soft_tokens,
        tokenizer=tokens.NAME,
        combine_text_under_n_chars=0,  # it would compare characters with tokens: `_merged` does this
        include_orig_elements=True,
    )
    runs = []
    for composite in composites:
        origins = dict.fromkeys(int(element.id) for element in composite.metadata.orig_elements or [])
        text = _LINE_ENDS.sub("\n", composite.text).strip()
        runs.append(_Run(text, tuple(origins), tokens.count(text)))
    return runs


def _merged(runs: Iterable[_Run], settings: ChunkSettings) -> list[_Run]:
    """Sections smaller than `combine_under_tokens` joined to what follows, where both fit."""
    merged: list[_Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last and last.tokens < settings.combine_under_tokens and last.tokens + run.tokens < settings.max_tokens:
            text = last.text + _SEPARATOR + run.text
            indexes = tuple(dict.fromkeys((*last.indexes, *run.indexes)))
            merged[-1] = _Run(text, indexes, tokens.count(text))
        else:
            merged.append(run)
    return merged


def _row(doc_id: str, draft: _Draft, context: str) -> ChunkRow:
    first, last = draft.elements[0], draft.elements[-1]
    pages = tuple(dict.fromkeys(page for row in draft.elements for page in _pages(row)))
    return ChunkRow(
        chunk_id=content_id(
            doc_id, draft.kind, draft.text, draft.html, first.media, pages, first.time_start, last.time_end
        ),
        doc_id=doc_id,
        ordinal=0,
        kind=draft.kind,
        text=draft.text,
        html=draft.html,
        media=first.media,
        media_type=first.media_type,
        context=context,
        tokens=tokens.count(draft.text),
        pages=pages,
        boxes=tuple(dict.fromkeys(box for row in draft.elements for box in row.boxes)),
        origin=_origin(row.origin for row in draft.elements),
        time_start=first.time_start,
        time_end=last.time_end,
    )


def _pages(row: ElementRow) -> tuple[int, ...]:
    boxed = tuple(dict.fromkeys(box.page for box in row.boxes))
    return boxed if row.page is None or row.page in boxed else (row.page, *boxed)


def _origin(origins: Iterable[Origin]) -> Origin:
    """The least certain of the origins of a chunk's words."""
    order: tuple[Origin, ...] = ("native", "text-layer", "metadata", "ocr", "speech")
    return max(origins, key=order.index)
