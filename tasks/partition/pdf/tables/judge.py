"""Whether lines that fall into columns are a table, by what stands in them: figures, or words of one kind.

In: the body lines of a band, their columns, what is drawn around them. Out: yes or no.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tasks.partition.pdf.tables.columns import Column, alignment
from tasks.partition.pdf.tables.lines import BLANK, FIGURE, TEXT, Line
from tasks.partition.pdf.tables.looks import flows, is_contents, is_form, is_formula, is_running_text


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn for a table: `across`, rules and stripes over its width; `any`, those below names as well."""

    across: int
    any: int


def is_table(header: Sequence[Line], body: Sequence[Line], columns: Sequence[Column], drawn: Drawn) -> bool:
    """Whether the body's lines in these columns are rows of a table."""
    if len(columns) < 2 or is_contents(body, columns) or is_form(body) or is_running_text(columns) or is_formula(body):
        return False
    several = [line for line in body if len(line.pieces) > 1]
    values = [line for line in body if any(p.kind in (FIGURE, BLANK) for p in line.pieces[1:])]
    figures = sum(p.kind == FIGURE for line in values for p in line.pieces)
    beside = sum(len(line.pieces) - 1 for line in several)
    if len(values) == 1 and header and drawn.any >= 2:
        return _one_row(values[0], header[-1], columns)
    if len(values) >= 2 and figures >= max(3, 0.2 * beside) and len(values) >= 0.3 * len(several):
        return _figures_stand(values, columns, header, drawn.across >= 2)
    return _words_stand(several, columns, drawn.across)


def _figures_stand(values: Sequence[Line], columns: Sequence[Column], header: Sequence[Line], ruled: bool) -> bool:
    """A table of figures: rows with a label or several figures, in line with their columns, most places taken."""
    named = any(len(line.pieces) >= min(2, len(columns) - 1) for line in header)
    if len(values) < 3 and not (named or ruled):
        return False
    numeric = [c for c in columns[1:] if c.numeric] or [c for c in columns if c.numeric]
    several = [c for c in numeric if len(c.pieces) > 1]
    if not several:
        return False
    weight = sum(len(c.pieces) for c in several)
    kept = sum(alignment(c) * len(c.pieces) for c in several) / weight
    taken = sum(len(c.lines) for c in columns) / (len(columns) * len(values))
    labelled = sum(line.pieces[0].kind == TEXT for line in values) / len(values)
    if labelled < 0.3 and (taken < 0.55 or len(values) < 3):
        return False
    return kept >= (0.5 if ruled or named else 0.6) and taken >= (0.3 if len(columns) < 6 else 0.38)


def _one_row(values: Line, names: Line, columns: Sequence[Column]) -> bool:
    """A table of one row: under every figure its name."""
    figures = [p for p in values.pieces[1:] if p.kind in (FIGURE, BLANK)]
    named = [p for p in figures if any(n.x0 < p.x1 + p.size and n.x1 > p.x0 - p.size for n in names.pieces)]
    return len(figures) >= 2 and len(named) == len(figures) and len(columns) == len(values.pieces)


def _words_stand(several: Sequence[Line], columns: Sequence[Column], across: int) -> bool:
    """A table of words: short cells that begin where those above them begin, and something that says so besides:
    rules across, or names in bold above columns that rows fill."""
    if len(several) < (2 if across >= 3 else 3) or (len(columns) < 3 and across < 3):
        return False
    kept = [alignment(c) for c in columns if len(c.pieces) > 1]
    if len(kept) < len(columns) or min(kept) < 0.6 or sum(kept) < 0.8 * len(kept):
        return False
    taken = sum(len(c.lines) for c in columns) / (len(columns) * len(several))
    flowing = sum(flows(c) for c in columns)
    if across >= 2:
        return taken >= 0.5 and flowing < len(columns) and (across >= 3 or flowing < 2)
    full = sum(len(line.pieces) == len(columns) for line in several)
    return flowing < 2 and full >= max(3, 0.5 * len(several)) and _is_headed(several, columns)


def _is_headed(several: Sequence[Line], columns: Sequence[Column]) -> bool:
    """Whether the first line names the columns: in bold, all of them, where the rest is not; or one is of numbers."""
    bold = [all(piece.bold for piece in line.pieces) for line in several]
    names = next((i for i, is_bold in enumerate(bold) if not is_bold), len(bold))
    if 1 <= names <= 3 and len(several[names - 1].pieces) == len(columns):
        return True
    starts = [line.pieces[0].x0 for line in several]
    even = all(abs(a - b) < 1.5 for a, b in itertools.pairwise(starts))
    return even and any(c.numeric for c in columns) and len(several) >= 4
