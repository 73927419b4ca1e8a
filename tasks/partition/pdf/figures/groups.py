"""Drawings and pictures that lie near each other, as groups: each may be a figure.

In: the scene and the pictures of a page. Out: Groups. Placed artwork is a group, whatever is in it; bars reach as far
as they are thick; grids hold what is on them; what lies within a group's box belongs to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.partition.boxes import Box, area, groups, grown, union, within
from tasks.partition.pdf.content import Rule, Shape
from tasks.partition.pdf.figures.evidence import are_axes, is_free
from tasks.partition.pdf.figures.pictures import Embedded, Placed
from tasks.partition.pdf.figures.scene import Scene, grid_lines, shape_box
from tasks.partition.tally import Reason

_REACH = 10.0  # points between drawings of one figure
_FAR = 8.0  # points that thick bars reach further
_PAGE = 0.6  # of the page: what is larger holds nothing
_INSET = (0.004, 0.75)  # of the page
_INSET_SIDE = 48.0  # points
_MAX_HOSTS = 60


@dataclasses.dataclass(slots=True)
class Group:
    """Drawings that lie near each other."""

    shapes: list[Shape]
    rules: list[Rule]
    images: list[Placed]
    box: Box
    placed: bool = False
    reason: Reason = "decoration"


def make_groups(found: Scene, embedded: Embedded, size: tuple[float, float]) -> list[Group]:
    """What lies together, of which rules alone are nothing. Placed artwork is a group, whatever is in it."""
    things: list[Shape | Placed | Rule] = [*found.shapes, *embedded.images, *found.rules]
    boxes = [thing.box if isinstance(thing, Placed) else shape_box(thing) for thing in things]
    made: list[Group] = []
    left = list(range(len(things)))
    for inset in embedded.insets:
        if min(sides(inset)) < _INSET_SIDE or not _INSET[0] <= area(inset) / (size[0] * size[1]) <= _INSET[1]:
            continue
        members = [i for i in left if within(boxes[i], grown(inset, 1.0)) > 0.95]
        group = _group([things[i] for i in members], [boxes[i] for i in members], inset)
        if len(group.images) >= 2 or (len(members) >= 3 and len(group.shapes) + len(group.images) >= 1):
            made.append(group)
            left = [i for i in left if i not in set(members)]
    grids = [union(map(shape_box, family)) for family in grid_lines(found.rules)]
    reaching = [_reaching(things[i], boxes[i]) for i in left] + grids
    parts = [[left[i] for i in part if i < len(left)] for part in groups(reaching, _REACH)]
    parts = [part for part in parts if part]
    for members in _nested(parts, boxes, _PAGE * size[0] * size[1]):
        group = _group([things[i] for i in members], [boxes[i] for i in members], None)
        if group.shapes or group.images or are_axes(group.rules):
            made.append(group)
    return made


def _nested(parts: list[list[int]], boxes: Sequence[Box], most: float) -> list[list[int]]:
    """Parts with what lies within their box: the dots between two axes."""
    hosts: list[tuple[Box, list[int]]] = []
    for part in sorted(parts, key=lambda part: -area(union(boxes[i] for i in part))):
        box = union(boxes[i] for i in part)
        host = next((h for h in hosts[:_MAX_HOSTS] if area(h[0]) < most and within(box, h[0]) > 0.9), None)
        if host is None:
            hosts.append((box, list(part)))
        else:
            host[1].extend(part)
    return [members for _, members in hosts]


def _reaching(thing: Shape | Placed | Rule, box: Box) -> Box:
    """Bars stand further apart the thicker they are."""
    if not isinstance(thing, Shape) or is_free(thing) or not thing.filled:
        return box
    width, height = sides(box)
    x, y = (0.0, min(0.4 * height, _FAR)) if width >= height else (min(0.4 * width, _FAR), 0.0)
    return box[0] - x, box[1] - y, box[2] + x, box[3] + y


def _group(things: Sequence[Shape | Placed | Rule], boxes: Sequence[Box], inset: Box | None) -> Group:
    group = Group([], [], [], inset or union(boxes), placed=inset is not None)
    for thing in things:
        if isinstance(thing, Shape):
            group.shapes.append(thing)
        elif isinstance(thing, Placed):
            group.images.append(thing)
        else:
            group.rules.append(thing)
    return group


def sides(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]
