"""Words of a text layer as spans: what follows on one baseline without a gap wider than a word space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tasks.partition.pdf.content import Word
from tasks.partition.spans import Span, is_wide

_GAP = 1.2  # of the type's size; wider is a column
_LOOSE_GAP = 2.5  # as wide may the gaps of a justified line be


def spans_of(words: Sequence[Word], begins: Sequence[bool]) -> list[Span]:
    """The spans of words in text order; `begins` says which words pdfium begins a line with."""
    if not words:
        return []
    _, *places, bolds, _, angles = zip(*words, strict=True)
    x0, y0, x1, y1, size = np.array(places)
    middle = (y0 + y1) / 2
    angle = np.array(angles)
    step = np.maximum(size[1:], size[:-1])
    gap = x0[1:] - x1[:-1]
    jump = (gap > _GAP * step) | (gap < -0.5 * step) | (np.abs(np.diff(middle)) > 0.8 * step)
    turned = angle[1:] != 0
    if (loose := jump & (gap > _GAP * step) & (gap < _LOOSE_GAP * step)).any():
        jump &= ~(loose & _justified(words, gap, begins))
    cuts = np.asarray(begins[1:], bool) | (jump & ~turned) | (np.diff(angle) != 0)
    starts = np.concatenate([[0], np.flatnonzero(cuts) + 1])
    edges = [*starts.tolist(), len(words)]
    is_plain = np.minimum.reduceat(size, starts) == np.maximum.reduceat(size, starts)
    weights = np.array(bolds)
    for start, end in itertools.pairwise(edges):
        if end - start > 1 and _is_mark(words[start]):  # a bullet has a font of its own
            weights[start] = weights[start + 1]
    bold = np.logical_and.reduceat(weights, starts)
    boxes = [np.minimum.reduceat(x0, starts), np.minimum.reduceat(y0, starts), np.maximum.reduceat(x1, starts),
             np.maximum.reduceat(y1, starts)]  # fmt: skip
    rows = zip(
        itertools.pairwise(edges), zip(*(values.tolist() for values in boxes), strict=True), bold.tolist(),
        is_plain.tolist(), strict=True,
    )  # fmt: skip
    found: list[Span] = []
    for (start, end), (left, top, right, bottom), is_bold, plain in rows:
        part, order = words[start:end], len(found)
        if plain:
            found.append(Span(_joined(part), left, top, right, bottom, part[0].size, is_bold, part[0].angle, order))
        else:
            found.append(_mixed(part, order))
    return found


def _justified(words: Sequence[Word], gaps: np.ndarray, begins: Sequence[bool]) -> np.ndarray:
    """Gaps of lines of words whose gaps are all alike: justified type in a narrow column."""
    starts = np.flatnonzero(begins)
    alike = np.zeros(len(gaps), bool)
    for start, end in itertools.pairwise([*starts.tolist(), len(words)]):
        inner = gaps[start : end - 1]
        if len(inner) < 2 or inner.min() <= 0 or inner.max() > 1.5 * inner.min():
            continue
        line = words[start:end]
        alike[start : end - 1] = 2 * sum(word.text[0].isalpha() for word in line) > len(line)
    return alike


def _mixed(words: Sequence[Word], order: int) -> Span:
    """A span of words of several sizes; those of superscripts do not count for its height."""
    longest = max(words, key=lambda word: len(word.text))
    main = [word for word in words if word.size > 0.8 * longest.size] if not longest.angle else words
    bold = all(word.bold for word in words if not _is_mark(word))
    return Span(
        _joined(words), min(word.x0 for word in words), min(word.y0 for word in main), max(word.x1 for word in words),
        max(word.y1 for word in main), longest.size, bold, longest.angle, order,
    )  # fmt: skip


def _is_mark(word: Word) -> bool:
    return len(word.text) == 1 and not word.text.isalnum()


def _joined(words: Sequence[Word]) -> str:
    if len(words) == 1:
        return words[0].text
    text = " ".join([word.text for word in words])
    if text.isascii():
        return text
    out = [words[0].text]
    for before, word in itertools.pairwise(words):
        wide = is_wide(before.text[-1]) and is_wide(word.text[0])
        out.append(word.text if wide and word.x0 - before.x1 < 0.5 * word.size else f" {word.text}")
    return "".join(out)
