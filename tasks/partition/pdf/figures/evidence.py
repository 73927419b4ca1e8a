"""Whether a group of drawings is something that a reader would call a chart, a diagram or a picture.

In: the shapes and rules of a group, and the text on it. Out: why it is a figure, or an empty string.
"""

from __future__ import annotations

import collections
import itertools
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from tasks.partition.boxes import Box, area, center_in, common, groups, grown, iou, union, within
from tasks.partition.pdf.content import Rule, Shape
from tasks.partition.pdf.figures.labels import box_of
from tasks.partition.pdf.figures.scene import count_in, is_boxy, shape_box
from tasks.partition.spans import Span

_ARROW = (2.0, 16.0)  # points: the sides of an arrow's head
_MANY_MARKS = 6
_DETAILED = 60  # segments of an outline that nobody draws as an ornament
_NODE_WORDS = 14
_MANY_HEADS = 4
_LABEL = 24  # characters
_MAX_TRACED = 1000
_WHITE = 225  # of 255
_TALK = 6  # pieces of text for each bar: more is a form, or a page of text
_PALE = 180  # of 255: the least of red, green and blue in the fills of tables
_EVEN = 1.5  # points


def why_figure(
    shapes: Sequence[Shape],
    rules: Sequence[Rule],
    spans: Sequence[Span],
    names: Sequence[Span],
    box: Box,
    page_area: float,
) -> str:
    """What makes a group a figure, given the text on it and what may be the names of its bars.

    Bars, diagram, curves, marks, outline, axes, or words that are no text but outlines; empty where nothing does.
    """
    written = [shape for shape in shapes if _is_line_of_text(shape)]
    if written and len(written) >= 0.3 * len(shapes):
        area_of_words = sum(area(box_of(span)) for span in spans)
        return "" if area_of_words > 0.3 * sum(area(shape_box(shape)) for shape in written) else "lettering"
    free = [shape for shape in shapes if is_free(shape) and not _is_line_of_text(shape)]
    words = [box_of(span) for span in spans if any(map(str.isalpha, span.text))]
    solid = []
    for s in shapes:
        lightest = min(s.color) if s.color is not None else 0
        if not is_boxy(s) or not s.filled or lightest >= _WHITE or _says(shape_box(s), spans):
            continue  # white ones are fields of a form
        if lightest < _PALE or not any(center_in(word, shape_box(s)) for word in words):  # pale with words: a row
            solid.append(shape_box(s))
    if len(spans) <= _TALK * len(solid) and _bars(
        solid, [box_of(span) for span in (*spans, *names) if len(span.text) <= _LABEL]
    ):
        return "bars"
    if _diagram(shapes, rules, spans, free):
        return "diagram"
    large = [s for s in free if min(s.x1 - s.x0, s.y1 - s.y0) >= 20 or max(s.x1 - s.x0, s.y1 - s.y0) >= 48]
    labels = sum(1 for span in spans if len(span.text) <= _LABEL)
    traced = [s for s in large if s.segments >= (4 if s.stroked and not s.filled else 6)]
    if traced and (len(traced) >= 2 or labels >= 3 or _axes(rules)):
        return "curves"
    marks = [s for s in free if max(s.x1 - s.x0, s.y1 - s.y0) >= 2]
    if len(marks) >= _MANY_MARKS and (large or labels >= 3 or len(rules) >= 3 or len(marks) >= 4 * _MANY_MARKS):
        return "marks"
    if sum(s.segments for s in large) >= _DETAILED and area(box) >= 0.015 * page_area:
        return "outline"
    if are_axes(rules) and labels >= 4:
        return "axes"
    return ""


def plots(shapes: Sequence[Shape], spans: Sequence[Span], size: tuple[float, float]) -> list[Box]:
    """Where curves or maps are drawn that no words fill: what is written there is in no table."""
    traced = [shape_box(s) for s in shapes if _is_traced(s)]
    traced = [box for box in traced if area(box) < 0.5 * size[0] * size[1]]
    lines = np.array([box_of(s) for s in spans if len(s.text) > _LABEL]).reshape(-1, 4)
    bare = [box for box in traced if count_in(lines, box) < 3]
    found = [union(bare[i] for i in members) for members in groups(bare[:_MAX_TRACED], 6.0)]
    return [box for box in found if min(box[2] - box[0], box[3] - box[1]) >= 20]


def are_bars(table: Box, shapes: Sequence[Shape], spans: Sequence[Span]) -> bool:
    """Whether what was taken for a table is bars, on which numbers at most stand, and their names.

    Fills of cells are pale and end where others of their column do; bars are strong and end where their value is.
    """
    strong = [s for s in shapes if s.filled and s.color is not None and min(s.color) < _PALE]
    if not strong:
        return False
    held = [s for s in spans if center_in(box_of(s), grown(table, 2.0))]
    many = [s for s in strong if _is_many_bars(s) and area(common(shape_box(s), table)) >= 0.2 * area(table)]
    if any(not _is_filled_with_words(s, held) for s in many):
        return True
    told = [box_of(s) for s in held if any(map(str.isalpha, s.text))]
    inside = [shape_box(s) for s in strong if is_boxy(s) and within(shape_box(s), grown(table, 4.0)) > 0.7]
    bare = [b for b in inside if min(b[2] - b[0], b[3] - b[1]) >= 4 and not any(center_in(word, b) for word in told)]
    if len(bare) < 4 or len(bare) < 0.7 * len(inside):
        return False
    ends = [(round(b[2] / _EVEN), round(b[1] / _EVEN)) for b in bare]
    alone = max(sum(count == 1 for count in collections.Counter(end[axis] for end in ends).values()) for axis in (0, 1))
    return alone >= 0.5 * len(bare) and _bars(bare, told)


def _is_traced(shape: Shape) -> bool:
    long = max(shape.x1 - shape.x0, shape.y1 - shape.y0) >= 48
    return long and shape.segments >= 5 and not shape.level and is_free(shape) and not _is_line_of_text(shape)


def _is_many_bars(shape: Shape) -> bool:
    """Whether a shape is rectangles in one path."""
    return shape.level and not shape.curved and shape.segments >= 15 and shape.y1 - shape.y0 >= 48


def _is_filled_with_words(shape: Shape, spans: Sequence[Span]) -> bool:
    """Whether a filled shape is the ground of text: more than here and there a word stands on it."""
    on = [span for span in spans if center_in(box_of(span), shape_box(shape))]
    words = sum(any(map(str.isalpha, span.text)) for span in on)
    return shape.filled and words > 0.15 * len(on)


def is_free(shape: Shape) -> bool:
    """Whether a shape is no rectangle."""
    return not is_boxy(shape)


def _is_line_of_text(shape: Shape) -> bool:
    """Whether a shape is words drawn as outlines: flat, long, and full of curves."""
    width, height = shape.x1 - shape.x0, shape.y1 - shape.y0
    return (
        shape.filled
        and shape.curved
        and 3 <= height <= 40
        and width >= 2 * height
        and (shape.segments >= 25 * width / height)
    )


def _says(box: Box, spans: Sequence[Span]) -> bool:
    """Whether words fill a box, so that its length is theirs."""
    spans = [span for span in spans if span.y0 < box[3] and span.y1 > box[1] and span.x0 < box[2] and span.x1 > box[0]]
    inside = [span for span in spans if within(box_of(span), grown(box, 1.0)) > 0.8]
    return bool(inside) and sum(s.x1 - s.x0 for s in inside) >= 0.7 * (box[2] - box[0])


def _bars(boxes: Sequence[Box], labels: Sequence[Box]) -> bool:
    """Rectangles that are alike in one direction and vary in the other, in three places or more.

    The rows of a striped table vary in neither; cells of a grid have their edges in common with other rows.
    """
    return _level_bars(boxes, labels) or _level_bars([_turned(b) for b in boxes], [_turned(b) for b in labels])


def _turned(box: Box) -> Box:
    return box[1], box[0], box[3], box[2]


def _level_bars(boxes: Sequence[Box], labels: Sequence[Box]) -> bool:
    """Horizontal bars: rows of one thickness whose ends differ, from a common base or each with its label."""
    boxes = [box for box in boxes if box[2] - box[0] >= 1 and box[3] - box[1] >= 2]
    if len(boxes) < 3:
        return False
    thick = statistics.median(box[3] - box[1] for box in boxes)
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box[1]):
        if abs(box[3] - box[1] - thick) > max(_EVEN, 0.08 * thick):
            continue
        if rows and abs(box[1] - rows[-1][0][1]) <= _EVEN:
            rows[-1].append(box)
        else:
            rows.append([box])
    if len(rows) < 3:
        return False
    begins, ends = [min(b[0] for b in row) for row in rows], [max(b[2] for b in row) for row in rows]
    base = max(_most(begins), _most(ends))
    if not _apart(rows, thick) and (base < 0.9 * len(rows) or any(len(row) > 1 for row in rows)):
        return False  # rows without a gap between them: the bars of a histogram, or else tiles
    lengths = _different(end - begin for begin, end in zip(begins, ends, strict=True))
    inner = _different(edge for row in rows for box in row for edge in (box[0], box[2]))
    if base >= 0.6 * len(rows):
        return lengths >= max(3, 0.4 * len(rows)) or inner >= max(5, 1.5 * len(rows))
    named = sum(any(label[1] < row[0][3] and label[3] > row[0][1] for label in labels) for row in rows)
    return named >= 0.8 * len(rows) and max(_different(begins), lengths) >= 3


def _apart(rows: Sequence[Sequence[Box]], thick: float) -> bool:
    gaps = [b[0][1] - a[0][3] for a, b in itertools.pairwise(rows)]
    return statistics.median(gaps) >= 0.1 * thick


def _most(values: Sequence[float]) -> int:
    """How many values are the same, about."""
    return collections.Counter(round(value / _EVEN) for value in values).most_common(1)[0][1]


def _different(values: Iterable[float]) -> int:
    return len({round(value / _EVEN) for value in values})


def _diagram(shapes: Sequence[Shape], rules: Sequence[Rule], spans: Sequence[Span], free: Sequence[Shape]) -> bool:
    """Boxes with a few words in each, joined by lines or arrows."""
    frames = [shape_box(s) for s in shapes if s.x1 - s.x0 >= 18 and s.y1 - s.y0 >= 12] + frames_of(rules)
    nodes: list[Box] = []
    for frame in frames[:200]:  # a filled box with an outline is a shape and four rules
        if 1 <= _words_in(frame, spans) <= _NODE_WORDS and not any(iou(frame, node) > 0.8 for node in nodes):
            nodes.append(frame)
    nodes = [node for node in nodes if not any(_abuts(node, other) for other in nodes)]  # those are a table's cells
    inside = sum(any(center_in(box_of(span), node) for node in nodes) for span in spans)
    heads = [s for s in free if s.filled and _ARROW[0] <= max(s.x1 - s.x0, s.y1 - s.y0) <= _ARROW[1]]
    if len(nodes) < 2 or (inside < 0.4 * len(spans) and len(heads) < _MANY_HEADS):
        return False  # a form, or rows with fills: most words stand beside the boxes
    links = [rule for rule in rules if _links(shape_box(rule), nodes)]
    slanted = [s for s in free if s.segments <= 4 and not s.filled and _joins(shape_box(s), nodes)]
    return bool(links or slanted) and len(heads) + len(links) + len(slanted) >= 2


def frames_of(rules: Sequence[Rule]) -> list[Box]:
    """The rectangles that rules make."""
    level = [r for r in rules if r.y0 == r.y1][:200]
    upright = [r for r in rules if r.y0 != r.y1][:200]
    found = []
    for top, bottom in itertools.combinations(sorted(level, key=lambda r: r.y0), 2):
        if abs(top.x0 - bottom.x0) + abs(top.x1 - bottom.x1) > 3 or bottom.y0 - top.y0 < 10:
            continue
        sides = [r for r in upright if r.y0 <= top.y0 + 2 and r.y1 >= bottom.y0 - 2]
        if any(abs(r.x0 - top.x0) <= 2 for r in sides) and any(abs(r.x0 - top.x1) <= 2 for r in sides):
            found.append((top.x0, top.y0, top.x1, bottom.y0))
    return found


def _abuts(a: Box, b: Box) -> bool:
    """Whether two boxes lie on each other or share an edge."""
    if a == b:
        return False
    flush_x, flush_y = abs(a[0] - b[0]) + abs(a[2] - b[2]) <= 3, abs(a[1] - b[1]) + abs(a[3] - b[3]) <= 3
    beside = flush_y and min(abs(a[2] - b[0]), abs(b[2] - a[0])) <= 1.5
    below = flush_x and min(abs(a[3] - b[1]), abs(b[3] - a[1])) <= 1.5
    return beside or below or area(common(a, b)) > 0.1 * min(area(a), area(b))


def _links(line: Box, nodes: Sequence[Box]) -> bool:
    """Whether a line leads from one node to another: it touches two, lies outside of both, leaves from their edge."""
    near = [node for node in nodes if _touches(line, node)]
    if len(near) < 2 or any(within(line, grown(node, 1.0)) >= 0.5 for node in near):
        return False
    across, along = (1, 0) if line[2] - line[0] >= line[3] - line[1] else (0, 1)
    middle = (line[across] + line[across + 2]) / 2
    for at in (line[along] + 3, line[along + 2] - 3):
        x, y = (at, middle) if along == 0 else (middle, at)
        if any(n[0] + 1 < x < n[2] - 1 and n[1] + 1 < y < n[3] - 1 for n in near):
            return False
    return True


def _joins(line: Box, nodes: Sequence[Box]) -> bool:
    """Whether a slanted line, of which only the box is known, may lead from one node to another."""
    return sum(_touches(line, node) and within(line, grown(node, 1.0)) < 0.5 for node in nodes) >= 2


def _touches(line: Box, node: Box) -> bool:
    reach = grown(node, 9.0)  # arrows end short of what they point to
    return line[0] <= reach[2] and line[2] >= reach[0] and line[1] <= reach[3] and line[3] >= reach[1]


def are_axes(rules: Sequence[Rule]) -> bool:
    """Whether rules are axes with marks on them: something is plotted between, be it in dots that are no shapes."""
    ticks = sum(1 for rule in rules if 1 <= max(rule.x1 - rule.x0, rule.y1 - rule.y0) <= 8)
    return ticks >= 3 and _axes(rules)


def _words_in(box: Box, spans: Sequence[Span]) -> int:
    return sum(span.text.count(" ") + 1 for span in spans if center_in(box_of(span), box))


def _axes(rules: Sequence[Rule]) -> bool:
    """A horizontal and an upright rule that meet, both long."""
    level = [r for r in rules if r.y0 == r.y1 and r.x1 - r.x0 >= 30]
    upright = [r for r in rules if r.y0 != r.y1 and r.y1 - r.y0 >= 30]
    return any(h.x0 - 3 <= v.x0 <= h.x1 + 3 and v.y0 - 3 <= h.y0 <= v.y1 + 3 for h in level[:50] for v in upright[:50])
