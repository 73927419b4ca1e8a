"""Speech as chunks of text: the segments of a recording in, packed into passages that stay together, out.

A passage ends between two segments: where the next one would not fit, at a long pause, at any pause once it is long
enough, and in any case at a silence. A segment that is too long by itself is cut at its sentences, and each part keeps
the segment's time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from tasks import recordings, tokens
from tasks.rows import SegmentRow
from tasks.settings import ChunkSettings

_LONG_PAUSE = 2.0  # seconds; who speaks on after it has something new to say
_PAUSE = 0.5
_SILENCE = 10.0  # a passage with so much of it would be found at a time that says little
_CONTEXT = "Speech, "


@dataclasses.dataclass(frozen=True, slots=True)
class Passage:
    """What is said from `start` to `end`."""

    text: str
    start: float
    end: float

    @property
    def context(self) -> str:
        """`Speech, 0:10–0:52`."""
        return _CONTEXT + recordings.span(self.start, self.end)


def passages(
    segments: Sequence[SegmentRow], settings: ChunkSettings, cut: Callable[[str, int], list[str]]
) -> list[Passage]:
    """`cut` cuts a text into pieces of at most so many tokens."""
    soft = min(settings.soft_tokens, settings.max_tokens)
    found: list[Passage] = []
    size = 0
    for text, start, end in _pieces(segments, settings.max_tokens, soft, cut):
        tokens_of = tokens.count(text) + 1  # 1: what joining can cost
        last = found[-1] if found else None
        gap = start - last.end if last else 0.0
        wanted = soft if gap < _LONG_PAUSE else settings.combine_under_tokens if gap < _SILENCE else 0
        ended = gap >= _PAUSE and size >= wanted
        if last is None or ended or size + tokens_of > settings.max_tokens:
            found.append(Passage(text, start, end))
            size = tokens_of
        else:
            found[-1] = Passage(_joined(last.text, text), last.start, max(last.end, end))
            size += tokens_of
    return found


def _pieces(
    segments: Sequence[SegmentRow], most: int, soft: int, cut: Callable[[str, int], list[str]]
) -> Iterator[tuple[str, float, float]]:
    for row in segments:
        whole = tokens.count(row.text) < most
        for text in [row.text] if whole else cut(row.text, soft):
            yield text, row.time_start, row.time_end


def _joined(left: str, right: str) -> str:
    """No blank between Chinese characters."""
    return left + right if left[-1] > "\u2e80" and right[:1] > "\u2e80" else f"{left} {right}"
