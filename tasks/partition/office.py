"""Word and PowerPoint as elements: text and tables by unstructured, pictures from where they stand in the document."""

from __future__ import annotations

import base64
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.elements import to_rows
from tasks.partition.nlp import install
from tasks.partition.tables import row_groups
from tasks.rows import ElementRow
from tasks.settings import Limits

if TYPE_CHECKING:
    from unstructured.documents.elements import Image

_MAX_RATIO = 200  # of one part; Word's own XML reaches 30
_RATIO_COUNTS_FROM = 32 << 20
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|tiff?|bmp|emf|wmf|svg|webp)", re.IGNORECASE)


def check_package(path: Path, limits: Limits) -> None:
    """Refuse a zip bomb by what the directory declares, before anything is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError("malformed", f"the document's zip is damaged: {error}", "fetch it again") from error
    total = sum(part.file_size for part in parts)
    # XML as objects in memory is several times its text; more than the worker may have cannot work.
    allowed = min(limits.container_bytes, limits.memory_mb << 20)
    worst = max((part for part in parts if part.file_size > _RATIO_COUNTS_FROM), key=_ratio, default=None)
    if total > allowed or (worst is not None and _ratio(worst) > _MAX_RATIO) or len(parts) > limits.container_members:
        raise DocumentError(
            "zip_bomb",
            f"its {path.stat().st_size >> 10} KB unpack to {total >> 20} MB in {len(parts)} parts",
            "if it is meant to: raise limits.container_bytes and limits.memory_mb",
        )


def _ratio(part: zipfile.ZipInfo) -> float:
    return part.file_size / max(part.compress_size, 1)


def partition_word(path: Path, context: PartContext) -> list[ElementRow]:
    """A Word document; page numbers are not given, since Word itself decides them anew when it prints."""
    check_package(path, context.limits)
    install()
    from unstructured.partition.docx import partition_docx, register_picture_partitioner

    register_picture_partitioner(_WordPictures)
    elements = partition_docx(filename=str(path), languages=[""], include_page_breaks=False)
    import docx

    context.title = clean(docx.Document(str(path)).core_properties.title or "")
    return _once(to_rows(elements, context, paged=False))


def _once(rows: Iterable[ElementRow]) -> list[ElementRow]:
    """Without the headers and footers that every section repeats."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in rows:
        if row.category in ("Header", "Footer"):
            if (row.category, row.text) in seen:
                continue
            seen.add((row.category, row.text))
        kept.append(row)
    return kept


class _WordPictures:
    """unstructured's hook: the pictures of a paragraph, inline and floating, in its order."""

    @classmethod
    def iter_elements(cls, paragraph: Any, opts: Any) -> Iterator[Image]:
        from docx.oxml.ns import qn

        for drawing in paragraph._p.iter(qn("w:drawing"), qn("w:pict")):
            described = next(drawing.iter(qn("wp:docPr")), None)
            text = described.get("descr") or "" if described is not None else ""
            named = [blip.get(qn("r:embed")) for blip in drawing.iter(qn("a:blip"))]
            named += [image.get(qn("r:id")) for image in drawing.iter("{urn:schemas-microsoft-com:vml}imagedata")]
            for relation in filter(None, named):
                part = paragraph.part.related_parts.get(relation)
                if part is not None:
                    yield _image(text, part.blob)


def _image(text: str, data: bytes) -> Image:
    from unstructured.documents.elements import ElementMetadata
    from unstructured.documents.elements import Image as Picture

    if _FILE_NAME.fullmatch(text.strip()):  # what many programs put for a description
        text = ""
    metadata = ElementMetadata(image_base64=base64.b64encode(data).decode())
    return Picture(text=text, metadata=metadata)


def partition_slides(path: Path, context: PartContext) -> list[ElementRow]:
    """A presentation: one page per slide, with speaker notes, pictures and the data behind charts."""
    check_package(path, context.limits)
    install()
    from unstructured.partition.pptx import partition_pptx, register_picture_partitioner

    register_picture_partitioner(_SlidePictures)
    elements = partition_pptx(
        filename=str(path), languages=[""], include_page_breaks=False, include_slide_notes=False, strategy="fast"
    )
    rows = to_rows(elements, context, paged=True)
    import pptx

    presentation = pptx.Presentation(str(path))
    context.pages = len(presentation.slides)
    context.title = clean(presentation.core_properties.title or "")
    if context.title == "PowerPoint Presentation":  # PowerPoint's own default
        context.title = ""
    return _with_extras(rows, presentation)


class _SlidePictures:
    """unstructured's hook: one picture shape of a slide, with its box."""

    @classmethod
    def iter_elements(cls, picture: Any, opts: Any) -> Iterator[Image]:
        from unstructured.documents.coordinates import PixelSpace
        from unstructured.documents.elements import CoordinatesMetadata

        try:
            image = _image(picture._element._nvXxPr.cNvPr.get("descr") or "", picture.image.blob)
        except (ValueError, KeyError, AttributeError):  # linked, not embedded; or its part is gone
            return
        image.metadata.page_number = opts.page_number
        slides = picture.part.package.presentation_part.presentation
        edges = (picture.left, picture.top, picture.width, picture.height, slides.slide_width, slides.slide_height)
        if all(edge is not None for edge in edges):
            x0, y0, width, height, across, down = map(int, edges)
            points = ((x0, y0), (x0, y0 + height), (x0 + width, y0 + height), (x0 + width, y0))
            image.metadata.coordinates = CoordinatesMetadata(points, PixelSpace(width=across, height=down))
        yield image


def _with_extras(rows: list[ElementRow], presentation: Any) -> list[ElementRow]:
    """Each slide's rows, then the numbers behind its charts (which unstructured leaves out), then its notes.

    unstructured puts notes before the title, where chunking would count them to the slide before.
    """
    by_page: dict[int, list[ElementRow]] = {}
    for row in rows:
        by_page.setdefault(row.page or 1, []).append(row)
    for page, slide in enumerate(presentation.slides, 1):
        here = by_page.setdefault(page, [])
        for shape in slide.shapes:
            if getattr(shape, "has_chart", False):
                here += _chart_rows(shape.chart, page)
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and (text := clean(notes.text)):
            here.append(ElementRow(0, "NarrativeText", f"Notes: {text}", page))
    return [row for page in sorted(by_page) for row in by_page[page]]


def _chart_rows(chart: Any, page: int) -> list[ElementRow]:
    try:
        plot = chart.plots[0]
        categories = [str(category) for category in plot.categories]
        title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
        series = [(one.name or "", list(one.values)) for plot in chart.plots for one in plot.series]
    except Exception:  # noqa: BLE001  # chart XML has many dialects; the slide's text stands without it
        return []
    head = [title, *(name for name, _ in series)]
    body = [
        [category, *("" if i >= len(values) or values[i] is None else f"{values[i]:.15g}" for _, values in series)]
        for i, category in enumerate(categories)
    ]
    return list(row_groups([head, *body], page))
