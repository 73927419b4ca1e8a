"""The cells of a table by the table model: its picture and its words in, a `Table` out.

The words are those of the text layer where the page has one, and not what OCR would make of the picture: figures stay
exact, and the dearest step is saved.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tasks.partition.boxes import Box, center_in, union
from tasks.partition.hi_res.table_model import table_agent
from tasks.partition.pdf.content import Word
from tasks.partition.pdf.tables.cells import Cell, Table, cell_text
from tasks.partition.pdf.tables.lines import Line, lines_of

_MARGIN = 4.0  # points around what the layout model has found
_LEAST_CELLS = 2


def table_of(
    picture: Image.Image, box: Box, words: Sequence[Word], scale: float, model: str
) -> tuple[Table, set[int]] | None:
    """The table in a box of the page, in points, and the numbers of the words that its cells say.

    `scale` is the picture's pixels per point, `model` the table model's folder. None where the model sees no grid of
    two cells or more that hold text.
    """
    x0, y0 = max(0.0, box[0] - _MARGIN), max(0.0, box[1] - _MARGIN)
    x1, y1 = min(picture.width / scale, box[2] + _MARGIN), min(picture.height / scale, box[3] + _MARGIN)
    inside = [i for i, word in enumerate(words) if center_in(_box(word), (x0, y0, x1, y1))]
    if len(inside) < _LEAST_CELLS:
        return None
    tokens = [_token(i, words[i], (x0, y0), scale) for i in inside]
    crop = picture.crop((round(x0 * scale), round(y0 * scale), round(x1 * scale), round(y1 * scale)))
    found: list[dict[str, Any]] = table_agent(model).predict(crop, ocr_tokens=tokens, result_format="cells") or []
    filled = []
    for place in found:
        own = {id(words[token["span_num"]]): token["span_num"] for token in place["spans"]}
        lines = lines_of([words[i] for i in own.values()])
        said = {own[id(word)] for line in lines for piece in line.pieces for word in piece.words}
        filled.append((_cell(place, lines), said | {i for i in own.values() if _is_ornament(words[i])}))
    return _table(filled, words, _header_rows(found))


def _table(
    filled: Sequence[tuple[Cell, set[int]]], words: Sequence[Word], header: int
) -> tuple[Table, set[int]] | None:
    """The table of these cells, and the words of those that it shows: of two in one place it shows one."""
    table = Table((0.0, 0.0, 0.0, 0.0), tuple(cell for cell, _ in filled), "", "unruled", header)
    grid = table.grid()
    shown = [(cell, said) for cell, said in filled if grid[cell.row][cell.column] is cell]
    cells = tuple(cell for cell, _ in shown)
    if sum(bool(cell.text) for cell in cells) < _LEAST_CELLS:
        return None
    taken = {i for _, said in shown for i in said}
    box = union(_box(words[i]) for i in taken)
    return Table(box, cells, "", "unruled", header, _edges(cells, table.columns)), taken


def _box(word: Word) -> Box:
    return word.x0, word.y0, word.x1, word.y1


def _token(number: int, word: Word, origin: tuple[float, float], scale: float) -> dict[str, Any]:
    """A word as unstructured's agent wants it: `span_num` comes back with the cell that it is in."""
    x0, y0 = origin
    box = [(word.x0 - x0) * scale, (word.y0 - y0) * scale, (word.x1 - x0) * scale, (word.y1 - y0) * scale]
    return {"bbox": box, "text": word.text, "span_num": number, "line_num": 0, "block_num": 0}


def _is_ornament(word: Word) -> bool:
    """Dot leaders and such, which no cell says and nobody misses."""
    return not any(map(str.isalnum, word.text))


def _cell(place: dict[str, Any], lines: Sequence[Line]) -> Cell:
    """A cell, its text written as in all tables of bindery."""
    rows, columns = place["row_nums"], place["column_nums"]
    text = cell_text(" ".join(piece.text for piece in line.pieces) for line in lines)
    box = union((line.x0, line.y0, line.x1, line.y1) for line in lines) if lines else (0.0, 0.0, 0.0, 0.0)
    return Cell(min(rows), min(columns), max(rows) - min(rows) + 1, max(columns) - min(columns) + 1, text, box)


def _header_rows(found: Sequence[dict[str, Any]]) -> int:
    """How many rows from the top are header in all of their cells."""
    body = [min(place["row_nums"]) for place in found if not place["column header"]]
    return min(body, default=max((max(place["row_nums"]) + 1 for place in found), default=0))


def _edges(cells: Sequence[Cell], columns: int) -> tuple[float, ...]:
    """Where columns begin and end: the outer edges, and the middles of the gaps. None where a column is empty."""
    extents = []
    for column in range(columns):
        own = [cell.box for cell in cells if cell.text and cell.column == column and cell.column_span == 1]
        if not own:
            return ()
        extents.append((min(box[0] for box in own), max(box[2] for box in own)))
    inner = [(left[1] + right[0]) / 2 for left, right in itertools.pairwise(extents)]
    return tuple(round(x, 1) for x in (extents[0][0], *inner, extents[-1][1]))
