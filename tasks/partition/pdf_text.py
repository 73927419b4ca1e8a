"""A PDF page's text layer as spans with boxes, and whether it can be trusted.

Calls pdfium per character through ctypes: about 2 us each, and the only way to see columns, sizes and rotation.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import re
import statistics
import unicodedata

import pypdfium2
import pypdfium2.raw as pdfium

from tasks.clean import clean_characters
from tasks.partition.spans import Span

_MAX_CHARACTERS = 200_000  # of one page; more is an attack or a dump, and is cut with a warning
_GARBAGE_SHARE = 0.2
_BOLD_NAME = re.compile(rb"bold|black|heavy|demi|-medi(?!um)", re.IGNORECASE)
_ENOUGH_LETTERS = 300
_VOWELS = 0.2  # languages in Latin script have 0.35 to 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """How page coordinates become what a reader sees: the page box, and quarter turns clockwise."""

    left: float
    bottom: float
    right: float
    top: float
    turns: int = 0

    @property
    def size(self) -> tuple[float, float]:
        width, height = self.right - self.left, self.top - self.bottom
        return (height, width) if self.turns % 2 else (width, height)

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 from the top left of the page as shown."""
        x0, x1, y0, y1 = left - self.left, right - self.left, bottom - self.bottom, top - self.bottom
        width, height = self.right - self.left, self.top - self.bottom
        match self.turns % 4:
            case 1:
                return y0, x0, y1, x1
            case 2:
                return width - x1, y0, width - x0, y1
            case 3:
                return height - y1, width - x1, height - y0, width - x0
            case _:
                return x0, height - y1, x1, height - y0


@dataclasses.dataclass(frozen=True, slots=True)
class PageText:
    """The spans of a page in `view`, where the text is upright; the page is shown `turned` quarters clockwise from it.

    `characters` were seen, of which `garbage` mean nothing; `cut` says whether there were more.
    """

    spans: list[Span]
    view: View
    turned: int
    characters: int
    garbage: int
    cut: bool = False

    @property
    def usable(self) -> bool:
        """Whether the layer says what the page shows, as far as can be told without looking at it."""
        return bool(self.spans) and self.garbage <= _GARBAGE_SHARE * self.characters and not self._scrambled

    @property
    def _scrambled(self) -> bool:
        """Fonts without a character map come out as a cipher: letters, but hardly a vowel among them."""
        letters = [c for span in self.spans for c in span.text.lower() if "a" <= c <= "z"]
        return len(letters) >= _ENOUGH_LETTERS and sum(map(letters.count, "aeiouy")) < _VOWELS * len(letters)


@dataclasses.dataclass(slots=True)
class _Run:
    """Characters that pdfium keeps on one line, with their boxes in page coordinates."""

    start: int
    end: int = 0
    text: list[str] = dataclasses.field(default_factory=list)
    boxes: list[tuple[float, float, float, float] | None] = dataclasses.field(default_factory=list)


def page_text(page: pypdfium2.PdfPage) -> PageText:
    """The text layer of a page, turned the way most of its characters read."""
    shown = page.get_rotation() // 90
    textpage = page.get_textpage()
    try:
        runs, characters, garbage, cut = _runs(textpage)
        angles = [_quarter_turns(textpage, run) for run in runs]
        turns = _main_turn(runs, angles) if runs else shown
        left, bottom, right, top = page.get_bbox()
        view = View(left, bottom, right, top, turns)
        spans: list[Span] = []
        for run, angle in zip(runs, angles, strict=True):
            spans += _spans(textpage, run, view, upright=angle == turns)
        return PageText(spans, view, (shown - turns) % 4, characters, garbage, cut)
    finally:
        textpage.close()


def _runs(textpage: pypdfium2.PdfTextPage) -> tuple[list[_Run], int, int, bool]:
    """The page's characters, split where pdfium sees a line end."""
    raw = textpage.raw
    total = textpage.count_chars()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    runs, run, characters, garbage = [], _Run(0), 0, 0
    for i in range(min(total, _MAX_CHARACTERS)):
        code = pdfium.FPDFText_GetUnicode(raw, i)
        if code in (10, 13):
            if run.text:
                runs.append(run)
            run = _Run(i + 1)
            continue
        character = chr(code) if 0 < code < 0x110000 else "\0"
        if character.isspace():
            run.text.append(" ")
            run.boxes.append(None)
            continue
        characters += 1
        if _is_garbage(character, code):
            garbage += 1
            if code < 32 and code != 2:
                continue
        pdfium.FPDFText_GetCharBox(raw, i, left, right, bottom, top)
        if not run.text:
            run.start = i
        run.end = i
        run.text.append("-" if code in (2, 0xFFFE) else character)  # pdfium's marks for a hyphen at a line end
        run.boxes.append((left.value, bottom.value, right.value, top.value))
    if run.text:
        runs.append(run)
    return runs, characters, garbage, total > _MAX_CHARACTERS


def _is_garbage(character: str, code: int) -> bool:
    """Unmapped glyphs: controls, replacement and private-use characters."""
    return code not in (2, 0xFFFE) and (code == 0xFFFD or unicodedata.category(character) in ("Cc", "Co", "Cn", "Cs"))


def _quarter_turns(textpage: pypdfium2.PdfTextPage, run: _Run) -> int:
    """How many quarters clockwise the page must turn for this run to be upright."""
    angle = pdfium.FPDFText_GetCharAngle(textpage.raw, run.start)  # radians; pdfium counts clockwise
    return int(-round(max(angle, 0.0) / 1.5707963) % 4)


def _main_turn(runs: list[_Run], angles: list[int]) -> int:
    weight = [0, 0, 0, 0]
    for run, angle in zip(runs, angles, strict=True):
        weight[angle] += len(run.text)
    return max(range(4), key=lambda turn: (weight[turn], -turn))


def _spans(textpage: pypdfium2.PdfTextPage, run: _Run, view: View, upright: bool) -> list[Span]:
    """A run split where characters jump: the gap between table columns, or back to another line."""
    raw = textpage.raw
    boxes = [None if box is None else view.box(*box) for box in run.boxes]
    known = [box for box in boxes if box is not None]
    if not known:
        return []
    height = statistics.median(box[3] - box[1] if upright else box[2] - box[0] for box in known)
    size = _size(raw, run.start)
    if not 0.4 * height <= size <= 4 * height and height > 0:  # a font whose own units are off: its glyphs speak
        size = height * 1.3
    bold = _is_bold(raw, run.start) and _is_bold(raw, run.end)  # not a line that only begins in bold
    pieces: list[tuple[list[str], list[tuple[float, float, float, float]]]] = [([], [])]
    for character, box in zip(run.text, boxes, strict=True):
        text, seen = pieces[-1]
        if box is not None and seen and upright and _jumps(seen[-1], box, size):
            pieces.append(([], []))
            text, seen = pieces[-1]
        if box is not None or seen:
            text.append(character)
        if box is not None:
            seen.append(box)
    spans = []
    for text, seen in pieces:
        cleaned = " ".join(clean_characters("".join(text)).split())
        if cleaned and seen:
            x0, y0 = min(b[0] for b in seen), min(b[1] for b in seen)
            x1, y1 = max(b[2] for b in seen), max(b[3] for b in seen)
            if upright:  # glyph boxes hug the ink; lines need their type's height to compare
                middle = (y0 + y1) / 2
                y0, y1 = min(y0, middle - size * 0.4), max(y1, middle + size * 0.4)
            spans.append(Span(cleaned, x0, y0, x1, y1, round(size, 1), bold))
    return spans


def _size(raw: pdfium.FPDF_TEXTPAGE, index: int) -> float:
    """The type size as it shows: the font's size is often 1, and the text matrix does the rest."""
    matrix = pdfium.FS_MATRIX()
    size = pdfium.FPDFText_GetFontSize(raw, index)
    if not pdfium.FPDFText_GetMatrix(raw, index, matrix):
        return float(size)
    return float(size * math.hypot(matrix.c, matrix.d))


def _jumps(a: tuple[float, float, float, float], b: tuple[float, float, float, float], size: float) -> bool:
    return b[0] - a[2] > 1.2 * size or b[2] < a[0] - 0.5 * size or b[1] > a[3] + size or b[3] < a[1] - size


def _is_bold(raw: pdfium.FPDF_TEXTPAGE, index: int) -> bool:
    if pdfium.FPDFText_GetFontWeight(raw, index) >= 600:
        return True
    buffer = ctypes.create_string_buffer(128)
    pdfium.FPDFText_GetFontInfo(raw, index, buffer, 128, None)
    return _BOLD_NAME.search(buffer.value) is not None
