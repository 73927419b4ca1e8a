"""Pictures as elements: the picture itself, then the text that OCR reads in it. A frame of a TIFF is a page."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition import ocr
from tasks.partition.context import PartContext
from tasks.partition.hints import Hint
from tasks.partition.layout import blocks
from tasks.partition.pdf.render import png
from tasks.partition.tally import keep
from tasks.rows import Box, ElementRow

_KEPT = frozenset({"image/png", "image/jpeg", "image/webp"})


def open_picture(path: Path) -> Image.Image:
    """The picture, its header read; nothing is decoded yet."""
    Image.MAX_IMAGE_PIXELS = None  # `ocr.check_pixels` names the setting, and comes before any decoding
    try:
        image = Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DocumentError("malformed", "the picture cannot be read", "it may be damaged; fetch it again") from error
    return image


def count_frames(path: Path) -> int:
    with open_picture(path) as image:
        return getattr(image, "n_frames", 1) if image.format == "TIFF" else 1


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """An Image element per frame with its raw bytes, and the text in it with boxes."""
    with open_picture(path) as image:
        frames = count_frames(path)
        last = frames if context.last is None else min(context.last, frames)
        rows: list[ElementRow] = []
        for number in range(context.first, last + 1):
            try:
                if frames > 1:
                    image.seek(number - 1)
                ocr.check_pixels(image.size, context.settings.max_pixels)
                image.load()
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                raise DocumentError(
                    "malformed", f"frame {number} cannot be decoded: {error}", "it may be cut off; fetch it again"
                ) from error
            rows += _frame(image, number, path, context)
            context.pages += 1
        return rows


def _frame(image: Image.Image, number: int, path: Path, context: PartContext) -> list[ElementRow]:
    kept = context.media_type in _KEPT
    data, media_type = (path.read_bytes(), context.media_type) if kept else (png(image), "image/png")
    keep(context.counts, "pictures")
    media = context.blob(data, media_type)
    whole = Box.of(number, 0, 0, 1, 1)
    rows = [ElementRow(0, "Image", "", number, (whole,), media=media, media_type=media_type)]
    if context.settings.route == "hi_res":
        context.hints.append(Hint())
    if not context.ocr:
        return rows
    context.counts["pages_ocr"] += 1
    upright = ImageOps.exif_transpose(image)
    if context.settings.route == "hi_res":
        from tasks.partition.hi_res.page import read_page

        for row, hint in read_page(ocr.on_white(upright), context.read(upright), upright.size, number, context):
            rows.append(row)
            context.hints.append(hint)
        return rows
    width, height = upright.size
    for block in blocks(context.read(upright)):
        x0, y0, x1, y1 = block.box
        text = clean(block.text)
        category = "NarrativeText" if len(text) > 80 else "UncategorizedText"
        box = Box.of(number, x0 / width, y0 / height, x1 / width, y1 / height)
        rows.append(ElementRow(0, category, text, number, (box,), origin="ocr"))
    return rows
