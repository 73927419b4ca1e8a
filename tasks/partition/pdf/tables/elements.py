"""A PDF's tables as elements: lines of text and HTML with spans, in row groups of bounded size under their header.

In: a row that stands for a whole table, and the Table. Out: one row, or several for a long table.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator

from tasks import tables
from tasks.clean import clean
from tasks.partition.pdf.tables.cells import Cell, Table
from tasks.partition.tables import CHARACTERS_PER_GROUP, ROWS_PER_GROUP
from tasks.rows import ElementRow

_Grid = list[list[Cell | None]]


def table_rows(row: ElementRow, table: Table) -> list[ElementRow]:
    """The rows for a table. Each repeats caption and header, so that it can be read by itself."""
    grid = table.grid()
    caption = clean(table.caption).replace("\n", " ")
    found = []
    for first, last in _groups(grid, table.header_rows):
        markup = _html(grid, table.header_rows, first, last, caption)
        text = tables.linearise(caption, tables.parse(markup))
        found.append(dataclasses.replace(row, text=text, html=markup))
    return found


def _groups(grid: _Grid, header: int) -> Iterator[tuple[int, int]]:
    """Ranges of body rows. A table that is all header is one group."""
    if header >= len(grid):
        yield header, header
        return
    first, size = header, 0
    for i in range(header, len(grid)):
        if i > first and (i - first >= ROWS_PER_GROUP or size >= CHARACTERS_PER_GROUP):
            yield first, i
            first, size = i, 0
        size += sum(len(cell.text) for cell in grid[i] if cell is not None)
    yield first, len(grid)


def _html(grid: _Grid, header: int, first: int, last: int, caption: str) -> str:
    head = "".join(_tr(grid, i, 0, header, "th") for i in range(header))
    body = "".join(_tr(grid, i, first, last, "td") for i in range(first, last))
    named = f"<caption>{html.escape(caption, quote=False)}</caption>" if caption else ""
    top = f"<thead>{head}</thead>" if head else ""
    return f"<table>{named}{top}<tbody>{body}</tbody></table>"


def _tr(grid: _Grid, i: int, first: int, last: int, tag: str) -> str:
    """A row of HTML; a cell that reaches beyond rows `first` to `last` is cut there, and begins again after it."""
    cells = []
    for j, cell in enumerate(grid[i]):
        if cell is None:
            cells.append(f"<{tag}></{tag}>")
        elif j == cell.column and i == max(cell.row, first):
            down = min(cell.row + cell.row_span, last) - i
            spans = f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
            spans += f' rowspan="{down}"' if down > 1 else ""
            text = html.escape(clean(cell.text).replace("\n", " "), quote=False)
            cells.append(f"<{tag}{spans}>{text}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"
