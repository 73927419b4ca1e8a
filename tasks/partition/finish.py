"""What only the whole document shows: headings by type size, running headers and footers, pictures on every page, and
tables that go on over pages.

In: the rows of all parts in order, and the hints beside those of a PDF. Out: the final rows, renumbered.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Sequence

from tasks.partition.hints import Hint
from tasks.partition.pdf.tables.continued import with_tables
from tasks.partition.tally import What, drop_kept
from tasks.rows import ElementRow

_LEVELS = 4
_MIN_STEP = 0.2  # points above body text that make a heading
_EDGE = 0.09  # share of the page height where headers and footers are
_REPEATED_ON = 3  # pages
_PLACES = {"Header": 0, "Footer": 2}  # on their page; all else is between
_PICTURES: dict[str, What] = {"Image": "pictures", "Figure": "figures"}
_BARE_NUMBER = re.compile(r"[-–— ]*(\d{1,5})[-–— ]*")
_NUMBER = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"(?:page )?[-–— ]*#(?: ?(?:of|/) ?#)?[-–— ]*", re.IGNORECASE)
_WORDS_AND_NUMBER = re.compile(r"# [^\n]{1,80}|[^\n.]{1,80} #")
_COUNTED_ON = 2  # pages


def finish(
    rows: Sequence[ElementRow], hints: Sequence[Hint], pages: int, counts: collections.Counter[str] | None = None
) -> list[ElementRow]:
    """The document's rows: equal input gives equal output, whatever parts it came in. `counts` of kept pictures are
    brought up to date."""
    final = _drop_repeated_pictures(rows, pages, collections.Counter() if counts is None else counts)
    if hints:
        by_row = {id(row): hint for row, hint in zip(rows, hints, strict=True)}
        known = [by_row[id(row)] for row in final]
        titled = _with_headings(final, [hint.size for hint in known], _running(final, pages))
        final = _in_place(with_tables(titled, known))
    return [dataclasses.replace(row, ordinal=i) for i, row in enumerate(final)]


def _in_place(rows: Sequence[ElementRow]) -> list[ElementRow]:
    """Headers before everything on their page, footers after it."""
    return sorted(rows, key=lambda row: (row.page or 0, _PLACES.get(row.category, 1)))


def document_title(rows: Sequence[ElementRow]) -> str:
    """The first heading, of the top level if one is near."""
    titles = [row for row in rows[:40] if row.category == "Title"]
    best = min((row.level or 0 for row in titles), default=0)
    return next((row.text.replace("\n", " ")[:200] for row in titles if (row.level or 0) == best), "")


def _drop_repeated_pictures(
    rows: Sequence[ElementRow], pages: int, counts: collections.Counter[str]
) -> list[ElementRow]:
    """A logo on every page is one picture: the first is kept where it is on three pages or more."""
    if pages < _REPEATED_ON:
        return list(rows)
    on: dict[str, set[int | None]] = collections.defaultdict(set)
    for row in rows:
        if row.media:
            on[row.media].add(row.page)
    kept, seen = [], set()
    for row in rows:
        if row.media and len(on[row.media]) >= _REPEATED_ON and row.category in _PICTURES:
            if row.media in seen:
                drop_kept(counts, _PICTURES[row.category], "repeated")
                continue
            seen.add(row.media)
        kept.append(row)
    return kept


def _running(rows: Sequence[ElementRow], pages: int) -> dict[int, str]:
    """Rows that are running headers or footers, by identity: short, at an edge, repeated but for numbers."""
    found: dict[tuple[str, str], list[ElementRow]] = collections.defaultdict(list)
    for row in rows:
        if len(row.boxes) == 1 and row.text and len(row.text) < 150 and not row.media:
            box = row.boxes[0]
            if box.y1 < _EDGE:
                found["Header", _NUMBER.sub("#", row.text)].append(row)
            elif box.y0 > 1 - _EDGE:
                found["Footer", _NUMBER.sub("#", row.text)].append(row)
    edges = {}
    for (category, text), same in found.items():
        repeated = len({row.page for row in same}) >= min(_REPEATED_ON, max(2, pages))
        bare_number = category == "Footer" and _PAGE_NUMBER.fullmatch(text)
        if repeated or bare_number:
            edges.update({id(row): category for row in same})
    footers = [row for (category, _), same in found.items() if category == "Footer" for row in same]
    return _page_numbers(rows) | _counted(footers) | edges


def _counted(footers: Sequence[ElementRow]) -> dict[int, str]:
    """Words with a number at the foot of pages, where those numbers count with the pages: else they say something, such
    as a sum."""
    found: dict[int, list[ElementRow]] = collections.defaultdict(list)
    for row in footers:
        text = _NUMBER.sub("#", row.text)
        if row.page is not None and _WORDS_AND_NUMBER.fullmatch(text):
            number = _NUMBER.findall(row.text)[0 if text.startswith("#") else -1]
            if len(number) <= 5:
                found[int(number) - row.page].append(row)
    counted = [same for same in found.values() if len({row.page for row in same}) >= _COUNTED_ON]
    return {id(row): "Footer" for same in counted for row in same}


def _page_numbers(rows: Sequence[ElementRow]) -> dict[int, str]:
    """Numbers that stand first or last on their pages, wherever that is, and count with them."""
    by_page: dict[int, list[ElementRow]] = collections.defaultdict(list)
    for row in rows:
        if row.page is not None and row.boxes and not row.media:
            by_page[row.page].append(row)
    found: dict[tuple[str, int], list[ElementRow]] = collections.defaultdict(list)
    for page, inside in by_page.items():
        first, last = min(inside, key=lambda row: row.boxes[0].y0), max(inside, key=lambda row: row.boxes[0].y1)
        for category, row in (("Header", first), ("Footer", last)):
            number = _BARE_NUMBER.fullmatch(row.text)
            if number and len(inside) > 1:
                found[category, int(number[1]) - page].append(row)
    return {id(row): category for (category, _), same in found.items() if len(same) >= _REPEATED_ON for row in same}


def _with_headings(rows: Sequence[ElementRow], sizes: Sequence[float], edges: dict[int, str]) -> list[ElementRow]:
    """Rows with Title and its level: the larger the type above body text, the higher the heading. What a model has told
    to be a title is one."""
    weights: collections.Counter[float] = collections.Counter()
    for row, size in zip(rows, sizes, strict=True):
        weights[round(abs(size), 1)] += len(row.text) if size else 0
    body = max(weights, key=lambda size: (weights[size], -size), default=0.0)
    candidates = [
        round(size * 2) / 2
        if (row.category == "Title" or _is_heading(row, size, body)) and id(row) not in edges
        else None
        for row, size in zip(rows, sizes, strict=True)
    ]
    ladder = sorted({size for size in candidates if size is not None}, reverse=True)
    levels = {size: min(i, _LEVELS - 1) for i, size in enumerate(ladder)}
    final = []
    for row, step in zip(rows, candidates, strict=True):
        if id(row) in edges:
            row = dataclasses.replace(row, category=edges[id(row)])
        elif step is not None:
            row = dataclasses.replace(row, category="Title", level=levels[step])
        final.append(row)
    return final


def _is_heading(row: ElementRow, size: float, body: float) -> bool:
    if size < body + _MIN_STEP or row.category not in ("NarrativeText", "UncategorizedText", "ListItem"):
        return False
    text = row.text
    if len(text) > 200 or not any(character.isalpha() for character in text) or text.endswith((",", ";")):
        return False
    return size >= body * 1.12 or not text.endswith((".", "。"))
