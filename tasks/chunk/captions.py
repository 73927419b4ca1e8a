"""The captions of a document's tables and pictures, where an element holds its own and where it stands beside it.

PDF pages say a caption with what it names; Word has it as a paragraph of its own, below a picture and above a table by
custom.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import labels, tables
from tasks.chunk.drafts import kind_of
from tasks.rows import ElementRow

_WANTED = {"table": labels.OF_TABLES, "image": labels.OF_PICTURES}
_SIDES = {"table": (-1, 1), "image": (1, -1)}


def captions_of(rows: Sequence[ElementRow]) -> list[str]:
    """One caption per row, on one line; empty where it has none, as all text has."""
    found = [_held(row) for row in rows]
    taken: set[int] = set()
    for turn in (0, 1):  # by custom first
        for index, row in enumerate(rows):
            kind = kind_of(row)
            if kind not in _WANTED or found[index]:
                continue
            beside = index + _SIDES[kind][turn]
            if 0 <= beside < len(rows) and beside not in taken and _names(rows[beside], row, kind):
                found[index] = " ".join(rows[beside].text.split())
                taken.add(beside)
    return found


def _held(row: ElementRow) -> str:
    """The caption that a table's HTML or the beginning of an element's own text is."""
    kind = kind_of(row)
    if kind not in _WANTED:
        return ""
    if row.html and "<caption" in row.html and (caption := tables.caption(row.html)):
        return caption
    line = " ".join(row.text.partition("\n")[0].split())
    return line if labels.is_caption(line) else ""


def _names(text: ElementRow, row: ElementRow, kind: str) -> bool:
    """Whether a paragraph is the caption of an element beside it, by its label."""
    if kind_of(text) != "text" or text.page != row.page or not labels.is_caption(text.text):
        return False
    label = labels.label_of(text.text)
    return label is not None and label.kind in _WANTED[kind]
