"""Lines of a region → bands: runs of lines that may be a table, prose and titles cut off above, below and between.

In: lines. Out: bands, each header lines and body lines. Whether a band is a table its columns tell (`judge`).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence

from tasks.partition.pdf.tables.lines import BLANK, FIGURE, TEXT, YEAR, Line

_NEAR = 5  # lines within which columns of values are looked for
_MAX_HEADER = 7
_NUMBERED = re.compile(
    r"(?:(?:table|exhibit|figure|fig\.?)\s*[\dA-Z]|[表图]\s*[\d一二三四五六七八九十])[\d.-]*\s*[:.：]", re.IGNORECASE
)


@dataclasses.dataclass(slots=True)
class Band:
    """Consecutive lines of a region, `start` to `stop`, of which those from `first` on hold data."""

    lines: list[Line]
    start: int
    first: int
    stop: int

    @property
    def body(self) -> list[Line]:
        return self.lines[self.first : self.stop]

    @property
    def header(self) -> list[Line]:
        return self.lines[self.start : self.first]


def has_values(line: Line) -> bool:
    """A row of figures: a figure, and something to its left."""
    return any(piece.kind in (FIGURE, BLANK) for piece in line.pieces[1:])


def is_running_text(line: Line) -> bool:
    """A justified line that fell apart, or two columns of prose."""
    words = sum(len(piece.words) for piece in line.pieces)
    gaps = [b.x0 - a.x1 for a, b in itertools.pairwise(line.pieces)]
    if words < 8 or words < 4 * len(line.pieces) or not gaps or max(gaps) >= 1.7 * line.size:
        return False
    inner = max((b.x0 - a.x1 for p in line.pieces for a, b in itertools.pairwise(p.words)), default=0.0)
    return max(gaps) < 2.5 * inner and any(piece.kind == TEXT for piece in line.pieces[1:])


def is_caption(line: Line) -> bool:
    """Whether a line begins as captions do: with a number and what it names."""
    return len(line.pieces[0].words) > 3 and _NUMBERED.match(line.pieces[0].text) is not None


def prose_flags(lines: Sequence[Line]) -> list[bool]:
    """Which lines are running text: they reach over where values stand near by, or go on with a line that does."""
    starts = [line.pieces[1].x0 if len(line.pieces) > 1 and not is_running_text(line) else None for line in lines]
    flags: list[bool] = []
    low = min((line.x0 for line in lines), default=0.0)
    high = max((line.x1 for line in lines), default=0.0)
    for i, line in enumerate(lines):
        if len(line.pieces) > 1:
            flags.append(is_running_text(line))
            continue
        near = [s for s in starts[max(0, i - _NEAR) : i + _NEAR + 1] if s is not None]
        piece = line.pieces[0]
        limit = min(near) if near else low + 0.5 * (high - low)
        left = min(other.x0 for other in lines[max(0, i - _NEAR) : i + _NEAR + 1])
        prose = piece.wordy and piece.x0 < min(limit - 2 * line.size, left + 6 * line.size)
        prose = prose and piece.x1 > limit + 2 * line.size
        if prose and near and len(piece.words) < 9 and not piece.text.endswith((".", ",", ";")):
            prose = piece.x1 > sorted(near)[len(near) // 2] + 2 * line.size  # a long label beside one odd line
        prose = prose or is_caption(line)
        if not prose and flags and flags[-1]:
            above = lines[i - 1]
            step = (line.y0 + line.y1 - above.y0 - above.y1) / 2
            prose = (
                step < 1.45 * line.size and abs(line.x0 - above.x0) < 3.5 * line.size
                and piece.bold == above.pieces[0].bold and piece.kind == TEXT
                and not (i + 1 < len(lines) and has_values(lines[i + 1]) and piece.text.endswith(":"))
            )  # fmt: skip
        flags.append(prose)
    return flags


def bands(lines: Sequence[Line], flags: Sequence[bool], tied: Sequence[bool]) -> list[Band]:
    """Candidates, top to bottom. `tied[i]` says that something drawn holds line i and the one before it together."""
    found: list[Band] = []
    run: list[int] = []
    for i in range(len(lines)):
        if flags[i]:
            found += _trimmed(lines, run)
            run = []
            continue
        if run and _breaks(lines, run, i, tied[i]):
            found += _trimmed(lines, run)
            run = []
        run.append(i)
    found += _trimmed(lines, run)
    return found


def _breaks(lines: Sequence[Line], run: Sequence[int], i: int, tied: bool) -> bool:
    """Whether a table that line i - 1 is in cannot hold line i as well."""
    above, line = lines[i - 1], lines[i]
    size = max(above.size, line.size)
    gap = line.y0 - above.y1
    if gap > (6.0 if tied else 3.6) * size:
        return True
    if not any(has_values(lines[j]) for j in run):
        named = has_values(line) and _named(lines, i - 1, run[0], line)
        return gap > 2.2 * size and not tied and not named
    if len(line.pieces) == 1 and line.pieces[0].kind != TEXT and gap > 1.5 * size and not tied:
        return True  # a page number
    title = len(line.pieces) == 1 and line.pieces[0].x0 < lines[run[0]].x1
    return (gap > 0.8 * size or title) and _begins_header(lines, i, title)


def _begins_header(lines: Sequence[Line], i: int, title: bool) -> bool:
    """Whether names of columns come before the next figures: then another table begins."""
    for line in lines[i : i + 5]:
        if has_values(line):
            return False
        names = [piece for piece in line.pieces if piece.kind in (YEAR, TEXT)]
        years = sum(piece.kind == YEAR for piece in names)
        if len(names) >= 2 and (years >= 1 or len(names) >= 3 or title):
            return not any(piece.wordy for piece in names[1:])
    return False


def _trimmed(lines: Sequence[Line], run: Sequence[int]) -> list[Band]:
    """The band of a run: from its header to its last line with several cells."""
    several = [i for i in run if len(lines[i].pieces) > 1]
    if len(several) < 2:
        return []
    values = [i for i in several if has_values(lines[i])]
    last = several[-1] + 1
    if not values or (len(values) == 1 and not _named(lines, values[0] - 1, run[0], lines[values[0]])):
        return [Band(list(lines), several[0], several[0], last)]
    first = start = values[0]
    while start - 1 >= run[0] and first - start < _MAX_HEADER:
        above, line = lines[start - 1], lines[start]
        gap = (line.y0 - above.y1) / max(line.size, above.size)
        if gap > 3.5 or (gap > 1.6 and not _named(lines, start - 1, run[0], lines[first])):
            break
        start -= 1
    return [Band(list(lines), start, first, last)]


def _named(lines: Sequence[Line], at: int, top: int, values: Line) -> bool:
    """Whether one of the next lines upwards has names above several of a line's values."""
    cells = values.pieces
    near = 1.5 * values.size
    for line in lines[max(top, at - 3) : at + 1]:
        names = [p for k, p in enumerate(line.pieces) if p.kind in (TEXT, YEAR) and not (k and p.wordy)]
        over = [c for c in cells if any(n.x0 < c.x1 + near and n.x1 > c.x0 - near for n in names)]
        if len(names) == len(line.pieces) >= 2 and len(over) >= max(2, len(cells) // 2):
            return True
    return False
