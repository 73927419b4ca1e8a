"""What stands around a table or picture: what the document says of it, beyond its caption and headings.

In: a document's elements. Out: for each table and picture the end of the text before it, under the sentences elsewhere
that name it ("as Figure 3 shows"), and the beginning of the text after it. They are searched and asked about with the
chunk and are not its content.
"""

from __future__ import annotations

import bisect
import collections
import itertools
from collections.abc import Iterator, Sequence

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
        if kind_of(self._rows[index]) not in _SURROUNDED:
            return "", ""
        before, after = self._near(index, -1), self._near(index, 1)
        said = f"{before}\n{after}"
        naming = [sentence for sentence in self._sentences(index) if sentence not in said]
        return "\n".join(filter(None, (*naming, before))), after

    def _near(self, index: int, step: int) -> str:
        """The text nearest to a row on one side (-1: before it), up to the next table or picture beyond."""
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
            if text := self._worth(index, there):
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

    def _worth(self, index: int, there: int) -> str:
        """A paragraph, empty where the row itself or its path says the same."""
        text = " ".join(self._rows[there].text.split())
        held = " ".join(self._rows[index].text.split())
        heading = self._rows[there].category == "Title" and text[:90] in self._paths[index]
        return "" if heading or text in held or text in self._captions[index] else text

    def _sentences(self, index: int) -> Iterator[str]:
        """The nearest sentences that name the row by its label, in the document's order.

        Where several captions have one label, as in collections of papers, a sentence names the nearest.
        """
        label = labels.label_of(self._captions[index])
        if label is None:
            return
        naming = self._naming.get(label, [])
        place = bisect.bisect(naming, (index, ""))
        near = [each for each in naming[max(0, place - _CANDIDATES) : place + _CANDIDATES] if self._means(index, each)]
        nearest = sorted({sentence: i for i, sentence in near}.items(), key=lambda item: abs(item[1] - index))
        for sentence, _ in sorted(nearest[:_NAMING], key=lambda item: item[1]):
            yield _bounded(sentence, _LONGEST, 1)

    def _means(self, index: int, named: tuple[int, str]) -> bool:
        label = labels.label_of(self._captions[index])
        holders = self._named[label] if label else []
        place = bisect.bisect(holders, named[0])
        nearest = min(holders[max(0, place - 1) : place + 1], key=lambda i: abs(i - named[0]))
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
