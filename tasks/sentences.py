"""Sentence boundaries in English and Chinese text, without a model: pure functions over strings."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc eg ie al cf co corp inc ltd llc no nos vol fig figs eq eqs sec ch pp ed "  # noqa: SIM905
    "eds rev gen col lt sgt capt gov sen rep hon dept univ assn bros est approx jan feb mar apr jun jul aug sep "
    "sept oct nov dec u.s u.k u.n e.g i.e a.m p.m ph.d".split()
)
# A Chinese stop ends a sentence whatever follows; a Latin one only before white space and a likely beginning.
_STOP = re.compile(
    r"[。！？；…]+[”’」』）】\"']*"
    r"|[.!?]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]*[A-Z0-9À-ÖØ-Þ\u0370-\u03ff\u0400-\u042f\u3400-\u9fff\uac00-\ud7af])"
    r"|\n[ \t]*\n\s*"
)
_LAST_WORD = re.compile(r"([\w.]+)$")


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, stripped, none empty."""
    parts: list[str] = []
    start = 0
    for stop in _STOP.finditer(text):
        if stop.group().startswith(".") and _is_abbreviation(text[max(start, stop.start() - 24) : stop.start()]):
            continue
        parts.append(text[start : stop.end()].strip())
        start = stop.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _is_abbreviation(before: str) -> bool:
    """Whether the dot after `before` belongs to the word: a known abbreviation or a single capital ("J. Smith")."""
    match = _LAST_WORD.search(before)
    if match is None:
        return False
    word = match.group(1)
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word.isupper() and word != "I")
