"""The figures of a PDF page: pictures, charts and diagrams, however they were drawn.

In: what is drawn on the page, its pictures and text, and where its tables are. Out: Figures with boxes and captions.
Drawings that lie near each other are one group; a group is a figure where it has what figures have (`evidence`),
and is counted as dropped where it has not. Pictures in such a group are part of it; others are figures themselves.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Literal

from tasks.partition.boxes import Box, area, center_in, common, grown, iou, union, within
from tasks.partition.pdf.content import Drawings
from tasks.partition.pdf.figures.evidence import is_free, why_figure
from tasks.partition.pdf.figures.groups import Group, make_groups, sides
from tasks.partition.pdf.figures.labels import SOURCE, Lettering, assign, box_of, headline, lettering
from tasks.partition.pdf.figures.pictures import Embedded, Placed
from tasks.partition.pdf.figures.scene import scene, shape_box
from tasks.partition.spans import Span
from tasks.partition.tally import drop

_NAMES = 70.0  # points between bars and their names
_LABEL_REACH = 1.4  # of a label's type size
_MIN_SIDES = (28.0, 48.0)  # points
_MIN_AREA = 0.004  # of the page
_MARK = 16.0  # points: a group that is smaller is not even counted
_MANY_SHAPES, _FEW_WORDS = 100, 40
_DRAWING = 250  # lines and shapes of a technical drawing
_FEW_RULES = 8  # between which no point of a plot can lie
_MAX_OVERLAID = 0.4  # of the page
_TICK = 8.0  # points
_MAX_PROSE = 0.22  # of a group's area: more is a text with ornaments

Kind = Literal["raster", "vector", "mixed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A figure: `image` is its picture where it is nothing but that. `why` says what it was told by; `photographs` that
    it is pictures for the most part."""

    box: Box
    kind: Kind
    caption: str
    image: Placed | None = None
    why: str = ""
    photographs: bool = False


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
    rejected: list[Group] = []
    for group in make_groups(found, embedded, size):
        figures += _figures_of(group, text, size, rejected)
    figures = [_with_labels(f, text, size) if f.image is None else f for f in figures]
    figures, rejected = _rescued(_merged(figures), rejected, text, size)
    figures.sort(key=lambda figure: (round(figure.box[1]), round(figure.box[0])))
    captions = assign(text, [figure.box for figure in figures], size)
    for group in rejected:
        drop(counts, "figures", group.reason)
    inside = [f.box for f in figures if f.image is None]
    kept = {id(figure.image) for figure in figures}
    for image in embedded.images:
        if id(image) not in kept and not any(center_in(image.box, box) for box in inside):
            drop(counts, "pictures", "small")
    named = []
    for figure, caption in zip(figures, captions, strict=True):
        if figure.why != "lettering" and (not caption or SOURCE.match(caption)):
            caption = " ".join(part for part in (headline(figure.box, text), caption) if part)
        named.append(dataclasses.replace(figure, caption=caption))
    return named


def whole_page(
    figures: Sequence[Figure],
    drawings: Drawings,
    spans: Sequence[Span],
    tables: Sequence[Box],
    size: tuple[float, float],
) -> Figure | None:
    """The page as one figure where its meaning is graphic: drawn all over and next to no text in it, or a drawing whose
    parts were found and that has nothing but labels."""
    drawn = [figure for figure in figures if figure.image is None]
    told = max((area(figure.box) for figure in figures), default=0.0) >= 0.75 * size[0] * size[1]
    if told or sum(map(area, tables)) > 0.15 * size[0] * size[1]:
        return None
    page = (0.0, 0.0, *size)
    words = sum(span.text.count(" ") + 1 for span in spans)
    if words < _FEW_WORDS and (drawings.cut or len(drawings.shapes) >= _MANY_SHAPES):
        return Figure(page, "vector", "", None, "page", True)
    if len(drawn) >= 2 and len(drawings.shapes) + len(drawings.rules) >= _DRAWING and not lettering(spans, size).prose:
        return Figure(page, "vector", "", None, "drawing")
    return None


def _figures_of(group: Group, text: Lettering, size: tuple[float, float], rejected: list[Group]) -> list[Figure]:
    """The one figure that a group is, or its pictures, or nothing; then it is among the rejected."""
    page_area = size[0] * size[1]
    if group.placed:
        return [Figure(_inset_box(group.box, text), "mixed" if group.images else "vector", "", None, "placed")]
    if group.images and not _overlaid(group, text, size):
        alone = [_alone(image) for image in group.images if not image.small]
        if group.shapes:
            rest = union([*map(shape_box, group.shapes), *map(shape_box, group.rules)])
            alone += _figures_of(Group(group.shapes, group.rules, [], rest), text, size, rejected)
        return alone
    box = group.box
    if max(sides(box)) < _MARK:
        return []
    near = [s for s in (*text.labels, *text.prose) if center_in(box_of(s), grown(box, 1.5 * s.size))]
    why = why_figure(group.shapes, group.rules, near, _names(box, text), box, page_area)
    if group.images and not why:
        why = "overlay"
    short, long = sorted(sides(box))
    if short < _MIN_SIDES[0] or long < _MIN_SIDES[1] or area(box) < _MIN_AREA * page_area:
        group.reason = "small"
    elif why and _prose_share(box, text) <= _MAX_PROSE:
        most = sum(area(image.box) for image in group.images) > 0.6 * area(box)
        return [Figure(box, "mixed" if group.images else "vector", "", None, why, most)]
    rejected.append(group)
    return [_alone(image) for image in group.images if not image.small]


def _alone(image: Placed) -> Figure:
    return Figure(image.box, "raster", "", image, "lettering" if image.letters else "")


def _inset_box(box: Box, text: Lettering) -> Box:
    """Placed artwork with the text that reaches over its edge, without the caption that its frame may overlap."""
    for caption in text.captions:
        low = box[1] + 0.5 * (box[3] - box[1]) < caption.box[1] < box[3]
        if low and not caption.source and min(box[2], caption.box[2]) > max(box[0], caption.box[0]):
            box = (box[0], box[1], box[2], caption.box[1])
    spans = [box_of(s) for s in (*text.labels, *text.prose)]
    return union([box, *(span for span in spans if center_in(span, box))])


def _overlaid(group: Group, text: Lettering, size: tuple[float, float]) -> bool:
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
    box = union(f.box for f in figures)
    pictured = sum(area(f.box) for f in figures if f.image is not None or f.photographs) > 0.6 * area(box)
    return Figure(box, kind, "", None, next((f.why for f in figures if f.why), "overlay"), pictured)


def _belongs(figure: Figure, other: Figure) -> bool:
    if figure.image is not None and other.image is not None:
        return False
    return within(figure.box, other.box) > 0.5 or iou(figure.box, other.box) > 0.3


def _rescued(
    figures: list[Figure], rejected: list[Group], text: Lettering, size: tuple[float, float]
) -> tuple[list[Figure], list[Group]]:
    """A caption says that there is a figure: where none is, what was rejected between it and the text before is one."""
    named = assign(text, [figure.box for figure in figures], size)
    told = [part for part in named if part]
    for caption in text.captions:
        if caption.source or any(caption.text in part for part in told):
            continue
        box, above = _above(caption.box, rejected, text, size)
        if min(sides(box)) < _MIN_SIDES[0] or max(sides(box)) < _MIN_SIDES[1]:
            continue
        found = Figure(box, "mixed" if any(g.images for g in above) else "vector", "", None, "captioned")
        figures.append(_with_labels(found, text, size))
        rejected = [g for g in rejected if g not in above]
    return figures, rejected


def _above(
    caption: Box, rejected: Sequence[Group], text: Lettering, size: tuple[float, float]
) -> tuple[Box, list[Group]]:
    """The groups in a caption's column that stand on it, and on each other, up to the next prose."""
    found: list[Group] = []
    box = (caption[0], caption[1], caption[2], caption[1])
    prose = [s for s in text.prose if s.y1 <= caption[1] and min(s.x1, box[2]) > max(s.x0, box[0])]
    bottom = max((s.y1 for s in prose), default=0.0)
    for group in sorted(rejected, key=lambda g: -g.box[3]):
        shared = min(group.box[2], caption[2] + 60) - max(group.box[0], caption[0] - 60)
        inside = shared > 0.9 * (group.box[2] - group.box[0])
        if inside and group.box[1] >= bottom - 2 and -8 <= box[1] - group.box[3] <= 0.05 * size[1]:
            found.append(group)
            box = union((box, group.box))
    return union(g.box for g in found) if found else (0.0, 0.0, 0.0, 0.0), found
