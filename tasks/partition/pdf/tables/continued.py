"""Tables of a PDF written out, those that go on over pages as one.

In: a document's rows in order, headings and running heads told, and their hints. Out: the rows, in which every table is
one row or several of bounded size. A joined table keeps the boxes of all its pages and stands on its first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.partition.hints import Hint
from tasks.partition.pdf.tables.cells import Table
from tasks.partition.pdf.tables.elements import table_rows
from tasks.partition.pdf.tables.joins import continues, join
from tasks.rows import Box, ElementRow

_MAX_BETWEEN = 300  # characters of notes between the parts of a table
_EDGES = ("Header", "Footer")


@dataclasses.dataclass(slots=True)
class _Open:
    """A table that may go on: where it is among the rows, its last part and where that stands."""

    at: int
    last: Table
    size: tuple[float, float]
    page: int
    between: int = 0


def with_tables(rows: Sequence[ElementRow], hints: Sequence[Hint]) -> list[ElementRow]:
    """The rows with tables joined and written."""
    out: list[list[ElementRow]] = []
    parts: dict[int, list[Table]] = {}
    boxes: dict[int, list[Box]] = {}
    last: _Open | None = None
    for row, hint in zip(rows, hints, strict=True):
        page = row.page or 0
        if hint.table is None:
            out.append([row])
            last = _after(last, row)
        elif last is not None and page == last.page + 1 and continues(last.last, hint.table, last.size):
            parts[last.at].append(hint.table)
            boxes[last.at] += row.boxes
            last = _Open(last.at, hint.table, hint.page, page)
        else:
            parts[len(out)], boxes[len(out)] = [hint.table], list(row.boxes)
            last = _Open(len(out), hint.table, hint.page, page)
            out.append([row])
    for at, tables in parts.items():
        out[at] = table_rows(dataclasses.replace(out[at][0], boxes=tuple(boxes[at])), join(tables))
    return [row for written in out for row in written]


def _after(last: _Open | None, row: ElementRow) -> _Open | None:
    """The open table after a row that is none: a heading ends it, or too much text."""
    if last is None or row.category in _EDGES:
        return last
    is_continued = "continued" in row.text.lower()
    last.between += 0 if is_continued else len(row.text)
    if (row.category == "Title" and not is_continued) or row.media or last.between > _MAX_BETWEEN:
        return None
    return last
