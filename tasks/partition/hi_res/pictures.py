"""The pictures of a page: where the layout model sees one, and those embedded in a PDF that it has not seen.

In: a page, and the boxes that the model calls pictures. Out: for each what it shows, in the lake. A picture by itself
keeps its own bytes; all else is cut out of the page. What is found and not kept is counted with its reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import pypdfium2
from PIL import Image

from tasks.partition.boxes import Box, center_in, iou
from tasks.partition.context import PartContext
from tasks.partition.pdf.figures.choice import Choice, choose
from tasks.partition.pdf.figures.labels import box_of
from tasks.partition.pdf.figures.pictures import Placed, embedded, encode
from tasks.partition.pdf.page import keeping_text
from tasks.partition.pdf.render import jpeg, png, region
from tasks.partition.pdf.text.layer import PageText
from tasks.partition.tally import drop, keep

_SAME = 0.7  # overlap of a picture and of what the model sees
_WHOLE = 0.85  # of the page
_FLAT = 16  # of 255, between dark and light pixels: less shows nothing


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A picture: its box on the page in points, where in the lake it is, and its type."""

    box: Box
    media: str
    media_type: str


class Gallery(Protocol):
    """Where pictures of a page come from."""

    def seen(self, box: Box) -> Shown | None:
        """What the page shows in a box; None (and counted) where that is nothing, or too small."""
        ...

    def unseen(self, taken: Sequence[Box]) -> list[Shown]:
        """Pictures that lie in none of these boxes."""
        ...


class PdfGallery:
    """The pictures of a page of a PDF. Make one per page: it counts those that are not worth keeping."""

    def __init__(self, page: pypdfium2.PdfPage, text: PageText, number: int, context: PartContext) -> None:
        self._page, self._view, self._number, self._context = page, text.view, number, context
        choice = Choice([], [])
        with keeping_text(number, "figures", context):
            images = embedded(page, text.view).images
            choice = choose(images, [box_of(span) for span in text.spans], page, text.view, context)
        self._behind = choice.behind
        self._worth = [image for image in choice.pictures if not image.small]
        self._small = [image for image in choice.pictures if image.small]
        self._media: set[str] = set()

    def seen(self, box: Box) -> Shown | None:
        """The embedded picture that lies there by itself, else what the page shows there."""
        settings = self._context.settings
        inside = [image for image in (*self._worth, *self._small) if center_in(image.box, box)]
        if len(inside) == 1 and iou(inside[0].box, box) >= _SAME:
            return self._embedded(inside[0])
        try:
            shown = region(self._page, self._view, box, settings.figure_dpi / 72, settings.figure_pixels)
        except (pypdfium2.PdfiumError, OSError, ValueError):
            self._unreadable()
            return None
        if _is_nothing(shown, self._context):
            return None
        return self._kept(box, (jpeg(shown, 90), "image/jpeg") if inside else (png(shown), "image/png"))

    def unseen(self, taken: Sequence[Box]) -> list[Shown]:
        others = [image for image in self._worth if not any(center_in(image.box, box) for box in taken)]
        alone = [image for image in self._small if not any(center_in(image.box, box) for box in taken)]
        drop(self._context.counts, "pictures", "small", len(alone))
        found = [self._embedded(image) for image in (*self._behind, *others)]
        return [shown for shown in found if shown is not None]

    def _embedded(self, image: Placed) -> Shown | None:
        settings = self._context.settings
        try:
            encoded = encode(image, self._page, self._view, settings.figure_dpi, settings.figure_pixels)
        except (pypdfium2.PdfiumError, OSError, ValueError):
            self._unreadable()
            return None
        return self._kept(image.box, encoded)

    def _kept(self, box: Box, encoded: tuple[bytes, str]) -> Shown | None:
        media = self._context.blob(*encoded)
        if media in self._media:
            drop(self._context.counts, "pictures", "duplicate")
            return None
        self._media.add(media)
        keep(self._context.counts, "pictures")
        return Shown(box, media, encoded[1])

    def _unreadable(self) -> None:
        drop(self._context.counts, "pictures", "unreadable")
        self._context.warn(f"page {self._number}: a picture could not be decoded")


class ScanGallery:
    """The pictures of a page that is one picture itself, and is kept; `scale` is its pixels per point."""

    def __init__(self, picture: Image.Image, scale: float, context: PartContext) -> None:
        self._picture, self._scale, self._context = picture, scale, context

    def seen(self, box: Box) -> Shown | None:
        x0, y0, x1, y1 = (round(value * self._scale) for value in box)
        shown = self._picture.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
        if shown.width * shown.height >= _WHOLE * self._picture.width * self._picture.height:
            drop(self._context.counts, "pictures", "duplicate")
            return None
        if _is_nothing(shown, self._context):
            return None
        keep(self._context.counts, "pictures")
        return Shown(box, self._context.blob(jpeg(shown, 90), "image/jpeg"), "image/jpeg")

    def unseen(self, taken: Sequence[Box]) -> list[Shown]:
        return []


def _is_nothing(shown: Image.Image, context: PartContext) -> bool:
    """Whether a part of a page is too small for a picture, or blank; it is counted then."""
    low, high = shown.convert("L").getextrema()
    small = min(shown.size) < context.settings.min_picture_px
    if small or high - low < _FLAT:  # type: ignore[operator]
        drop(context.counts, "pictures", "small" if small else "blank")
        return True
    return False
