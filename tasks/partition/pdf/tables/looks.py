"""What falls into columns and is no table: contents pages, forms, prose, text boxes, formulas, charts and diagrams.

In: the lines of a band, its columns, the shapes around it. Out: yes or no.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from tasks.partition.pdf.content import Shape
from tasks.partition.pdf.tables.cells import Box
from tasks.partition.pdf.tables.columns import Column
from tasks.partition.pdf.tables.lines import TEXT, YEAR, Line

_ITEM = re.compile(
    r"^(?:Item|Part|Note|Chapter|Section|Appendix)\s+(?:[0-9]{1,2}[A-Z]?|[IVX]+|[A-Z])\.?(?:$|\s)", re.IGNORECASE
)
_PAGE = re.compile(r"^(?:[A-Z]{1,2}-)?(?:\d{1,4}|[ivxlc]{1,6})$", re.IGNORECASE)
_SYMBOLIC = re.compile(r"[=+∑∏∫√≤≥≡∈→⇒·×±∞∂∀∃λαβθ∧∨]|^[a-wyz]$|^\W{2,}$")


def is_contents(body: Sequence[Line], columns: Sequence[Column]) -> bool:
    """A table of contents: the last column holds page numbers that never fall, and it is the only one of figures."""
    ends = [int(line.pieces[-1].words[-1].text) for line in body if line.pieces[-1].words[-1].text.isdecimal()]
    inner = [c for c in columns[1:-1] if c.numeric and len(c.pieces) > 2]
    items = any(p.kind == TEXT and _ITEM.match(p.text) for line in body for p in line.pieces)
    if items and len(ends) >= 3 and not inner:
        return all(a <= b for a, b in itertools.pairwise(ends))
    last = [piece for _, piece in sorted(columns[-1].pieces, key=lambda at: at[0])]
    if len(last) < 4 or not all(_PAGE.match(piece.text) for piece in last):
        return False
    if inner or (any(p.kind == YEAR for p in last) and not any(line.leader for line in body)):
        return False
    numbers = [int(digits.group()) for p in last if (digits := re.search(r"\d+", p.text))]
    falls = sum(b < a for a, b in itertools.pairwise(numbers))
    return falls <= len(numbers) // 12


def is_form(body: Sequence[Line]) -> bool:
    """Names of fields to be filled in: most cells end with a colon or a line to write on."""
    pieces = [piece for line in body if len(line.pieces) > 1 for piece in line.pieces]
    fields = sum(piece.text.endswith((":", "：", "__")) for piece in pieces)
    return fields >= 0.5 * len(pieces)


def is_running_text(columns: Sequence[Column]) -> bool:
    """Prose or a list that fell into columns, or text boxes: long pieces, or columns that read on downwards."""
    right = [piece for column in columns[1:] for _, piece in column.pieces]
    if not right:
        return False
    long = sum(piece.wordy and len(piece.words) >= 8 for piece in right)
    flowing = sum(flows(column) for column in columns)
    words = sum(not column.numeric for column in columns)
    return (long > 0.6 * len(right) and len(columns) < 4) or (flowing >= 3 and flowing >= 0.5 * words)


def flows(column: Column) -> bool:
    """Whether a column reads on from line to line, as a text box does."""
    if len(column.pieces) < 3:
        return False
    pieces = [piece for _, piece in sorted(column.pieces, key=lambda at: at[0])]
    on = sum(b.text[:1].islower() or a.text.endswith(",") for a, b in itertools.pairwise(pieces))
    return on >= 0.4 * (len(pieces) - 1)


def is_formula(body: Sequence[Line]) -> bool:
    """Displayed formulas: symbols, and lines that lie half over one another."""
    pieces = [piece for line in body for piece in line.pieces]
    symbols = sum(_SYMBOLIC.search(piece.text) is not None for piece in pieces)
    if symbols < 0.2 * len(pieces):
        return False
    steps = [(b.y0 + b.y1 - a.y0 - a.y1) / 2 / max(a.size, b.size) for a, b in itertools.pairwise(body)]
    over = sum(step < 0.8 for step in steps)
    return symbols >= 0.35 * len(pieces) or over >= 0.25 * len(steps)


def is_chart(box: Box, shapes: Sequence[Shape], columns: Sequence[Column]) -> bool:
    """Bars of many lengths, or curves: numbers on a drawing. Cells that are filled share their edges instead."""
    inside = _around(box, shapes)
    few = 8 if any(c.numeric for c in columns[1:]) else 3
    return sum(s.curved and s.segments > 4 for s in inside) >= few or is_bars(box, shapes)


def _around(box: Box, shapes: Sequence[Shape]) -> list[Shape]:
    x0, y0, x1, y1 = box
    return [s for s in shapes if s.x0 > x0 - 20 and s.x1 < x1 + 20 and s.y0 > y0 - 12 and s.y1 < y1 + 12]


def is_bars(box: Box, shapes: Sequence[Shape]) -> bool:
    """Filled rectangles of many lengths, lying or standing."""
    inside = _around(box, shapes)
    bars = [s for s in inside if s.filled and not s.curved and s.x1 - s.x0 > 3 and s.y1 - s.y0 > 3]
    if len(bars) < 5 or max(s.y1 for s in bars) - min(s.y0 for s in bars) < 0.5 * (box[3] - box[1]):
        return False
    ends = {round(s.x1 / 1.5) for s in bars}
    middles = sorted((s.y0 + s.y1) / 2 for s in bars)
    rows = 1 + sum(b - a > 5 for a, b in itertools.pairwise(middles))
    tops = {round(s.y0 / 1.5) for s in bars}
    floors = {round(s.y1 / 1.5) for s in bars}
    lying = len(ends) >= 5 and len(ends) >= 0.5 * len(bars) and rows >= 4
    standing = len(tops) >= 4 and len(tops) >= 0.6 * len(bars) and len(floors) <= 2
    return lying or standing


def is_drawn_over(box: Box, shapes: Sequence[Shape]) -> bool:
    """Whether there is more in a frame than cells: curves, or outlines."""
    inside = [s for s in shapes if s.x0 > box[0] and s.x1 < box[2] and s.y0 > box[1] and s.y1 < box[3]]
    return sum(s.curved for s in inside) >= 2 or sum(not s.filled for s in inside) >= 6
