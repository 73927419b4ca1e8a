"""What is embedded of a document: its chunks and summaries in, `Item`s out, each the exact input of one vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from tasks import tables
from tasks.embed.media import MediaItem, Medium, modality_of
from tasks.embed.spaces import Space, embeds_media
from tasks.headings import telling
from tasks.rows import EXTRACTIVE, Box, ChunkRow, Modality, SummaryRow, View, content_id
from tasks.space_names import slug


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A vector row without its vector, and what to embed for it: `text`, or `media`.

    `item` is the hash of exactly that, under the space's fingerprint.
    """

    chunk: ChunkRow
    view: View
    window: int
    item: str
    text: str = ""
    media: MediaItem | None = None

    @property
    def modality(self) -> Modality:
        return self.media.modality if self.media else "text"

    @property
    def box(self) -> Box | None:
        return self.media.box if self.media else None

    def __str__(self) -> str:
        """Where it is, as a person finds it, then by its names in the lake."""
        where = f"page {self.chunk.pages[0]}, " if self.chunk.pages else ""
        if self.chunk.time_start is not None and self.chunk.time_end is not None:
            where += f"{self.chunk.time_start:g}-{self.chunk.time_end:g} s, "
        what = f"{self.media.view or self.media.modality} of {self.chunk.media}" if self.media else repr(self.text[:60])
        return f"{where}{self.view} view of {self.chunk.kind} chunk {self.chunk.chunk_id}, item {self.item}, {what}"


def texts_of(chunk: ChunkRow, row: SummaryRow | None, space: Space, alone: bool = True) -> list[tuple[View, str]]:
    """The texts that a chunk is found by: its own words under their context, and its summary.

    A picture's or recording's summary already holds the words in it, so those stand alone only where there is none. An
    extractive summary of one of which the document says nothing is made of ours ("Picture on page 1"): all such would
    be alike, and found together by whatever is nearest to those. It is found as itself, and by full text. What a
    document with text is called says nothing of one of its pictures; `alone` says that there is no text.

    Figures are all alike to a model, and take most of its time in a table, so of tables the words are embedded: names
    of rows and columns, and years. Full-text search has the figures. Their extractive summary says no more than that.

    Models that embed media have learnt from English captions: they are given a summary's English line.
    """
    found: list[tuple[View, str]] = []
    written = row is not None and row.method != EXTRACTIVE
    if chunk.kind not in ("text", "table") and not written and not _has_words(chunk, alone):
        return found
    summary = row.text if row else ""
    wording = tables.wording(chunk.text, chunk.html) if chunk.kind == "table" else ""
    words = wording or chunk.text.strip()
    if "text" in space.views and words and (chunk.kind in ("text", "table") or not summary.strip()):
        found.append(("text", f"{telling(chunk.context)}\n{words}" if chunk.context else words))
    told = found and wording and not written
    if "summary" in space.views and summary.strip() and not told:
        english = row.english if row and embeds_media(space) else ""
        found.append(("summary", english or summary))
    return found


def _has_words(chunk: ChunkRow, alone: bool) -> bool:
    """Whether the document says something of its picture or recording: caption, words, what stands around it."""
    of_its_own = ": " in chunk.text if chunk.origin == "metadata" else chunk.text.strip()
    return bool(of_its_own or chunk.before or chunk.after or (alone and chunk.context.strip()))


def medium_of(chunk: ChunkRow, space: Space, local: Callable[[str], str]) -> Medium | None:
    """The raw medium of a chunk, if it has one that the space embeds. `local` maps a lake path to a file."""
    modality = modality_of(chunk.media_type or "") if chunk.media else None
    if chunk.media is None or modality is None or modality not in space.modalities or "raw" not in space.views:
        return None
    return Medium(modality, local(chunk.media), chunk.time_start, chunk.time_end)


def items_of(
    chunks: Sequence[ChunkRow],
    summaries: Iterable[SummaryRow],
    space: Space,
    media: Mapping[str, list[MediaItem]],
) -> list[Item]:
    """What is to be embedded for one document, in order. `media` has the items of each chunk's medium, by chunk id."""
    by_chunk = {row.chunk_id: row for row in summaries}
    alone = not any(chunk.kind in ("text", "table") for chunk in chunks)
    items: list[Item] = []
    for chunk in chunks:
        for view, text in texts_of(chunk, by_chunk.get(chunk.chunk_id), space, alone):
            for index, window in enumerate(space.windows(text)):
                items.append(Item(chunk, view, index, _named(space, window), text=window))
        for index, medium in enumerate(media.get(chunk.chunk_id, [])):
            items.append(raw_item(chunk, index, medium, space))
    return items


def raw_item(chunk: ChunkRow, index: int, medium: MediaItem, space: Space) -> Item:
    """The item of one part of a chunk's medium. The lake path of a medium is its content's hash."""
    return Item(chunk, "raw", index, _named(space, chunk.media, list(medium.spec)), media=medium)


def _named(space: Space, *what: object) -> str:
    return content_id(slug(space.name, space.fingerprint), space.fingerprint, *what)
