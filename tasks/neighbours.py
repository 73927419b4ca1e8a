"""Ranked chunks in, pictures that were found by the words of neighbours which another picture was found by, last, out.

A picture without words is found by what stands around it. Of several beside one text the first is enough, until
everything else has been shown: they are alike to whoever searches by words, and would take the place of that text.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.rows import ChunkRow

_WORDS = 16  # letters that are words of its own


def borrows(chunk: ChunkRow) -> bool:
    """Whether the words by which a picture can be found are those of its neighbours."""
    return chunk.kind == "image" and bool(chunk.before or chunk.after) and sum(map(str.isalpha, chunk.text)) < _WORDS


def order(ranked: Sequence[tuple[ChunkRow, bool]]) -> list[int]:
    """The places of ranked chunks in their new order; each with whether it was found by its looks as well."""
    seen: set[tuple[str, str]] = set()
    late: list[int] = []
    for place, (chunk, looks) in enumerate(ranked):
        if borrows(chunk) and not looks:
            nearest = chunk.before.rpartition("\n")[2], chunk.after.partition("\n")[0]
            beside = {(chunk.doc_id, text) for text in nearest if text}
            if beside & seen:
                late.append(place)
            seen |= beside
    return [place for place in range(len(ranked)) if place not in set(late)] + late
