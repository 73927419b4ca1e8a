"""One page of a PDF, put together: tables and figures take their words, what is left is text in reading order.

In: a page with a text layer, or what OCR read on it. Out: rows in reading order, each with its hint. A word is part of
one element: a table's, a drawn figure's, or the text's; only captions are said twice, with what they name and in place.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence

import pypdfium2

from tasks.clean import clean
from tasks.losses import characters, kept
from tasks.partition.boxes import Box, area, center_in, common
from tasks.partition.context import PartContext
from tasks.partition.hints import Hint
from tasks.partition.layout import arrange
from tasks.partition.pdf.content import Drawings, Word
from tasks.partition.pdf.drawings import page_drawings
from tasks.partition.pdf.figures.elements import PageFigure, page_box, page_figures
from tasks.partition.pdf.figures.evidence import are_bars, plots
from tasks.partition.pdf.figures.labels import CAPTION
from tasks.partition.pdf.tables.cells import Table
from tasks.partition.pdf.tables.find import find_tables
from tasks.partition.pdf.text.layer import PageText
from tasks.partition.spans import Block, Span
from tasks.rows import ElementRow, Origin

BOLD = 0.25  # points that bold type counts more, so that a bold line outranks body text of its size
_MIN_FRAME_LINES = 3
_MAX_FRAMES = 40
_FRAME = (0.01, 0.7)  # of the page
_LOST = (50, 0.9)  # characters, and the share that is in elements, below which it is said
_OVER_TEXT = 3  # spans on a picture that make it a background
_CAPTION_LINES = 6
_CAPTION_GAP = 2.5  # of its type's size, between a table and its caption
_TABLE_CAPTION = re.compile(r"(?i:table|表)\s*(?:\d|[A-Z]\b|[IVX]+\b|[一二三四五六七八九十])")

Rows = list[tuple[ElementRow, Hint]]


def text_page(page: pypdfium2.PdfPage, text: PageText, number: int, context: PartContext) -> Rows:
    """The rows of a page whose text layer says what it shows."""
    size = text.view.size
    drawings = page_drawings(page, text.view)
    if drawings.cut:
        context.warn(f"page {number}: it has more drawings than are looked at; a table or figure may be missing")
    tables: list[Table] = []
    figures: list[PageFigure] = []
    rest = text
    with keeping_text(number, "tables", context):
        words = text.words
        if charts := plots(drawings.shapes, text.spans, size):  # what is written there is no table's
            words = [w for w in words if not any(center_in((w.x0, w.y0, w.x1, w.y1), c) for c in charts)]
        tables = find_tables(words, drawings.rules, drawings.shapes, size)
        tables = [t for t in tables if not _is_chart(t.box, charts, drawings, text.spans)]
        rest = text.without(taken_words(tables, text.words)) if tables else text
    with keeping_text(number, "figures", context):
        figures = page_figures(page, number, rest, drawings, [table.box for table in tables], context)
    claimed = {span.order for figure in figures for span in figure.claimed}
    spans = [span for span in rest.spans if span.order not in claimed]
    if tables:
        context.counts["tables_found"] += len(tables)
    page_rows = PageRows(number, size, text.turned, "text-layer")
    rows = page_rows.arranged(spans, tables, figures, _frames(drawings, spans, tables, figures, size))
    count_text(text, rows, number, context)
    return rows


def count_text(text: PageText, rows: Rows, number: int, context: PartContext) -> None:
    """What of the text layer is in elements: see tasks.losses."""
    layer = characters(word.text for word in text.words)
    cells = (cell.text for _, hint in rows if hint.table for cell in hint.table.cells)
    found = kept(layer, [*(row.text for row, _ in rows), *cells])
    context.counts["characters_layer"] += layer.total()
    context.counts["characters_kept"] += found
    if layer.total() - found > _LOST[0] and found < _LOST[1] * layer.total():
        context.warn(f"page {number}: {layer.total() - found} of its {layer.total()} characters are in no element")


def _is_chart(table: Box, plots: Sequence[Box], drawings: Drawings, spans: Sequence[Span]) -> bool:
    """Whether what was taken for a table is the names and numbers of a chart."""
    plotted = any(area(common(table, plot)) > 0.35 * area(table) for plot in plots)
    return plotted or are_bars(table, drawings.shapes, spans)


@contextlib.contextmanager
def keeping_text(number: int, what: str, context: PartContext) -> Iterator[None]:
    """A page keeps its text whatever geometry its tables or figures fail on; that they did is said and counted."""
    try:
        yield
    except (ArithmeticError, LookupError, ValueError, pypdfium2.PdfiumError) as error:
        context.counts[f"pages_without_{what}"] += 1
        context.warn(f"page {number}: its {what} could not be told from its text ({type(error).__name__}: {error})")


def read_page(spans: Sequence[Span], size: tuple[float, float], number: int, context: PartContext) -> Rows:
    """The rows of what OCR read, in points: text and tables, as far as boxes tell."""
    words = [Word(s.text, s.x0, s.y0, s.x1, s.y1, s.size) for s in spans]
    tables = find_tables(words, [], [], size)
    taken = taken_words(tables, words)
    if tables:
        context.counts["tables_found"] += len(tables)
    rest = [span for i, span in enumerate(spans) if i not in taken]
    return PageRows(number, size, 0, "ocr").arranged(rest, tables, [], [])


def taken_words(tables: Sequence[Table], words: Sequence[Word]) -> set[int]:
    """The numbers of the words that are in a table's cells; what it stands around but does not say stays text."""
    taken: set[int] = set()
    for table in tables:
        texts = ["".join(cell.text.split()) for cell in table.cells]
        said = "\n".join(texts)
        left = collections.Counter("".join(texts))
        x0, y0, x1, y1 = table.box
        for i, word in enumerate(words):
            x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
            if i in taken or not (x0 - 2 <= x <= x1 + 2 and y0 - 2 <= y <= y1 + 2):
                continue
            text = "".join(word.text.split()).rstrip("-")
            needed = collections.Counter(text)
            if not any(map(str.isalnum, text)) or (text in said and needed <= left):
                taken.add(i)
                left -= needed
    return taken


def _frames(
    drawings: Drawings, spans: Sequence[Span], tables: Sequence[Table], figures: Sequence[PageFigure],
    size: tuple[float, float],
) -> list[Box]:  # fmt: skip
    """Filled boxes with text of their own: sidebars and cards are read by themselves."""
    others = [*(table.box for table in tables), *(figure.box for figure in figures)]
    found: list[Box] = []
    for shape in drawings.shapes:
        box = shape.x0, shape.y0, shape.x1, shape.y1
        share = area(box) / max(size[0] * size[1], 1.0)
        if not shape.filled or not _FRAME[0] <= share <= _FRAME[1] or any(center_in(box, other) for other in others):
            continue
        lines = sum(center_in((s.x0, s.y0, s.x1, s.y1), box) for s in spans)
        if lines >= _MIN_FRAME_LINES and box not in found:
            found.append(box)
    return found[:_MAX_FRAMES]


def _captioned(tables: Sequence[Table], blocks: Sequence[Block]) -> list[Table]:
    """Tables with the captions that stand next to them, above or below, each with the nearest that no other has."""
    captions = [b for b in blocks if _TABLE_CAPTION.match(b.text) and len(b.lines) <= _CAPTION_LINES and not b.tabular]
    near: list[tuple[float, int, int]] = []
    for i, table in enumerate(tables):
        for j, block in enumerate(captions):
            gap = max(block.box[1] - table.box[3], table.box[1] - block.box[3])
            shared = min(block.box[2], table.box[2]) - max(block.box[0], table.box[0])
            if -0.5 * block.size <= gap <= _CAPTION_GAP * block.size and shared > 0.5 * (block.box[2] - block.box[0]):
                near.append((gap, i, j))
    found, taken = list(tables), set[int]()
    for _, i, j in sorted(near):
        if j not in taken and found[i] is tables[i]:
            taken.add(j)
            found[i] = dataclasses.replace(tables[i], caption=captions[j].text)
    return found


class PageRows:
    """Makes rows of what stands on one page."""

    def __init__(self, number: int, size: tuple[float, float], turned: int, origin: Origin) -> None:
        self.number, self.size, self.turned, self.origin = number, size, turned, origin

    def arranged(
        self, spans: Sequence[Span], tables: Sequence[Table], figures: Sequence[PageFigure], frames: Sequence[Box]
    ) -> Rows:
        """Everything in reading order. Pictures behind text come first."""
        behind = [figure for figure in figures if self._lies_behind(figure.box, spans)]
        placed = [figure for figure in figures if figure not in behind]
        rows: Rows = [(figure.row, Hint()) for figure in behind]
        boxes = [*(table.box for table in tables), *(figure.box for figure in placed)]
        items = arrange(spans, boxes, frames)
        tables = _captioned(tables, [item for item in items if isinstance(item, Block)])
        for item in items:
            if isinstance(item, Block):
                row = self.text(item)
                if row.text:
                    rows.append((row, Hint(rank(item))))
            elif item < len(tables):
                rows.append((self._table(tables[item]), Hint(0.0, tables[item], self.size)))
            else:
                rows.append((placed[item - len(tables)].row, Hint()))
        return rows

    @staticmethod
    def _lies_behind(box: Box, spans: Sequence[Span]) -> bool:
        return sum(center_in((s.x0, s.y0, s.x1, s.y1), box) for s in spans) >= _OVER_TEXT

    def _table(self, table: Table) -> ElementRow:
        """A row that stands for a whole table: `finish` joins and writes them."""
        box = page_box(self.number, table.box, self.size, self.turned)
        return ElementRow(0, "Table", clean(table.caption), self.number, (box,), origin=self.origin)

    def text(self, block: Block) -> ElementRow:
        text = clean(block.text)
        category = "NarrativeText" if len(text) > 80 or text.endswith((".", "。")) else "UncategorizedText"
        if (CAPTION.match(text) or _TABLE_CAPTION.match(text)) and len(block.lines) <= 4:
            category = "FigureCaption"
        elif block.is_list_item and not block.tabular:
            category = "ListItem"
        elif block.tabular:
            category = "UncategorizedText"
        box = page_box(self.number, block.box, self.size, self.turned)
        return ElementRow(0, category, text, self.number, (box,), origin=self.origin)


def rank(block: Block) -> float:
    """The type size that headings are told by; aligned rows, long paragraphs and turned text (stamps) are none."""
    turned = any(span.angle for line in block.lines for span in line.spans)
    long = len(block.lines) > 4 or len(block.text) > 250
    if block.tabular or turned or long or not any(c.isalpha() for c in block.text):
        return -block.size
    return block.size + (BOLD if block.bold else 0.0)
