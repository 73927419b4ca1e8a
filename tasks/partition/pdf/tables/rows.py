"""Body lines of a table → its rows: which lines belong to one row because a label or a cell takes several of them.

In: lines, their cells by column, and the table's own hints (rules across it, stripes). Out: groups of line numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
from collections.abc import Sequence

from tasks.partition.pdf.tables.lines import TEXT, Line, Piece

_OPEN_END = re.compile(
    r"(?:[,\-–—(&/]|\b(?:and|or|of|to|in|for|the|by|on|with|from|at|as|an?|net|per|other|than|its|not|under|due))$",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """A piece and the columns that it lies in."""

    piece: Piece
    first: int
    last: int


@dataclasses.dataclass(frozen=True, slots=True)
class BodyLine:
    """A line with its cells in their columns."""

    line: Line
    cells: tuple[Placed, ...]

    @property
    def label(self) -> Piece | None:
        return next((cell.piece for cell in self.cells if cell.first == 0), None)

    @property
    def values(self) -> bool:
        """Whether anything stands beside the label."""
        return any(cell.first > 0 for cell in self.cells)

    @property
    def figures(self) -> bool:
        return any(cell.first > 0 and cell.piece.kind != TEXT for cell in self.cells)

    @property
    def middle(self) -> float:
        return (self.line.y0 + self.line.y1) / 2


def rows_of(lines: Sequence[BodyLine], bands: Sequence[float], right: float) -> list[list[int]]:
    """Rows as groups of indices. `bands` are the y that part rows for sure; labels may reach to `right`."""
    groups: list[list[int]] = []
    edges = sorted(bands)
    for i, line in enumerate(lines):
        zone = sum(edge <= line.middle for edge in edges)
        if groups and zone == sum(edge <= lines[groups[-1][-1]].middle for edge in edges):
            groups[-1].append(i)
        else:
            groups.append([i])
    enough = len(edges) >= 2 and len(edges) + 1 >= 0.4 * len(lines)
    pitch = row_pitch(lines)
    rows: list[list[int]] = []
    for group in groups:
        if enough and len(group) > 1 and _one_row([lines[i] for i in group]):
            rows.append(group)
        else:
            rows += _by_lines(lines, group, pitch, right)
    return rows


def _one_row(lines: Sequence[BodyLine]) -> bool:
    """Whether lines between two rules can be one row: figures on one of them only, and set close together."""
    sizes = max(line.line.size for line in lines)
    close = all(b.middle - a.middle < 1.7 * sizes for a, b in itertools.pairwise(lines))
    return close and sum(line.figures for line in lines) <= 1 and not _sections(lines)


def _sections(lines: Sequence[BodyLine]) -> bool:
    labels = [line.label for line in lines if line.label is not None]
    return any(a.text.endswith((":", "：")) or a.bold != b.bold for a, b in itertools.pairwise(labels))


def row_pitch(lines: Sequence[BodyLine]) -> float:
    """The usual distance of rows that follow one another."""
    steps = [b.middle - a.middle for a, b in itertools.pairwise(lines) if a.values and b.values]
    return statistics.median_low(steps) if len(steps) >= 2 else 0.0


def _by_lines(lines: Sequence[BodyLine], group: Sequence[int], pitch: float, right: float) -> list[list[int]]:
    if not any(lines[i].figures for i in group):
        return _by_gaps(lines, group, right)
    return _by_links(lines, group, pitch, right)


def _by_gaps(lines: Sequence[BodyLine], group: Sequence[int], right: float) -> list[list[int]]:
    """Rows of words: parted by wider gaps, or else begun by a first cell."""
    steps = [lines[b].middle - lines[a].middle for a, b in itertools.pairwise(group)]
    if not steps:
        return [list(group)]
    low, high = min(steps), max(steps)
    wide = (low + high) / 2 if high > 1.18 * low and low < 1.6 * lines[group[0]].line.size else 0.0
    most = max(len(lines[i].cells) for i in group)
    rows = [[group[0]]]
    for step, i in zip(steps, group[1:], strict=True):
        line = lines[i]
        full = len(line.cells) == most
        starts = (
            step > wide if wide else (line.label is not None and (full or not _wraps(lines[i - 1], line, 0, right)))
        )
        if wide and step <= wide and full and most > 2 and not _flows(lines[i - 1], line):
            starts = True
        if starts:
            rows.append([i])
        else:
            rows[-1].append(i)
    return rows


def _flows(above: BodyLine, line: BodyLine) -> bool:
    """Whether a line reads on from the one above: most of its cells begin in the middle of a sentence."""
    lower = sum(cell.piece.text[:1].islower() or not cell.piece.text[:1].isalnum() for cell in line.cells)
    return lower > 0 or len(above.cells) < len(line.cells)


def _by_links(lines: Sequence[BodyLine], group: Sequence[int], pitch: float, right: float) -> list[list[int]]:
    """Lines that read on from one another are a row, cut where it would have figures twice."""
    rows = [[group[0]]]
    for a, b in itertools.pairwise(group):
        if _wraps(lines[a], lines[b], pitch, right):
            rows[-1].append(b)
        else:
            rows.append([b])
    return [part for row in rows for part in _cut(lines, row)]


def _cut(lines: Sequence[BodyLine], row: list[int]) -> list[list[int]]:
    """A row in parts with one line of values each: other lines go to the nearer, or where they read on."""
    holders = [k for k, i in enumerate(row) if lines[i].figures or (lines[i].values and lines[i].label is not None)]
    parts: list[list[int]] = []
    start = 0
    for first, second in itertools.pairwise(holders):
        steps = [lines[row[k + 1]].middle - lines[row[k]].middle for k in range(first, second)]
        size = lines[row[first]].line.size
        wide = [k for k, step in enumerate(steps) if step > max(steps) - 0.06 * size]
        if len(wide) > 1:  # evenly set: a row begins with a capital letter
            capital = [k for k in wide if (label := lines[row[first + k + 1]].label) and not label.text[:1].islower()]
            ended = [
                k for k in capital or wide if (end := lines[row[first + k]].label) and not _OPEN_END.search(end.text)
            ]
            wide = ended or capital or wide
        at = first + wide[0] + 1
        parts.append(row[start:at])
        start = at
    return [*parts, row[start:]]


def _wraps(above: BodyLine, line: BodyLine, pitch: float, right: float) -> bool:
    """Whether a line goes on with the row of the line above."""
    step = line.middle - above.middle
    if step > 1.6 * max(above.line.size, line.line.size):
        return False
    tight = bool(pitch) and step < 0.9 * pitch
    a, b = above.label, line.label
    if b is None:
        return not line.figures and (tight or not pitch or step < 1.3 * line.line.size)
    if a is None or a.bold != b.bold or a.text.endswith((":", "：")) or (pitch and step > 1.12 * pitch):
        return False
    if tight:
        return True
    if _OPEN_END.search(a.text) or a.text.count("(") > a.text.count(")"):
        return True
    if not b.text[:1].islower():
        return False
    first = b.words[0]  # that would not have fitted on the line above
    slack = 0.4 if b.x0 - a.x0 < 0.6 * a.size else 0.15
    return a.x1 + (first.x1 - first.x0) + 0.25 * a.size > right - slack * (right - a.x0)
