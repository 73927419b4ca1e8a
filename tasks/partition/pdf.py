"""PDF pages as elements, by pdfium alone: text layer where it can be trusted, OCR of the page where not.

In: a PDF and a range of its pages. Out: ElementRows in reading order with boxes; `context.type_sizes` beside them, from
which `tasks.partition.finish` tells headings, running headers and repeated pictures across the whole document.
Tables and vector figures deserve more than the aligned rows of today: `page_elements` is the place.
"""

from __future__ import annotations

import re
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from tasks.errors import DocumentError
from tasks.partition import ocr, pdf_pictures
from tasks.partition.clean import clean
from tasks.partition.context import PartContext
from tasks.partition.layout import blocks
from tasks.partition.pdf_pictures import Placed
from tasks.partition.pdf_text import PageText, page_text
from tasks.partition.spans import Block
from tasks.rows import Box, ElementRow, Origin

_BOLD = 0.25  # points that bold type counts more, so that a bold line outranks body text of its size
_SCAN_COVERAGE = 0.5
_FEW_CHARACTERS = 100
_CAPTION = re.compile(
    r"^(?:fig(?:ure|\.)?|table|chart|exhibit|plate|photo|图|圖|表)\s*[\dA-Z一二三四五六七八九十]", re.IGNORECASE
)


def open_pdf(path: Path) -> pypdfium2.PdfDocument:
    """The document. Raises DocumentError `encrypted` or `malformed`."""
    try:
        document = pypdfium2.PdfDocument(path)
        if len(document) == 0:
            raise DocumentError("malformed", "the PDF has no pages", "fetch it again")
        return document
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD or "password" in str(error).lower():
            raise DocumentError("encrypted", "the PDF needs a password", "save it without a password") from error
        raise DocumentError(
            "malformed", f"the PDF cannot be read: {error}", "it may be cut off; fetch it again"
        ) from error


def count_pages(path: Path) -> int:
    with open_pdf(path) as document:
        return len(document)


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """The elements of pages `context.first` to `context.last`."""
    rows: list[ElementRow] = []
    with open_pdf(path) as document:
        context.title = clean(document.get_metadata_value("Title"))
        last = len(document) if context.last is None else min(context.last, len(document))
        for number in range(context.first, last + 1):
            try:
                page = document[number - 1]
            except pypdfium2.PdfiumError as error:
                raise DocumentError("malformed", f"page {number} cannot be read: {error}", "fetch it again") from error
            rows += page_elements(page, number, context)
            page.close()
            context.pages += 1
    return rows


def page_elements(page: pypdfium2.PdfPage, number: int, context: PartContext) -> list[ElementRow]:
    """One page's elements. A page that shows something never comes back empty without a warning."""
    text = page_text(page)
    size = text.view.size
    images = pdf_pictures.placed_images(page, text.view)
    if text.cut:
        context.warn(f"page {number}: the text layer is larger than any page; the rest of it was left out")
    scan = text.characters < _FEW_CHARACTERS and any(i.coverage(size) >= _SCAN_COVERAGE for i in images)
    if text.usable and not scan:
        return _native(text, images, number, context)
    if not text.spans and not pdf_pictures.has_ink(page):
        context.counts["pages_blank"] += 1
        return []
    return _scanned(page, text, images, number, context)


def _native(text: PageText, images: list[Placed], number: int, context: PartContext) -> list[ElementRow]:
    found = blocks(text.spans)
    rows = [
        (block.box, _text_row(block, number, text.view.size, "text-layer", text.turned), _rank(block))
        for block in found
    ]
    for placed in pdf_pictures.wanted(images, text.view.size, context):
        row = _picture_row(placed, found, number, text, context)
        if row is not None:
            at = next((i for i, (box, _, _) in enumerate(rows) if _below(box, placed.box)), len(rows))
            rows.insert(at, (placed.box, row, 0.0))
    kept = [(row, rank) for _, row, rank in rows if row.text or row.media]
    context.type_sizes += [rank for _, rank in kept]
    return [row for row, _ in kept]


def _scanned(
    page: pypdfium2.PdfPage, text: PageText, images: list[Placed], number: int, context: PartContext
) -> list[ElementRow]:
    """A page whose text layer is missing or garbage: a picture of the page, and what OCR reads on it."""
    picture = pdf_pictures.render(page, context.settings.ocr_dpi, context.settings.max_pixels)
    rows: list[ElementRow] = []
    if context.ocr:
        context.counts["pages_ocr"] += 1
        spans = ocr.read(picture)
        if text.usable and sum(len(span.text) for span in spans) < 1.5 * text.characters + 20:
            return _native(text, images, number, context)  # the picture is a background: the layer says it exactly
        found = blocks(spans)
        rows = [_text_row(block, number, picture.size, "ocr") for block in found]
        context.type_sizes += [0.0] * len(rows)
        if not rows:
            context.warn(f"page {number}: no text layer, and OCR found no text in the picture")
    else:
        context.warn(f"page {number}: no usable text layer, and OCR is off")
        if text.spans:  # better than nothing, and said
            return _native(text, images, number, context)
    context.type_sizes.append(0.0)
    context.counts["pictures_kept"] += 1
    media = context.blob(pdf_pictures.jpeg(picture), "image/jpeg")
    box = Box.of(number, 0, 0, 1, 1)
    rows.append(
        ElementRow(
            0, "Image", "", number, (box,), media=media, media_type="image/jpeg", origin="ocr" if rows else "native"
        )
    )
    return rows


def _text_row(block: Block, number: int, size: tuple[float, float], origin: Origin, turned: int = 0) -> ElementRow:
    text = clean(block.text)
    category = "NarrativeText" if len(text) > 80 or text.endswith((".", "。")) else "UncategorizedText"
    if _CAPTION.match(text) and len(block.lines) <= 4:
        category = "FigureCaption"
    elif block.is_list_item and not block.tabular:
        category = "ListItem"
    elif block.tabular:
        category = "UncategorizedText"
    return ElementRow(0, category, text, number, (_box(number, block.box, size, turned),), origin=origin)


def _rank(block: Block) -> float:
    """The type size that headings are told by; aligned rows and long paragraphs are none."""
    if block.tabular or len(block.lines) > 4 or len(block.text) > 250 or not any(c.isalpha() for c in block.text):
        return -block.size
    return block.size + (_BOLD if block.bold else 0.0)


def _picture_row(
    placed: Placed, around: list[Block], number: int, text: PageText, context: PartContext
) -> ElementRow | None:
    encoded = pdf_pictures.encode(placed)
    if encoded is None:
        context.counts["pictures_dropped"] += 1
        context.warn(f"page {number}: a picture could not be decoded")
        return None
    data, media_type = encoded
    context.counts["pictures_kept"] += 1
    caption = caption_of(placed.box, around, text.view.size)
    boxes = (_box(number, placed.box, text.view.size, text.turned),)
    return ElementRow(0, "Image", caption, number, boxes, media=context.blob(data, media_type), media_type=media_type)


def caption_of(box: tuple[float, float, float, float], around: list[Block], size: tuple[float, float]) -> str:
    """The caption right below a picture, or right above it; empty where there is none."""
    reach = 0.06 * size[1]
    near: list[tuple[float, str]] = []
    for block in around:
        x0, y0, x1, y1 = block.box
        if min(x1, box[2]) <= max(x0, box[0]) or not _CAPTION.match(block.text):
            continue
        if -5 <= y0 - box[3] <= reach:
            near.append((y0 - box[3], block.text))
        elif -5 <= box[1] - y1 <= reach:
            near.append((box[1] - y1 + reach, block.text))  # a caption below wins over one above
    return clean(min(near)[1]) if near else ""


def _below(box: tuple[float, float, float, float], picture: tuple[float, float, float, float]) -> bool:
    """Whether a block comes after a picture: it starts under the picture's top, in the picture's column."""
    return box[1] >= picture[1] and min(box[2], picture[2]) > max(box[0], picture[0])


def _box(number: int, box: tuple[float, float, float, float], size: tuple[float, float], turned: int = 0) -> Box:
    """A layout box on the page as shown, which is `turned` quarters clockwise from the layout."""
    x0, y0, x1, y1 = box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]
    for _ in range(turned):
        x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
    return Box.of(number, x0, y0, x1, y1)
