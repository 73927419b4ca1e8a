"""A PDF page's text layer as words and spans with boxes, and whether it can be trusted.

In: a page. Out: PageText. The text comes in one call, boxes only for the ends of words, and fonts once per text object:
asking for every character would take as long as pdfium's own reading of the page. Arrays do the rest.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import re
import string
import unicodedata
from collections.abc import Container

import numpy as np
import pypdfium2
import pypdfium2.raw as raw_pdfium

from tasks.clean import clean_characters
from tasks.partition import pdfium
from tasks.partition.page import View, Word
from tasks.partition.pdf_fonts import Fonts, Styles, styles
from tasks.partition.pdf_spans import spans_of
from tasks.partition.spans import Span

_MAX_CHARACTERS = 200_000  # of one page; more is an attack or a dump, and is cut with a warning
_GARBAGE_SHARE = 0.2
_ENOUGH_LETTERS = 300
_VOWELS = 0.2  # languages in Latin script have 0.35 to 0.5
_WORD = re.compile(r"\S+")
_MARKS = {0x02: "-", 0xFFFE: "-", 0x0D: " "}  # pdfium's for a hyphen at a line end; lines end in CR LF
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_MEANINGLESS = frozenset(("Cc", "Co", "Cn", "Cs"))
_UPRIGHT = 15  # degrees; scans and their text layers are crooked by less


@dataclasses.dataclass(frozen=True, slots=True)
class PageText:
    """A page's text in `view`, where most of it is upright; the page is shown `turned` quarters clockwise from it.

    Words are in the text layer's order; `begins` says which of them begin a line there. `characters` were seen, of
    which `garbage` mean nothing; `cut` says whether there were more; `scrambled` that the letters are a cipher, as of
    fonts without a character map.
    """

    words: list[Word]
    spans: list[Span]
    view: View
    turned: int
    characters: int
    garbage: int
    cut: bool = False
    scrambled: bool = False
    begins: list[bool] = dataclasses.field(default_factory=list)

    def without(self, taken: Container[int]) -> PageText:
        """The text without some words, by their numbers."""
        words: list[Word] = []
        begins: list[bool] = []
        begin = False
        for i, (word, starts) in enumerate(zip(self.words, self.begins, strict=True)):
            begin = begin or starts
            if i in taken:
                begin = True  # what stood left and right of it are two spans
            else:
                words.append(word)
                begins.append(begin)
                begin = False
        return dataclasses.replace(self, words=words, spans=spans_of(words, begins), begins=begins)

    @property
    def usable(self) -> bool:
        """Whether the layer says what the page shows, as far as can be told without looking at it."""
        return bool(self.spans) and self.garbage <= _GARBAGE_SHARE * self.characters and not self.scrambled


def page_text(page: pypdfium2.PdfPage, fonts: Fonts | None = None) -> PageText:
    """The text layer of a page, turned the way most of its characters read. `fonts` number those of the document."""
    shown = page.get_rotation() // 90
    left, bottom, right, top = page.get_bbox()
    textpage = page.get_textpage()
    try:
        total = textpage.count_chars()
        text = _text(textpage, min(total, _MAX_CHARACTERS))
        starts, ends = _pieces(text)
        if not len(starts):
            return PageText([], [], View(left, bottom, right, top, shown), 0, 0, 0)
        handle = pdfium.address_of(textpage.raw)
        first = pdfium.floats(pdfium.text_loose_box, handle, starts.tolist(), 4)  # left, top, right, bottom
        last = pdfium.floats(pdfium.text_loose_box, handle, (ends - 1).tolist(), 4)
        style = styles(handle, starts, fonts or Fonts())
        broken = _broken(starts, ends, first, last, style)
        if broken.any():
            starts, ends = _split(handle, starts, ends, broken, style)
            first = pdfium.floats(pdfium.text_loose_box, handle, starts.tolist(), 4)
            last = pdfium.floats(pdfium.text_loose_box, handle, (ends - 1).tolist(), 4)
            style = styles(handle, starts, fonts or Fonts())
        box = _boxes(handle, starts, ends, first, last, style)
    finally:
        textpage.close()
    turns = _main_turn(style.angles, ends - starts)
    view = View(left, bottom, right, top, turns)
    words, newline = _words(text, starts, ends, view, box, style, turns)
    characters, garbage = _count(text)
    return PageText(
        words, spans_of(words, newline), view, (shown - turns) % 4, characters, garbage, total > _MAX_CHARACTERS,
        _is_scrambled(text), newline,
    )  # fmt: skip


def _text(textpage: pypdfium2.PdfTextPage, count: int) -> str:
    """The page's text, one character for each of pdfium's."""
    buffer = (ctypes.c_ushort * (count + 1))()
    got = raw_pdfium.FPDFText_GetText(textpage.raw, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(got - 1, 0)].decode("utf-16-le", "surrogatepass")
    if len(text) != count or (not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text)):
        handle = pdfium.address_of(textpage.raw)  # characters that it leaves out, or outside the basic plane
        codes = (pdfium.text_unicode(handle, i) for i in range(count))
        text = "".join(chr(code) if 0 < code < 0x110000 else "\0" for code in codes)
    return text.translate(_MARKS)


def _pieces(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and end."""
    found = [match.span() for match in _WORD.finditer(text)]
    pieces = np.array(found, np.intc).reshape(-1, 2)
    return pieces[:, 0], pieces[:, 1]


def _broken(starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray, style: Styles) -> np.ndarray:
    """Words whose ends are farther apart than their characters can be: a jump that no blank marks."""
    count = ends - starts
    dx = (last[:, 0] + last[:, 2] - first[:, 0] - first[:, 2]) / 2
    dy = (last[:, 1] + last[:, 3] - first[:, 1] - first[:, 3]) / 2
    far = np.hypot(dx, dy) > 1.3 * style.sizes * count
    turn = np.radians(style.angles)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    apart = (np.abs(across) > 0.8 * style.sizes) | (along < -0.8 * style.sizes)
    broken: np.ndarray = (count > 1) & (far | apart)
    return broken


def _split(
    handle: int, starts: np.ndarray, ends: np.ndarray, broken: np.ndarray, style: Styles
) -> tuple[np.ndarray, np.ndarray]:
    """Broken words cut where their characters jump."""
    found: list[tuple[int, int]] = []
    for start, end, cut, size, angle in zip(starts, ends, broken, style.sizes, style.angles, strict=True):
        if not cut:
            found.append((start, end))
            continue
        boxes = pdfium.floats(pdfium.text_loose_box, handle, range(start, end), 4)
        turn = np.radians(angle)
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        along = np.diff(x) * np.cos(turn) + np.diff(y) * np.sin(turn)
        across = np.diff(y) * np.cos(turn) - np.diff(x) * np.sin(turn)
        jump = (along > 2 * size) | (along < -0.5 * size) | (np.abs(across) > 0.8 * size)
        at = [start, *(start + 1 + int(i) for i in np.flatnonzero(jump)), end]
        found += itertools.pairwise(at)
    pieces = np.array(found, np.intc)
    return pieces[:, 0], pieces[:, 1]


def _boxes(
    handle: int, starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray, style: Styles
) -> np.ndarray:
    """Left, bottom, right, top of words; where a font's own heights are nonsense, its ink and its size speak."""
    box = np.empty((len(starts), 4), np.float64)
    box[:, 0], box[:, 1] = np.minimum(first[:, 0], last[:, 0]), np.minimum(first[:, 3], last[:, 3])
    box[:, 2], box[:, 3] = np.maximum(first[:, 2], last[:, 2]), np.maximum(first[:, 1], last[:, 1])
    height = first[:, 1] - first[:, 3]
    flat = np.abs(np.sin(np.radians(style.angles))) < 0.3
    odd = flat & ((height < 0.5 * style.sizes) | (height > 2.0 * style.sizes))
    for i in np.flatnonzero(odd):
        ink = [_ink(handle, int(k)) for k in range(starts[i], min(int(ends[i]), int(starts[i]) + 12))]
        low, high = min(b[1] for b in ink), max(b[3] for b in ink)
        if not 0.25 * style.sizes[i] <= high - low <= 4 * style.sizes[i] and high > low:
            style.sizes[i] = (high - low) * 1.3  # a font whose own units are off
        middle, half = (low + high) / 2, max(0.55 * style.sizes[i], (high - low) / 2)
        box[i, 1], box[i, 3] = middle - half, middle + half
    return box


def _ink(handle: int, index: int) -> tuple[float, float, float, float]:
    out = np.zeros(4, np.float64)
    at = out.ctypes.data
    pdfium.text_ink_box(handle, index, at, at + 16, at + 8, at + 24)
    left, bottom, right, top = out.tolist()
    return left, bottom, right, top


def _main_turn(angles: np.ndarray, lengths: np.ndarray) -> int:
    """How many quarters clockwise the page must turn for most characters to be upright."""
    quarters = np.round(angles / 90).astype(int) % 4
    weight = [int(lengths[quarters == turn].sum()) for turn in range(4)]
    return max(range(4), key=lambda turn: (weight[turn], -turn))


def _words(
    text: str, starts: np.ndarray, ends: np.ndarray, view: View, box: np.ndarray, style: Styles, turns: int
) -> tuple[list[Word], list[bool]]:
    """The words, and for each whether pdfium begins a line with it."""
    x0, y0, x1, y1 = view.box(*box.T)
    angles = (style.angles - 90 * turns) % 360
    angles = np.where((angles <= _UPRIGHT) | (angles >= 360 - _UPRIGHT), 0, np.round(angles)).astype(int)
    line = np.cumsum(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32) == 10)[starts]
    newline = np.diff(line, prepend=-1) > 0
    texts = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    rows = zip(
        texts, *(np.round(values, 2).tolist() for values in (x0, y0, x1, y1)), np.round(style.sizes, 1).tolist(),
        style.bold.tolist(), style.fonts.tolist(), angles.tolist(), strict=True,
    )  # fmt: skip
    words = list(map(Word._make, rows))
    begins = newline.tolist()
    if clean_characters(text) == text and not any(chr(code) in text for code in _LIGATURES):
        return words, begins
    return _cleaned(words, begins)


def _cleaned(words: list[Word], begins: list[bool]) -> tuple[list[Word], list[bool]]:
    """Words without what nobody may see; those of nothing else vanish, and leave their line's beginning behind."""
    kept: list[Word] = []
    first: list[bool] = []
    pending = False
    for word, begin in zip(words, begins, strict=True):
        text = clean_characters(word.text).translate(_LIGATURES).strip()
        pending = pending or begin
        if text:
            kept.append(word._replace(text=text))
            first.append(pending)
            pending = False
    return kept, first


def _count(text: str) -> tuple[int, int]:
    """Characters that show, and those of them that mean nothing: unmapped glyphs come as controls or private use."""
    seen = {character: text.count(character) for character in set(text) if not character.isspace()}
    garbage = sum(n for c, n in seen.items() if c == "\ufffd" or unicodedata.category(c) in _MEANINGLESS)
    return sum(seen.values()), garbage


def _is_scrambled(text: str) -> bool:
    """Fonts without a character map come out as a cipher: letters, but hardly a vowel among them."""
    low = text.lower()
    letters = sum(map(low.count, string.ascii_lowercase))
    return letters >= _ENOUGH_LETTERS and sum(map(low.count, "aeiouy")) < _VOWELS * letters
