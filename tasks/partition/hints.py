"""What a PDF's rows carry besides themselves until the document is whole: type sizes, and tables as grids.

A part of a document keeps them as JSON beside its rows (`dumps`, `loads`); `finish` turns them into headings and joined
tables.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from tasks.partition.pdf.tables.cells import Cell, Table


@dataclasses.dataclass(frozen=True, slots=True)
class Hint:
    """Of one row: `size` is its type's (negative where it cannot be a heading), `page` the page's width and height."""

    size: float = 0.0
    table: Table | None = None
    page: tuple[float, float] = (0.0, 0.0)


def dumps(hint: Hint) -> str:
    return orjson.dumps(hint).decode()


def loads(text: str) -> Hint:
    fields: dict[str, Any] = orjson.loads(text)
    table = fields["table"]
    if table is not None:
        table["cells"] = tuple(Cell(**{**cell, "box": tuple(cell["box"])}) for cell in table["cells"])
        table = Table(**{**table, "box": tuple(table["box"]), "edges": tuple(table["edges"])})
    return Hint(fields["size"], table, tuple(fields["page"]))
