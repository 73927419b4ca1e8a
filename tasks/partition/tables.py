"""Tables as elements of bounded size: row groups that each repeat the header, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from tasks.clean import clean
from tasks.rows import ElementRow

ROWS_PER_GROUP = 50
CHARACTERS_PER_GROUP = 20_000
_MAX_CELL = 8_000


def row_groups(rows: Iterable[Sequence[str]], page: int | None = None, header: bool = True) -> Iterator[ElementRow]:
    """Table elements of about 50 rows each, streamed. `header` says whether the first row names the columns."""
    head: list[str] | None = None
    group: list[list[str]] = []
    size = 0
    for row in rows:
        cells = _cells(row)
        if not any(cells):
            continue
        if header and head is None:
            head = cells
            continue
        if group and (len(group) >= ROWS_PER_GROUP or size >= CHARACTERS_PER_GROUP):
            yield _element(head, group, page)
            group, size = [], 0
        group.append(cells)
        size += sum(map(len, cells))
    if group or head is not None:
        yield _element(head, group, page)


def _cells(row: Sequence[str]) -> list[str]:
    cells = [_cell(cell) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _cell(cell: str) -> str:
    if cell.isascii() and cell.isprintable() and "  " not in cell and len(cell) <= _MAX_CELL:
        return cell.strip()  # nearly all cells, at a twentieth of the time
    return clean(cell[:_MAX_CELL]).replace("\n", " ")


def _element(head: list[str] | None, rows: list[list[str]], page: int | None) -> ElementRow:
    width = max(len(row) for row in (*rows, head or []))
    lines = [" | ".join(row) for row in ([head] if head else []) + rows]
    top = f"<thead>{_tr(head, 'th', width)}</thead>" if head else ""
    body = "".join(_tr(row, "td", width) for row in rows)
    return ElementRow(0, "Table", "\n".join(lines), page, html=f"<table>{top}<tbody>{body}</tbody></table>")


def _tr(cells: Sequence[str], tag: str, width: int) -> str:
    padded = [*cells, *[""] * (width - len(cells))]
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell, quote=False)}</{tag}>" for cell in padded) + "</tr>"
