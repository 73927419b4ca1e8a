"""A table that was found on a page, as a grid of cells.

How a cell's text is written: words with one space between them, lines of a cell likewise; a figure is one word with its
currency sign, brackets and percent sign (`$1,234`, `$(56)`, `(1.2)%`), however far apart the page prints them, so that
the number itself stays searchable; dot leaders are left out; a footnote mark follows after a space.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

from tasks.partition.spans import join_lines

_SHORT_HEAD = re.compile(r"(?:^|\W)\w{1,5}-$")

Box = tuple[float, float, float, float]


def cell_text(lines: Iterable[str]) -> str:
    """The lines of a cell as one. A hyphen at a line's end stays after a short word (Paid-in, non-cash)."""
    text = ""
    for line in lines:
        text = (
            text + line
            if _SHORT_HEAD.search(text) and line[:1].islower()
            else join_lines((text, line))
            if text
            else line
        )
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its extent in the grid. Where no cell is, the grid is empty."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    box: Box


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A grid of cells. `box` holds the cells, not the caption; the caption's words stay on the page as well.

    `edges` are the x where columns begin and end, by which the parts of a table on two pages know each other.
    """

    box: Box
    cells: tuple[Cell, ...]
    caption: str
    kind: Literal["ruled", "unruled"]
    header_rows: int
    edges: tuple[float, ...] = ()

    @property
    def rows(self) -> int:
        return max((cell.row + cell.row_span for cell in self.cells), default=0)

    @property
    def columns(self) -> int:
        return max((cell.column + cell.column_span for cell in self.cells), default=0)

    def grid(self) -> list[list[Cell | None]]:
        """The cell at every place; one that spans is at all of its places."""
        columns = self.columns
        places: list[list[Cell | None]] = [[None] * columns for _ in range(self.rows)]
        for cell in self.cells:
            for r in range(cell.row, cell.row + cell.row_span):
                for c in range(cell.column, cell.column + cell.column_span):
                    places[r][c] = cell
        return places
