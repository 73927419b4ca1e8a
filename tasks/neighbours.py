"""Ranked chunks in, those pictures that were found by the words of their neighbours after these neighbours, out.

A picture without words is found by what stands around it. It is not to take the place of the text that says so, and
of several pictures beside one text the first is enough, until everything else has been shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.rows import ChunkRow

_WORDS = 16  # letters that are words of its own
_EDGE = 60  # characters by which a text is known again


def borrows(chunk: ChunkRow) -> bool:
    """Whether the words by which a picture can be found are those of its neighbours."""
    return chunk.kind == "image" and bool(chunk.before or chunk.after) and sum(map(str.isalpha, chunk.text)) < _WORDS


def order(ranked: Sequence[tuple[ChunkRow, bool]]) -> list[int]:
    """The places of ranked chunks in their new order; each with whether it was found by its own looks as well."""
    texts = [(i, chunk.doc_id, _flat(chunk.text)) for i, (chunk, _) in enumerate(ranked) if chunk.kind == "text"]
    seen: set[tuple[str, str, str]] = set()
    keys: list[tuple[float, int]] = []
    for i, (chunk, looks) in enumerate(ranked):
        place = float(i)
        if borrows(chunk) and not looks:
            around = (chunk.doc_id, chunk.before, chunk.after)
            if around in seen:
                place = float(len(ranked))
            else:
                edges = _edges(chunk)
                beside = (j for j, doc_id, text in texts if doc_id == chunk.doc_id and any(e in text for e in edges))
                place = max(place, next(beside, -1) + 0.5)
            seen.add(around)
        keys.append((place, i))
    return [i for _, i in sorted(keys)]


def _edges(chunk: ChunkRow) -> list[str]:
    """The ends of the texts around a picture, where they meet it."""
    before, after = chunk.before.rpartition("\n")[2], chunk.after.partition("\n")[0]
    return [edge for edge in (_flat(before)[-_EDGE:].strip("… "), _flat(after)[:_EDGE].strip("… ")) if edge]


def _flat(text: str) -> str:
    return " ".join(text.split())
