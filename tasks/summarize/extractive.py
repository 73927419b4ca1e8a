"""Extractive summaries: the words of a chunk that say what it is about, chosen by rules and counts, never written.

Text: the sentences nearest to the centroid of the chunk (tf-idf within the document), the first favoured. Tables: the
caption, the header and the row labels. Pictures and recordings: their caption, recognised text or metadata. Room that a
caption leaves is for the sentences that name what it is of; a table or picture that says little of its own has the best
sentences around it instead. Each summary begins with the chunk's context, since a header or a caption seldom names its
subject.
"""

from __future__ import annotations

import collections
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from tasks import labels, recordings, tables
from tasks.rows import ChunkRow
from tasks.sentences import join, sentences

_CJK_RANGES = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK_RANGES}]+|[^\W_{_CJK_RANGES}]+")
_CJK = re.compile(rf"[{_CJK_RANGES}]")
_FIRST_BONUS = 0.15  # the first sentence of a paragraph tends to be its topic
_ALIKE = 0.7  # a sentence sharing this much of its weight with those chosen adds nothing
_NEAREST_BONUS = 0.15  # of a sentence right before or after a picture
_POINTING_BONUS = 0.3  # of one that points to it: "the following graph", 如下图所示
_POINTING = re.compile(
    r"\b(?:following|above|below|this|these|next|left|right|accompanying|opposite)\b[^.]{0,40}"
    r"\b(?:charts?|diagrams?|figures?|graphs?|illustrations?|images?|maps?|photos?|photographs?|pictures?|tables?)\b"
    r"|\b(?:chart|diagram|figure|graph|illustration|image|map|photo|photograph|picture|table)s?\b[^.]{0,40}"
    r"\b(?:above|below|shows?|illustrates?|compares?|presents?|summarizes?|depicts?|sets? forth)\b"
    r"|[上下左右本此][图圖表]|如[图圖表]",
    re.IGNORECASE,
)
_LEADS = re.compile(rf"[:：]$|{_POINTING.pattern}", re.IGNORECASE)  # what introduces what comes next
_LITTLE = 16  # letters; a picture with fewer is not found by them
_LEAST = 40  # characters that are room for another sentence
_NOUNS = {
    "text": "Text",
    "table": "Table",
    "image": "Picture",
    "audio": "Recording",
    "video": "Video",
    "depth": "Depth map",
    "thermal": "Thermal picture",
    "imu": "Motion recording",
}


def summaries(chunks: Sequence[ChunkRow], limit: int) -> list[str]:
    """One summary of at most `limit` characters per chunk; none is empty."""
    said = (text for chunk in chunks for text in (chunk.text, chunk.before, chunk.after))
    weights = _inverse_frequencies(dict.fromkeys(said))
    return [_summary(chunk, limit, weights) for chunk in chunks]


def _summary(chunk: ChunkRow, limit: int, weights: Mapping[str, float]) -> str:
    context = clip(chunk.context, limit // 3)
    room = limit - len(context) - 1
    if chunk.kind in ("audio", "video"):
        body = clip(_recording(chunk), room)
    elif chunk.kind == "table":
        body = _with_surroundings(chunk, functools.partial(_table, chunk), room, weights)
    else:
        own = functools.partial(best_sentences, chunk.text, weights=weights)
        body = _with_surroundings(chunk, own, room, weights)
    if not body:
        place = f" on page {chunk.pages[0]}" if chunk.pages else ""
        return clip(f"{_NOUNS[chunk.kind]}{place}{' of ' + chunk.context if chunk.context else ''}", limit)
    return f"{context}\n{body}" if context else body


def best_sentences(text: str, limit: int, weights: Mapping[str, float]) -> str:
    """The most central sentences that fit, in their order; the first of them clipped if even that is too long."""
    whole = " ".join(text.split())
    if len(whole) <= limit:
        return whole
    parts = list(dict.fromkeys(" ".join(part.split()) for part in sentences(text)))  # a repetition counts once
    return _central(parts, {0: _FIRST_BONUS}, limit, weights)


def _central(parts: Sequence[str], bonus: Mapping[int, float], limit: int, weights: Mapping[str, float]) -> str:
    """The most central of some sentences that fit, in their order, where some have a bonus."""
    vectors = [_vector(part, weights) for part in parts]
    centroid: collections.Counter[str] = collections.Counter()
    for vector in vectors:
        centroid.update(vector)
    scores = [_cosine(vector, centroid) for vector in vectors]
    floor = sum(scores) / len(scores)  # below it, a sentence is filler, however well it fits
    scores = [score + bonus.get(i, 0.0) for i, score in enumerate(scores)]
    chosen: list[int] = []
    room = limit
    for index in sorted(range(len(parts)), key=lambda i: (-scores[i], i)):
        if scores[index] < floor or len(parts[index]) > room:
            continue
        if not any(_cosine(vectors[index], vectors[i]) > _ALIKE for i in chosen):
            chosen.append(index)
            room -= len(parts[index]) + 1
    if not chosen:
        return clip(parts[max(range(len(parts)), key=lambda i: (scores[i], -i))], limit)
    return functools.reduce(join, (parts[index] for index in sorted(chosen)))


def _with_surroundings(chunk: ChunkRow, own: Callable[[int], str], limit: int, weights: Mapping[str, float]) -> str:
    """What a table or picture says by itself (`own`, in so many characters), and what is said of it."""
    before, after = _lines(chunk.before), _lines(chunk.after)
    body = own(limit)
    bonus: dict[int, float] = {}
    if (label := labels.label_of(chunk.text)) is not None:
        around = [sentence for sentence in (*before, *after) if label in labels.named(sentence)]
    elif sum(map(str.isalpha, body)) >= _LITTLE:
        lead = before[-1] if before and _LEADS.search(before[-1]) else ""
        return f"{clip(lead, limit // 3)}\n{own(limit - min(len(lead), limit // 3) - 1)}" if lead else body
    else:
        around, nearest = [*before, *after], (len(before) - 1, len(before))
        for i, sentence in enumerate(around):
            bonus[i] = _POINTING_BONUS * bool(_POINTING.search(sentence)) + _NEAREST_BONUS * (i in nearest)
    room = limit - len(body) - 1
    if not around or room < _LEAST:
        return body
    whole = functools.reduce(join, around)
    said = whole if len(whole) <= room else _central(around, bonus, room, weights)
    return f"{body}\n{said}" if body else said


def _lines(text: str) -> list[str]:
    return [sentence for line in text.splitlines() for sentence in sentences(line)]


def clip(text: str, limit: int) -> str:
    """The beginning of a text, cut at a blank where there is one near, with an ellipsis."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    cut = text.rfind(" ", limit // 2, limit)
    return text[: cut if cut > 0 else limit - 1].rstrip(" ,;:|") + "…"


def _table(chunk: ChunkRow, limit: int) -> str:
    """Caption, header cells and row labels, as many as fit."""
    rows = tables.parse(chunk.html) if chunk.html else []
    rows = [row for row in rows if row.cells]
    caption = tables.beyond(chunk.text, rows).splitlines() if rows else []
    cells = [row.texts for row in rows] or [tuple(line.split(tables.CELL_GAP)) for line in chunk.text.splitlines()]
    if not cells:
        return ""
    head = tables.header_rows(rows) if rows else min(1, len(cells) - 1)
    header = dict.fromkeys(cell.strip() for row in cells[:head] for cell in row)
    labels = dict.fromkeys(row[0].strip() for row in cells[head:] if any(c.isalpha() for c in row[0]))
    if not labels:  # a table of numbers: its first row stands for the rest
        labels = dict.fromkeys(cell.strip() for cell in cells[min(head, len(cells) - 1)])
    parts = [*caption[:1], "; ".join(filter(None, header)), "; ".join(filter(None, labels))]
    return clip(". ".join(filter(None, parts)), limit)


def _recording(chunk: ChunkRow) -> str:
    """What it is, from when to when, and its text, unless that says no more than the time."""
    noun = _NOUNS[chunk.kind]
    if chunk.time_end is None:
        return f"{noun}. {chunk.text}"
    start, end = chunk.time_start or 0.0, chunk.time_end
    told = "" if recordings.span(start, end) in chunk.text else f" {chunk.text}"
    return f"{noun}, {recordings.clock(start)} to {recordings.clock(end)}.{told}"


def _terms(text: str) -> list[str]:
    """Words; in Chinese, Japanese and Korean, pairs of characters."""
    terms: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if _CJK.match(word):
            terms.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        else:
            terms.append(word)
    return terms


def _inverse_frequencies(texts: Iterable[str]) -> dict[str, float]:
    """ln(sentences / sentences with the term): what is everywhere says nothing."""
    counts: collections.Counter[str] = collections.Counter()
    total = 0
    for text in texts:
        for sentence in sentences(text):
            counts.update(set(_terms(sentence)))
            total += 1
    return {term: math.log((1 + total) / count) for term, count in counts.items()}


def _vector(text: str, weights: Mapping[str, float]) -> dict[str, float]:
    """tf-idf of a sentence, scaled to length 1, so that long sentences do not win by length."""
    counts = collections.Counter(_terms(text))
    vector = {term: count * weights.get(term, 1.0) for term, count in counts.items()}
    length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
    return {term: value / length for term, value in vector.items()}


def _cosine(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    length = math.sqrt(sum(v * v for v in left.values()) * sum(v * v for v in right.values()))
    return sum(value * right.get(term, 0.0) for term, value in left.items()) / length if length else 0.0
