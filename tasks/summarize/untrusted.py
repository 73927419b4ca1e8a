"""Text of documents as it may stand in a request: visible, between marks that it cannot forge, and nothing but text.

A document can hold what looks like our marks or like a model's own markup for roles and pictures. The marks are named
after the hash of what they enclose, which no text can contain; so equal material makes an equal request, and what was
answered once is known. Role markup, which some servers would obey, is broken up by a blank.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

_MAX_TABLE = 40_000  # characters of HTML
_TABLE_TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
_SPANS = {"colspan", "rowspan"}
# Markup that chat templates of open models turn into roles or pictures; theirs begins with one of these.
_MARKUP = re.compile(
    r"<(?=\s*[|\uff5c])|(?<=[|\uff5c])>"
    r"|<(?=/?(?:s|bos|eos|pad|unk|image|video|audio|think|system|user|assistant|start_of_turn|end_of_turn"
    r"|start_of_image|end_of_image|img|tool_call|tool_response|mask|sep|cls)(?:\s[^<>]{0,40})?/?>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG|IMG_BREAK|IMG_END)\])"
    r"|<(?=<)|(?<=>)>",
    re.IGNORECASE,
)
_KEPT_FORMAT = frozenset("\u200c\u200d")  # joiners, which change how some scripts are read
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # variations of a glyph, which can carry hidden bytes
_SPACE = re.compile(r">\s+<")


def plain(text: str) -> str:
    """A text without what a person would not see, and with no markup that a model's server could take for its own."""
    seen = "".join(char for char in _SELECTORS.sub("", text) if _visible(char))
    return _MARKUP.sub(lambda found: f" {found[0]}" if found[0] == ">" else f"{found[0]} ", seen).strip()


def _visible(char: str) -> bool:
    """Not a control or format character (bidirectional overrides, tags that spell hidden words), half a pair, or of
    private use."""
    return char in "\n\t" or char in _KEPT_FORMAT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co")


def table(html: str) -> str:
    """A table's tags and cells; empty where there is too much of it, or no table."""
    import nh3

    if len(html) > _MAX_TABLE or "<t" not in html.lower():
        return ""
    attributes = {"*": set[str](), "td": _SPANS, "th": _SPANS}
    return _SPACE.sub("><", nh3.clean(html, tags=_TABLE_TAGS, attributes=attributes, url_schemes=set())).strip()


def fenced(parts: Iterable[tuple[str, str]]) -> tuple[str, str, str]:
    """(first mark, last mark, the marks with the labelled texts between them); empty texts are left out."""
    body = "\n\n".join(f"{label}:\n{text}" for label, text in parts if text)
    name = hashlib.sha256(body.encode()).hexdigest()[:32]
    begin, end = f"<<<MATERIAL {name}>>>", f"<<<END {name}>>>"
    return begin, end, f"{begin}\n{body}\n{end}"
