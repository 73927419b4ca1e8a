"""PDF pages as elements, by pdfium alone: text layer where it can be trusted, OCR of the page where not.

In: a PDF and a range of its pages. Out: ElementRows in reading order with boxes; `context.type_sizes` beside them, from
which `tasks.partition.finish` tells headings, running headers and repeated pictures across the whole document.
Tables deserve more than the aligned rows of today: `page_elements` is the place.
"""

from __future__ import annotations

import re
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from tasks.errors import DocumentError
from tasks.partition import ocr
from tasks.partition.clean import clean
from tasks.partition.context import PartContext
from tasks.partition.layout import blocks
from tasks.partition.pdf_drawings import page_drawings
from tasks.partition.pdf_figure_rows import page_box, page_figures
from tasks.partition.pdf_labels import CAPTION
from tasks.partition.pdf_pictures import Embedded, embedded
from tasks.partition.pdf_render import has_ink, jpeg, render
from tasks.partition.pdf_text import PageText, page_text
from tasks.partition.spans import Block
from tasks.partition.tally import keep
from tasks.rows import Box, ElementRow, Origin

_BOLD = 0.25  # points that bold type counts more, so that a bold line outranks body text of its size
_SCAN_COVERAGE = 0.5
_FEW_CHARACTERS = 100
_TABLE_CAPTION = re.compile(r"(?i:table|表)\s*(?:\d|[A-Z]\b|[IVX]+\b|[一二三四五六七八九十])")


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
    pictures = embedded(page, text.view)
    if text.cut:
        context.warn(f"page {number}: the text layer is larger than any page; the rest of it was left out")
    scan = text.characters < _FEW_CHARACTERS and any(i.coverage(size) >= _SCAN_COVERAGE for i in pictures.images)
    if text.usable and not scan:
        return _native(page, text, pictures, number, context)
    if not text.spans and not has_ink(page):
        context.counts["pages_blank"] += 1
        return []
    return _scanned(page, text, pictures, number, context)


def _native(
    page: pypdfium2.PdfPage, text: PageText, pictures: Embedded, number: int, context: PartContext
) -> list[ElementRow]:
    drawings = page_drawings(page, text.view)
    # Figures (pdf_figure_rows): they take the words in them; what is left is laid out as text.
    figures = page_figures(page, number, text, pictures, drawings, [], context)
    claimed = {id(span) for figure in figures for span in figure.claimed}
    found = blocks([span for span in text.spans if id(span) not in claimed])
    rows = [
        (block.box, _text_row(block, number, text.view.size, "text-layer", text.turned), _rank(block))
        for block in found
    ]
    for figure in figures:
        at = next((i for i, (box, _, _) in enumerate(rows) if _below(box, figure.box)), len(rows))
        rows.insert(at, (figure.box, figure.row, 0.0))
    kept = [(row, rank) for _, row, rank in rows if row.text or row.media]
    context.type_sizes += [rank for _, rank in kept]
    return [row for row, _ in kept]


def _scanned(
    page: pypdfium2.PdfPage, text: PageText, pictures: Embedded, number: int, context: PartContext
) -> list[ElementRow]:
    """A page whose text layer is missing or garbage: a picture of the page, and what OCR reads on it."""
    picture = render(page, context.settings.ocr_dpi, context.settings.max_pixels)
    rows: list[ElementRow] = []
    if context.ocr:
        context.counts["pages_ocr"] += 1
        spans = ocr.read(picture)
        if text.usable and sum(len(span.text) for span in spans) < 1.5 * text.characters + 20:
            return _native(page, text, pictures, number, context)  # a background: the layer says it exactly
        found = blocks(spans)
        rows = [_text_row(block, number, picture.size, "ocr") for block in found]
        context.type_sizes += [0.0] * len(rows)
        if not rows:
            context.warn(f"page {number}: no text layer, and OCR found no text in the picture")
    else:
        context.warn(f"page {number}: no usable text layer, and OCR is off")
        if text.spans:  # better than nothing, and said
            return _native(page, text, pictures, number, context)
    context.type_sizes.append(0.0)
    keep(context.counts, "pictures")
    media = context.blob(jpeg(picture), "image/jpeg")
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
    if (CAPTION.match(text) or _TABLE_CAPTION.match(text)) and len(block.lines) <= 4:
        category = "FigureCaption"
    elif block.is_list_item and not block.tabular:
        category = "ListItem"
    elif block.tabular:
        category = "UncategorizedText"
    return ElementRow(0, category, text, number, (page_box(number, block.box, size, turned),), origin=origin)


def _rank(block: Block) -> float:
    """The type size that headings are told by; aligned rows and long paragraphs are none."""
    if block.tabular or len(block.lines) > 4 or len(block.text) > 250 or not any(c.isalpha() for c in block.text):
        return -block.size
    return block.size + (_BOLD if block.bold else 0.0)


def _below(box: tuple[float, float, float, float], picture: tuple[float, float, float, float]) -> bool:
    """Whether a block comes after a picture: it starts under the picture's top, in the picture's column."""
    return box[1] >= picture[1] and min(box[2], picture[2]) > max(box[0], picture[0])
