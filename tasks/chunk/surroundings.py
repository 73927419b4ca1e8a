"""What stands around a table or picture: what the document says of it, beyond its caption and headings.

In: a document's elements. Out: for each table and picture the end of the text before it, under the sentences elsewhere
that name it ("as Figure 3 shows"), and the beginning of the text after it. They are searched and asked about with the
chunk and are not its content.
"""

from __future__ import annotations

import bisect
import collections
import itertools
from collections.abc import Sequence

from tasks import labels
from tasks.chunk.drafts import kind_of
from tasks.labels import Label
from tasks.rows import ElementRow
from tasks.sentences import join, sentences

_NEAR = 700  # characters of the text before, and of that after
_LEAST = 60  # characters that are worth another paragraph
_PARAGRAPHS = 40  # looked at, at most
_NAMING = 2  # sentences
_LONGEST = 300  # characters of such a sentence
_CANDIDATES = 8  # of such sentences on either side
_SURROUNDED = ("table", "image")


class Surroundings:
    """Of a document; `paths` are the contexts of its rows, `captions` their captions."""

    def __init__(self, rows: Sequence[ElementRow], paths: Sequence[str], captions: Sequence[str]) -> None:
        self._rows, self._paths, self._captions = rows, paths, captions
        kinds = [kind_of(row) for row in rows]
        own = {caption for kind, caption in zip(kinds, captions, strict=True) if kind in _SURROUNDED and caption}
        self._prose = [
            i for i, (row, kind) in enumerate(zip(rows, kinds, strict=True)) if kind == "text" and _is_prose(row, own)
        ]
        others = (kind != "text" for kind in kinds)
        self._parted = list(itertools.accumulate(others, initial=0))  # how many tables and the like are before a row
        self._headings = list(itertools.accumulate((row.category == "Title" for row in rows), initial=0))
        self._naming: dict[Label, list[tuple[int, str]]] = collections.defaultdict(list)
        for i in self._prose:
            for sentence, found in labels.naming(rows[i].text) if rows[i].category != "Title" else ():
                for each in found:
                    self._naming[each].append((i, sentence))
        self._named: dict[Label, list[int]] = collections.defaultdict(list)
        for i, caption in enumerate(captions):
            if kinds[i] in _SURROUNDED and (label := labels.label_of(caption)):
                self._named[label].append(i)

    def of(self, index: int) -> tuple[str, str]:
        """(before, after) of a row; both empty where it is text or a recording. Paragraphs are lines."""
        row = self._rows[index]
        if kind_of(row) not in _SURROUNDED:
            return "", ""
        held = " ".join(f"{row.text} {self._captions[index]}".split())
        before, after = self._near(index, -1, held), self._near(index, 1, held)
        return "\n".join(filter(None, (*self._elsewhere(index, f"{before}\n{after}"), before))), after

    def _near(self, index: int, step: int, held: str) -> str:
        """The text nearest to a row on one side (-1: before it), up to the next table or picture beyond; without what
        the row itself, or its path, says."""
        first = bisect.bisect(self._prose, index) - (step < 0)
        found: list[str] = []
        room = _NEAR
        last = None
        for place in itertools.islice(itertools.count(first, step), _PARAGRAPHS):
            if not 0 <= place < len(self._prose) or room < _LEAST:
                break
            there = self._prose[place]
            if not self._reaches(index, there) or (last is not None and self._parted[there] != self._parted[last]):
                break
            text = " ".join(self._rows[there].text.split())
            headed = self._rows[there].category == "Title" and text[:90] in self._paths[index]
            if text not in held and not headed:
                part = _bounded(text, room, step)
                room -= len(part) + 1
                found.append(part)
                last = there
        return "\n".join(found[::step])

    def _reaches(self, index: int, there: int) -> bool:
        """Whether text is on the same page; or on the next one, or nowhere in particular, and in the same section."""
        pages, others = _pages(self._rows[index]), _pages(self._rows[there])
        if pages and others and pages & others:
            return True
        if pages and others and min(abs(a - b) for a in pages for b in others) > 1:
            return False
        # a heading before the row is in its path, one after it begins another section
        return self._headings[min(index, there)] == self._headings[max(index, there) + 1]

    def _elsewhere(self, index: int, said: str) -> list[str]:
        """The nearest sentences that name the row by its label, beyond what is said beside it, in the document's order.

        Where several captions have one label, as in collections of papers, a sentence names the nearest.
        """
        label = labels.label_of(self._captions[index])
        if label is None:
            return []
        naming, holders = self._naming.get(label, []), self._named[label]
        place = bisect.bisect(naming, (index, ""))
        near = naming[max(0, place - _CANDIDATES) : place + _CANDIDATES]
        meant = {text: i for i, text in near if text not in said and self._means(index, i, holders)}
        nearest = sorted(meant, key=lambda text: (abs(meant[text] - index), meant[text]))[:_NAMING]
        return [_bounded(text, _LONGEST, 1) for text in meant if text in nearest]

    def _means(self, index: int, there: int, holders: Sequence[int]) -> bool:
        """Whether what is named at a place by a label is this row, or one of the same caption, among its holders."""
        place = bisect.bisect(holders, there)
        nearest = min(holders[max(0, place - 1) : place + 1], key=lambda i: abs(i - there))
        return self._captions[nearest] == self._captions[index]


def _is_prose(row: ElementRow, captions: set[str]) -> bool:
    """Whether it says something by itself: captions are of what they name, and stand with it."""
    text = " ".join(row.text.split())
    if not text or row.category == "FigureCaption" or text in captions:
        return False
    return not labels.is_caption(text)


def _pages(row: ElementRow) -> set[int]:
    return {box.page for box in row.boxes} | ({row.page} if row.page is not None else set())


def _bounded(text: str, limit: int, step: int) -> str:
    """The whole sentences at the beginning of a text that fit, or at its end (-1); a part of one where none does."""
    if len(text) <= limit:
        return text
    shown = text[:limit] if step > 0 else text[-limit:]
    kept = ""
    for sentence in sentences(text[: 2 * limit]) if step > 0 else sentences(text[-2 * limit :])[::-1]:
        longer = sentence if not kept else join(kept, sentence) if step > 0 else join(sentence, kept)
        if len(longer) > limit:
            break
        kept = longer
    if kept:
        return kept
    if step > 0:
        return (shown[: limit - 1].rpartition(" ")[0] or shown[: limit - 1]) + "…"
    return "…" + (shown[1:].partition(" ")[2] or shown[1:])
