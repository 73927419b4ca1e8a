"""Tables that go on over pages: whether one continues another, and both as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.partition.pdf.tables.cells import Cell, Table

_FOOT, _HEAD = 0.62, 0.38  # of the page's height: a table that goes on ends below, and its next part begins above
_SHIFT = 6.0  # points by which columns may lie elsewhere on the next page


def continues(previous: Table, next_table: Table, size: tuple[float, float]) -> bool:
    """Whether `next_table`, the first of its page, goes on with `previous`, the last of the page before."""
    if previous.columns != next_table.columns or previous.columns < 2:
        return False
    if previous.box[3] < _FOOT * size[1] or next_table.box[1] > _HEAD * size[1]:
        return False
    repeated = _repeats(previous, next_table)
    if next_table.header_rows and not repeated:
        return False
    if next_table.caption and next_table.caption != previous.caption and "continued" not in next_table.caption.lower():
        return False
    return repeated or _same_columns(previous, next_table)


def join(parts: Sequence[Table]) -> Table:
    """All parts as one table, in the place of the first; repeated headers are left out.

    At once: joined one by one, a table over a thousand pages would be copied a thousand times.
    """
    first = parts[0]
    head = _header(first)
    cells, rows = list(first.cells), first.rows
    for part in parts[1:]:
        skip = part.header_rows if head and head == _header(part) else 0
        cells += [_moved(cell, rows - skip) for cell in part.cells if cell.row >= skip]
        rows += max(0, part.rows - skip)
    return dataclasses.replace(first, cells=tuple(cells))


def _moved(cell: Cell, down: int) -> Cell:
    return dataclasses.replace(cell, row=cell.row + down)


def _repeats(previous: Table, next_table: Table) -> bool:
    """Whether the header is the same."""
    head = [_header(table) for table in (previous, next_table)]
    return bool(head[0]) and head[0] == head[1]


def _header(table: Table) -> list[tuple[int, int, int, str]]:
    return sorted(
        (cell.row, cell.column, cell.column_span, "".join(cell.text.split()).lower())
        for cell in table.cells
        if cell.row < table.header_rows and cell.text and "continued" not in cell.text.lower()
    )


def _same_columns(previous: Table, next_table: Table) -> bool:
    """Whether the columns lie alike; outer edges differ with what the page happens to hold."""
    inner = zip(previous.edges[1:-1], next_table.edges[1:-1], strict=False)
    shifts = [abs(a - b) for a, b in inner]
    return bool(shifts) and sum(shift <= _SHIFT for shift in shifts) >= 0.7 * len(shifts)
