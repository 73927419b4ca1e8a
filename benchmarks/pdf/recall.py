"""How much of a PDF's text layer its elements hold: characters, and words.

The truth is what pdfium says is on the page. Blanks and hyphens do not count (those at line ends are undone), nor do
characters that nobody may see. Counts are per page, so that a page cannot make up for another.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable

import pypdfium2

from benchmarks.pdf.pages import said
from tasks.clean import clean
from tasks.rows import ElementRow

_LEADERS = re.compile(r"(?:[.·…_]\s?){4,}")  # lead the eye in tables and say nothing
_WORD = re.compile(r"\w+")  # "$ 1,234" and "$1,234" are the same words
_IGNORED = dict.fromkeys(map(ord, "-\u2010\u2011"))
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})


@dataclasses.dataclass(frozen=True, slots=True)
class Recall:
    characters: int
    found: int
    words: int
    words_found: int

    def __add__(self, other: Recall) -> Recall:
        return Recall(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def share(self) -> float:
        return self.found / self.characters if self.characters else 1.0

    @property
    def word_share(self) -> float:
        return self.words_found / self.words if self.words else 1.0


def layer(page: pypdfium2.PdfPage) -> str:
    """The page's text layer as pdfium says it."""
    textpage = page.get_textpage()
    text: str = textpage.get_text_range()
    textpage.close()
    return text.replace("\ufffe", "-\n").replace("\x02", "-\n")


def recall(truth: str, rows: Iterable[ElementRow]) -> Recall:
    text = "\n".join(map(said, rows))
    characters, found = _characters(truth), _characters(text)
    words, words_found = _words(truth), _words(text)
    return Recall(characters.total(), (characters & found).total(), words.total(), (words & words_found).total())


def _characters(text: str) -> collections.Counter[str]:
    return collections.Counter("".join(_plain(text).split()))


def _words(text: str) -> collections.Counter[str]:
    joined = _plain(text.replace("-\r\n", "").replace("-\n", ""))
    return collections.Counter(_WORD.findall(joined))


def _plain(text: str) -> str:
    return _LEADERS.sub(" ", clean(text)).translate(_LIGATURES).translate(_IGNORED)
