"""Sentence boundaries in English and Chinese text, without a model: pure functions over strings."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc eg ie al cf ca viz co corp inc ltd llc no nos vol fig figs tab eq eqs sec ch "  # noqa: SIM905
    "pp ed eds ref refs rev gen col lt sgt capt gov sen rep hon dept univ assn bros est approx jan feb mar apr jun jul "
    "aug sep sept oct nov dec u.s u.k u.n e.g i.e a.m p.m ph.d".split()
)
_OF_NUMBERS = frozenset({"no", "nos"})  # words of their own where no number follows
# What few names begin with and many sentences do: after it, even the dot of an abbreviation ends one.
_STARTERS = frozenset(
    "After All Although An And As At Because But By Each For From He Her His How However I If In It Its Many Most "  # noqa: SIM905
    "No Not On One Our She Since So Some Such That The Their Then There These They This Those Though To Under Until We "
    "What When Where While Who With You Your".split()
)
_NEVER_LAST = frozenset("mr mrs ms dr prof st vs fig figs eq eqs cf e.g i.e eg ie".split())  # noqa: SIM905
_CLOSING = r"[”’」』）】》〉〕\"')\]]*+"
# A Chinese stop ends a sentence whatever follows; a Latin one only before white space and a likely beginning, and an
# ellipsis before either. Each run of stops is looked at once, however long it is.
_LIKELY = r"[\"'“‘(\[]*+[A-Z0-9À-ÖØ-Þ\u0370-\u03ff\u0400-\u042f\u3400-\u9fff\uac00-\ud7af]"
_STOP = re.compile(
    rf"(?<!…)…*+[。！？；][。！？；…]*+{_CLOSING}"
    rf"|(?<!…)…++{_CLOSING}(?=\s*+(?:$|[“‘「『（《]*+[\u3400-\u9fff])|\s++{_LIKELY})"
    rf"|(?<![.!?])[.!?]++{_CLOSING}(?=\s++{_LIKELY})"
    r"|\n[ \t]*+\n\s*+"
)
_LAST_WORD = re.compile(r"([\w.]+)$")
_NEXT_WORD = re.compile(r"\s*[\"'“‘(\[]*(\w+)")
# "1.", "2.1." and "Item 7." before what they number.
_ENUMERATOR = re.compile(
    r"(?:(?:appendix|chapter|exhibit|fig(?:ure)?|item|note|part|question|section|step|table)\s+\w{1,5}"
    r"|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5}))(?:\.\d{1,3})*\)?",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, stripped, none empty."""
    parts: list[str] = []
    start = 0
    for stop in _STOP.finditer(text):
        if stop.group().startswith(".") and not _ends(text, start, stop):
            continue
        parts.append(text[start : stop.end()].strip())
        start = stop.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def join(left: str, right: str) -> str:
    """Two sentences as one text: no blank after a Chinese stop, where the text had none that matters."""
    return left + right if left[-1] > "\u2e80" else f"{left} {right}"


def _ends(text: str, start: int, stop: re.Match[str]) -> bool:
    """Whether a dot ends the sentence that began at `start`, and belongs to no abbreviation and no number."""
    if stop.group().startswith(".."):
        return True
    if stop.start() - start < 24 and _ENUMERATOR.fullmatch(text[start : stop.start()].strip()):
        return False
    match = _LAST_WORD.search(text, max(start, stop.start() - 24), stop.start())
    following = _NEXT_WORD.match(text, stop.end())
    following_word = following[1] if following else ""
    if match is None:
        return True
    word = match[1].lower()
    if word in _OF_NUMBERS:
        return not following_word[:1].isdigit()
    initial = len(match[1]) == 1 and match[1].isalpha() and match[1].isupper() and word != "i"  # "J. Smith"
    if word not in _ABBREVIATIONS and not initial:
        return True
    return following_word in _STARTERS and word not in _NEVER_LAST
