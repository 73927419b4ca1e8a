"""The figures of a PDF page: pictures, charts and diagrams, however they were drawn.

In: what is drawn on the page, its pictures and text, and where its tables are. Out: Figures with boxes and captions.
Drawings that lie near each other are one group; a group is a figure where it has what figures have (`pdf_evidence`),
and is counted as dropped where it has not. Pictures in such a group are part of it; others are figures themselves.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Literal

from tasks.partition.boxes import Box, area, center_in, common, grown, groups, iou, union, within
from tasks.partition.page import Drawings, Rule, Shape
from tasks.partition.pdf_evidence import are_axes, is_free, why_figure
from tasks.partition.pdf_labels import Lettering, assign, box_of, lettering
from tasks.partition.pdf_pictures import Embedded, Placed
from tasks.partition.pdf_scene import Scene, grid_lines, scene, shape_box
from tasks.partition.spans import Span

_REACH = 10.0  # points between drawings of one figure
_FAR = 12.0  # points that thick bars reach further
_NAMES = 70.0  # points between bars and their names
_LABEL_REACH = 1.4  # of a label's type size
_MIN_SIDES = (28.0, 48.0)  # points
_MIN_AREA = 0.004  # of the page
_MARK = 16.0  # points: a group that is smaller is not even counted
_PAGE = 0.6  # of the page: what is larger holds nothing
_MAX_HOSTS = 60
_FEW_RULES = 8  # between which no point of a plot can lie
_MAX_INSET = 0.75  # of the page
_MAX_OVERLAID = 0.4  # of the page
_TICK = 8.0  # points
_MAX_PROSE = 0.22  # of a group's area: more is a text with ornaments

Kind = Literal["raster", "vector", "mixed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A figure: `image` is its picture where it is nothing but that. `why` says what it was told by."""

    box: Box
    kind: Kind
    caption: str
    image: Placed | None = None
    why: str = ""


@dataclasses.dataclass(slots=True)
class _Group:
    """Drawings that lie near each other."""

    shapes: list[Shape]
    rules: list[Rule]
    images: list[Placed]
    box: Box
    placed: bool = False
    reason: str = ""


def find_figures(
    drawings: Drawings,
    embedded: Embedded,
    spans: Sequence[Span],
    tables: Sequence[Box],
    size: tuple[float, float],
    counts: collections.Counter[str],
) -> list[Figure]:
    """The figures of a page, top to bottom. Counts what is found and what is dropped, but not which pictures are kept:
    only who writes them knows."""
    if not embedded.images and not drawings.shapes and len(drawings.rules) < _FEW_RULES:
        return []
    text = lettering(spans, size)
    found = scene(drawings, text, tables, size)
    figures: list[Figure] = []
    rejected: list[_Group] = []
    for group in _groups(found, embedded, size):
        figures += _figures_of(group, text, size, rejected)
    figures = [_with_labels(f, text, size) if f.image is None else f for f in figures]
    figures, rejected = _rescued(_merged(figures), rejected, text, size)
    figures.sort(key=lambda figure: (round(figure.box[1]), round(figure.box[0])))
    captions = assign(text.captions, [figure.box for figure in figures], size)
    for group in rejected:
        counts["figures_found"] += 1
        counts[f"figures_dropped_{group.reason}"] += 1
    inside = [f.box for f in figures if f.image is None]
    kept = {id(figure.image) for figure in figures}
    for image in embedded.images:
        if id(image) not in kept and not any(center_in(image.box, box) for box in inside):
            counts["pictures_found"] += 1
            counts["pictures_dropped_small"] += 1
    return [dataclasses.replace(figure, caption=c) for figure, c in zip(figures, captions, strict=True)]


def _groups(found: Scene, embedded: Embedded, size: tuple[float, float]) -> list[_Group]:
    """What lies together, of which rules alone are nothing. Placed artwork is a group, whatever is in it."""
    things: list[Shape | Placed | Rule] = [*found.shapes, *embedded.images, *found.rules]
    boxes = [thing.box if isinstance(thing, Placed) else shape_box(thing) for thing in things]
    made: list[_Group] = []
    left = list(range(len(things)))
    for inset in embedded.insets:
        if min(_sides(inset)) < _MIN_SIDES[1] or not _MIN_AREA <= area(inset) / (size[0] * size[1]) <= _MAX_INSET:
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
    width, height = _sides(box)
    x, y = (0.0, min(0.4 * height, _FAR)) if width >= height else (min(0.4 * width, _FAR), 0.0)
    return box[0] - x, box[1] - y, box[2] + x, box[3] + y


def _group(things: Sequence[Shape | Placed | Rule], boxes: Sequence[Box], inset: Box | None) -> _Group:
    group = _Group([], [], [], inset or union(boxes), placed=inset is not None)
    for thing in things:
        if isinstance(thing, Shape):
            group.shapes.append(thing)
        elif isinstance(thing, Placed):
            group.images.append(thing)
        else:
            group.rules.append(thing)
    return group


def _figures_of(group: _Group, text: Lettering, size: tuple[float, float], rejected: list[_Group]) -> list[Figure]:
    """The one figure that a group is, or its pictures, or nothing; then it is among the rejected."""
    page_area = size[0] * size[1]
    if group.placed:
        return [Figure(_inset_box(group.box, text), "mixed" if group.images else "vector", "", None, "placed")]
    if group.images and not _overlaid(group, text, size):
        alone = [Figure(image.box, "raster", "", image) for image in group.images if not image.small]
        if group.shapes:
            rest = union(shape_box(s) for s in (*group.shapes, *group.rules))
            alone += _figures_of(_Group(group.shapes, group.rules, [], rest), text, size, rejected)
        return alone
    box = group.box
    if max(_sides(box)) < _MARK:
        return []
    near = [s for s in (*text.labels, *text.prose) if center_in(box_of(s), grown(box, 1.5 * s.size))]
    why = why_figure(group.shapes, group.rules, near, _names(box, text), box, page_area)
    if group.images and not why:
        why = "overlay"
    short, long = sorted(_sides(box))
    if short < _MIN_SIDES[0] or long < _MIN_SIDES[1] or area(box) < _MIN_AREA * page_area:
        group.reason = "small"
    elif not why or _prose_share(box, text) > _MAX_PROSE:
        group.reason = "decoration"
    else:
        return [Figure(box, "mixed" if group.images else "vector", "", None, why)]
    rejected.append(group)
    return [Figure(image.box, "raster", "", image) for image in group.images if not image.small]


def _inset_box(box: Box, text: Lettering) -> Box:
    """Placed artwork with the text that reaches over its edge, without the caption that its frame may overlap."""
    for caption in text.captions:
        if not caption.source and box[1] + 0.5 * (box[3] - box[1]) < caption.box[1] < box[3]:
            if min(box[2], caption.box[2]) > max(box[0], caption.box[0]):
                box = (box[0], box[1], box[2], caption.box[1])
    spans = [box_of(s) for s in (*text.labels, *text.prose)]
    return union([box, *(span for span in spans if center_in(span, box))])


def _overlaid(group: _Group, text: Lettering, size: tuple[float, float]) -> bool:
    """Whether drawings are part of what a group's pictures show: marks on them, axes around them, arrows between."""
    free = [shape_box(s) for s in group.shapes if is_free(s)]
    covered = sum(area(image.box) for image in group.images)
    if covered < 0.35 * area(group.box) and len(free) >= 3:
        return True
    if covered > _MAX_OVERLAID * size[0] * size[1]:
        return False  # the background of a slide, whatever stands on it
    for image in group.images:
        on = [box for box in free if within(box, grown(image.box, 4.0)) > 0.5]
        if len(on) >= 2:
            return True
        short = [r for r in group.rules if max(r.x1 - r.x0, r.y1 - r.y0) <= _TICK]
        ticks = [r for r in short if within(shape_box(r), grown(image.box, 12.0)) > 0.5]
        beside = [s for s in text.labels if len(s.text) <= 16 and _at_edge(box_of(s), image.box)]
        if len(ticks) >= 2 and len(beside) >= 3:
            return True
    return False


def _at_edge(label: Box, image: Box) -> bool:
    return center_in(label, grown(image, 30.0)) and not center_in(label, image)


def _prose_share(box: Box, text: Lettering) -> float:
    inside = sum(area(common(box_of(span), box)) for span in text.prose if center_in(box_of(span), box))
    return inside / max(area(box), 1.0)


def _with_labels(figure: Figure, text: Lettering, size: tuple[float, float]) -> Figure:
    """The figure with the labels around it: short pieces of text next to it that are no headings."""
    box = figure.box
    limit = (box[0] - 0.35 * size[0], box[1] - 0.12 * size[1], box[2] + 0.35 * size[0], box[3] + 0.12 * size[1])
    inside = [s.size for s in text.labels if center_in(box_of(s), grown(box, 12.0))]
    usual = sorted(inside)[len(inside) // 2] if inside else 9.0
    for _ in range(3):
        before = box
        for span in text.labels:
            place = box_of(span)
            if span.size > 1.3 * usual + 1 or within(place, limit) < 0.99:
                continue
            if area(common(place, grown(box, _LABEL_REACH * span.size))) <= 0 or within(place, box) > 0.99:
                continue
            wider = union((box, place))
            if not any(center_in(box_of(p), wider) and not center_in(box_of(p), box) for p in text.prose):
                box = wider
        if box == before:
            break
    if figure.why == "bars":
        box = _with_names(box, text)
    box = common(box, (0.0, 0.0, *size))
    return dataclasses.replace(figure, box=box)


def _with_names(box: Box, text: Lettering) -> Box:
    """Bars with their names, which stand in a column of their own."""
    beside = _names(box, text)
    for edge in ("x0", "x1"):
        for span in beside:
            column = [s for s in beside if abs(getattr(s, edge) - getattr(span, edge)) <= 2]
            if len(column) >= 3:
                return union([box, *map(box_of, column)])
    return box


def _names(box: Box, text: Lettering) -> list[Span]:
    """What may be the names of bars: labels on their level, to the left."""
    return [s for s in text.labels if box[1] <= (s.y0 + s.y1) / 2 <= box[3] and -2 <= box[0] - s.x1 <= _NAMES]


def _merged(figures: list[Figure]) -> list[Figure]:
    """Figures that lie on each other are one; a picture within a drawing is part of it."""
    out: list[Figure] = []
    for figure in sorted(figures, key=lambda f: -area(f.box)):
        host = next((i for i, other in enumerate(out) if _belongs(figure, other)), None)
        if host is None:
            out.append(figure)
        else:
            out[host] = _together([out[host], figure])
    return out


def _together(figures: Sequence[Figure]) -> Figure:
    kinds = {figure.kind for figure in figures}
    kind: Kind = figures[0].kind if len(kinds) == 1 else "mixed"
    return Figure(union(f.box for f in figures), kind, "", None, next((f.why for f in figures if f.why), "overlay"))


def _belongs(figure: Figure, other: Figure) -> bool:
    if figure.image is not None and other.image is not None:
        return False
    return within(figure.box, other.box) > 0.5 or iou(figure.box, other.box) > 0.3


def _rescued(
    figures: list[Figure], rejected: list[_Group], text: Lettering, size: tuple[float, float]
) -> tuple[list[Figure], list[_Group]]:
    """A caption says that there is a figure: where none is, what was rejected between it and the text before is one."""
    named = assign(text.captions, [figure.box for figure in figures], size)
    told = [part for part in named if part]
    for caption in text.captions:
        if caption.source or any(caption.text in part for part in told):
            continue
        box, above = _above(caption.box, rejected, text, size)
        if min(_sides(box)) < _MIN_SIDES[0] or max(_sides(box)) < _MIN_SIDES[1]:
            continue
        found = Figure(box, "mixed" if any(g.images for g in above) else "vector", "", None, "captioned")
        figures.append(_with_labels(found, text, size))
        rejected = [g for g in rejected if g not in above]
    return figures, rejected


def _above(
    caption: Box, rejected: Sequence[_Group], text: Lettering, size: tuple[float, float]
) -> tuple[Box, list[_Group]]:
    """The groups in a caption's column that stand on it, and on each other, up to the next prose."""
    found: list[_Group] = []
    box = (caption[0], caption[1], caption[2], caption[1])
    bottom = max([s.y1 for s in text.prose if s.y1 <= caption[1] and min(s.x1, box[2]) > max(s.x0, box[0])], default=0.0)
    for group in sorted(rejected, key=lambda g: -g.box[3]):
        shared = min(group.box[2], caption[2] + 60) - max(group.box[0], caption[0] - 60)
        inside = shared > 0.9 * (group.box[2] - group.box[0])
        if inside and group.box[1] >= bottom - 2 and -8 <= box[1] - group.box[3] <= 0.05 * size[1]:
            found.append(group)
            box = union((box, group.box))
    return union(g.box for g in found) if found else (0.0, 0.0, 0.0, 0.0), found


def _sides(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]
