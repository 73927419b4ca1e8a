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
from tasks.partition.pdf_evidence import is_free, why_figure
from tasks.partition.pdf_labels import Lettering, assign, box_of, lettering
from tasks.partition.pdf_pictures import Placed
from tasks.partition.pdf_scene import Scene, scene, shape_box
from tasks.partition.spans import Span

_REACH = 10.0  # points between drawings of one figure
_LABEL_REACH = 1.4  # of a label's type size
_MIN_SIDES = (28.0, 48.0)  # points
_MIN_AREA = 0.004  # of the page
_MARK = 16.0  # points: a group that is smaller is not even counted
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


def find_figures(
    drawings: Drawings,
    images: Sequence[Placed],
    spans: Sequence[Span],
    tables: Sequence[Box],
    size: tuple[float, float],
    counts: collections.Counter[str],
) -> list[Figure]:
    """The figures of a page, top to bottom. `images` are those worth keeping and those that are too small to be."""
    if not images and not drawings.shapes:
        return []
    text = lettering(spans, size)
    found = scene(drawings, text, tables, size)
    figures: list[Figure] = []
    for group in _groups(found, images):
        figures += _figures_of(group, text, size, counts)
    figures = _merged([_with_labels(f, text, size) if f.image is None else f for f in figures], counts)
    figures.sort(key=lambda figure: (round(figure.box[1]), round(figure.box[0])))
    captions = assign(text.captions, [figure.box for figure in figures], size)
    return [dataclasses.replace(figure, caption=c) for figure, c in zip(figures, captions, strict=True)]


def _groups(found: Scene, images: Sequence[Placed]) -> list[_Group]:
    """What lies together, of which rules alone are nothing."""
    shapes, rules = found.shapes, found.rules
    boxes = [shape_box(s) for s in shapes] + [image.box for image in images] + [shape_box(r) for r in rules]
    made = []
    for members in groups(boxes, _REACH):
        group = _Group([], [], [], union(boxes[i] for i in members))
        for i in members:
            if i < len(shapes):
                group.shapes.append(shapes[i])
            elif i < len(shapes) + len(images):
                group.images.append(images[i - len(shapes)])
            else:
                group.rules.append(rules[i - len(shapes) - len(images)])
        if group.shapes or group.images:
            made.append(group)
    return made


def _figures_of(
    group: _Group, text: Lettering, size: tuple[float, float], counts: collections.Counter[str]
) -> list[Figure]:
    """The one figure that a group is, or its pictures, or nothing."""
    page_area = size[0] * size[1]
    if group.images and not _overlaid(group, text):
        alone = [Figure(image.box, "raster", "", image) for image in group.images]
        if group.shapes:
            rest = union(shape_box(s) for s in (*group.shapes, *group.rules))
            alone += _figures_of(_Group(group.shapes, group.rules, [], rest), text, size, counts)
        return alone
    box = group.box
    if max(box[2] - box[0], box[3] - box[1]) < _MARK:
        return []
    counts["figures_found"] += 1
    near = [s for s in (*text.labels, *text.prose) if center_in(box_of(s), grown(box, 1.5 * s.size))]
    reason = why_figure(group.shapes, group.rules, near, box, page_area)
    if group.images and not reason:
        reason = "overlay"
    short, long = sorted((box[2] - box[0], box[3] - box[1]))
    if not reason:
        counts["figures_dropped_decoration"] += 1
    elif short < _MIN_SIDES[0] or long < _MIN_SIDES[1] or area(box) < _MIN_AREA * page_area:
        counts["figures_dropped_small"] += 1
    elif _prose_share(box, text) > _MAX_PROSE:
        counts["figures_dropped_decoration"] += 1
    else:
        counts["figures_kept"] += 1
        return [Figure(box, "mixed" if group.images else "vector", "", None, reason)]
    return []


def _overlaid(group: _Group, text: Lettering) -> bool:
    """Whether drawings are part of what a group's pictures show: marks on them, axes around them, arrows between."""
    free = [shape_box(s) for s in group.shapes if is_free(s)]
    covered = sum(area(image.box) for image in group.images)
    if covered < 0.35 * area(group.box) and len(free) >= 3:
        return True
    for image in group.images:
        on = [box for box in free if within(box, grown(image.box, 4.0)) > 0.5]
        if len(on) >= 2:
            return True
        ticks = [r for r in group.rules if within(shape_box(r), grown(image.box, 12.0)) > 0.5]
        beside = [s for s in text.labels if _at_edge(box_of(s), image.box)]
        if len(ticks) >= 5 and len(beside) >= 3:
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
    box = common(box, (0.0, 0.0, *size))
    return dataclasses.replace(figure, box=box)


def _merged(figures: list[Figure], counts: collections.Counter[str]) -> list[Figure]:
    """Figures that lie on each other are one; a picture within a drawing is part of it."""
    out: list[Figure] = []
    for figure in sorted(figures, key=lambda f: -area(f.box)):
        host = next((i for i, other in enumerate(out) if _belongs(figure, other)), None)
        if host is None:
            out.append(figure)
            continue
        other = out[host]
        kinds = {figure.kind, other.kind}
        kind: Kind = other.kind if len(kinds) == 1 else "mixed"
        counts["figures_kept"] -= figure.image is None
        counts["figures_found"] -= figure.image is None
        if other.image is not None and figure.image is None:
            counts["figures_kept"] += 1
            counts["figures_found"] += 1
        out[host] = Figure(union((figure.box, other.box)), kind, "", None, other.why or figure.why)
    return out


def _belongs(figure: Figure, other: Figure) -> bool:
    if figure.image is not None and other.image is not None:
        return False
    return within(figure.box, other.box) > 0.5 or iou(figure.box, other.box) > 0.3
