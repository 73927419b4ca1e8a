"""A PDF page's text layer as words and spans with boxes, and whether it can be trusted.

In: a page. Out: PageText. The text comes in one call, boxes only for the ends of words, and fonts once per text object:
asking for every character would take as long as pdfium's own reading of the page. Arrays do the rest.
"""

from __future__ import annotations

import collections
import ctypes
import dataclasses
import re
import string
import unicodedata
from collections.abc import Container

import numpy as np
import pypdfium2
import pypdfium2.raw as raw_pdfium

from tasks.clean import clean_characters
from tasks.partition.pdf import pdfium
from tasks.partition.pdf.content import View, Word
from tasks.partition.pdf.text.fonts import Fonts, Styles
from tasks.partition.pdf.text.places import measured
from tasks.partition.pdf.text.spans import spans_of
from tasks.partition.spans import Span

_MAX_CHARACTERS = 200_000  # of one page; more is an attack or a dump, and is cut with a warning
_GARBAGE_SHARE = 0.2
_ENOUGH_LETTERS = 300
_LETTERS, _VOWEL_LETTERS = frozenset(string.ascii_lowercase), frozenset("aeiouy")
_VOWELS = 0.2  # languages in Latin script have 0.35 to 0.5
_IS_BLANK = np.array([chr(code).isspace() for code in range(0x3002)])
_SURROGATES = re.compile("[\ud800-\udfff]")
# pdfium's marks for a hyphen at a line end; lines end in CR LF; the bullets of Symbol and Wingdings
_MARKS = {"\x02": "-", "\ufffe": "-", "\r": " ", "\uf0b7": "•", "\uf0a7": "•"}
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
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        starts, ends = _pieces(codes)
        if not len(starts):
            return PageText([], [], View(left, bottom, right, top, shown), 0, 0, 0)
        handle = pdfium.address_of(textpage.raw)
        starts, ends, box, style = measured(handle, starts, ends, fonts or Fonts())
    finally:
        textpage.close()
    turns = _main_turn(style.angles, ends - starts)
    view = View(left, bottom, right, top, turns)
    words, newline = _words(text, codes, starts, ends, view, box, style)
    characters, garbage, scrambled = _count(text)
    return PageText(
        words, spans_of(words, newline), view, (shown - turns) % 4, characters, garbage, total > _MAX_CHARACTERS,
        scrambled, newline,
    )  # fmt: skip


def _text(textpage: pypdfium2.PdfTextPage, count: int) -> str:
    """The page's text, one character for each of pdfium's."""
    buffer = (ctypes.c_ushort * (count + 1))()
    got = raw_pdfium.FPDFText_GetText(textpage.raw, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(got - 1, 0)].decode("utf-16-le", "surrogatepass")
    if len(text) != count or _SURROGATES.search(text):
        handle = pdfium.address_of(textpage.raw)  # characters that it leaves out, or outside the basic plane
        codes = (pdfium.text_unicode(handle, i) for i in range(count))
        text = "".join(chr(code) if 0 < code < 0x110000 else "\0" for code in codes)
    for mark, means in _MARKS.items():
        text = text.replace(mark, means)
    return text


def _pieces(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and end."""
    blank = np.concatenate([[True], _IS_BLANK[np.minimum(codes, len(_IS_BLANK) - 1)], [True]])
    edges = np.flatnonzero(blank[1:] != blank[:-1]).astype(np.intc)
    return edges[::2], edges[1::2]


def _main_turn(angles: np.ndarray, lengths: np.ndarray) -> int:
    """How many quarters clockwise the page must turn for most characters to be upright."""
    quarters = np.round(angles / 90).astype(int) % 4
    weight = [int(lengths[quarters == turn].sum()) for turn in range(4)]
    return max(range(4), key=lambda turn: (weight[turn], -turn))


def _words(
    text: str, codes: np.ndarray, starts: np.ndarray, ends: np.ndarray, view: View, box: np.ndarray, style: Styles
) -> tuple[list[Word], list[bool]]:
    """The words, and for each whether pdfium begins a line with it."""
    x0, y0, x1, y1 = view.box(*box.T)
    angles = (style.angles - 90 * view.turns) % 360
    angles = np.where((angles <= _UPRIGHT) | (angles >= 360 - _UPRIGHT), 0, np.round(angles)).astype(int)
    line = np.cumsum(codes == 10)[starts]
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


def _count(text: str) -> tuple[int, int, bool]:
    """Characters that show, those of them that mean nothing, and whether all are a cipher.

    Unmapped glyphs come as controls or private use. Fonts without a character map come as letters, with hardly a vowel
    among them.
    """
    seen = collections.Counter(text)
    shown = {character: n for character, n in seen.items() if not character.isspace()}
    garbage = sum(n for c, n in shown.items() if c == "\ufffd" or unicodedata.category(c) in _MEANINGLESS)
    low = [(character.lower(), n) for character, n in shown.items()]
    letters = sum(n for character, n in low if character in _LETTERS)
    vowels = sum(n for character, n in low if character in _VOWEL_LETTERS)
    return sum(shown.values()), garbage, letters >= _ENOUGH_LETTERS and vowels < _VOWELS * letters
