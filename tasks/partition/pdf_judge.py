"""Whether lines that fall into columns are a table: contents pages, letterheads, forms, formulas and charts do as well.

In: the body lines of a band, their columns, and whether rules across it say so, too. Out: yes or no.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from tasks.partition.pdf_columns import Column, alignment
from tasks.partition.pdf_lines import BLANK, FIGURE, TEXT, YEAR, Line, Piece

_ITEM = re.compile(
    r"^(?:Item|Part|Note|Chapter|Section|Appendix)\s+(?:[0-9]{1,2}[A-Z]?|[IVX]+|[A-Z])\.?(?:$|\s)", re.IGNORECASE
)
_PAGE = re.compile(r"^(?:[A-Z]{1,2}-)?(?:\d{1,4}|[ivxlc]{1,6})$", re.IGNORECASE)


def is_table(header: Sequence[Line], body: Sequence[Line], columns: Sequence[Column], ruled: bool, drawn: bool) -> bool:
    """Whether the body's lines in these columns are rows of a table.

    `ruled`: two lines across it, or stripes; `drawn`: anything that is drawn for a table, such as a rule below a name.
    """
    if len(columns) < 2 or _is_contents(body, columns) or _is_form(body) or _is_running_text(columns):
        return False
    values = [line for line in body if any(p.kind in (FIGURE, BLANK) for p in line.pieces[1:])]
    figures = sum(p.kind == FIGURE for line in values for p in line.pieces)
    if len(values) == 1 and header and drawn:
        return _one_row(values[0], header[-1], columns)
    if len(values) >= 2 and figures >= 3 and len(values) >= 0.3 * sum(len(line.pieces) > 1 for line in body):
        return _figures_stand(values, columns, header, ruled)
    return _words_stand(body, columns, ruled)


def _figures_stand(values: Sequence[Line], columns: Sequence[Column], header: Sequence[Line], ruled: bool) -> bool:
    """A table of figures: rows with a label or several figures, figures that keep to their columns, most places taken."""
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
    return kept >= (0.5 if ruled or named else 0.6) and taken >= 0.3


def _one_row(values: Line, names: Line, columns: Sequence[Column]) -> bool:
    """A table of one row: under every figure its name."""
    figures = [p for p in values.pieces[1:] if p.kind in (FIGURE, BLANK)]
    named = [p for p in figures if any(n.x0 < p.x1 + p.size and n.x1 > p.x0 - p.size for n in names.pieces)]
    return len(figures) >= 2 and len(named) == len(figures) and len(columns) == len(values.pieces)


def _words_stand(body: Sequence[Line], columns: Sequence[Column], ruled: bool) -> bool:
    """A table of words: three columns or rules, short cells that begin where those above them begin."""
    several = [line for line in body if len(line.pieces) > 1]
    if len(several) < (2 if ruled else 3) or (len(columns) < 3 and not ruled):
        return False
    kept = [alignment(c) for c in columns if len(c.pieces) > 1]
    if len(kept) < len(columns) or min(kept) < 0.6 or sum(kept) < 0.8 * len(kept):
        return False
    taken = sum(len(c.lines) for c in columns) / (len(columns) * len(several))
    flowing = sum(_flows(c) for c in columns)
    if not ruled:
        full = sum(len(line.pieces) == len(columns) for line in several)
        if full < 3 or full < 0.4 * len(several) or flowing >= 2:
            return False
    return taken >= 0.5 and flowing < len(columns)


def _flows(column: Column) -> bool:
    """Whether a column reads on from line to line, as a text box does."""
    if len(column.pieces) < 3:
        return False
    pieces = [piece for _, piece in sorted(column.pieces, key=lambda at: at[0])]
    on = sum(b.text[:1].islower() or a.text.endswith(",") for a, b in itertools.pairwise(pieces))
    return on >= 0.4 * (len(pieces) - 1)


def _is_contents(body: Sequence[Line], columns: Sequence[Column]) -> bool:
    """A table of contents: the last column holds page numbers that never fall, and it is the only one of figures."""
    ends = [int(line.pieces[-1].words[-1].text) for line in body if line.pieces[-1].words[-1].text.isdecimal()]
    if any(p.kind == TEXT and _ITEM.match(p.text) for line in body for p in line.pieces) and len(ends) >= 3:
        return all(a <= b for a, b in itertools.pairwise(ends)) and not any(
            p.kind == FIGURE for c in columns[1:-1] for _, p in c.pieces
        )
    last = [piece for _, piece in sorted(columns[-1].pieces, key=lambda at: at[0])]
    if len(last) < 4 or not all(_PAGE.match(piece.text) for piece in last):
        return False
    others = [c for c in columns[1:-1] if c.numeric and len(c.pieces) > 2]
    if others or any(p.kind == YEAR for p in last) and not any(line.leader for line in body):
        return False
    numbers = [int(digits.group()) for p in last if (digits := re.search(r"\d+", p.text))]
    falls = sum(b < a for a, b in itertools.pairwise(numbers))
    return falls <= len(numbers) // 12


def _is_form(body: Sequence[Line]) -> bool:
    """Names of fields to be filled in: most cells end with a colon or a line to write on."""
    pieces = [piece for line in body if len(line.pieces) > 1 for piece in line.pieces]
    fields = sum(piece.text.endswith((":", "：", "__")) for piece in pieces)
    return fields >= 0.5 * len(pieces)


def _is_running_text(columns: Sequence[Column]) -> bool:
    """Prose or a list that fell into columns by chance: long pieces right of the first column, or little beside it."""
    right = [piece for column in columns[1:] for _, piece in column.pieces]
    long = sum(_long(piece) for piece in right)
    return bool(right) and long > 0.6 * len(right) and len(columns) < 4


def _long(piece: Piece) -> bool:
    return piece.wordy and len(piece.words) >= 8
