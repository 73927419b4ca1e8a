"""Which embedded pictures of a PDF page are worth a look: not its background, nothing blank, nothing tiny.

In: the pictures of a page, as placed. Out: those that may be figures, tiles joined, small ones marked as such. What is
dropped is counted with its reason: `pictures_found` is always `pictures_kept` and all `pictures_dropped_...` together.
"""

from __future__ import annotations

import dataclasses

import pypdfium2

from tasks.partition.context import PartContext
from tasks.partition.page import View
from tasks.partition.pdf_pictures import Placed, is_blank, is_smooth, stamp
from tasks.partition.pdf_tiles import join_tiles, stacked

_MAX_PICTURES = 40  # per page: beyond are the glyphs of a font, or dots of a map
_BACKGROUND = 0.85  # of the page
_THIN, _SHORT = 12.0, 36.0  # points of the sides, below which a picture is a mark, a line or an icon


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The pictures that drawings may belong to, and those that lie behind everything and are figures by themselves."""

    pictures: list[Placed]
    behind: list[Placed]


def choose(images: list[Placed], page: pypdfium2.PdfPage, view: View, context: PartContext) -> Choice:
    """The pictures of a page that are worth a look."""
    images = [image for image in images if _can_be_decoded(image, context)]
    large = [image for image in images if image.coverage(view.size) >= _BACKGROUND]
    joined = join_tiles([i for i in images if i.coverage(view.size) < _BACKGROUND], page, view)
    behind = [image for image in large if _is_worth(image, context, background=True)]
    drop(context, "background", len(behind[:-1]))  # the last one covers the others
    worth = [i for i in joined if not _is_small(i, context) and _is_worth(i, context, background=False)]
    small = [dataclasses.replace(i, small=True) for i in joined if _is_small(i, context)]
    kept = stacked(worth)
    kept.sort(key=lambda image: (round(image.box[1]), round(image.box[0])))
    drop(context, "many", len(kept[_MAX_PICTURES:]))
    return Choice([*kept[:_MAX_PICTURES], *small], behind[-1:])


def drop(context: PartContext, reason: str, number: int = 1) -> None:
    """Count pictures that are not kept."""
    if number:
        context.counts["pictures_found"] += number
        context.counts[f"pictures_dropped_{reason}"] += number


def _is_small(image: Placed, context: PartContext) -> bool:
    width, height = image.box[2] - image.box[0], image.box[3] - image.box[1]
    return (
        min(image.pixels) < context.settings.min_picture_px or min(width, height) < _THIN or max(width, height) < _SHORT
    )


def _can_be_decoded(image: Placed, context: PartContext) -> bool:
    """Refuse by its header what would take too much memory, before anything is decoded."""
    if image.pixels[0] * image.pixels[1] <= context.settings.max_pixels:
        return True
    drop(context, "large")
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
        drop(context, "background")
        return False
    if is_blank(seen):
        drop(context, "blank")
        return False
    return True

