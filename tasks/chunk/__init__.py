"""Chunk: a document's elements in, the units that are retrieved and shown out.

Tables, pictures and recordings are chunks of their own (`own`), with what stands around them beside (`surroundings`);
a long recording is one for each window of time. Text runs are cut by title and under a token limit (`prose`). Headers,
footers and page numbers are left out, unless there is nothing else. What is said in recordings, where it is known, are
chunks of text with their times.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tasks import speech, stage, tokens
from tasks.chunk.captions import captions_of
from tasks.chunk.drafts import Draft
from tasks.chunk.own import own_chunks
from tasks.chunk.prose import cut_text, text_chunks
from tasks.chunk.surroundings import Surroundings
from tasks.headings import contexts
from tasks.losses import characters, kept
from tasks.rows import ChunkRow, ElementRow, Origin, SegmentRow, content_id, digest, from_table, to_table
from tasks.settings import ChunkSettings, Settings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage

__all__ = ["STAGE_VERSION", "chunk_document", "chunk_elements", "chunk_inputs", "cut_text", "recipe"]

STAGE_VERSION = 4
_FURNITURE = frozenset({"Header", "Footer", "PageNumber", "PageBreak"})


def recipe(settings: Settings, capabilities: Mapping[str, str]) -> Recipe:
    """What decides the chunks besides the elements: the settings, and the library that cuts."""
    used = {name: value for name, value in capabilities.items() if name == "unstructured"}
    return Recipe("chunk", STAGE_VERSION, settings.chunk.model_dump(mode="json"), used)


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
    captions = captions_of(rows)
    drafts = [
        *own_chunks(rows, captions, info.title, settings),
        *text_chunks(rows, settings),
        *_speech_chunks(rows, said, settings),
    ]
    drafts.sort(key=lambda draft: draft.first)  # stable: the parts of one element stay in order
    context = contexts(info.title, rows)
    surroundings = functools.cache(Surroundings(rows, context, captions).of)
    seen: collections.Counter[str] = collections.Counter()
    chunks: list[ChunkRow] = []
    for draft in drafts:
        path = " > ".join(filter(None, (context[draft.first], draft.context)))
        chunk = _row(doc_id, draft, path, surroundings(draft.first))
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


def _speech_chunks(rows: Sequence[ElementRow], said: Sequence[SegmentRow], settings: ChunkSettings) -> Iterator[Draft]:
    """Of each recording. They hold no medium: a space that embeds sound does so once, by the recording's windows."""
    for index, row in enumerate(rows):
        own = [segment for segment in said if segment.element == row.ordinal]
        for passage in speech.passages(own, settings, cut_text):
            words = dataclasses.replace(
                row, text=passage.text, media=None, media_type=None, origin="speech",
                time_start=passage.start, time_end=passage.end,
            )  # fmt: skip
            yield Draft(index, "text", passage.text, (words,), context=passage.context)


def _row(doc_id: str, draft: Draft, context: str, around: tuple[str, str]) -> ChunkRow:
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
        before=around[0],
        after=around[1],
    )


def _pages(row: ElementRow) -> tuple[int, ...]:
    boxed = tuple(dict.fromkeys(box.page for box in row.boxes))
    return boxed if row.page is None or row.page in boxed else (row.page, *boxed)


def _origin(origins: Iterable[Origin]) -> Origin:
    """The least certain of the origins of a chunk's words."""
    order: tuple[Origin, ...] = ("native", "text-layer", "metadata", "ocr", "speech")
    return max(origins, key=order.index)
