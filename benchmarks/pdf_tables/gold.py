"""What a generated page is known to hold: its tables cell by cell, and where its prose is.

Coordinates are points from the top left of the page as it reads upright, as in `tasks.partition.pdf.content`.
"""

from __future__ import annotations

import dataclasses

Rect = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class GoldCell:
    """A cell of a table; `text` as the conventions of `tasks.partition.pdf.tables.find` write it."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class GoldTable:
    """A table on one page. `cells` are those with text; `rows` and `columns` also count the empty ones."""

    box: Rect
    cells: tuple[GoldCell, ...]
    rows: int
    columns: int
    header_rows: int
    ruled: bool
    caption: str = ""


@dataclasses.dataclass(slots=True)
class GoldPage:
    """The tables of one page and the boxes of the paragraphs that are in none of them."""

    tables: list[GoldTable] = dataclasses.field(default_factory=list)
    prose: list[Rect] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class GoldDocument:
    """A generated PDF. `joined` is the number of rows, header once, of a table that goes on over all its pages."""

    kind: str
    seed: int
    pdf: bytes
    pages: tuple[GoldPage, ...]
    joined: int = 0
