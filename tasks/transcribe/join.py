"""What was heard in the windows of a recording as one text: segments per window in, all of them in order of time out.

Where two windows overlap, both have heard the same words, and each may have half a word at its border. The words that
both agree on tell where the one ends and the other goes on; where there are none, the middle of the overlap does.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

# A word; in Chinese and Japanese, which have no blanks, a character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_CLOSING = re.compile(r"[.,;:!?…。，；：！？、)\]”’\"']*")
_OPENING = re.compile(r"^[\s.,;:!?…。，；：！？、)\]”’]+")
_WORDS_PER_SECOND = 4.0  # at least so many may lie in the overlap, and twice as many as the text has elsewhere
_UNEXPECTED = 1.5  # words that a run may be longer for each that the overlap would have too many or too few
_FEWEST_LETTERS = 4  # that two texts share by no accident


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """Words and when they are said; `exact` whether that was told or is only that of the window."""

    text: str
    start: float
    end: float
    language: str = ""
    probability: float | None = None
    exact: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A window's time, how much of its beginning is the end of the window before, and what was heard in it."""

    start: float
    end: float
    lead: float
    segments: tuple[Segment, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Word:
    text: str
    segment: int
    begin: int  # in the segment's text
    end: int


def joined(windows: Sequence[Heard]) -> list[Segment]:
    """The segments of consecutive windows, no word twice, in order of time and without overlaps."""
    found: list[Segment] = []
    before: Heard | None = None
    for window in windows:
        fresh = list(window.segments)
        if before is not None and before.segments and fresh and window.lead > 0:
            own = found[len(found) - len(before.segments) :]
            words = (before.end - window.start) * (_pace(before) + _pace(window)) / 2
            kept, fresh = _at_border(own, fresh, window.start, before.end, words)
            found[len(found) - len(own) :] = kept
            window = dataclasses.replace(window, segments=tuple(fresh))
        found += fresh
        before = window
    return _in_turn(found)


def _at_border(
    left: Sequence[Segment], right: Sequence[Segment], start: float, end: float, expected: float
) -> tuple[list[Segment], list[Segment]]:
    """What is kept of the segments before and after an overlap from `start` to `end`, of about `expected` words."""
    most = math.ceil(max(_WORDS_PER_SECOND * (end - start), 2 * expected))
    tail = [word for word in _words(left) if left[word.segment].end >= start][-most:]
    head = [word for word in _words(right) if right[word.segment].start <= end][:most]
    middle = (start + end) / 2
    shared = _shared([word.text for word in tail], [word.text for word in head], expected)
    if shared is None:
        return (
            [one if one.exact else dataclasses.replace(one, end=min(one.end, middle)) for one in left
             if not one.exact or (one.start + one.end) / 2 < middle],
            [one if one.exact else dataclasses.replace(one, start=max(one.start, middle)) for one in right
             if not one.exact or (one.start + one.end) / 2 >= middle],
        )  # fmt: skip
    last, goes_on = tail[shared[0]], head[shared[1]]
    kept = list(left[: last.segment + 1])
    text = kept[-1].text
    closing = _CLOSING.match(text, last.end)
    kept[-1] = dataclasses.replace(kept[-1], text=text[: closing.end() if closing else last.end])
    first = right[goes_on.segment]
    rest = _OPENING.sub("", first.text[goes_on.end :])
    border = min(max(kept[-1].end, start), end) if kept[-1].exact and first.exact else middle
    kept[-1] = dataclasses.replace(kept[-1], end=min(kept[-1].end, border))
    went_on = [dataclasses.replace(first, text=rest, start=min(max(first.start, border), first.end))] if rest else []
    return kept, [*went_on, *right[goes_on.segment + 1 :]]


def _shared(tail: Sequence[str], head: Sequence[str], expected: float) -> tuple[int, int] | None:
    """The places of the last word that both have, by their best common run of words; None where there is none.

    Where somebody repeats himself there are several. The best is long, leaves little between itself and the borders,
    and makes the overlap about as many words as are expected.
    """
    best: tuple[float, int, int] | None = None
    runs = [[0] * (len(head) + 1) for _ in range(len(tail) + 1)]  # length of the run that ends there
    for at, word in enumerate(tail):
        for place, other in enumerate(head):
            if word != other:
                continue
            size = runs[at + 1][place + 1] = runs[at][place] + 1
            if sum(len(each.encode()) for each in head[place + 1 - size : place + 1]) < _FEWEST_LETTERS:
                continue
            beside = len(tail) - 1 - at + place + 1 - size
            score = size - beside - _UNEXPECTED * abs(size + beside - expected)
            if best is None or score > best[0]:
                best = (score, at, place)
    return None if best is None else best[1:]


def _pace(window: Heard) -> float:
    """Words per second of what was heard."""
    return len(_words(window.segments)) / max(1.0, window.end - window.start)


def _words(segments: Sequence[Segment]) -> list[_Word]:
    return [
        _Word(found.group().casefold(), index, found.start(), found.end())
        for index, segment in enumerate(segments)
        for found in _WORD.finditer(segment.text)
    ]


def _in_turn(segments: Sequence[Segment]) -> list[Segment]:
    """Each begins where the one before has ended, or later: models' times overlap by a little now and then."""
    found: list[Segment] = []
    last = 0.0
    for segment in segments:
        start = min(max(segment.start, last), max(segment.end, last))
        end = max(segment.end, start)
        found.append(dataclasses.replace(segment, start=round(start, 3), end=round(end, 3)))
        last = end
    return found
