"""The figures of a PDF page as rows: what they show as JPEG or PNG in the lake, their caption and the words in them.

In: a page, its text, drawings and tables. Out: `PageFigure`s, top to bottom. A picture by itself keeps its own bytes
where they are what is seen; drawings, and pictures with drawings on them, are rendered. The words in a drawing become
the figure's text and are claimed, so that the page's text does not hold them twice.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import pypdfium2
from PIL import Image

from tasks.clean import clean
from tasks.partition.boxes import Box, center_in
from tasks.partition.context import PartContext
from tasks.partition.layout import blocks
from tasks.partition.pdf.content import Drawings
from tasks.partition.pdf.figures.choice import choose
from tasks.partition.pdf.figures.find import Figure, find_figures, whole_page
from tasks.partition.pdf.figures.labels import box_of
from tasks.partition.pdf.figures.pictures import Embedded, embedded, encode
from tasks.partition.pdf.render import jpeg, png, region
from tasks.partition.pdf.text.layer import PageText
from tasks.partition.spans import Span
from tasks.partition.tally import What, drop, keep
from tasks.rows import Box as RowBox
from tasks.rows import ElementRow

_MARK = 16  # characters
_OUTLINED = ("lettering", "page")  # figures whose words are in no text layer


@dataclasses.dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure's box on the page, its row, and the spans that are its text and nobody else's."""

    box: Box
    row: ElementRow
    claimed: tuple[Span, ...] = ()


def page_figures(
    page: pypdfium2.PdfPage,
    number: int,
    text: PageText,
    drawings: Drawings,
    tables: Sequence[Box],
    context: PartContext,
) -> list[PageFigure]:
    """The figures of a page. Nothing that is found is lost without being counted, by its reason."""
    pictures = embedded(page, text.view)
    choice = choose(pictures.images, [box_of(s) for s in text.spans], page, text.view, context)
    worth = Embedded(choice.pictures, pictures.insets)
    figures = find_figures(drawings, worth, text.spans, tables, text.view.size, context.counts)
    figures += [Figure(image.box, "raster", "", image, "behind") for image in choice.behind]
    if (page_figure := whole_page(figures, drawings, text.spans, tables, text.view.size)) is not None:
        figures = [*(figure for figure in figures if figure.image is not None), page_figure]
    rows: list[PageFigure] = []
    seen: set[str] = set()
    for figure in figures:
        encoded = _encoded(figure, page, text, context)
        what: What = "pictures" if figure.image is not None else "figures"
        if encoded is None:
            drop(context.counts, what, "unreadable")
            context.warn(f"page {number}: a picture could not be decoded")
            continue
        told = _read(encoded[0], context) if figure.why in _OUTLINED and context.ocr else ""
        media = context.blob(*encoded)
        if media in seen and not figure.caption:
            drop(context.counts, what, "duplicate")
            continue
        seen.add(media)
        keep(context.counts, what)
        row = _row(figure, number, text, media, encoded[1])
        if told:
            words = "\n".join(part for part in (row.row.text, told) if part)
            row = dataclasses.replace(row, row=dataclasses.replace(row.row, text=words, origin="ocr"))
        rows.append(row)
    return rows


def _encoded(figure: Figure, page: pypdfium2.PdfPage, text: PageText, context: PartContext) -> tuple[bytes, str] | None:
    dpi, most = context.settings.figure_dpi, context.settings.figure_pixels
    try:
        if figure.image is not None:
            return encode(figure.image, page, text.view, dpi, most)
        shown = region(page, text.view, figure.box, dpi / 72, most)
        return (jpeg(shown, 90), "image/jpeg") if figure.kind == "mixed" else (png(shown), "image/png")
    except (pypdfium2.PdfiumError, OSError, ValueError):
        return None


def _row(figure: Figure, number: int, text: PageText, media: str, media_type: str) -> PageFigure:
    claimed = tuple(s for s in text.spans if _is_of(s, figure))
    category = "Image" if figure.image is not None else "Figure"
    words = "\n".join(part for part in (clean(figure.caption), clean(in_reading_order(claimed))) if part)
    boxes = (page_box(number, figure.box, text.view.size, text.turned),)
    row = ElementRow(0, category, words, number, boxes, media=media, media_type=media_type)
    return PageFigure(figure.box, row, claimed)


def _is_of(span: Span, figure: Figure) -> bool:
    """Whether a span is a figure's own text. On photographs that is only a label: what is longer is set over them."""
    if figure.image is not None or not center_in(box_of(span), figure.box):
        return False
    return not figure.photographs or (len(span.text) <= _MARK and span.text.count(" ") < 2)


def _read(data: bytes, context: PartContext) -> str:
    """The words of a picture that is nothing but words: drawn as outlines, they are in no text layer."""
    context.counts["words_ocr"] += 1
    with Image.open(io.BytesIO(data)) as picture:
        return clean("\n".join(block.text for block in blocks(context.read(picture))))


def in_reading_order(spans: Sequence[Span]) -> str:
    """The labels of a figure, line by line; those that stand on end come last."""
    lines: list[list[Span]] = []
    for span in sorted((s for s in spans if not s.angle), key=lambda s: (s.y0 + s.y1) / 2):
        if lines and (span.y0 + span.y1) / 2 - (lines[-1][0].y0 + lines[-1][0].y1) / 2 < 0.5 * span.size:
            lines[-1].append(span)
        else:
            lines.append([span])
    said = [" ".join(s.text for s in sorted(line, key=lambda s: s.x0)) for line in lines]
    return "\n".join([*said, *(s.text for s in spans if s.angle)])


def page_box(number: int, box: Box, size: tuple[float, float], turned: int = 0) -> RowBox:
    """A box of the view on the page as shown, which is `turned` quarters clockwise from the view."""
    x0, y0, x1, y1 = box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]
    for _ in range(turned):
        x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
    return RowBox.of(number, x0, y0, x1, y1)
