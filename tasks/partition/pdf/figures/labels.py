"""The text of a page as its figures see it: prose that is none of theirs, labels that may be, and captions.

In: the spans of a page. Out: `Lettering`; `Captions.assign` says which caption belongs to which figure.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import re
from collections.abc import Sequence

from tasks.partition.boxes import Box, union
from tasks.partition.spans import Span, join_lines

_NUMBER = r"(?:[0-9]+|[A-Z]|[IVX]+|[一二三四五六七八九十]+)(?:[.\-–][0-9]+)*[a-z]?"
_AFTER = r"(?:\s*[:：.．|–—\-)]|\s+[A-Z\"“'(\[]|\s*[\u3400-\u9fff]|\s*$)"
CAPTION = re.compile(
    rf"(?i:fig(?:ure|s?\.)?|chart|exhibit|plate|photo|map|diagram|graph|scheme|box|图表?|圖表?|插图|附图)\s*{_NUMBER}{_AFTER}"
)
SOURCE = re.compile(r"(?i:sources?|notes?|credits?|资料来源|數據來源|数据来源|来源|注)\s*[:：]")
_PROSE_WORDS, _PROSE_CHARACTERS = 7, 36
_WIDE_PROSE = 18  # characters of a script without blanks
_COLUMN_LINES = 4
_HEADLINES = 5
_MAX_CAPTION_LINES = 8
_REACH = 0.1  # of the page's height between a figure and its caption


@dataclasses.dataclass(frozen=True, slots=True)
class Caption:
    """The lines of a caption, or of a note about sources."""

    box: Box
    text: str
    source: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Lettering:
    """The spans of a page, sorted."""

    labels: list[Span]
    prose: list[Span]
    captions: list[Caption]


def box_of(span: Span) -> Box:
    return span.x0, span.y0, span.x1, span.y1


def lettering(spans: Sequence[Span], size: tuple[float, float]) -> Lettering:
    """Which spans are prose, captions, or short enough to be labels."""
    upright = sorted((s for s in spans if not s.angle), key=lambda s: (s.y0, s.x0))
    captions, taken = _captions(upright)
    prose = {id(span) for span in upright if _is_prose(span, size[0])} | _narrow_columns(upright)
    for _ in range(2):  # the last line of a paragraph is short, and so may the one before it be
        rest = [s for s in upright if id(s) not in prose]
        lines = [s for s in upright if id(s) in prose]
        tops = [line.y0 for line in lines]  # as `upright` is in order: only lines near by are compared
        for span in rest:
            reach = 3 * span.size
            near = lines[bisect.bisect_left(tops, span.y0 - reach) : bisect.bisect_right(tops, span.y0 + reach)]
            if any(_continues(line, span) for line in near):
                prose.add(id(span))
    return Lettering(
        [s for s in spans if id(s) not in prose and id(s) not in taken],
        [s for s in upright if id(s) in prose and id(s) not in taken],
        captions,
    )


def assign(text: Lettering, figures: Sequence[Box], size: tuple[float, float]) -> list[str]:
    """The caption of each figure, empty where it has none: the nearest below or above, each caption once."""
    captions = text.captions
    pairs = []
    for i, figure in enumerate(figures):
        for k, caption in enumerate(captions):
            gap = _gap(figure, caption.box, text.prose)
            if gap is not None and gap <= _REACH * size[1] and not _parted(figure, caption.box, text.prose):
                pairs.append((gap, i, k))
    texts: list[list[tuple[float, str]]] = [[] for _ in figures]
    named: set[int] = set()
    used: set[int] = set()
    for _, i, k in sorted(pairs):
        if k in used or (i in named and not captions[k].source):
            continue
        if captions[k].source and captions[k].box[1] < figures[i][1]:
            continue  # sources stand below
        used.add(k)
        texts[i].append((captions[k].box[1], captions[k].text))
        if not captions[k].source:
            named.add(i)
    return [" ".join(text for _, text in sorted(found)) for found in texts]


def headline(figure: Box, text: Lettering) -> str:
    """The bold line or lines right above a figure without a caption, and what stands between."""
    above = [
        span
        for span in (*text.labels, *text.prose)
        if span.y1 <= figure[1] + 6
        and min(span.x1, figure[2]) - max(span.x0, figure[0]) > 0.6 * (span.x1 - span.x0)
        and not span.angle
    ]
    lines: list[Span] = []
    bottom = figure[1]
    for span in sorted(above, key=lambda span: -span.y1)[:_HEADLINES]:
        after_bold = bool(lines) and lines[-1].bold
        if bottom - span.y1 > 1.5 * span.size or (after_bold and not span.bold):
            break
        lines.append(span)
        bottom = min(bottom, span.y0)
    while lines and not lines[-1].bold:
        lines.pop()
    return join_lines(line.text for line in sorted(lines, key=lambda span: (span.y0, span.x0)))


def _gap(figure: Box, caption: Box, prose: Sequence[Span]) -> float | None:
    """How far a caption is from a figure, below or above; None where it is beside it, or in another column."""
    shared = min(figure[2], caption[2]) - max(figure[0], caption[0])
    if shared <= 0.3 * min(figure[2] - figure[0], caption[2] - caption[0]):
        middle = (figure[0] + figure[2]) / 2  # a figure in the middle, its caption to the left, of one column
        if not any(span.x0 <= caption[0] + 5 and span.x1 >= middle for span in prose):
            return None
    if caption[1] >= figure[3] - 8:
        return max(0.0, caption[1] - figure[3])
    if caption[3] <= figure[1] + 8:
        return max(0.0, figure[1] - caption[3]) + 2.0  # of two that are as near, the one below
    return None


def _parted(figure: Box, caption: Box, prose: Sequence[Span]) -> bool:
    """Whether prose stands between a figure and a caption."""
    top, bottom = min(figure[3], caption[3]), max(figure[1], caption[1])
    left, right = max(figure[0], caption[0]), min(figure[2], caption[2])
    return any(top - 1 < (s.y0 + s.y1) / 2 < bottom + 1 and s.x0 < right and s.x1 > left for s in prose)


def _is_prose(span: Span, width: float) -> bool:
    words = span.text.count(" ") + 1
    if words >= _PROSE_WORDS and len(span.text) >= _PROSE_CHARACTERS:
        return True
    return words <= 3 and len(span.text) >= _WIDE_PROSE and not span.text.isascii() and span.x1 - span.x0 > 0.25 * width


def _narrow_columns(upright: Sequence[Span]) -> set[int]:
    """Lines of prose too short to be told by themselves: four or more below each other, of several words each."""
    found: set[int] = set()
    columns: dict[tuple[int, float], list[Span]] = collections.defaultdict(list)
    for span in upright:
        columns[round(span.x0 / 2), round(span.size, 1)].append(span)
    for column in columns.values():
        runs: list[list[Span]] = []
        for span in column:
            if runs and 0 < span.y0 - runs[-1][-1].y0 <= 1.75 * span.size:
                runs[-1].append(span)
            else:
                runs.append([span])
        for run in runs:
            if len(run) >= _COLUMN_LINES and sum(s.text.count(" ") for s in run) >= 2.5 * len(run):
                found |= {id(line) for line in run}
    return found


def _continues(line: Span, span: Span) -> bool:
    """Whether a span is the next, or the first and indented, line of a paragraph."""
    apart = abs((span.y0 + span.y1) / 2 - (line.y0 + line.y1) / 2)
    same = abs(span.size - line.size) <= 0.1 * line.size and span.bold == line.bold
    inside = line.x0 - 1 <= span.x0 <= line.x0 + 3.5 * line.size and span.x1 <= line.x1 + line.size
    return same and inside and apart <= 1.75 * line.size and len(span.text) > 2


def _captions(upright: Sequence[Span]) -> tuple[list[Caption], set[int]]:
    """The captions of a page, top to bottom, and the spans that they are made of."""
    found: list[Caption] = []
    taken: set[int] = set()
    for i, first in enumerate(upright):
        source = SOURCE.match(first.text) is not None
        if id(first) in taken or not (source or CAPTION.match(first.text)):
            continue
        lines = [first]
        for span in upright[i + 1 :]:
            last = lines[-1]
            if span.y0 > last.y1 + 0.8 * last.size or len(lines) >= _MAX_CAPTION_LINES:
                break
            starts = SOURCE.match(span.text) or CAPTION.match(span.text)
            beside = abs(span.y0 - last.y0) < 0.3 * last.size and 0 <= span.x0 - last.x1 < 2.5 * last.size
            below = span.y0 > last.y0 + 0.5 * last.size and _meets(lines[0], span)
            if not starts and (beside or below) and abs(span.size - last.size) <= 0.12 * last.size:
                lines.append(span)
        taken |= {id(line) for line in lines}
        found.append(Caption(union(map(box_of, lines)), join_lines(line.text for line in lines), source))
    return found, taken


def _meets(first: Span, span: Span) -> bool:
    """Whether a line stands below a caption's first: flush with it, or centred to it."""
    flush = abs(span.x0 - first.x0) <= 2 * first.size
    centred = abs((span.x0 + span.x1) - (first.x0 + first.x1)) <= 2 * first.size
    return flush or (centred and span.x1 - span.x0 <= first.x1 - first.x0)
