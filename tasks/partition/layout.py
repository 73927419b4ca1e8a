"""From spans of text to blocks in reading order: columns, lines, paragraphs. PDF and OCR share it.

Pure functions; which block is a heading is decided later, from the whole document (`finish`).
"""

from __future__ import annotations

import itertools
import statistics

from tasks.partition.spans import BULLET, Block, Line, Span, is_wide

_MIN_COLUMN_LINES = 6


def blocks(spans: list[Span], width: float) -> list[Block]:
    """The blocks of a page in reading order."""
    return [block for lines in _regions(spans, width) for block in _paragraphs(lines)]


def _regions(spans: list[Span], width: float) -> list[list[Line]]:
    """Lines in reading order, region by region. Where a gutter parts two columns, what crosses it parts the page."""
    gutter = _gutter(spans, width)
    if gutter is None:
        return [_lines(spans)]
    crossing = _crossing(spans, gutter, width)
    taken = {id(span) for row in crossing for span in row}
    rest = [span for span in spans if id(span) not in taken]
    bounds = [float("-inf"), *(min(span.y0 for span in row) for row in crossing), float("inf")]
    regions: list[list[Line]] = []
    for i, (top, bottom) in enumerate(itertools.pairwise(bounds)):
        if i > 0:
            regions.append(_lines(crossing[i - 1]))
        band = [s for s in rest if top <= (s.y0 + s.y1) / 2 < bottom]
        regions.append(_lines([s for s in band if s.x1 <= gutter + 1]))
        regions.append(_lines([s for s in band if s.x1 > gutter + 1]))
    merged: list[list[Line]] = []
    for lines in filter(None, regions):
        if merged and len(lines) == 1 and merged[-1][-1].x0 < gutter < merged[-1][-1].x1 and lines[0].x1 > gutter:
            merged[-1].extend(lines)  # consecutive full-width lines are one region, so that they form paragraphs
        else:
            merged.append(lines)
    return merged


def _crossing(spans: list[Span], gutter: float, width: float) -> list[list[Span]]:
    """What reaches over the gutter, top to bottom: wide spans, and rows of a table as wide as the page.

    Such a row has three or more short cells, on both sides; two columns of prose have one long span each.
    """
    rows: list[list[Span]] = []
    for line in _rows(spans):
        over = [s for s in line if s.x0 < gutter - 1 and s.x1 > gutter + 1]
        short = len(line) >= 3 and all(s.x1 - s.x0 < 0.25 * width for s in line)
        if over or (short and line[0].x0 < gutter < line[-1].x1):
            rows.append(line if short or len(line) == 1 else over)
    return rows


def _gutter(spans: list[Span], width: float) -> float | None:
    """The x between two columns of prose, if there are: few spans cross it and both sides are wide and long.

    Columns of numbers are narrow, so a table is never cut apart.
    """
    wide = [s for s in spans if s.x1 - s.x0 > 0.18 * width]
    if len(wide) < 2 * _MIN_COLUMN_LINES:
        return None
    best: tuple[int, float] | None = None
    for step in range(35, 66):
        x = width * step / 100
        crossing = sum(s.x0 < x - 1 and s.x1 > x + 1 for s in spans)
        left = sum(s.x1 <= x + 1 for s in wide)
        right = sum(s.x0 >= x - 1 for s in wide)
        if min(left, right) >= _MIN_COLUMN_LINES and crossing <= 0.25 * (left + right):
            score = (crossing, abs(x - width / 2))
            if best is None or score < (best[0], abs(best[1] - width / 2)):
                best = (crossing, x)
    return best[1] if best else None


def _lines(spans: list[Span]) -> list[Line]:
    """Spans that share a baseline, joined; lines top to bottom."""
    return [Line(_joined(row)) for row in _rows(spans)]


def _rows(spans: list[Span]) -> list[list[Span]]:
    """Spans by baseline, each row left to right."""
    rows: list[list[Span]] = []
    for span in sorted(spans, key=lambda s: ((s.y0 + s.y1) / 2, s.x0)):
        if rows and any(_same_baseline(other, span) for other in rows[-1][-3:]):
            rows[-1].append(span)
        else:
            rows.append([span])
    return [sorted(row, key=lambda s: s.x0) for row in rows]


def _same_baseline(a: Span, b: Span) -> bool:
    overlap = min(a.y1, b.y1) - max(a.y0, b.y0)
    apart = b.x0 >= a.x1 - 0.5 * a.size or b.x1 <= a.x0 + 0.5 * a.size
    return overlap > 0.5 * min(a.height, b.height) and apart


def _joined(row: list[Span]) -> list[Span]:
    """Neighbours a word space apart become one span; a wider gap is a column of a table and stays."""
    out = [row[0]]
    for span in row[1:]:
        last = out[-1]
        gap = span.x0 - last.x1
        if gap < 0.9 * max(last.size, span.size):
            space = "" if gap < 0.12 * last.size or is_wide(last.text[-1]) else " "
            longer = max(last, span, key=lambda s: len(s.text))
            out[-1] = Span(
                last.text + space + span.text, last.x0, min(last.y0, span.y0), max(last.x1, span.x1),
                max(last.y1, span.y1), longer.size, last.bold and span.bold,
            )  # fmt: skip
        else:
            out.append(span)
    return out


def _paragraphs(lines: list[Line]) -> list[Block]:
    """Lines of one region as blocks."""
    if not lines:
        return []
    gaps = [b.y0 - a.y1 for a, b in itertools.pairwise(lines) if b.y0 > a.y0]
    usual = statistics.median(gaps) if gaps else 0.0
    right = max(line.x1 for line in lines)
    found = [Block([lines[0]])]
    for before, line in itertools.pairwise(lines):
        if _continues(before, line, usual, right):
            found[-1].lines.append(line)
        else:
            found.append(Block([line]))
    return found


def _continues(before: Line, line: Line, usual: float, right: float) -> bool:
    """Whether a line belongs to the paragraph (or the run of table rows) of the line before it."""
    gap = line.y0 - before.y1
    if gap > max(usual, 0.0) + 0.45 * before.size or gap < -1.5 * before.size:
        return False
    if abs(before.size - line.size) > 0.12 * max(before.size, line.size):
        return False
    if before.tabular or line.tabular:
        return before.tabular and line.tabular
    if before.bold != line.bold or BULLET.match(line.text):
        return False
    starts_paragraph = line.x0 > before.x0 + 0.8 * line.size and before.text.rstrip().endswith(
        (".", ":", "?", "!", "。")
    )
    short = before.x1 < right - 0.25 * (right - before.x0) and before.text.rstrip().endswith((".", ":", "?", "!", "。"))
    return not (starts_paragraph or short)
