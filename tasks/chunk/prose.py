"""Prose as runs of text: by title and under a token limit, cut at sentences where an element is too long.

unstructured's `chunk_by_title` decides where a run ends; each run knows which elements it came from.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tasks import tokens
from tasks.chunk.drafts import Draft, kind_of
from tasks.rows import ElementRow
from tasks.sentences import join, sentences
from tasks.settings import ChunkSettings

if TYPE_CHECKING:
    from unstructured.documents.elements import Element

_SEPARATOR = "\n\n"  # between the elements of a chunk, as unstructured has it
# Stands for a line end while unstructured's chunker, which makes all white space blanks, has the text: the rows of an
# aligned table stay lines. Partitioning drops private-use characters, so no text holds it.
_LINE_END = "\ue000"
_LINE_ENDS = re.compile(rf"\s*{_LINE_END}\s*")


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """A run of text and the indexes of the elements it was made of."""

    text: str
    indexes: tuple[int, ...]
    tokens: int


def text_chunks(rows: Sequence[ElementRow], settings: ChunkSettings) -> Iterator[Draft]:
    """The text elements, packed."""
    runs = _merged(_by_title(_pieces(rows, settings), settings), settings)
    for run in runs:
        yield Draft(run.indexes[0], "text", run.text, tuple(rows[index] for index in run.indexes))


def _pieces(rows: Sequence[ElementRow], settings: ChunkSettings) -> Iterator[tuple[int, bool, str]]:
    """Each text element as (index, is a title, text), an over-long one as several.

    Headings not yet followed by text are counted in, so that their chunk also holds the beginning of that text.
    """
    soft = min(settings.soft_tokens, settings.max_tokens)
    heading = 0
    for index, row in enumerate(rows):
        if kind_of(row) != "text" or not row.text.strip():
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
                pieces[-1] = join(pieces[-1], part)
                size += part_size
            else:
                pieces.append(part)
                size = part_size
    return pieces


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
