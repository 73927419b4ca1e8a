"""PDF pages as elements: by pdfium the text layer where it can be trusted, OCR of the page where not.

In: a PDF and a range of its pages. Out: ElementRows in reading order with boxes; `context.hints` beside them, from
which `tasks.partition.finish` tells headings, running headers, repeated pictures and continued tables across the whole
document. `page` is where a page is put together, or `tasks.partition.hi_res.page` where that route is asked for.
"""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.hints import Hint
from tasks.partition.pdf.figures.pictures import embedded
from tasks.partition.pdf.page import Rows, read_page, text_page
from tasks.partition.pdf.render import has_ink, jpeg, render
from tasks.partition.pdf.text.fonts import Fonts
from tasks.partition.pdf.text.layer import PageText, page_text
from tasks.partition.spans import Span
from tasks.partition.tally import keep
from tasks.rows import Box, ElementRow, Origin

_SCAN_COVERAGE = 0.5
_FEW_CHARACTERS = 100
_MAX_ANNOTATIONS = 1000  # looked at; links, mostly
_WRITTEN = (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP)
_OFTEN_UNSEEN = (
    pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP, pdfium.FPDF_ANNOT_TEXT, pdfium.FPDF_ANNOT_WIDGET,
)  # fmt: skip


def open_pdf(path: Path) -> pypdfium2.PdfDocument:
    """The document. Raises DocumentError `encrypted` or `malformed`."""
    try:
        document = pypdfium2.PdfDocument(path)
        if len(document) == 0:
            raise DocumentError("malformed", "the PDF has no pages", "fetch it again")
        if document.get_formtype() != pdfium.FORMTYPE_NONE:
            document.init_forms()  # draws the fields whose producer left that to the reader
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


def load(document: pypdfium2.PdfDocument, number: int) -> tuple[pypdfium2.PdfPage, pypdfium2.PdfPage]:
    """A page, counted from 1, as it was made, and (or else the same) with what is written on it by hand: form fields,
    notes and stamps, which no text layer has. Raises PdfiumError.

    What is drawn is looked for on the former: the fields of a form are no figure.
    """
    page = document[number - 1]
    if min(page.get_size()) <= 0:  # a crop box beside the paper: then all of the paper shows
        page.set_cropbox(*page.get_mediabox())
        page.close()
        page = document[number - 1]
    if _is_written_on(page) and pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        return page, document[number - 1]  # pages that are open stay as they are
    return page, page


def _is_written_on(page: pypdfium2.PdfPage) -> bool:
    """Whether there are such, and all of them say how they look: what does not is drawn, but cannot become part."""
    found = False
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page.raw), _MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        looks = pdfium.FPDFAnnot_GetAP(annotation, pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0) > 2
        pdfium.FPDFPage_CloseAnnot(annotation)
        if not looks and kind not in _OFTEN_UNSEEN:
            return False
        found = found or (looks and kind in _WRITTEN)
    return found


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """The elements of pages `context.first` to `context.last`."""
    rows: list[ElementRow] = []
    fonts = Fonts()
    with open_pdf(path) as document:
        context.title = clean(document.get_metadata_value("Title"))
        last = len(document) if context.last is None else min(context.last, len(document))
        for number in range(context.first, last + 1):
            try:
                page, written = load(document, number)
            except pypdfium2.PdfiumError as error:
                raise DocumentError("malformed", f"page {number} cannot be read: {error}", "fetch it again") from error
            for row, hint in page_elements(page, number, context, fonts, written):
                rows.append(row)
                context.hints.append(hint)
            for each in {id(page): page, id(written): written}.values():
                each.close()
            context.pages += 1
    return rows


def page_elements(
    page: pypdfium2.PdfPage,
    number: int,
    context: PartContext,
    fonts: Fonts | None = None,
    written: pypdfium2.PdfPage | None = None,
) -> Rows:
    """One page's elements; `written` is the page with what is written on it (`load`). A page that shows something never
    comes back empty: at worst it is kept as a picture."""
    written = written or page
    text = page_text(written, fonts)
    if text.cut:
        context.warn(f"page {number}: the text layer is larger than any page; the rest of it was left out")
    rows: Rows = []
    if text.usable and not _is_scan(page, text):
        rows = _text_page(page, text, number, context)
    elif text.spans or has_ink(written):
        rows = _scanned(page, written, text, number, context)
    if rows:
        return rows
    if text.spans or has_ink(written):
        context.warn(f"page {number}: nothing on it was recognised; it is kept as a picture")
        context.counts["pages_pictured"] += 1
        picture = render(written, context.settings.figure_dpi, context.settings.figure_pixels)
        return [_whole(picture, number, context, "native")]
    context.counts["pages_blank"] += 1
    return []


def _is_scan(page: pypdfium2.PdfPage, text: PageText) -> bool:
    """Whether the page is a picture with next to no text of its own."""
    if text.characters >= _FEW_CHARACTERS:
        return False
    return any(image.coverage(text.view.size) >= _SCAN_COVERAGE for image in embedded(page, text.view).images)


def _scanned(
    page: pypdfium2.PdfPage, written: pypdfium2.PdfPage, text: PageText, number: int, context: PartContext
) -> Rows:
    """A page whose text layer is missing or garbage: a picture of the page, and what OCR reads on it."""
    picture = render(written, context.settings.ocr_dpi, context.settings.max_pixels)
    rows: Rows = []
    if context.ocr:
        context.counts["pages_ocr"] += 1
        width, height = page.get_size()
        spans = [span.scaled(width / picture.width) for span in context.read(picture)]
        if text.usable and sum(len(span.text) for span in spans) < 1.5 * text.characters + 20:
            return _text_page(page, text, number, context)  # the picture is a background: the layer says it exactly
        rows = _read_page(picture, spans, (width, height), number, context)
        if not rows:
            context.warn(f"page {number}: no text layer, and OCR found no text in the picture")
    else:
        context.warn(f"page {number}: no usable text layer, and OCR is off")
        if text.spans:  # better than nothing, and said
            return _text_page(page, text, number, context)
    return [*rows, _whole(picture, number, context, "ocr" if rows else "native")]


def _text_page(page: pypdfium2.PdfPage, text: PageText, number: int, context: PartContext) -> Rows:
    if context.settings.route == "hi_res":
        from tasks.partition.hi_res.page import text_page as by_models

        return by_models(page, text, number, context)
    return text_page(page, text, number, context)


def _read_page(
    picture: Image.Image, spans: list[Span], size: tuple[float, float], number: int, context: PartContext
) -> Rows:
    if context.settings.route == "hi_res":
        from tasks.partition.hi_res.page import read_page as by_models

        return by_models(picture, spans, size, number, context)
    return read_page(spans, size, number, context)


def _whole(picture: Image.Image, number: int, context: PartContext, origin: Origin) -> tuple[ElementRow, Hint]:
    """A page as a picture of its own."""
    keep(context.counts, "pictures")
    media, box = context.blob(jpeg(picture), "image/jpeg"), Box.of(number, 0, 0, 1, 1)
    return ElementRow(0, "Image", "", number, (box,), media=media, media_type="image/jpeg", origin=origin), Hint()
