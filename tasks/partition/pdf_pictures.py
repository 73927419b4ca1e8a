"""The pictures in a PDF page: embedded rasters as they are, page renders where the page itself is the picture."""

from __future__ import annotations

import dataclasses
import io
import warnings

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from tasks.partition.context import PartContext
from tasks.partition.ocr import on_white
from tasks.partition.page import View

_MAX_PICTURES = 40  # per page: beyond are tiles of a map or the glyphs of a font
_POINTS_PER_INCH = 72


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """An image object on a page and its box there, in points from the top left."""

    image: pypdfium2.PdfImage
    box: tuple[float, float, float, float]
    pixels: tuple[int, int]

    def coverage(self, page: tuple[float, float]) -> float:
        """The share of the page that the picture covers."""
        x0, y0, x1, y1 = self.box
        width = max(0.0, min(x1, page[0]) - max(x0, 0.0))
        height = max(0.0, min(y1, page[1]) - max(y0, 0.0))
        return width * height / max(page[0] * page[1], 1.0)


def placed_images(page: pypdfium2.PdfPage, view: View) -> list[Placed]:
    """The image objects of a page, those in forms too."""
    found = []
    for image in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=5):
        try:
            left, bottom, right, top = _page_bounds(image)
            found.append(Placed(image, view.box(left, bottom, right, top), image.get_px_size()))
        except pypdfium2.PdfiumError:
            continue
    return found


def _page_bounds(image: pypdfium2.PdfObject) -> tuple[float, float, float, float]:
    """Bounds in page coordinates: objects in a form report them in the form's own."""
    left, bottom, right, top = image.get_bounds()
    corners = [(left, bottom), (left, top), (right, bottom), (right, top)]
    container = image.container
    while container is not None:
        matrix = container.get_matrix()
        corners = [matrix.on_point(x, y) for x, y in corners]
        container = getattr(container, "container", None)
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def wanted(images: list[Placed], page: tuple[float, float], context: PartContext) -> list[Placed]:
    """The pictures worth keeping, in reading order; the others are counted as dropped."""
    least = context.settings.min_picture_px
    kept = [
        placed
        for placed in images
        if min(placed.pixels) >= least
        and placed.pixels[0] * placed.pixels[1] <= context.settings.max_pixels
        and min(placed.box[2] - placed.box[0], placed.box[3] - placed.box[1]) >= 12
        and placed.box[0] < page[0] and placed.box[1] < page[1] and placed.box[2] > 0 and placed.box[3] > 0
    ]  # fmt: skip
    kept.sort(key=lambda placed: (round(placed.box[1]), round(placed.box[0])))
    context.counts["pictures_dropped"] += len(images) - len(kept[:_MAX_PICTURES])
    return kept[:_MAX_PICTURES]


def encode(placed: Placed) -> tuple[bytes, str] | None:
    """The picture's own JPEG bytes where they are that, else a PNG of it; None where pdfium cannot decode it."""
    image = placed.image
    try:
        if image.get_filters(skip_simple=True) == ["DCTDecode"]:
            data = bytes(image.get_data(decode_simple=True))
            with Image.open(io.BytesIO(data)) as jpeg:
                if jpeg.mode in ("L", "RGB"):
                    return data, "image/jpeg"
        return png(image.get_bitmap(render=False).to_pil()), "image/png"
    except (pypdfium2.PdfiumError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def render(page: pypdfium2.PdfPage, dpi: int, max_pixels: int) -> Image.Image:
    """The page as a picture, at most `max_pixels` large however large its paper is."""
    width, height = page.get_size()
    scale = dpi / _POINTS_PER_INCH
    pixels = width * height * scale * scale
    bound = min(max_pixels, 16_000_000)
    if pixels > bound:
        scale *= (bound / pixels) ** 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture: Image.Image = page.render(scale=scale).to_pil()
        return picture.convert("RGB")


def has_ink(page: pypdfium2.PdfPage) -> bool:
    """Whether anything shows on the page."""
    picture = render(page, 36, 1_000_000).convert("L")
    low, high = picture.getextrema()
    return high - low > 24  # type: ignore[operator]


def jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def png(picture: Image.Image) -> bytes:
    if picture.mode not in ("1", "L", "RGB", "RGBA", "P"):
        picture = on_white(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # a fifth larger, half the time
    return buffer.getvalue()
