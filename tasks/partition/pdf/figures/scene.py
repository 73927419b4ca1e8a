"""What is drawn on a page, without what is no part of any figure: backgrounds, bands, panels behind text, the rules of
tables, underlines, bullets.

In: drawings, pictures, text and tables of a page. Out: `Scene`, the shapes and rules that figures are made of.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tasks.partition.boxes import Box, area, common, groups, grown, within
from tasks.partition.pdf.content import Drawings, Rule, Shape
from tasks.partition.pdf.figures.labels import Lettering, box_of
from tasks.partition.spans import Span

_PAGE = 0.5  # of the page: a shape that covers more lies behind it
_BAND = 0.8  # of the page's width or height, at its edge
_BULLET = 13.0  # points
_LINE = 15  # characters of a line that has a bullet
_PROSE_LINES = 2  # on a rectangle make it a panel
_TOUCH = 2.0  # points
_MAX_RULES = 1500
_GRID = 100.0  # points between the lines of one grid


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What figures can be made of, and the panels that some of them lie on."""

    shapes: list[Shape]
    rules: list[Rule]
    panels: list[Box]


def shape_box(shape: Shape | Rule) -> Box:
    return shape.x0, shape.y0, shape.x1, shape.y1


def is_boxy(shape: Shape) -> bool:
    """Whether a shape can be a rectangle, its corners rounded or not."""
    if shape.curved:
        return 15 <= shape.segments <= 22
    return shape.level and shape.segments <= 6


def scene(drawings: Drawings, text: Lettering, tables: Sequence[Box], size: tuple[float, float]) -> Scene:
    """The drawings that figures may be made of."""
    shapes: list[Shape] = []
    panels: list[Box] = []
    words = _Words([*text.labels, *text.prose])
    lines = np.array([box_of(span) for span in text.prose]).reshape(-1, 4)
    for shape in _fills_joined(drawings.shapes):
        box = shape_box(shape)
        if _behind_page(box, size) or _in_table(box, tables):
            continue
        if words.has_bullet(box) and (is_boxy(shape) or not _is_pointed(box, drawings.rules)):
            continue
        if is_boxy(shape) and count_in(lines, box) >= _PROSE_LINES:
            panels.append(box)
        elif not (is_boxy(shape) and words.are_on(box)):
            shapes.append(shape)
    rules = [rule for rule in drawings.rules if not _in_table(shape_box(rule), tables)]
    rules = [rule for rule in rules[:_MAX_RULES] if not words.stand_on(rule)]
    return Scene(shapes, _structure(rules, shapes, size, lines), panels)


def _is_pointed(box: Box, rules: Sequence[Rule]) -> bool:
    """Whether a mark is at the end of a rule: an arrow's head."""
    near = grown(box, 1.0)
    return any(r.x0 < near[2] and r.x1 > near[0] and r.y0 < near[3] and r.y1 > near[1] for r in rules)


class _Words:
    """The text of a page as arrays: shapes by the hundred are compared with all of it."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.places = np.array([box_of(span) for span in spans]).reshape(-1, 4)
        self.sizes = np.array([span.size for span in spans])
        self.long = np.array([len(span.text) >= _LINE for span in spans], bool)

    def has_bullet(self, box: Box) -> bool:
        """Whether a shape is a mark at the beginning of a line of text."""
        if max(box[2] - box[0], box[3] - box[1]) > _BULLET:
            return False
        x0, y0, _, y1 = self.places.T
        middle, gap = (box[1] + box[3]) / 2, x0 - box[2]
        beside = (y0 - 2 <= middle) & (middle <= y1 + 2) & (gap >= -1) & (gap <= 2.5 * self.sizes)
        return bool((beside & self.long).any())

    def are_on(self, box: Box) -> bool:
        """Whether a shape is a fill behind the words of one line."""
        if box[3] - box[1] > 40:
            return False
        x0, y0, x1, y1 = self.places.T
        on = (x0 >= box[0] - 3) & (x1 <= box[2] + 3) & (y0 >= box[1] - 4) & (y1 <= box[3] + 4)
        covered = float((x1 - x0)[on].sum())
        return covered >= 0.75 * (box[2] - box[0]) and bool((self.sizes[on] > 0.5 * (box[3] - box[1])).any())

    def stand_on(self, rule: Rule) -> bool:
        """Whether a rule underlines text."""
        if rule.y0 != rule.y1:
            return False
        x0, y0, x1, y1 = self.places.T
        above = (y0 < rule.y0) & (rule.y0 <= y1 + 2) & (x0 < rule.x1) & (x1 > rule.x0)
        covered = np.minimum(x1[above], rule.x1) - np.maximum(x0[above], rule.x0)
        return float(covered.sum()) >= 0.6 * (rule.x1 - rule.x0)


def _fills_joined(shapes: Sequence[Shape]) -> list[Shape]:
    """Shapes, of which fills of one colour side by side are one: the stripe of a table is drawn cell by cell."""
    found: list[Shape] = []
    last: dict[tuple[float, float, tuple[int, int, int] | None], int] = {}
    for shape in shapes:
        key = (round(shape.y0), round(shape.y1), shape.color)
        plain = shape.filled and not shape.stroked and shape.color is not None and is_boxy(shape)
        before = last.get(key) if plain else None
        if before is not None and shape.x0 <= found[before].x1 + 1 and shape.x1 >= found[before].x0 - 1:
            other = found[before]
            wide = (min(other.x0, shape.x0), max(other.x1, shape.x1))
            found[before] = dataclasses.replace(other, x0=wide[0], x1=wide[1])
            continue
        if plain:
            last[key] = len(found)
        found.append(shape)
    return found


def _behind_page(box: Box, size: tuple[float, float]) -> bool:
    """Whether a shape is the page's background, or a band along its edge."""
    seen = common(box, (0.0, 0.0, *size))
    if area(seen) >= _PAGE * size[0] * size[1]:
        return True
    wide, high = seen[2] - seen[0] >= _BAND * size[0], seen[3] - seen[1] >= _BAND * size[1]
    edge_x = seen[0] <= 0.02 * size[0] or seen[2] >= 0.98 * size[0]
    edge_y = seen[1] <= 0.02 * size[1] or seen[3] >= 0.98 * size[1]
    return (wide and edge_y) or (high and edge_x)


def _in_table(box: Box, tables: Sequence[Box]) -> bool:
    return any(within(box, grown(table, 2.0)) > 0.6 for table in tables)


def count_in(lines: np.ndarray, box: Box) -> int:
    """How many lines of text, as rows of boxes, lie on a box."""
    x, y = (lines[:, 0] + lines[:, 2]) / 2, (lines[:, 1] + lines[:, 3]) / 2
    return int(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).sum())


def _structure(rules: list[Rule], shapes: list[Shape], size: tuple[float, float], lines: np.ndarray) -> list[Rule]:
    """The rules that touch others or shapes; not frames around prose or the page."""
    boxes = [*map(shape_box, rules), *map(shape_box, shapes)]
    kept = []
    grid = {id(rule) for family in grid_lines(rules) for rule in family}
    for members in groups(boxes, _TOUCH):
        found = [rules[i] for i in members if i < len(rules)]
        own_shapes = len(members) - len(found)
        if not found or (len(members) == 1 and id(found[0]) not in grid):
            continue
        x0, y0 = min(boxes[i][0] for i in members), min(boxes[i][1] for i in members)
        x1, y1 = max(boxes[i][2] for i in members), max(boxes[i][3] for i in members)
        box = (x0, y0, x1, y1)
        if not own_shapes and (area(box) > _PAGE * size[0] * size[1] or count_in(lines, box) >= _PROSE_LINES):
            continue
        kept += [r for r in found if max(r.x1 - r.x0, r.y1 - r.y0) < 0.9 * max(size)]
    return kept


def grid_lines(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Upright rules of one length side by side: the months of a schedule, the steps of a scale."""
    families: dict[tuple[int, int], list[Rule]] = collections.defaultdict(list)
    for rule in rules:
        if rule.x0 == rule.x1 and rule.y1 - rule.y0 >= 30:
            families[round(rule.y0 / 2), round(rule.y1 / 2)].append(rule)
    found = []
    for family in families.values():
        run: list[Rule] = []
        for rule in sorted(family, key=lambda rule: rule.x0):
            if run and rule.x0 - run[-1].x0 > _GRID:
                found.append(run)
                run = []
            run.append(rule)
        found.append(run)
    return [run for run in found if len(run) >= 3]
