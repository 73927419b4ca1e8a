"""The tables of a PDF page, by geometry alone: words, rules and shapes → Tables, top to bottom.

Rules that cross draw a grid: those tables come first and take their words. What is left is cut at the gutters of prose
(`regions`), and in each region runs of lines that fall into columns are found (`bands`), judged (`judge`)
and read (`unruled`). A page without rules, and without two lines that have wide gaps, costs next to nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from tasks.partition.pdf.content import Rule, Shape, Word
from tasks.partition.pdf.tables.bands import Band, bands, is_running_text, prose_flags
from tasks.partition.pdf.tables.beside import parted
from tasks.partition.pdf.tables.boxed import boxed
from tasks.partition.pdf.tables.cells import Box, Cell, Table
from tasks.partition.pdf.tables.lines import TEXT, Line, lines_of
from tasks.partition.pdf.tables.regions import regions
from tasks.partition.pdf.tables.ruled import grids
from tasks.partition.pdf.tables.unruled import table_of

__all__ = ["Cell", "Table", "find_tables"]

_MOST_WORDS = 20_000
_WIDE = 0.7  # type sizes between two words that may be of two cells
_MOST_RULES = 200  # that begin and end alike
_STRIPE = (5.0, 90.0)  # points high
_CAPTION = re.compile(r"^(?:table|exhibit|schedule|tab\.|表)\s*[\dA-Z一二三四五六七八九十]", re.IGNORECASE)
_CAPTION_LINES = 3


def find_tables(
    words: Sequence[Word], rules: Sequence[Rule], shapes: Sequence[Shape], size: tuple[float, float]
) -> list[Table]:
    """The tables of a page of this size."""
    if len(words) > _MOST_WORDS or not _may_have(words, rules):
        return []
    found: list[Table] = []
    for grid in grids(rules):
        table = boxed(grid, words, shapes)
        if table is not None and not any(_overlap(table.box, other.box) for other in found):
            found.append(table)
    rest = [w for w in words if not any(_within(w, table.box) for table in found)] if found else words
    lines = lines_of(rest)
    stripes = _stripes(shapes, size)
    several = sum(len(line.pieces) > 1 and not is_running_text(line) for line in lines)
    for region in regions(lines, rules, shapes) if several >= 2 else ():
        found += _in_region(region, rules, shapes, stripes)
    for box in _framed(rules):
        if not any(_overlap(box, table.box) for table in found):
            inside = lines_of([word for word in rest if _within(word, box)])
            found += _in_region(inside, rules, shapes, stripes)
    found = [dataclasses.replace(t, caption=_caption(t, lines)) if t.kind == "ruled" else t for t in found]
    return sorted(found, key=lambda table: (table.box[1], table.box[0]))


def _may_have(words: Sequence[Word], rules: Sequence[Rule]) -> bool:
    """Whether two lines have a gap wider than between words, or rules cross: arrays only, as most pages end here."""
    if len(words) < 4:
        return False
    if sum(rule.y0 != rule.y1 for rule in rules) >= 2:
        return True
    boxes = np.array([word[1:6] for word in words])
    middle = boxes[:, 1] + boxes[:, 3]
    order = np.lexsort((boxes[:, 0], np.round(middle / 3)))
    x0, x1, y, size = boxes[order, 0], boxes[order, 2], middle[order], boxes[order, 4]
    wide = (x0[1:] - x1[:-1] > _WIDE * size[1:]) & (np.abs(y[1:] - y[:-1]) < 0.6 * size[1:])
    return int(np.count_nonzero(wide)) >= 2


def _framed(rules: Sequence[Rule]) -> list[Box]:
    """Where three level rules or more begin and end alike: a table of words may lie there beside another column."""
    groups: dict[tuple[int, int], list[Rule]] = {}
    for rule in rules:
        if rule.y0 == rule.y1 and rule.x1 - rule.x0 > 60:
            groups.setdefault((round(rule.x0 / 3), round(rule.x1 / 3)), []).append(rule)
    return [
        (same[0].x0, min(r.y0 for r in same), same[0].x1, max(r.y0 for r in same))
        for same in groups.values()
        if 3 <= len(same) <= _MOST_RULES
    ]


def _stripes(shapes: Sequence[Shape], size: tuple[float, float]) -> list[Box]:
    """Filled bands across several cells: rows of shaded rectangles as one each."""
    low, high = _STRIPE
    flat = [s for s in shapes if s.filled and not s.curved and low <= s.y1 - s.y0 <= high]
    flat.sort(key=lambda s: (round(s.y0), round(s.y1), s.x0))
    out: list[Box] = []
    for s in flat:
        if out and abs(out[-1][1] - s.y0) < 1.5 and abs(out[-1][3] - s.y1) < 1.5 and s.x0 - out[-1][2] < 9:
            out[-1] = (out[-1][0], out[-1][1], max(out[-1][2], s.x1), out[-1][3])
        else:
            out.append((s.x0, s.y0, s.x1, s.y1))
    return [box for box in out if box[2] - box[0] > 0.12 * size[0]]


def _in_region(
    lines: list[Line], rules: Sequence[Rule], shapes: Sequence[Shape], stripes: Sequence[Box]
) -> list[Table]:
    flags = prose_flags(lines)
    tied = [i > 0 and _tied(lines[i - 1], line, stripes) for i, line in enumerate(lines)]
    found: list[Table] = []
    for band in bands(lines, flags, tied):
        tables = [
            (part, table)
            for part in parted(band, rules) or [band]
            if (table := table_of(part, rules, shapes, stripes)) is not None
        ]
        for part, table in tables:
            found.append(dataclasses.replace(table, caption=_above(part, flags)))
    return found


def _tied(above: Line, line: Line, stripes: Sequence[Box]) -> bool:
    """Whether stripes fill what lies between two lines, or most of it."""
    covered = sum(
        max(0.0, min(s[3], line.y0) - max(s[1], above.y1)) for s in stripes if s[0] < line.x1 and s[2] > line.x0
    )
    return line.y0 > above.y1 and covered > 0.3 * (line.y0 - above.y1)


def _above(band: Band, flags: Sequence[bool]) -> str:
    """The title over a band: the short lines right above it."""
    found: list[str] = []
    below = band.lines[band.start]
    for i in range(band.start - 1, max(-1, band.start - 1 - _CAPTION_LINES), -1):
        line = band.lines[i]
        text = " ".join(piece.text for piece in line.pieces)
        if len(line.pieces) > 1 or line.pieces[0].kind != TEXT or below.y0 - line.y1 > 2.4 * line.size:
            break
        if flags[i] and not _CAPTION.match(text):
            break
        if len(text) > 160 or (i and flags[i - 1] and line.y0 - band.lines[i - 1].y1 < 0.5 * line.size):
            break
        found.append(text)
        below = line
        if _CAPTION.match(text):
            break
    return " ".join(reversed(found))


def _caption(table: Table, lines: Sequence[Line]) -> str:
    """The title over a ruled table."""
    near = [
        line for line in lines
        if -2 <= table.box[1] - line.y1 <= 1.8 * line.size and line.x0 < table.box[2] and line.x1 > table.box[0]
    ]  # fmt: skip
    if not near or len(near[-1].pieces) > 1 or near[-1].pieces[0].kind != TEXT:
        return ""
    piece = near[-1].pieces[0]
    return piece.text if len(piece.text) <= 160 and (_CAPTION.match(piece.text) or piece.bold) else ""


def _within(word: Word, box: Box) -> bool:
    return box[0] - 2 <= (word.x0 + word.x1) / 2 <= box[2] + 2 and box[1] - 2 <= (word.y0 + word.y1) / 2 <= box[3] + 2


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 3 and min(a[3], b[3]) - max(a[1], b[1]) > 3
