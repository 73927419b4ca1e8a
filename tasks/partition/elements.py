"""unstructured's elements as ElementRows: their text cleaned, their tables bounded, their pictures kept in the lake."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from tasks.clean import clean, clean_characters
from tasks.partition.context import PartContext
from tasks.partition.ocr import check_pixels
from tasks.partition.pdf.render import png
from tasks.partition.tables import ROWS_PER_GROUP, row_groups
from tasks.partition.tally import drop, keep
from tasks.rows import Box, ElementRow

if TYPE_CHECKING:
    from unstructured.documents.elements import Element

_DROPPED = frozenset({"PageBreak"})
_KEPT_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_MAX_TABLE_HTML = 60_000


def to_rows(elements: Iterable[Element], context: PartContext, paged: bool) -> list[ElementRow]:
    """The rows of elements in order. `paged` says whether their page numbers mean pages."""
    rows: list[ElementRow] = []
    for element in elements:
        if element.category not in _DROPPED:
            rows += _to_rows(element, context, paged)
    return rows


def _to_rows(element: Element, context: PartContext, paged: bool) -> list[ElementRow]:
    metadata = element.metadata
    page = metadata.page_number if paged else None
    text = clean(element.text or "")
    if element.category == "Image" or metadata.image_base64:
        return _picture(text, metadata.image_base64, page, _boxes(element, page), context)
    if element.category == "Table" and metadata.text_as_html:
        if metadata.text_as_html.count("<tr") > 2 * ROWS_PER_GROUP or len(metadata.text_as_html) > _MAX_TABLE_HTML:
            return list(row_groups(table_cells(metadata.text_as_html), page))
        return [
            ElementRow(
                0,
                "Table",
                _table_text(metadata.text_as_html) or text,
                page,
                html=clean_characters(metadata.text_as_html),
            )
        ]
    if not text:
        return []
    level = metadata.category_depth or 0 if element.category == "Title" else None
    return [ElementRow(0, element.category, text, page, _boxes(element, page), level=level)]


def _boxes(element: Element, page: int | None) -> tuple[Box, ...]:
    found = element.metadata.coordinates
    if page is None or found is None or found.points is None or found.system is None:
        return ()
    xs, ys = [x for x, _ in found.points], [y for _, y in found.points]
    width, height = float(found.system.width), float(found.system.height)
    return (Box.of(page, min(xs) / width, min(ys) / height, max(xs) / width, max(ys) / height),)


def _picture(
    text: str, data: str | None, page: int | None, boxes: tuple[Box, ...], context: PartContext
) -> list[ElementRow]:
    kept = keep_picture(_decoded(data), context) if data else None
    if kept is None:
        return [ElementRow(0, "UncategorizedText", text, page, boxes)] if text else []
    return [ElementRow(0, "Image", text, page, boxes, media=kept[0], media_type=kept[1])]


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def keep_picture(data: bytes, context: PartContext) -> tuple[str, str] | None:
    """An embedded picture's lake path and media type; None (and counted) where it is decoration or not readable.

    Readable formats keep their bytes, others (TIFF, BMP) become PNG; vector metafiles (EMF, WMF) are not drawn.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_pixels(image.size, context.settings.max_pixels)
            if min(image.size) < context.settings.min_picture_px:
                drop(context.counts, "pictures", "small")
                return None
            if image.format in ("WMF", "EMF"):
                raise ValueError("a format that only Windows draws")
            media_type = _KEPT_FORMATS.get(image.format or "")
            if media_type is None:
                data, media_type = png(image), "image/png"
            else:
                image.load()
    except MemoryError:
        raise  # of the limits, not of the picture: the rows must not depend on them
    except Exception:  # noqa: BLE001  # Pillow's codecs raise many kinds; a picture must not cost the text
        drop(context.counts, "pictures", "unreadable")
        return None
    keep(context.counts, "pictures")
    return context.blob(data, media_type), media_type


def table_cells(html: str) -> list[list[str]]:
    """The cells of an HTML table, row by row."""
    import lxml.html

    tree = lxml.html.fragment_fromstring(html, create_parent="div")
    return [[_cell_text(cell) for cell in row.iterchildren("td", "th")] for row in tree.iter("tr")]


def _cell_text(cell: object) -> str:
    return re.sub(r"\s+", " ", " ".join(cell.itertext())).strip()  # type: ignore[attr-defined]


def _table_text(html: str) -> str:
    rows: Sequence[Sequence[str]] = table_cells(html)
    return clean("\n".join(" | ".join(row) for row in rows if any(row)))
