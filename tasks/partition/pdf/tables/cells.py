"""A table that was found on a page, and what it says as HTML and as lines of text.

How a cell's text is written: words with one space between them, lines of a cell likewise; a figure is one word with its
currency sign, brackets and percent sign (`$1,234`, `$(56)`, `(1.2)%`), however far apart the page prints them, so that
the number itself stays searchable; dot leaders are left out; a footnote mark follows after a space.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterable, Iterator, Sequence
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
        places: list[list[Cell | None]] = [[None] * self.columns for _ in range(self.rows)]
        for cell in self.cells:
            for r in range(cell.row, cell.row + cell.row_span):
                for c in range(cell.column, cell.column + cell.column_span):
                    places[r][c] = cell
        return places

    def to_html(self) -> str:
        """thead and tbody, with the spans of cells."""
        rows = [_row(r, cells, "th" if r < self.header_rows else "td") for r, cells in enumerate(self.grid())]
        head, body = "".join(rows[: self.header_rows]), "".join(rows[self.header_rows :])
        return f"<table>{f'<thead>{head}</thead>' if head else ''}<tbody>{body}</tbody></table>"

    def to_text(self) -> str:
        """A line per row that says for each value what it is: `Net sales | 2023: $1,234 | 2022: $1,100`.

        The name of a column is its header cells from top to bottom. A row without values heads those below it, and is
        a line of its own. Names that would make the table more than three times as long stand once, above.
        """
        grid = self.grid()
        names = [_name(row[column] for row in grid[: self.header_rows]) for column in range(self.columns)]
        rows = [[(c.column, c.text) for c in _once(row) if c.text] for row in grid[self.header_rows :]]
        plain = sum(len(text) + 3 for row in rows for _, text in row)
        named = sum(len(names[column]) + 2 for row in rows for column, _ in row if column)
        if named > 2 * plain + 200:
            above = " | ".join(filter(None, names))
            lines = [" | ".join(text for _, text in row) for row in rows if row]
        else:
            above = names[0] if names and any(names[1:]) and rows else " | ".join(filter(None, names))
            lines = [
                " | ".join(_value(names[column] if column else "", text) for column, text in row) for row in rows if row
            ]
        return "\n".join([above, *lines] if above else lines)


def _row(row: int, cells: Sequence[Cell | None], tag: str) -> str:
    out: list[str] = []
    for column, cell in enumerate(cells):
        if cell is None:
            out.append(f"<{tag}></{tag}>")
        elif (cell.row, cell.column) == (row, column):
            rows = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
            columns = f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
            out.append(f"<{tag}{rows}{columns}>{html.escape(cell.text, quote=False)}</{tag}>")
    return f"<tr>{''.join(out)}</tr>"


def _once(row: Sequence[Cell | None]) -> Iterator[Cell]:
    """The cells of a row, each once; one that began above is of this row as well."""
    for column, cell in enumerate(row):
        if cell is not None and cell.column == column:
            yield cell


def _name(cells: Iterable[Cell | None]) -> str:
    """A column's name: its header cells from top to bottom."""
    return " ".join(dict.fromkeys(cell.text for cell in cells if cell is not None and cell.text))


def _value(name: str, text: str) -> str:
    return f"{name}: {text}" if name else text
