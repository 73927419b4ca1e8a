"""Words → lines of pieces: what may be the cells of a row, each known as figure, year, placeholder or text.

A piece is a run of words that belong together: a word space apart, or a figure with its currency sign, bracket and
percent sign, which statements print in columns of their own.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from tasks.partition.pdf.content import Word
from tasks.partition.spans import is_wide

FIGURE, YEAR, BLANK, TEXT = "figure", "year", "blank", "text"  # kinds of pieces

_CURRENCY = re.compile(r"^(?:US|HK|NT|CA?|AU?|R)?[$€£¥₩₹]$")
_TAIL = re.compile(r"^(?:\)|%|\)%|%\)|\) ?%)$")
# One character at a time: a run of marks that can be read in several ways would be read in all of them.
_MARK = r"(?:\s?(?:\(\w{1,2}\)|\[\w{1,2}\]|[*†‡#]|[a-z](?=$)))*"
_FIGURE = re.compile(
    r"^(?:(?:US|HK|NT|CA?|AU?|R|RMB)?[$€£¥₩₹])?\s?[(<>~≈±+–—−-]{0,2}\s?[$€£¥₩₹]?\s?(?:\d[\d,.’' ]*|\.\d+)\s?"
    r"(?:%|x|bps|bp|pts?|pp|bn|[MBKmk]|[万亿元])?\s?\)?\s?%?"
    r"(?:\s?[–—-]\s?[$€£¥]?\d[\d,]*(?:\.\d+)?\s?%?|\s?to\s[$€£¥]?\d[\d,]*(?:\.\d+)?\s?%?)?" + _MARK + "$"
)  # a range counts as well
_YEAR = re.compile(r"^(?:FY ?|CY ?)?(?:19|20)\d\d(?:[AEF]|年度?)?" + _MARK + "$")
_BLANK = re.compile(r"^[$€£¥]?\s?(?:[—–−-]+|\*++|#|n/?[am]\.?|n\.[am]\.|nil)\s?\)?\s?%?" + _MARK + "$", re.IGNORECASE)
_LEADER = re.compile(r"^[.…·_]{2,}$|^[.·…]$")
_TRAILING_LEADER = re.compile(r"(?<=\w)[\s.…]*+(?:(?<=\.{4})|(?<=…{2}))$")
_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_IS_MARK = re.compile(r"^(?:(?:\(\w{1,2}\))+|[*†‡§]+)$")
_ENUMERATOR = re.compile(
    r"^(?:[•●○◦▪■□–—*‣⁃·-]|\(?(?:\d{1,3}|[a-z]{1,2}|[ivx]{1,5})[.)]|\[\w{1,8}\]|[*†‡§]+)$", re.IGNORECASE
)


class Piece(NamedTuple):
    """A candidate for a cell, or for a line of one."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    kind: str
    words: tuple[Word, ...]

    @property
    def wordy(self) -> bool:
        """Looks like running text."""
        return self.kind == TEXT and len(self.words) >= 5 and sum(map(str.isalpha, self.text)) > 0.6 * len(self.text)


@dataclasses.dataclass(slots=True)
class Line:
    """Pieces on one baseline, left to right."""

    pieces: list[Piece]
    y0: float
    y1: float
    size: float
    leader: bool = False

    @property
    def x0(self) -> float:
        return self.pieces[0].x0

    @property
    def x1(self) -> float:
        return self.pieces[-1].x1

    @property
    def figures(self) -> int:
        return sum(piece.kind in (FIGURE, BLANK) for piece in self.pieces)


def lines_of(words: Sequence[Word]) -> list[Line]:
    """The upright words as lines, top to bottom."""
    rows = _with_marks(_rows([word for word in words if not word.angle and word.text.strip()]))
    lines = [line for row in rows if (line := _line(row)) is not None]
    lines.sort(key=lambda line: line.y0 + line.y1)
    return lines


def _rows(words: list[Word]) -> list[list[Word]]:
    """Words by the middle of their line."""
    rows: list[list[Word]] = []
    reference = before = size = 0.0
    for middle, word in sorted(((w.y0 + w.y1) / 2, w) for w in words):
        least = min(size, word.size)
        if rows and middle - before <= 0.2 * least and middle - reference <= 0.5 * least:
            rows[-1].append(word)
        else:
            rows.append([word])
            reference, size = middle, word.size
        before = middle
    return _level(rows)


def _level(rows: list[list[Word]]) -> list[list[Word]]:
    """Rows that lie nearly level and nowhere one above the other are one: labels and figures set on different lines."""
    kept: list[list[Word]] = []
    for row in rows:
        if kept and _near(kept[-1][0], row[0]) and _beside(kept[-1], row):
            kept[-1] += row
        else:
            kept.append(row)
    return kept


def _near(a: Word, b: Word) -> bool:
    return abs(a.y0 + a.y1 - b.y0 - b.y1) < 0.9 * min(a.size, b.size) and min(a.size, b.size) > 0.75 * max(
        a.size, b.size
    )


def _beside(a: Sequence[Word], b: Sequence[Word]) -> bool:
    spans = sorted((w.x0, w.x1, which) for which, row in enumerate((a, b)) for w in row)
    return all(one[1] <= two[0] + 0.5 or one[2] == two[2] for one, two in itertools.pairwise(spans))


def _with_marks(rows: list[list[Word]]) -> list[list[Word]]:
    """Raised footnote marks join the line of the word that they follow."""
    bounds = [(min(w.y0 for w in row), max(w.y1 for w in row), max(w.size for w in row)) for row in rows]
    kept: list[list[Word]] = []
    for i, row in enumerate(rows):
        y0, y1, _ = bounds[i]
        near = [
            k for k in (i - 2, i - 1, i + 1, i + 2) if 0 <= k < len(rows) and bounds[k][0] < y1 and bounds[k][1] > y0
        ]
        largest = max((bounds[k][2] for k in near), default=0.0)
        rest: list[Word] = []
        for word in row:
            host = None
            if len(word.text) <= 7 and (
                word.size <= 0.85 * largest or (len(row) <= 2 and near and _IS_MARK.match(word.text))
            ):
                host = _host(word, len(row) <= 2, [rows[k] for k in near])
            (rest if host is None else host).append(word)
        row[:] = rest
        if rest:
            kept.append(row)
    return kept


def _host(word: Word, alone: bool, rows: Sequence[list[Word]]) -> list[Word] | None:
    """The line that a word is a mark of: it follows a larger word there, or looks like a mark and has no line."""
    for row in rows:
        for other in row:
            if -1 <= word.x0 - other.x1 < 0.5 * other.size:
                overlap = min(word.y1, other.y1) - max(word.y0, other.y0)
                if overlap > 0.4 * (word.y1 - word.y0) and (
                    word.size <= 0.85 * other.size or (alone and _IS_MARK.match(word.text))
                ):
                    return row
    return None


def _line(row: list[Word]) -> Line | None:
    """A line's words as pieces; None where it is dots only."""
    row.sort(key=lambda word: word.x0)
    found = [word for word in row if not _LEADER.match(word.text)]
    if not found:
        return None
    wide = _wide_gap(found)
    runs = [[found[0]]]
    for word in found[1:]:
        if _together(runs[-1], word, wide) and not (len(found) < len(row) and _dotted(row, runs[-1][-1], word)):
            runs[-1].append(word)
        else:
            runs.append([word])
    pieces = _listed([piece_of(run) for run in runs])
    size = max(found, key=lambda w: len(w.text) * (w.size > 0)).size
    return Line(pieces, min(w.y0 for w in found), max(w.y1 for w in found), size, len(row) - len(found) >= 3)


def _dotted(row: Sequence[Word], a: Word, b: Word) -> bool:
    """Whether dots lead from one word to the other."""
    return any(a.x1 - 1 <= word.x0 and word.x1 <= b.x0 + 1 and _LEADER.match(word.text) for word in row)


def _wide_gap(words: Sequence[Word]) -> float:
    """How wide a gap parts two cells, in type sizes. In a justified line all gaps are alike and may be wide."""
    if len(words) < 7:
        return 0.75
    gaps = sorted((b.x0 - a.x1) / max(b.size, 1.0) for a, b in itertools.pairwise(words))
    middle = gaps[len(gaps) // 2]
    return max(0.75, 1.7 * middle) if middle < 0.9 and gaps[-1] < 3 * middle else 0.75


def _together(run: list[Word], word: Word, wide: float) -> bool:
    last = run[-1]
    gap, size = word.x0 - last.x1, max(min(last.size, word.size), 0.6 * max(last.size, word.size))
    if _CURRENCY.match(last.text) and word.text[:1] in "0123456789.(-–—−N":
        return gap < 45 * size
    if _TAIL.match(word.text) and last.text[-1:] in "0123456789—–-)#*":
        return gap < (1.6 if last.text[-1:] != ")" or "%" in word.text else 0.5) * size
    if gap > wide * size:
        return False
    closed = last.text[-1:].isdigit() or last.text[-1:] in ")%—*#"
    if closed and (_CURRENCY.match(word.text) or word.text[:1] in "$€£¥"):
        return gap <= 0.3 * size
    if closed and len(last.text) > 1 and _is_number(word.text) and _is_number(last.text):
        return gap <= 0.42 * size
    return True


def _is_number(text: str) -> bool:
    return _FIGURE.match(text) is not None or _BLANK.match(text) is not None


def _listed(pieces: list[Piece]) -> list[Piece]:
    """An enumerator or bullet and the text that it leads are one piece."""
    if len(pieces) == 2 and pieces[1].kind == TEXT and _ENUMERATOR.match(pieces[0].text):
        return [piece_of([*pieces[0].words, *pieces[1].words])]
    return pieces


def piece_of(words: Sequence[Word]) -> Piece:
    """Words on one line as a piece."""
    text = words[0].text
    for last, word in itertools.pairwise(words):
        glued = (
            (_CURRENCY.match(last.text) and word.text[:1] in "0123456789.(-–—−")
            or (_TAIL.match(word.text) and last.text[-1:] in "0123456789—–-)#*")
            or (word.x0 - last.x1 < 0.1 * last.size and is_wide(text[-1]) and is_wide(word.text[0]))
            or (word.text in _ORDINALS and word.size < last.size and last.text[-1:].isdigit())
        )
        text += word.text if glued else f" {word.text}"
    text = _TRAILING_LEADER.sub("", text)
    first, last = words[0], words[-1]
    return Piece(
        text, first.x0, min(w.y0 for w in words), max(w.x1 for w in words), max(w.y1 for w in words), first.size,
        first.bold and last.bold, kind_of(text), tuple(words),
    )  # fmt: skip


def kind_of(text: str) -> str:
    if _YEAR.match(text):
        return YEAR
    if _FIGURE.match(text):
        return FIGURE
    return BLANK if _BLANK.match(text) else TEXT
