"""What a search returns: hits, best first, each with its chunk, its sources and the signals that found it."""

from __future__ import annotations

import dataclasses
from typing import Any

from tasks.rows import ChunkRow


@dataclasses.dataclass(frozen=True, slots=True)
class Signal:
    """Why a chunk was found: by which search (`vector:<space>`, `text`, `cjk`), at which rank (from 1) and score."""

    name: str
    rank: int
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers the query.

    `sources`: every uri that holds its document or a copy of the chunk, and satisfies the filters of the search.
    """

    chunk: ChunkRow
    summary: str
    sources: tuple[str, ...]
    score: float
    signals: tuple[Signal, ...]

    @property
    def similarity(self) -> float:
        """The best cosine similarity to the query over the spaces; 0 where no vector search found the chunk."""
        return max((signal.score for signal in self.signals if signal.name.startswith("vector:")), default=0.0)

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
            "boxes": [dataclasses.asdict(box) for box in chunk.boxes],
        }


@dataclasses.dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of a query in one release, best first, and how long the search took."""

    query: str
    release: int
    hits: tuple[Hit, ...]
    seconds: float = dataclasses.field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The fields that `bindery search --json` promises."""
        return {"query": self.query, "release": self.release, "hits": [hit.to_json() for hit in self.hits]}


def picture(chunk: ChunkRow) -> str | None:
    """The lake path of the picture that a chunk is, or is shown by."""
    return chunk.media if chunk.media and (chunk.media_type or "").startswith("image/") else None


def time_range(chunk: ChunkRow) -> tuple[float, float] | None:
    """(start, end) in seconds of a chunk of a recording."""
    return None if chunk.time_start is None or chunk.time_end is None else (chunk.time_start, chunk.time_end)
