"""Document text made safe to keep: NFC, no NULs, lone surrogates or other control characters."""

from __future__ import annotations

import re
import unicodedata

# Controls except tab and newline, lone surrogates, soft hyphen, byte order mark, bidi overrides (text that shows
# other than it reads), private use and non-characters.
_DROPPED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ue000-\uf8ff\ufffe\uffff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_EDGES = re.compile(r" ?\n ?")
_GAPS = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """Text with one space between words, no spaces at line ends and at most one empty line in a row."""
    text = _SPACES.sub(" ", clean_characters(text))
    return _GAPS.sub("\n\n", _EDGES.sub("\n", text)).strip()


def clean_characters(text: str) -> str:
    """Text without the characters nobody may see; its white space is kept."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n").replace("\x0c", "\n")
    text = text.replace("\uf0b7", "•").replace("\uf0a7", "•")  # Symbol and Wingdings bullets
    return unicodedata.normalize("NFC", _DROPPED.sub("", text))
