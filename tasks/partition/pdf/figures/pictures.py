"""The embedded pictures of a PDF page: where each is seen, and its bytes.

In: a page. Out: `Placed` pictures, those that a producer cut into strips or tiles joined; and for each its encoded
bytes. A picture is what the reader sees. Its own bytes are kept where they show that (best quality, equal for equal
pictures); where a mask, a clip, a colour space, a turn or transparency makes it another, its region is rendered.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import io
import itertools
import math

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from tasks.partition.boxes import Box, area, common, union
from tasks.partition.ocr import on_white
from tasks.partition.pdf.content import View
from tasks.partition.pdf.pdfium import address_of, object_type, page_count, page_object
from tasks.partition.pdf.render import jpeg, png, region

_STAMP = 10_000  # pixels at which pictures are looked at
_OTHER = 40  # of 255: a pixel that differs by more is another one
_MAX_OTHER = 0.06  # of all pixels
_FLAT = 16  # of 255, between a picture's dark and light pixels: less shows nothing
_CLIP_POINTS = 1000
_MAX_IMAGES = 2000  # of a page
_MAX_DEPTH = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """A picture on a page: the box in which it is seen, in points from the top left, and its pixels.

    `images` are its image objects, more than one where it was cut. `plain` says that nothing turns, mirrors, clips or
    fades it, as far as its place on the page tells; `small` that it is no figure unless it is part of
    one; `letters` that it is colour seen through letters.
    """

    images: tuple[pypdfium2.PdfImage, ...]
    box: Box
    pixels: tuple[int, int]
    plain: bool
    small: bool = False
    letters: bool = False

    def coverage(self, page: tuple[float, float]) -> float:
        """The share of the page that the picture covers."""
        return area(common(self.box, (0.0, 0.0, *page))) / max(page[0] * page[1], 1.0)

    @property
    def density(self) -> float:
        """Pixels per point, along the side that has more."""
        x0, y0, x1, y1 = self.box
        return max(self.pixels[0] / max(x1 - x0, 0.1), self.pixels[1] / max(y1 - y0, 0.1))


@dataclasses.dataclass(frozen=True, slots=True)
class Embedded:
    """The pictures of a page, and the boxes of artwork that was placed on it as a whole (a plot in a paper, say)."""

    images: list[Placed]
    insets: list[Box]


def embedded(page: pypdfium2.PdfPage, view: View) -> Embedded:
    """The image objects of a page, those in forms too, as far as they lie on the page."""
    found = Embedded([], [])
    handle = address_of(page.raw)
    kinds = list(map(object_type, map(page_object, itertools.repeat(handle), range(page_count(handle)))))
    for index, kind in enumerate(kinds):
        if kind in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM):
            _collect(pypdfium2.PdfObject(pdfium.FPDFPage_GetObject(page.raw, index), page=page), view, found)
    return found


def _collect(thing: pypdfium2.PdfObject, view: View, found: Embedded) -> None:
    """Add a picture, or the pictures of a form."""
    with contextlib.suppress(pypdfium2.PdfiumError):
        if thing.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            placed = _placed(thing, view)
            if placed is not None and len(found.images) < _MAX_IMAGES:
                found.images.append(placed)
            return
        if thing.level == 0 and (inset := _inset(thing, view)) is not None:
            found.insets.append(inset)
    if thing.level >= _MAX_DEPTH:
        return
    for index in range(max(0, pdfium.FPDFFormObj_CountObjects(thing.raw))):
        raw = pdfium.FPDFFormObj_GetObject(thing.raw, index)
        if pdfium.FPDFPageObj_GetType(raw) in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM):
            inner = pypdfium2.PdfObject(raw, page=thing.page, container=thing, level=thing.level + 1)
            _collect(inner, view, found)


def _inset(form: pypdfium2.PdfObject, view: View) -> Box | None:
    """Where a form lies that was scaled or moved to its place; others are only how a producer groups objects."""
    matrix = form.get_matrix()
    if max(abs(value - own) for value, own in zip(matrix.get(), (1, 0, 0, 1, 0, 0), strict=True)) < 1e-3:
        return None
    bounds = form.get_bounds()
    clip = _clip(form)
    seen = common(bounds if clip is None else common(bounds, clip), (view.left, view.bottom, view.right, view.top))
    return view.box(*seen) if seen[0] < seen[2] and seen[1] < seen[3] else None


def stamp(placed: Placed) -> np.ndarray | None:
    """What a picture shows by itself, as small as a stamp: colour and opacity, after masks and clips.

    A few milliseconds, whatever else is on the page. None where pdfium cannot say.
    """
    image = placed.images[0]
    matrix = image.get_matrix()
    width, height = abs(matrix.a) + abs(matrix.c), abs(matrix.b) + abs(matrix.d)
    scale = (_STAMP / max(width * height, 1e-3)) ** 0.5
    scale = min(scale, 1000 / max(width, height, 1e-3))
    try:
        image.set_matrix(matrix.scale(scale, scale))
        bitmap = pdfium.FPDFImageObj_GetRenderedBitmap(image.pdf.raw, image.page.raw, image.raw)
    except pypdfium2.PdfiumError:
        return None
    finally:
        image.set_matrix(matrix)
    if not bitmap:
        return None
    return np.asarray(pypdfium2.PdfBitmap.from_raw(bitmap).to_pil().convert("RGBA"))


def is_blank(seen: np.ndarray) -> bool:
    """Whether a stamp is one colour, or nothing."""
    low, high = np.percentile(_on_white(seen), (0.5, 99.5), axis=(0, 1))
    return bool((high - low).max() < _FLAT)


def is_smooth(seen: np.ndarray) -> bool:
    """Whether a stamp has no detail, as the gradients and washes behind slides."""
    grey = _on_white(seen).mean(axis=2)
    steps = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:]
    return bool(steps.size == 0 or np.percentile(steps, 97) < _FLAT)


def encode(placed: Placed, page: pypdfium2.PdfPage, view: View, dpi: int, max_pixels: int) -> tuple[bytes, str]:
    """What the reader sees of a picture, as JPEG or PNG. Raises PdfiumError where the page cannot be rendered."""
    own = _own(placed) if placed.plain and len(placed.images) == 1 else None
    if own is not None:
        return own
    picture = region(page, view, placed.box, max(placed.density, dpi / 72), max_pixels)
    lossy = {"DCTDecode", "JPXDecode"}.intersection(name for image in placed.images for name in image.get_filters())
    return (jpeg(picture, 90), "image/jpeg") if lossy else (png(picture), "image/png")


def _own(placed: Placed) -> tuple[bytes, str] | None:
    """The picture's own bytes where they show what the page shows."""
    image = placed.images[0]
    seen = stamp(placed)
    if seen is None:
        return None
    try:
        if image.get_filters(skip_simple=True) == ["DCTDecode"]:
            data = bytes(image.get_data(decode_simple=True))
            with Image.open(io.BytesIO(data)) as own:
                if own.mode not in ("L", "RGB") or own.size != placed.pixels:
                    return None
                own.draft("RGB", (seen.shape[1], seen.shape[0]))  # decodes an eighth of the pixels of a large one
                return (data, "image/jpeg") if _alike(own, seen) else None
        decoded = image.get_bitmap(render=False).to_pil()
        if not _alike(decoded, seen):
            return None
        if "JPXDecode" in image.get_filters():
            return jpeg(decoded, 92), "image/jpeg"
        return png(decoded), "image/png"
    except (pypdfium2.PdfiumError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the page is rendered instead, as far as pdfium can


def _alike(own: Image.Image, seen: np.ndarray) -> bool:
    """Whether a picture looks as its stamp does."""
    size = max(1, seen.shape[1] // 2), max(1, seen.shape[0] // 2)
    shown = Image.fromarray(_on_white(seen).astype(np.uint8))
    a, b = (np.asarray(on_white(p).resize(size, Image.Resampling.BOX), np.int16) for p in (own, shown))
    other = np.abs(a - b).max(axis=2) > _OTHER
    tint = np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))).max()
    opaque = (seen[..., 3] > 250).mean() >= 1 - _MAX_OTHER
    return bool(opaque and other.mean() <= _MAX_OTHER and tint < _OTHER / 2)


def _on_white(seen: np.ndarray) -> np.ndarray:
    opacity = seen[..., 3:].astype(np.float32) / 255
    return seen[..., :3] * opacity + 255 * (1 - opacity)


def _placed(image: pypdfium2.PdfImage, view: View) -> Placed | None:
    forms = []
    container = image.container
    while container is not None:
        forms.append(container)
        container = container.container
    matrix = image.get_matrix()
    seen = _box_of([matrix.on_point(x, y) for x in (0, 1) for y in (0, 1)])
    whole = seen
    faded = bool(pdfium.FPDFPageObj_HasTransparency(image.raw))
    clip = _clip(image)
    seen = seen if clip is None else common(seen, clip)
    for form in forms:
        outer = form.get_matrix()
        matrix = matrix.multiply(outer)
        seen, whole = _moved(seen, outer), _moved(whole, outer)
        clip = _clip(form)
        seen = seen if clip is None else common(seen, clip)
        faded = faded or bool(pdfium.FPDFPageObj_HasTransparency(form.raw))
    page = (view.left, view.bottom, view.right, view.top)
    seen = common(seen, page)
    if seen[0] >= seen[2] or seen[1] >= seen[3]:
        return None
    straight = abs(matrix.b) + abs(matrix.c) <= 0.01 * (abs(matrix.a) + abs(matrix.d))
    upright = straight and matrix.a > 0 and matrix.d > 0 and view.turns % 4 == 0
    # A hair's breadth of clip is a producer's rounding; a page's edge cuts what is printed to the border of the paper.
    cut = area(seen) < 0.93 * area(common(whole, (page[0] - 12, page[1] - 12, page[2] + 12, page[3] + 12)))
    return Placed((image,), view.box(*seen), image.get_px_size(), upright and not cut and not faded)


def _clip(thing: pypdfium2.PdfObject) -> Box | None:
    """The box of an object's clip, in the coordinates of what holds the object."""
    path = pdfium.FPDFPageObj_GetClipPath(thing.raw)
    found: Box | None = None
    x, y = ctypes.c_float(), ctypes.c_float()
    for number in range(max(0, pdfium.FPDFClipPath_CountPaths(path)) if path else 0):
        count = pdfium.FPDFClipPath_CountPathSegments(path, number)
        if not 3 <= count <= _CLIP_POINTS:
            continue
        points = []
        for index in range(count):
            segment = pdfium.FPDFClipPath_GetPathSegment(path, number, index)
            pdfium.FPDFPathSegment_GetPoint(segment, x, y)
            points.append((x.value, y.value))
        found = _box_of(points) if found is None else common(found, _box_of(points))
    return found


def _moved(box: Box, matrix: pypdfium2.PdfMatrix) -> Box:
    return _box_of([matrix.on_point(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])])


def _box_of(points: list[tuple[float, float]]) -> Box:
    return union((x, y, x, y) for x, y in points)


def joined(parts: list[Placed]) -> Placed:
    """One picture of several that touch."""
    box = union(part.box for part in parts)
    density = max(part.density for part in parts)
    pixels = math.ceil((box[2] - box[0]) * density), math.ceil((box[3] - box[1]) * density)
    return Placed(tuple(image for part in parts for image in part.images), box, pixels, plain=False)
