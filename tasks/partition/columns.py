"""The gutters between columns of prose: tall empty strips with running text on both sides.

In: rows of spans, top to bottom. Out: Gutter. Gaps between the cells of a table are strips, too, but what stands beside
them is short; rows that look like a table's end every strip.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Sequence

from tasks.partition.spans import Span

_MIN_LINES = 5  # of prose, on each side
_MIN_FACTS = 4  # lines beside prose that are a box of their own
_MIN_BESIDE = 3  # lines beside a box
_MIN_WIDTH = 0.8  # of the type's size
_MIN_LETTERS = 12  # of a line of prose in a narrow column
_SHORT = 12  # characters of a cell
_MOST_STRIPS = 60
_SLACK = 1.0  # points that a line may reach into a gutter


@dataclasses.dataclass(frozen=True, slots=True)
class Gutter:
    x0: float
    x1: float
    y0: float
    y1: float

    def parts(self, middle: float) -> bool:
        """Whether it reaches a line at this height."""
        return self.y0 <= middle <= self.y1


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What stands at one height: spans left to right, and the intervals that they and other things take."""

    spans: list[Span]
    taken: list[tuple[float, float]]
    y0: float
    y1: float


def gutters(rows: Sequence[Row], boxes: Sequence[tuple[float, float, float, float]] = ()) -> list[Gutter]:
    """The gutters of a page or frame, none overlapping another, and those beside boxes with text next to them."""
    found = _between_columns(rows)
    for box in boxes:
        found += [g for g in _beside(box, rows) if not any(_at_one_height(g, o) and _overlap(g, o) for o in found)]
    return sorted(found, key=lambda gutter: (gutter.x0, gutter.y0))


def _beside(box: tuple[float, float, float, float], rows: Sequence[Row]) -> list[Gutter]:
    """The gaps between a box and lines left or right of it, as far up and down as nothing crosses them."""
    found: list[Gutter] = []
    level = [i for i, row in enumerate(rows) if box[1] <= (row.y0 + row.y1) / 2 <= box[3]]
    left = {i: [span.x1 for span in rows[i].spans if span.x1 <= box[0] + _SLACK] for i in level}
    right = {i: [span.x0 for span in rows[i].spans if span.x0 >= box[2] - _SLACK] for i in level}
    for edges, is_left in ((left, True), (right, False)):
        filled = [i for i in level if edges[i]]
        if len(filled) < _MIN_BESIDE:
            continue
        near = [edge for i in filled for edge in edges[i]]
        x0, x1 = (max(near), box[0]) if is_left else (box[2], min(near))
        if x1 - x0 < _SLACK:
            continue
        first, last = filled[0], filled[-1]
        while first > 0 and not _crosses(rows[first - 1], x0, x1):
            first -= 1
        while last + 1 < len(rows) and not _crosses(rows[last + 1], x0, x1):
            last += 1
        found.append(Gutter(x0, x1, min(rows[first].y0, box[1]), max(rows[last].y1, box[3])))
    return found


def _crosses(row: Row, x0: float, x1: float) -> bool:
    return any(start < x1 - _SLACK and end > x0 + _SLACK for start, end in row.taken)


def _overlap(a: Gutter, b: Gutter) -> bool:
    return min(a.x1, b.x1) > max(a.x0, b.x0)


def _between_columns(rows: Sequence[Row]) -> list[Gutter]:
    spans = [span for row in rows for span in row.spans]
    if len(spans) < 2 * _MIN_LINES or not _side_by_side(rows):
        return []
    least = _MIN_WIDTH * statistics.median(span.size for span in spans)
    found: list[tuple[int, Gutter, Sequence[Row]]] = []
    for x0, x1, first, last in _strips(rows, least):
        beside = rows[first : last + 1]
        lines = _prose_lines(beside, x0, x1)
        if lines >= _MIN_LINES:
            beside = beside[_heading_rows(beside, x0, x1) :]
            found.append((lines, Gutter(x0, x1, beside[0].y0, beside[-1].y1), beside))
    found.sort(key=lambda each: (-each[0], each[1].y0 - each[1].y1, each[1].x0))
    kept: list[Gutter] = []
    for _, gutter, beside in found:
        near = [other for other in kept if _at_one_height(gutter, other)]
        if any(_overlap(gutter, other) for other in near):
            continue
        left = max((other.x0 for other in near if other.x0 < gutter.x0), default=float("-inf"))
        right = min((other.x1 for other in near if other.x1 > gutter.x1), default=float("inf"))
        if not near or _prose_lines(beside, gutter.x0, gutter.x1, left, right) >= _MIN_LINES:
            kept.append(gutter)
    return kept


def _side_by_side(rows: Sequence[Row]) -> bool:
    """Whether anything stands beside anything: nearly all pages of one column end here."""
    if any(len(row.taken) > 1 for row in rows):
        return True
    return any(
        max(a.taken[0][0], b.taken[0][0]) >= min(a.taken[0][1], b.taken[0][1]) for a, b in itertools.pairwise(rows)
    )


def _at_one_height(a: Gutter, b: Gutter) -> bool:
    return min(a.y1, b.y1) > max(a.y0, b.y0)


def _strips(rows: Sequence[Row], least: float) -> list[tuple[float, float, int, int]]:
    """Maximal empty strips (x0, x1, first row, last row) at least so wide, and not at the margin."""
    left = min(start for row in rows for start, _ in row.taken)
    right = max(end for row in rows for _, end in row.taken)
    tables = _in_tables(rows)
    active: dict[tuple[float, float], int] = {}
    found: list[tuple[float, float, int, int]] = []
    for i, row in enumerate(rows):
        free = [] if tables[i] else _free(row, left, right, least)
        going: dict[tuple[float, float], int] = {}
        for (x0, x1), first in active.items():
            for start, end in free:
                strip = max(x0, start), min(x1, end)
                if strip[1] - strip[0] >= least:
                    going[strip] = min(going.get(strip, first), first)
        for strip in free:
            going.setdefault(strip, i)
        found += [(*strip, first, i - 1) for strip, first in active.items() if going.get(strip) != first]
        active = dict(sorted(going.items(), key=lambda pair: pair[1])[:_MOST_STRIPS])
    found += [(*strip, first, len(rows) - 1) for strip, first in active.items()]
    return [s for s in found if s[3] - s[2] + 1 >= _MIN_LINES and s[0] > left and s[1] < right]


def _free(row: Row, left: float, right: float, least: float) -> list[tuple[float, float]]:
    """The intervals of a row that nothing takes."""
    free = []
    reach = left - 1
    for start, end in [*sorted(row.taken), (right + 1, right + 1)]:
        if start - reach >= least:
            free.append((reach, start))
        reach = max(reach, end)
    return free


def _in_tables(rows: Sequence[Row]) -> list[bool]:
    """Which rows look like a table's: runs of them have three or more pieces, at least half of them short.

    Three such rows make a table, or two with numbers: the last lines of three paragraphs may stand side by side.
    """
    cells = [len(row.spans) >= 3 and 2 * sum(map(_is_short, row.spans)) >= len(row.spans) for row in rows]
    found: list[bool] = []
    for is_cells, run in itertools.groupby(range(len(rows)), key=cells.__getitem__):
        numbers = list(run)
        with_digits = sum(any(map(str.isdigit, span.text)) for i in numbers for span in rows[i].spans)
        needed = 2 if 2 * with_digits >= sum(len(rows[i].spans) for i in numbers) else 3
        found += [is_cells and len(numbers) >= needed] * len(numbers)
    return found


def _is_short(span: Span) -> bool:
    return len(span.text) <= _SHORT


def _prose_lines(
    rows: Sequence[Row], x0: float, x1: float, start: float = float("-inf"), end: float = float("inf")
) -> int:
    """Lines of running text beside a strip, on the side that has fewer, between `start` and `end`; 0: no gutter.

    One side may be short pieces (a box of facts) where its lines keep their own distances: the cells of a table stand
    on the lines that they belong to, and so do the numbers of a list.
    """
    left: list[Span] = []
    right: list[Span] = []
    level = 0
    for row in rows:
        before = [span for span in row.spans if start <= span.x0 and span.x1 <= x0 + 2 * _SLACK]
        after = [span for span in row.spans if x1 - 2 * _SLACK <= span.x0 and span.x1 <= end]
        left += [max(before, key=lambda span: span.x1)] if before else []
        right += [min(after, key=lambda span: span.x0)] if after else []
        level += bool(before and after and _on_one_line(left[-1], right[-1]))
    fewer = min(len(left), len(right))
    if _is_prose(left) and _is_prose(right):
        return fewer
    if (_flows(left) or _flows(right)) and fewer >= _MIN_FACTS and 2 * level < fewer:
        return max(fewer, _MIN_LINES)
    return 0


def _on_one_line(a: Span, b: Span) -> bool:
    """Whether two spans share a baseline, by the usual share of type below it."""
    return abs((a.y1 - 0.2 * a.size) - (b.y1 - 0.2 * b.size)) < 0.12 * max(a.size, b.size)


def _flows(spans: Sequence[Span]) -> bool:
    """Whether lines are mostly full: the right side of a list of short things is ragged."""
    if len(spans) < 6 or statistics.median(sum(map(str.isalpha, span.text)) for span in spans) < 20:
        return False
    full = 0.75 * max(span.x1 - span.x0 for span in spans)
    return sum(span.x1 - span.x0 >= full for span in spans) >= 0.6 * len(spans)


def _is_prose(spans: Sequence[Span]) -> bool:
    if len(spans) < _MIN_LINES:
        return False
    letters = [sum(map(str.isalpha, span.text)) for span in spans]
    wide = statistics.median((span.x1 - span.x0) / span.size for span in spans if span.size > 0)
    return statistics.median(letters) >= _MIN_LETTERS or (wide >= 8 and statistics.median(letters) >= _MIN_LETTERS / 2)


def _heading_rows(rows: Sequence[Row], x0: float, x1: float) -> int:
    """How many rows at the top of a strip are a heading of both columns, beside nothing."""
    left = [span.size for row in rows for span in row.spans if span.x1 <= x0 + _SLACK]
    right = [span.size for row in rows for span in row.spans if span.x0 >= x1 - _SLACK]
    for i, row in enumerate(rows):
        if not row.spans:
            return i
        if row.spans[-1].x1 <= x0 + _SLACK:
            side = left
        elif row.spans[0].x0 >= x1 - _SLACK:
            side = right
        else:
            return i
        if min(span.size for span in row.spans) <= 1.15 * statistics.median(side):
            return i
    return 0
