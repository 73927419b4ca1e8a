"""The context of each element: what document it is of, and the path of headings that it stands under.

With the pages it is the header that full text search reads. What is embedded, or asked about, has no pages in it: one
that is put in would change all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasks.rows import ElementRow
from tasks.subject import subject_of

_SEPARATOR = " > "
_MOST_PAGES = 8  # a table over more is found by its first ones
_WORDS = re.compile(r"\w+")
_MAX_CHARACTERS = 100  # a "heading" longer than this is probably prose; its beginning is context enough


def contexts(title: str, rows: Sequence[ElementRow]) -> list[str]:
    """One context per row. A Title stands under itself; a Title without a level is taken for one of the last level."""
    document = _document(" ".join(title.split()), rows)
    path: list[tuple[int, str]] = []
    found: list[str] = []
    for row in rows:
        text = " ".join(row.text.split())
        if row.category == "Title" and text:
            level = row.level if row.level is not None else (path[-1][0] if path else 0)
            path = [(depth, heading) for depth, heading in path if depth < level]
            path.append((level, _clip(text)))
        found.append(_SEPARATOR.join(_distinct([document, *(heading for _, heading in path)])))
    return found


def telling(context: str) -> str:
    """A context without the headings that say no word that its document's title does not: what is embedded of it."""
    document, *path = context.split(_SEPARATOR)
    known = set(_WORDS.findall(document.casefold()))
    said = [heading for heading in path if not known.issuperset(_WORDS.findall(heading.casefold()))]
    return _SEPARATOR.join([document, *said])


def header(context: str, pages: Sequence[int]) -> str:
    """`Annual report (Acme Inc.) > Net sales > page 12`."""
    noun = "pages" if len(pages) > 1 else "page"
    where = f"{noun} {', '.join(map(str, pages[:_MOST_PAGES]))}" if pages else ""
    return _SEPARATOR.join(filter(None, (context, where)))


def _document(title: str, rows: Sequence[ElementRow]) -> str:
    """The title, and what the document states of itself besides."""
    stated = subject_of(rows, title).within(title)
    return f"{_clip(title)} ({stated})" if title and stated else _clip(title) or stated


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1].rstrip() + "…"


def _distinct(parts: Iterable[str]) -> list[str]:
    """Without empty parts and without repetitions (the first heading often is the title)."""
    return list({part.casefold(): part for part in reversed([part for part in parts if part])}.values())[::-1]
