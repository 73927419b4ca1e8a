"""Pages of a PDF, and regions of them, as pictures of bounded size."""

from __future__ import annotations

import io
import warnings

import pypdfium2
from PIL import Image

from tasks.partition.boxes import Box
from tasks.partition.ocr import on_white
from tasks.partition.pdf.content import View

_POINTS_PER_INCH = 72
_MAX_PAGE_PIXELS = 16_000_000


def render(page: pypdfium2.PdfPage, dpi: int, max_pixels: int) -> Image.Image:
    """The page as a picture, at most `max_pixels` large however large its paper is."""
    width, height = page.get_size()
    scale = dpi / _POINTS_PER_INCH
    pixels = width * height * scale * scale
    bound = min(max_pixels, _MAX_PAGE_PIXELS)
    if pixels > bound:
        scale *= (bound / pixels) ** 0.5
    return _rendered(page, scale)


def region(page: pypdfium2.PdfPage, view: View, box: Box, scale: float, max_pixels: int) -> Image.Image:
    """What a box of the view shows, at `scale` pixels a point or as many as fit."""
    width, height = view.size
    x0, y0, x1, y1 = max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3])
    pixels = max(x1 - x0, 1.0) * max(y1 - y0, 1.0) * scale * scale
    if pixels > max_pixels:
        scale *= (max_pixels / pixels) ** 0.5
    least = 2 / scale  # pixels that pdfium can draw, however thin the box
    x0, y0 = max(0.0, min(x0, width - least)), max(0.0, min(y0, height - least))
    x1, y1 = min(width, max(x1, x0 + least)), min(height, max(y1, y0 + least))
    turn = (90 * view.turns - page.get_rotation()) % 360
    cut = (x0, max(0.0, height - y1), max(0.0, width - x1), y0)  # left, bottom, right, top
    return _rendered(page, scale, turn, cut)


def has_ink(page: pypdfium2.PdfPage) -> bool:
    """Whether anything shows on the page."""
    picture = render(page, 36, 1_000_000).convert("L")
    low, high = picture.getextrema()
    return high - low > 24  # type: ignore[operator]


def jpeg(picture: Image.Image, quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    on_white(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def png(picture: Image.Image) -> bytes:
    if picture.mode not in ("1", "L", "RGB", "RGBA", "P"):
        picture = on_white(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # a fifth larger, half the time
    return buffer.getvalue()


def _rendered(
    page: pypdfium2.PdfPage, scale: float, turn: int = 0, cut: tuple[float, float, float, float] = (0, 0, 0, 0)
) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture: Image.Image = page.render(scale=scale, rotation=turn, crop=cut, rev_byteorder=True).to_pil()
        return picture.convert("RGB")
