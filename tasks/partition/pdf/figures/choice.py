"""Which embedded pictures of a PDF page are worth a look: not its background, nothing blank, nothing tiny.

In: the pictures of a page, as placed. Out: those that may be figures, tiles joined, small ones marked as such. What is
dropped is counted with its reason: `pictures_found` is always `pictures_kept` and all `pictures_dropped_...` together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pypdfium2

from tasks.partition.boxes import Box, groups, within
from tasks.partition.context import PartContext
from tasks.partition.pdf.content import View
from tasks.partition.pdf.figures.pictures import Placed, is_blank, is_smooth, joined, stamp
from tasks.partition.pdf.figures.tiles import join_tiles, stacked
from tasks.partition.pdf.render import region
from tasks.partition.tally import drop

_MAX_PICTURES = 40  # per page: beyond are the glyphs of a font, or dots of a map
_BACKGROUND = 0.85  # of the page
_INK = 8  # pixels
_INKED = 12.0  # of 255: how far pixels deviate where there are letters
_LINE_GAP = 10.0  # points
_THIN, _SHORT = 12.0, 36.0  # points of the sides, below which a picture is a mark, a line or an icon


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The pictures that drawings may belong to, and those that lie behind everything and are figures by themselves."""

    pictures: list[Placed]
    behind: list[Placed]


def choose(
    images: list[Placed], words: Sequence[Box], page: pypdfium2.PdfPage, view: View, context: PartContext
) -> Choice:
    """The pictures of a page that are worth a look. `words` are the boxes of its text."""
    images = [image for image in images if _can_be_decoded(image, context)]
    large = [image for image in images if image.coverage(view.size) >= _BACKGROUND]
    whole = join_tiles([i for i in images if i.coverage(view.size) < _BACKGROUND], page, view)
    behind = [image for image in large if _is_worth(image, context, background=True)]
    drop(context.counts, "pictures", "background", len(behind[:-1]))  # the last one covers the others
    inked, whole = _inked_words(whole, words, page, view)
    worth = [i for i in whole if not _is_small(i, context) and _is_worth(i, context, background=False)]
    small = [dataclasses.replace(i, small=True) for i in whole if _is_small(i, context)]
    kept = [*stacked(worth), *inked]
    kept.sort(key=lambda image: (round(image.box[1]), round(image.box[0])))
    drop(context.counts, "pictures", "many", len(kept[_MAX_PICTURES:]))
    return Choice([*kept[:_MAX_PICTURES], *small], behind[-1:])


def _inked_words(
    images: list[Placed], words: Sequence[Box], page: pypdfium2.PdfPage, view: View
) -> tuple[list[Placed], list[Placed]]:
    """A few pixels stretched over a line are colour seen through letters, which no text layer has: pictures of such
    lines, joined, and the other pictures."""
    lines: list[Placed] = []
    others: list[Placed] = []
    for image in images:
        width, height = image.box[2] - image.box[0], image.box[3] - image.box[1]
        flat = max(image.pixels) <= _INK and 8 <= height <= 80 and width >= 2 * height
        told = any(within(word, image.box) > 0.5 for word in words)
        (lines if flat and not told else others).append(image)
    found = []
    for part in groups([line.box for line in lines], _LINE_GAP):
        whole = joined([lines[i] for i in part])
        shown = np.asarray(region(page, view, whole.box, 1.0, 500_000).convert("L"))
        if shown.std() > _INKED and shown.size:
            found.append(dataclasses.replace(whole, letters=True))
        else:
            others += [lines[i] for i in part]
    return found, others


def _is_small(image: Placed, context: PartContext) -> bool:
    width, height = image.box[2] - image.box[0], image.box[3] - image.box[1]
    return (
        min(image.pixels) < context.settings.min_picture_px or min(width, height) < _THIN or max(width, height) < _SHORT
    )


def _can_be_decoded(image: Placed, context: PartContext) -> bool:
    """Refuse by its header what would take too much memory, before anything is decoded."""
    if image.pixels[0] * image.pixels[1] <= context.settings.max_pixels:
        return True
    drop(context.counts, "pictures", "large")
    context.warn(f"a picture of {image.pixels[0]} x {image.pixels[1]} pixels is more than partition.max_pixels allows")
    return False


def _is_worth(image: Placed, context: PartContext, background: bool) -> bool:
    """Whether a picture shows something. One behind the whole page must show more than a wash of colour."""
    if len(image.images) > 1:
        return True
    seen = stamp(image)
    if seen is None:
        return True  # the page's own picture of it will tell
    if background and is_smooth(seen):
        drop(context.counts, "pictures", "background")
        return False
    if is_blank(seen):
        drop(context.counts, "pictures", "blank")
        return False
    return True
