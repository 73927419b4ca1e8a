"""From spans of text to blocks in reading order: rows, columns, paragraphs. PDF and OCR share it.

In: spans, and boxes of what is no text but has its place (tables, pictures) or holds text of its own (frames). Out:
blocks and those boxes' numbers in the order in which a reader meets them. Pure functions; which block is a heading is
decided later, from the whole document (`finish`).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
from collections.abc import Sequence

from tasks.partition.columns import Gutter, Row, gutters
from tasks.partition.order import in_order
from tasks.partition.spans import BULLET, Block, Line, Span, joined

Box = tuple[float, float, float, float]
_NOTE = re.compile(r"^(?:\(?\d{1,2}[).]?|[*†‡§¶]{1,3})\s*[^\W\d]")
_WIDEST = 1.5  # type sizes between the lines of one paragraph; a page of a few lone lines has no usual gap
_SENTENCE_ENDS = (".", ":", "?", "!", "。", "：", "？", "！")


@dataclasses.dataclass(frozen=True, slots=True)
class Atom:
    """A box with a place in the reading order: number `index` of those given, or (-1) blocks laid out before."""

    box: Box
    index: int
    inside: tuple[Block | int, ...] = ()


def blocks(spans: Sequence[Span]) -> list[Block]:
    """The blocks of a page that is all text, in reading order."""
    return [block for block in arrange(spans) if isinstance(block, Block)]


def arrange(spans: Sequence[Span], boxes: Sequence[Box] = (), frames: Sequence[Box] = ()) -> list[Block | int]:
    """Blocks and the numbers of `boxes` in reading order. What stands in a frame is read together.

    Turned text comes last: stamps in the margin, labels of axes.
    """
    upright = [span for span in spans if not span.angle]
    found = _arranged(upright, [Atom(box, i) for i, box in enumerate(boxes)], list(frames))
    turned = [span for span in spans if span.angle]
    for _, same in itertools.groupby(turned, key=lambda span: span.angle):
        found.append(Block([Line([span]) for span in same]))
    return found


def _arranged(spans: list[Span], atoms: list[Atom], frames: list[Box]) -> list[Block | int]:
    for frame in sorted(frames, key=_area, reverse=True):
        inner = [span for span in spans if _holds(frame, (span.x0, span.y0, span.x1, span.y1))]
        if len(inner) < 2 or len(inner) == len(spans):
            continue
        rest = [span for span in spans if not _holds(frame, (span.x0, span.y0, span.x1, span.y1))]
        if any(_touches(frame, span) for span in rest):
            continue  # text runs across its edge: decoration
        boxed = [atom for atom in atoms if _holds(frame, atom.box)]
        smaller = [other for other in frames if other != frame and _holds(frame, other)]
        others = [other for other in frames if other != frame and not _holds(frame, other)]
        inside = _arranged(inner, boxed, smaller)
        outside = [atom for atom in atoms if not _holds(frame, atom.box)]
        return _arranged(rest, [*outside, Atom(frame, -1, tuple(inside))], others)
    return _in_columns(spans, atoms)


def _in_columns(spans: list[Span], atoms: list[Atom]) -> list[Block | int]:
    rows = [joined(row) for row in _rows(spans)]
    between = gutters(_with_atoms(rows, atoms), [atom.box for atom in atoms]) if rows else []
    items: list[Line | Atom] = [line for row in rows for line in _lines(row, between)]
    stacks = _stacks(sorted([*items, *atoms], key=lambda item: (item.box[1], item.box[0])), between)
    sequences = [_stack_blocks(stacks[i].items) for i in in_order([stack.box for stack in stacks])]
    if len(sequences) == 1:
        return sequences[0]
    notes = _footnotes(sequences)
    return [*itertools.chain(*sequences), *notes]


@dataclasses.dataclass(slots=True)
class _Stack:
    """What stands one below the other in a column."""

    items: list[Line | Atom]
    box: Box

    def add(self, item: Line | Atom) -> None:
        self.items.append(item)
        a, b = self.box, item.box
        self.box = min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _stacks(items: Sequence[Line | Atom], between: Sequence[Gutter]) -> list[_Stack]:
    """Items, top to bottom, in stacks: of one column each, and parted by what stands across their way."""
    stacks: list[_Stack] = []
    last: dict[tuple[int, int], int] = {}
    for item in items:
        key = _column(item.box, between) if between else (-1, -1)
        at = last.get(key)
        if at is not None and not any(_meets(item.box, stacks[at].box, other.box) for other in stacks[at + 1 :]):
            stacks[at].add(item)
        else:
            last[key] = len(stacks)
            stacks.append(_Stack([item], item.box))
    return stacks


def _meets(box: Box, above: Box, other: Box) -> bool:
    """Whether `other` stands between a stack and what would be its next item: across the way of both."""
    middle = (other[1] + other[3]) / 2
    return min(above[3], box[1]) - 1 <= middle <= box[3] and min(other[2], box[2]) > max(other[0], box[0])


def _stack_blocks(stack: Sequence[Line | Atom]) -> list[Block | int]:
    found: list[Block | int] = []
    for is_atom, items in itertools.groupby(stack, key=lambda item: isinstance(item, Atom)):
        if is_atom:
            for atom in items:
                assert isinstance(atom, Atom)
                found += atom.inside if atom.index < 0 else [atom.index]
        else:
            found += _paragraphs([item for item in items if isinstance(item, Line)])
    return found


def _footnotes(sequences: list[list[Block | int]]) -> list[Block | int]:
    """Footnotes, taken from the ends of columns: they come after the body, not between its columns."""
    sizes = [line.size for found in sequences for block in found if isinstance(block, Block) for line in block.lines]
    if not sizes:
        return []
    body = statistics.median(sizes)
    notes: list[Block | int] = []
    for found in sequences:
        at = len(found)
        while at > 1 and _is_small(found[at - 1], body):
            at -= 1
        at = next((i for i in range(at, len(found)) if _is_note(found[i])), len(found))
        notes += found[at:]
        del found[at:]
    return notes


def _is_small(block: Block | int, body: float) -> bool:
    return isinstance(block, Block) and block.size <= 0.92 * body and not block.tabular


def _is_note(block: Block | int) -> bool:
    return isinstance(block, Block) and _NOTE.match(block.text) is not None


def _with_atoms(rows: Sequence[Sequence[Span]], atoms: Sequence[Atom]) -> list[Row]:
    """Rows with what atoms take of their height; an atom with no text beside it is a row of its own."""
    made = []
    for row in rows:
        y0, y1 = min(span.y0 for span in row), max(span.y1 for span in row)
        middle = (y0 + y1) / 2
        beside = [(atom.box[0], atom.box[2]) for atom in atoms if atom.box[1] <= middle <= atom.box[3]]
        made.append(Row(list(row), [(span.x0, span.x1) for span in row] + beside, y0, y1))
    for atom in atoms:
        x0, y0, x1, y1 = atom.box
        if not any(y0 <= (row.y0 + row.y1) / 2 <= y1 for row in made):
            made.append(Row([], [(x0, x1)], y0, y1))
    return sorted(made, key=lambda row: row.y0 + row.y1)


def _lines(row: Sequence[Span], between: Sequence[Gutter]) -> list[Line]:
    """A row's lines: parted where a gutter runs through it."""
    if not between:
        return [Line(joined(row, one_column=True))]
    parts = [[row[0]]]
    for before, span in itertools.pairwise(row):
        middle = (span.y0 + span.y1) / 2
        if any(g.parts(middle) and before.x1 <= g.x0 + 2 and span.x0 >= g.x1 - 2 for g in between):
            parts.append([span])
        else:
            parts[-1].append(span)
    return [Line(joined(part, one_column=True)) for part in parts]


def _column(box: Box, between: Sequence[Gutter]) -> tuple[int, int]:
    """The gutters left and right of a box; -1 where there is none."""
    middle = (box[1] + box[3]) / 2
    left = right = -1
    for i, gutter in enumerate(between):
        if gutter.parts(middle):
            if gutter.x1 <= box[0] + 2:
                left = i
            elif gutter.x0 >= box[2] - 2 and right < 0:
                right = i
    return left, right


def _rows(spans: Sequence[Span]) -> list[list[Span]]:
    """Spans by baseline, each row left to right. Columns need not share their baselines."""
    rows: list[list[Span]] = []
    for span in sorted(spans, key=lambda s: (s.y0 + s.y1, s.x0)):
        row = next((row for row in rows[-2:] if _is_of(span, row)), None)
        if row is None:
            rows.append([span])
        else:
            row.append(span)
    return [sorted(row, key=lambda s: s.x0) for row in rows]


def _is_of(span: Span, row: Sequence[Span]) -> bool:
    """Whether a span stands on a row's baseline, beside all that is on it."""
    first = row[0]
    if min(first.y1, span.y1) - max(first.y0, span.y0) <= 0.5 * min(first.height, span.height):
        return False
    return all(span.x0 >= o.x1 - 0.5 * o.size or span.x1 <= o.x0 + 0.5 * o.size for o in row)


def _paragraphs(lines: list[Line]) -> list[Block]:
    """Lines of one column as blocks."""
    if not lines:
        return []
    gaps = [b.y0 - a.y1 for a, b in itertools.pairwise(lines) if b.y0 > a.y0]
    usual = statistics.median(gaps) if gaps else 0.0
    right = max(line.x1 for line in lines)
    found = [Block([lines[0]])]
    for before, line in itertools.pairwise(lines):
        if _continues(before, line, usual, right):
            found[-1].lines.append(line)
        else:
            found.append(Block([line]))
    return found


def _continues(before: Line, line: Line, usual: float, right: float) -> bool:
    """Whether a line belongs to the paragraph (or the run of table rows) of the line before it."""
    gap = line.y0 - before.y1
    if gap > min(max(usual, 0.0), _WIDEST * before.size) + 0.45 * before.size or gap < -1.5 * before.size:
        return False
    if abs(before.size - line.size) > 0.12 * max(before.size, line.size):
        return False
    if before.tabular or line.tabular:
        return before.tabular and line.tabular
    if before.bold != line.bold or BULLET.match(line.text):
        return False
    ended = before.text.rstrip().endswith(_SENTENCE_ENDS)
    starts_paragraph = ended and line.x0 > before.x0 + 0.8 * line.size
    short = ended and before.x1 < right - 0.25 * (right - before.x0)
    return not (starts_paragraph or short)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _holds(box: Box, inner: Box) -> bool:
    return box[0] - 2 <= inner[0] and box[1] - 2 <= inner[1] and inner[2] <= box[2] + 2 and inner[3] <= box[3] + 2


def _touches(box: Box, span: Span) -> bool:
    """Whether a span reaches into a box by more than its edge."""
    wide = min(box[2], span.x1) - max(box[0], span.x0)
    high = min(box[3], span.y1) - max(box[1], span.y0)
    return wide > 3 and high > 0.5 * span.height
