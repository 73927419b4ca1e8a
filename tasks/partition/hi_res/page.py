"""One page as the models see it: regions of text, tables and pictures as rows in reading order, with their hints.

In: what the default route has as well, a page with its text layer, or a picture and what OCR read on it. Out: the same
rows. A word is part of one element; tables take theirs first; only captions are said twice, with what they name and in
place. What the models do not see the default route has: a page without regions, a table without cells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import pypdfium2
from PIL import Image

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.boxes import Box, area, center_in, within
from tasks.partition.context import PartContext
from tasks.partition.hi_res.layout import Region, regions
from tasks.partition.hi_res.pictures import Gallery, PdfGallery, ScanGallery, Shown
from tasks.partition.hi_res.structure import table_of
from tasks.partition.hints import Hint
from tasks.partition.layout import blocks
from tasks.partition.pdf import page as default
from tasks.partition.pdf.content import Drawings, View, Word
from tasks.partition.pdf.drawings import page_drawings
from tasks.partition.pdf.figures.elements import in_reading_order, page_box
from tasks.partition.pdf.figures.labels import SOURCE, Caption, Lettering, assign, box_of
from tasks.partition.pdf.page import BOLD, PageRows, Rows, count_text, keeping_text, taken_words
from tasks.partition.pdf.render import region
from tasks.partition.pdf.tables.cells import Table
from tasks.partition.pdf.tables.find import find_tables
from tasks.partition.pdf.text.layer import PageText
from tasks.partition.spans import Span
from tasks.rows import ElementRow, Origin
from tasks.worker import is_out_of_memory

_MOST_PIXELS = 16_000_000
_MOSTLY = 0.5  # of a span that lies in the region it belongs to
_PROSE = frozenset(("NarrativeText", "UncategorizedText", "ListItem"))


def text_page(page: pypdfium2.PdfPage, text: PageText, number: int, context: PartContext) -> Rows:
    """The rows of a page whose text layer says what it shows. Raises DocumentError where a model fails."""
    size = text.view.size
    most = min(context.settings.max_pixels, _MOST_PIXELS)
    picture = region(page, text.view, (0.0, 0.0, *size), context.settings.hi_res.dpi / 72, most)
    sheet = _Sheet(picture, text, number, "text-layer", context)
    found = sheet.regions()
    if not found:
        return default.text_page(page, text, number, context)
    rows = sheet.rows(found, PdfGallery(page, text, number, context), lambda: page_drawings(page, text.view))
    count_text(text, rows, number, context)
    return rows


def read_page(
    picture: Image.Image, spans: Sequence[Span], size: tuple[float, float], number: int, context: PartContext
) -> Rows:
    """The rows of what OCR read on a picture of a page, in points. Raises DocumentError where a model fails."""
    if (pixels := picture.width * picture.height) > _MOST_PIXELS:
        by = (_MOST_PIXELS / pixels) ** 0.5
        picture = picture.resize((max(1, round(picture.width * by)), max(1, round(picture.height * by))))
    words = [Word(s.text, s.x0, s.y0, s.x1, s.y1, s.size) for s in spans]
    characters = sum(len(span.text) for span in spans)
    text = PageText(words, list(spans), View(0.0, 0.0, *size), 0, characters, 0, begins=[True] * len(words))
    sheet = _Sheet(picture, text, number, "ocr", context)
    found = sheet.regions()
    if not found:
        return default.read_page(spans, size, number, context)
    return sheet.rows(found, ScanGallery(picture, sheet.scale, context), lambda: Drawings([], []))


class _Sheet:
    """A page: its picture, and its text in points."""

    def __init__(self, picture: Image.Image, text: PageText, number: int, origin: Origin, context: PartContext) -> None:
        self.picture, self.text, self.number, self.origin, self.context = picture, text, number, origin, context
        self.size = text.view.size
        self.scale = picture.width / self.size[0]
        self.rows_of = PageRows(number, self.size, text.turned, origin)

    def regions(self) -> list[Region]:
        """What the layout model sees, in points."""
        spans = [span.scaled(self.scale) for span in self.text.spans]
        with _model("layout", self.number):
            found = regions(self.picture, spans, self.context.settings.hi_res.layout_model or "")
        return [Region(each.category, _scaled(each.box, 1 / self.scale)) for each in found]

    def rows(self, found: Sequence[Region], gallery: Gallery, drawings: Callable[[], Drawings]) -> Rows:
        """The regions as rows, and what lies in none of them where it stands."""
        tables, taken = self._tables(found, drawings)
        spans = self.text.without(taken).spans if taken else self.text.spans
        homes = [_home(span, found) for span in spans]
        inside: dict[int, list[Span]] = {i: [] for i in range(len(found))}
        for span, home in zip(spans, homes, strict=True):
            if home is not None:
                inside[home].append(span)
        captions = self._captions(found, tables, inside)
        placed: list[tuple[Box, Rows]] = []
        for i, each in enumerate(found):
            placed.append((each.box, self._region(each, tables.get(i), inside[i], captions.get(i, ""), gallery)))
        for shown in gallery.unseen(
            [each.box for i, each in enumerate(found) if each.category == "Image" or i in tables]
        ):
            _insert(placed, shown.box, [(self._picture(shown, ""), Hint())])
        for block in blocks([span for span, home in zip(spans, homes, strict=True) if home is None]):
            _insert(placed, block.box, [(self.rows_of.text(block), Hint(-block.size))])
        return [row for _, rows in placed for row in rows]

    def _tables(self, found: Sequence[Region], drawings: Callable[[], Drawings]) -> tuple[dict[int, Table], set[int]]:
        """The tables by their regions' numbers, and the numbers of their words."""
        tables: dict[int, Table] = {}
        taken: set[int] = set()
        lines = functools.cache(drawings)
        for i, each in enumerate(found):
            if each.category != "Table":
                continue
            words = [(k, word) for k, word in enumerate(self.text.words) if k not in taken]
            read = self._seen_table(each.box, words) or self._drawn_table(each.box, words, lines)
            if read is not None:
                tables[i] = read[0]
                taken |= read[1]
                self.context.counts["tables_found"] += 1
        return tables, taken

    def _seen_table(self, box: Box, words: Sequence[tuple[int, Word]]) -> tuple[Table, set[int]] | None:
        """By the table model; None where it sees no cells, or such as make no grid."""
        model = self.context.settings.hi_res.table_model or ""
        with _model("table", self.number):
            try:
                read = table_of(self.picture, box, [word for _, word in words], self.scale, model)
            except (ArithmeticError, LookupError, ValueError) as error:  # of unstructured's, over cells that overlap
                what = type(error).__name__
                self.context.warn(f"page {self.number}: what the table model sees makes no table ({what})")
                return None
        return None if read is None else (read[0], {words[k][0] for k in read[1]})

    def _drawn_table(
        self, box: Box, words: Sequence[tuple[int, Word]], drawings: Callable[[], Drawings]
    ) -> tuple[Table, set[int]] | None:
        """By geometry, where the model sees no cells."""
        own = [(k, word) for k, word in words if center_in((word.x0, word.y0, word.x1, word.y1), box)]
        with keeping_text(self.number, "tables", self.context):
            drawn = drawings()
            tables = find_tables([word for _, word in own], drawn.rules, drawn.shapes, self.size)
            if not tables:
                return None
            self.context.counts["tables_by_geometry"] += 1
            table = max(tables, key=lambda table: area(table.box))
            return table, {own[k][0] for k in taken_words([table], [word for _, word in own])}
        return None

    def _captions(
        self, found: Sequence[Region], tables: Mapping[int, Table], inside: Mapping[int, Sequence[Span]]
    ) -> dict[int, str]:
        """The captions that stand at tables and pictures, by the numbers of these."""
        captions = []
        for i, each in enumerate(found):
            if each.category == "FigureCaption" and (text := _said(inside[i])):
                captions.append(Caption(each.box, text.replace("\n", " "), SOURCE.match(text) is not None))
        prose = [span for i, each in enumerate(found) if each.category in _PROSE for span in inside[i]]
        named = [i for i, each in enumerate(found) if i in tables or each.category == "Image"]
        told = assign(Lettering([], prose, captions), [found[i].box for i in named], self.size)
        return dict(zip(named, told, strict=True))

    def _region(self, each: Region, table: Table | None, spans: Sequence[Span], caption: str, gallery: Gallery) -> Rows:
        """A region as rows: mostly one, and one more for the words in a table that none of its cells has."""
        rows: Rows = []
        if table is not None:
            box = page_box(self.number, each.box, self.size, self.text.turned)
            row = ElementRow(0, "Table", clean(caption), self.number, (box,), origin=self.origin)
            rows.append((row, Hint(0.0, _named(table, caption), self.size)))
        elif each.category == "Image" and (shown := gallery.seen(each.box)) is not None:
            words = "\n".join(part for part in (clean(caption), clean(in_reading_order(spans))) if part)
            return [(self._picture(shown, words), Hint())]
        if text := _said(spans):
            category = (
                each.category if table is None and each.category not in ("Image", "Table") else "UncategorizedText"
            )
            if category == "Title":
                text = text.replace("\n", " ")
            size = statistics.median_high(span.size for span in spans)
            heading = size + (BOLD if all(span.bold for span in spans) else 0.0)
            box = page_box(self.number, each.box, self.size, self.text.turned)
            row = ElementRow(0, category, text, self.number, (box,), origin=self.origin)
            rows.append((row, Hint(heading if category == "Title" else -size)))
        return rows

    def _picture(self, shown: Shown, words: str) -> ElementRow:
        box = page_box(self.number, shown.box, self.size, self.text.turned)
        origin: Origin = "ocr" if words and self.origin == "ocr" else "native"
        return ElementRow(
            0, "Image", words, self.number, (box,), media=shown.media, media_type=shown.media_type, origin=origin
        )


@contextlib.contextmanager
def _model(what: str, number: int) -> Iterator[None]:
    """Names the model and the page in whatever a model raises; errors of the disk and of memory are what they are."""
    try:
        yield
    except (DocumentError, MemoryError, OSError):
        raise
    except Exception as error:  # onnxruntime's and torch's have no class in common
        if is_out_of_memory(error):
            raise
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise DocumentError(
            "model_failed",
            f"the {what} model failed on page {number}: {why}",
            "check its file, or read the document without models: BINDERY_PARTITION__ROUTE=default",
        ) from error


def _home(span: Span, found: Sequence[Region]) -> int | None:
    """The region that most of a span lies in: of several the smallest, and a picture only where nothing else has it."""
    holding = [i for i, each in enumerate(found) if within(box_of(span), each.box) >= _MOSTLY]
    return min(holding, key=lambda i: (found[i].category == "Image", area(found[i].box)), default=None)


def _insert(placed: list[tuple[Box, Rows]], box: Box, rows: Rows) -> None:
    """Add rows before the first ones of their column that begin below them."""
    for i, (other, _) in enumerate(placed):
        if other[1] >= (box[1] + box[3]) / 2 and min(other[2], box[2]) > max(other[0], box[0]):
            placed.insert(i, (box, rows))
            return
    placed.append((box, rows))


def _said(spans: Sequence[Span]) -> str:
    return clean("\n".join(block.text for block in blocks(spans)))


def _named(table: Table, caption: str) -> Table:
    return dataclasses.replace(table, caption=caption or table.caption)


def _scaled(box: Box, by: float) -> Box:
    return box[0] * by, box[1] * by, box[2] * by, box[3] * by
