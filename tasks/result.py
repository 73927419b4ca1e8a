"""What a search returns: hits, best first, each with its chunk, its sources and the signals that found it."""

from __future__ import annotations

import dataclasses
from typing import Any

from tasks.query import Term
from tasks.rows import EXTRACTIVE, Box, ChunkRow, Modality, View

_SHOWN = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """The vector of a chunk that was nearest: what the model was given, of which view of the chunk, which window or
    part of it, and where that part is in the picture (None: all of it)."""

    modality: Modality
    view: View
    window: int
    box: Box | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Signal:
    """Why a chunk was found: by which search (`vector:<space>`, `text`, `cjk`), at which rank (from 1) and score.

    The score is a cosine or BM25. A space that embeds media ranks by `calibrated` instead, which can be compared
    between modalities (tasks.calibrate). `match` is the vector that was found, of vector searches.
    """

    name: str
    rank: int
    score: float
    calibrated: float | None = None
    match: Match | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers the query.

    `sources`: every uri that holds its document or a copy of the chunk, and satisfies the filters of the search.
    `summary_method` says who wrote the summary (`tasks.rows.SummaryRow`). `picture_tag` is the label that the ingest
    found for a picture ("": none), with its probability.
    """

    chunk: ChunkRow
    summary: str
    sources: tuple[str, ...]
    score: float
    signals: tuple[Signal, ...]
    picture_tag: str = ""
    picture_tag_probability: float | None = None
    summary_method: str = EXTRACTIVE

    @property
    def written(self) -> str:
        """What a model wrote of the chunk; an extractive summary of a picture may be its neighbours' words."""
        return "" if self.summary_method == EXTRACTIVE else self.summary

    @property
    def similarity(self) -> float:
        """The best cosine similarity to the query over the spaces of text; 0 where none of them found the chunk.

        The cosines of a space that embeds media lie on another scale.
        """
        by_text = (s.score for s in self.signals if s.name.startswith("vector:") and s.calibrated is None)
        return max(by_text, default=0.0)

    @property
    def modality(self) -> Modality | None:
        """The modality of the vector that found the chunk at the best rank; None where no vector search did."""
        found = [(signal.rank, signal.calibrated is None, signal.match) for signal in self.signals if signal.match]
        best = min(found, key=lambda each: each[:2], default=None)
        return best[2].modality if best and best[2] else None

    @property
    def located(self) -> Box | None:
        """The part of a picture that matched, in its own coordinates (page 1); None where all of it did."""
        return next((signal.match.box for signal in self.signals if signal.match and signal.match.box), None)

    def to_json(self) -> dict[str, Any]:
        chunk = self.chunk
        return {
            "chunk_id": chunk.chunk_id,
            "doc_id": chunk.doc_id,
            "sources": list(self.sources),
            "pages": list(chunk.pages),
            "time_range": list(span) if (span := time_range(chunk)) else None,
            "kind": chunk.kind,
            "score": self.score,
            "text": chunk.text,
            "html": chunk.html,
            "image": picture(chunk),
            "media": chunk.media,
            "media_type": chunk.media_type,
            "boxes": [dataclasses.asdict(box) for box in chunk.boxes],
            "modality": self.modality,
            "located": dataclasses.asdict(box) if (box := self.located) else None,
            "picture_tag": self._picture_tag(),
        }

    def _picture_tag(self) -> dict[str, Any] | None:
        return {"label": self.picture_tag, "probability": self.picture_tag_probability} if self.picture_tag else None


@dataclasses.dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of a query in one release, best first, and how long the search took.

    `query` is as a person reads it, `terms` what it was made of; `notes` say what could not be searched.
    """

    query: str
    release: int
    hits: tuple[Hit, ...]
    seconds: float = dataclasses.field(default=0.0, compare=False)
    terms: tuple[Term, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields that `bindery search --json` promises."""
        return {
            "query": self.query,
            "terms": [term.to_json() for term in self.terms],
            "release": self.release,
            "hits": [hit.to_json() for hit in self.hits],
            "notes": list(self.notes),
        }


def picture(chunk: ChunkRow) -> str | None:
    """The lake path of the picture that a chunk is, or is shown by; depth and thermal maps are not pictures to show."""
    return chunk.media if chunk.media and chunk.media_type in _SHOWN else None


def time_range(chunk: ChunkRow) -> tuple[float, float] | None:
    """(start, end) in seconds of a chunk of a recording."""
    return None if chunk.time_start is None or chunk.time_end is None else (chunk.time_start, chunk.time_end)
