"""A text and what a model reads at once in, pieces that fit out: for models that we know only the length of.

A text is halved where a line or sentence ends, else between words, until each piece fits. Pieces share a few words, so
that what is said across a cut is not lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SHARED = 100  # characters that neighbours have in common, at most
# Where to cut, the best first: after a line, a sentence, a word; a character of those scripts that know no blanks.
_ENDS = (
    re.compile(r"\n+"),
    re.compile(r"[。！？；…]+|[.!?]+\s+"),
    re.compile(r"\s+"),
    re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"),
)


def windows(text: str, fits: Callable[[str], bool]) -> list[str]:
    """None if there is nothing to read. A piece of one character is returned whether it fits or not."""
    if not text.strip():
        return []
    if len(text) == 1 or fits(text):
        return [text]
    end = _end(text)
    start = max(_begin(text, end), 1)
    return [*windows(text[:end], fits), *windows(text[start:], fits)]


def _end(text: str) -> int:
    """The best place near the middle to end the first half at; not at either end of the text."""
    low, high = max(1, len(text) * 2 // 5), max(2, len(text) * 3 // 5)
    for pattern in _ENDS:
        places = [found.end() for found in pattern.finditer(text, low, high) if found.end() < len(text)]
        if places:
            return min(places, key=lambda place: abs(2 * place - len(text)))
    return len(text) // 2


def _begin(text: str, end: int) -> int:
    """Where the second half begins: some words before the first one ends."""
    shared = min(_SHARED, len(text) // 20)
    places = [found.end() for found in _ENDS[2].finditer(text, end - shared, end) if found.end() < end]
    return places[0] if places else end
