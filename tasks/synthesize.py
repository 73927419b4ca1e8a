"""Synthesize: a question and its hits in, an answer with citations out, or an honest "not found".

The local method is extractive: the sentences and table rows that cover the question best, quoted, each with the mark of
its citation. Nothing is written that no document says.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import time
from collections.abc import Sequence

from tasks.answer import NOT_FOUND, Answer, Citation, CitedBox
from tasks.evidence import Question, Unit, passage_terms, units, weigh
from tasks.result import Hit, SearchResult, picture, time_range
from tasks.words import cjk_share

# Calibrated on data/questions.jsonl with 98 questions more that nobody asked of that corpus or that it does not answer:
# the strongest unanswerable one has 0.55, the weakest one answered in its own language and words 0.60.
_ENOUGH = 0.58
_DOCUMENT = 0.25  # what the other passages of the same document cover counts this much
_LIFT, _ALIKE = 0.25, 0.5  # cosine similarity beyond _ALIKE lifts the evidence by _LIFT of the excess
_STATEMENTS = 3
_CLOSE = 0.7  # further statements score at least this part of the first
_EQUAL = 0.95  # and one that scores this part is as good: another reading of the question, or a second witness
_GAIN = 0.1  # the part of the question that any other has to cover beyond the statements before it
_NEAREST = 3
_PASSAGE = 400  # characters of a passage that is shown as nearest
_MARK = re.compile(r"\[(\d+)\]")


def synthesize(question: str, result: SearchResult) -> Answer:
    """The answer to a question from the hits of its retrieval (k of 10 or more serves best). Deterministic."""
    started = time.perf_counter()
    passages = [passage_terms(hit) for hit in result.hits]
    weighed = weigh(question, passages)
    ranked = units(weighed, result.hits)
    found = bool(ranked) and evidence(weighed, result.hits, passages) >= _ENOUGH
    chosen = _choose(weighed, ranked) if found else []
    citations = [_cite(result.hits[unit.hit], unit.quote) for unit in chosen]
    return Answer(
        answer=_text(chosen) if found else NOT_FOUND,
        found=found,
        citations=citations,
        question=question,
        release=result.release,
        seconds=round(result.seconds + time.perf_counter() - started, 3),
        nearest=[] if found else _nearest(ranked, result.hits),
    )


def evidence(question: Question, hits: Sequence[Hit], passages: Sequence[frozenset[str]]) -> float:
    """How well the best passage speaks to the question, about 0–1: the part of the question's weight that it covers.

    Coverage is by terms, since a passage can be near in meaning and about another product or year. Similarity only
    lifts it, and only where the space can read the question.
    """
    documents: dict[str, frozenset[str]] = collections.defaultdict(frozenset)
    for hit, passage in zip(hits, passages, strict=True):
        documents[hit.chunk.doc_id] |= passage
    readable = cjk_share(question.text) < 0.5

    def of(hit: Hit, passage: frozenset[str]) -> float:
        covered = (1 - _DOCUMENT) * question.coverage(passage)
        covered += _DOCUMENT * question.coverage(documents[hit.chunk.doc_id])
        return covered + (_LIFT * max(0.0, hit.similarity - _ALIKE) if readable else 0.0)

    return max((of(hit, passage) for hit, passage in zip(hits, passages, strict=True)), default=0.0)


def _choose(question: Question, ranked: Sequence[Unit]) -> list[Unit]:
    """The best unit, and further ones that are as good, or nearly as good and speak to more of the question."""
    chosen: list[Unit] = []
    seen: set[str] = set()
    for unit in ranked:
        if len(chosen) == _STATEMENTS or (chosen and unit.score < _CLOSE * chosen[0].score):
            break
        key = "".join(character for character in unit.statement.casefold() if character.isalnum())
        if key and key not in seen and _adds(question, unit, chosen):
            seen.add(key)
            chosen.append(unit)
    return chosen


def _adds(question: Question, unit: Unit, chosen: Sequence[Unit]) -> bool:
    """Whether a unit is worth saying after the chosen ones: beside a full answer, weaker statements are noise."""
    if not chosen or unit.score >= _EQUAL * chosen[0].score:
        return True
    if unit.wanted and not any(other.wanted for other in chosen):
        return question.coverage(unit.covered) >= _GAIN
    known = frozenset[str]().union(*(other.covered for other in chosen))
    return question.coverage(unit.covered - known) >= _GAIN


def _text(chosen: Sequence[Unit]) -> str:
    """The statements in the order of their scores, each closed by its mark; marks that a document made become (1)."""
    statements = (_MARK.sub(r"(\1)", unit.statement) for unit in chosen)
    return " ".join(f"{statement} [{number}]" for number, statement in enumerate(statements, start=1))


def _nearest(ranked: Sequence[Unit], hits: Sequence[Hit]) -> list[Citation]:
    """The best passages, each with the beginning of what it says around its best unit."""
    best: dict[int, Unit] = {}
    for unit in ranked:
        best.setdefault(unit.hit, unit)
    shown = list(best.values())[:_NEAREST]
    return [_cite(hits[unit.hit], unit.quote[:_PASSAGE]) for unit in shown]


def _cite(hit: Hit, quote: str) -> Citation:
    chunk = hit.chunk
    return Citation(
        sources=list(hit.sources),
        pages=list(chunk.pages),
        time_range=time_range(chunk),
        kind=chunk.kind,
        quote=quote,
        boxes=[CitedBox(**dataclasses.asdict(box)) for box in chunk.boxes],
        chunk_id=chunk.chunk_id,
        html=chunk.html,
        image=picture(chunk),
    )
