"""Evidence: what in the hits speaks to a question, as sentences and table rows with a score each.

A question's terms are weighed by how rare they are among the hits, so that what all of them mention decides nothing
and a term that none of them has counts most against. Numbers and names count more: an answer about another year
or another product is no answer.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from tasks import tables
from tasks.result import Hit
from tasks.sentences import sentences
from tasks.tables import TableRow
from tasks.words import STOP_WORDS, concepts, terms

_NAME_WEIGHT = 1.5
_LIGHT_WEIGHT = 0.25
_LEAST_RARITY = 0.3
_SURROUNDINGS = 0.4  # a term in a unit's heading or in the sentence before counts this much
_WANTED_KIND = 0.15  # a unit that holds a number or name where the question asks for one
_RANK = 0.1  # the first hit's advantage over the last
_ECHO = 0.5  # what remains of the score of a heading that only repeats the question
_ASKS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|often|far|high|old|quickly)|when|what year|which year|date|cost|price)\b"
    r"|多少|几|何时|多长|多久",
    re.I,
)
_DIGIT = re.compile(r"\d|[一二三四五六七八九十百千万]")
_BLOCK = 300  # characters that are quoted together where there are no sentences, as on pictures and forms
_END = re.compile(r"[.!?。！？；…][\"'”’)\]」』）]*$")


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or table row of a hit. `quote` is verbatim from the chunk, `statement` says it in the answer.

    `covered` are its terms, `wanted` says that it holds a number where the question asks for one.
    """

    hit: int
    place: int
    quote: str
    statement: str
    covered: frozenset[str]
    wanted: bool
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """A question's content terms with their weights, which sum to 1 (or to 0 where there are none)."""

    text: str
    weights: Mapping[str, float]

    def coverage(self, found: frozenset[str]) -> float:
        """Which part of what the question is about occurs among these terms, 0–1."""
        return sum(weight for term, weight in self.weights.items() if term in found)


def passage_terms(hit: Hit) -> frozenset[str]:
    """All terms that speak for a hit: its words, those that a model wrote of it, its headings, its files' names."""
    names = " ".join(re.split(r"[/\\]", uri)[-1] for uri in hit.sources)
    return frozenset(terms("\n".join((hit.chunk.context, hit.chunk.text, hit.written, re.sub(r"[_.-]", " ", names)))))


def weigh(question: str, passages: Sequence[frozenset[str]]) -> Question:
    """The question with its terms weighed by their rarity in the passages; the terms of a concept share one weight."""
    raw: dict[str, float] = {}
    for concept in concepts(question):
        weight = (_LIGHT_WEIGHT if concept.light else 1.0) * (_NAME_WEIGHT if concept.name else 1.0)
        for term in concept.terms:
            frequency = sum(term in passage for passage in passages)
            rarity = math.log1p((len(passages) - frequency + 0.5) / (frequency + 0.5))
            share = concept.terms.count(term) / len(concept.terms)
            raw[term] = max(raw.get(term, 0.0), weight * (_LEAST_RARITY + rarity) * share)
    total = sum(raw.values())
    return Question(question, {term: weight / total for term, weight in raw.items()})


def units(question: Question, hits: Sequence[Hit]) -> list[Unit]:
    """Every sentence and row of the hits, best first; equal ones in reading order."""
    wants_number = _ASKS_NUMBER.search(question.text) is not None
    found = [unit for index, hit in enumerate(hits) for unit in _units(question, hit, index, len(hits), wants_number)]
    return sorted(found, key=lambda unit: (-unit.score, unit.hit, unit.place))


def _units(question: Question, hit: Hit, index: int, count: int, wants_number: bool) -> Iterator[Unit]:
    heading = frozenset(terms(hit.chunk.context))
    before: frozenset[str] = frozenset()
    for place, (quote, statement, header) in enumerate(_pieces(question, hit)):
        own = frozenset(terms(quote))
        said = own | frozenset(terms(header))
        score = question.coverage(said) + _SURROUNDINGS * question.coverage((heading | before) - said)
        if own <= heading | STOP_WORDS | question.weights.keys():
            score *= _ECHO
        wanted = wants_number and any(_DIGIT.search(term) and term not in question.weights for term in own)
        if wanted:
            score += _WANTED_KIND
        yield Unit(index, place, quote, statement, said, wanted, score + _RANK * (1 - index / count))
        before = own


def _pieces(question: Question, hit: Hit) -> Iterator[tuple[str, str, str]]:
    """(verbatim quote, statement, header) of each unit of a chunk."""
    text = hit.chunk.text.strip() or hit.written.strip()
    flat = " ".join(text.split())
    if hit.chunk.kind == "table":
        yield from _rows(question, text, hit.chunk.html)
    elif hit.chunk.kind != "text" and len(flat) <= _BLOCK:
        yield flat, flat, ""
    else:
        yield from _sentences(text)


def _sentences(text: str) -> Iterator[tuple[str, str, str]]:
    """Sentences, each under the heading before it; pieces that are none (labels, values) are taken together.

    Lines within a piece are the rows of an aligned table: each stands for itself, under the labels before it.
    """
    block: list[str] = []
    for piece in sentences(text):
        rows = [flat for line in piece.splitlines() if (flat := " ".join(line.split()))]
        flat = " ".join(rows)
        ended = _END.search(flat) is not None
        full = sum(map(len, block)) + len(flat) > _BLOCK
        if block and (ended or len(rows) > 1 or full):
            yield " ".join(block), " ".join(block), ""
        if ended:
            yield flat, flat, block[-1] if block else ""
            block = []
        elif len(rows) > 1:
            for row in rows:
                yield row, row, " ".join(block)
            block = []
        else:
            block = [flat] if full else [*block, flat]
    if block:
        yield " ".join(block), " ".join(block), ""


def _rows(question: Question, text: str, html: str | None) -> Iterator[tuple[str, str, str]]:
    rows = [row for row in tables.parse(html) if row.cells] if html else []
    names = tables.column_names(rows)
    body = rows[tables.header_rows(rows) :] if names else []
    aligned = {row.text: row for row in body}  # as the rows of a table stand that is cut, or was chunked before
    aligned |= {" ".join(line.split()): row for line, row in zip(tables.lines(rows).body, body, strict=False)}
    for line in text.splitlines():
        flat = " ".join(line.split())
        if row := aligned.get(flat):
            yield flat, _sentence_of(question, names, row), " ".join(names.values())
        elif flat:
            yield flat, flat, ""


def _sentence_of(question: Question, names: Mapping[int, str], row: TableRow) -> str:
    """`label: column value, column value`; of the columns only those that the question names, if it names some."""
    label = next((cell.text for cell in row.cells if not cell.first), "")
    cells = [(names.get(cell.first, ""), cell.text) for cell in row.cells if cell.first]
    cells = [(name, value) for name, value in cells if value != name]
    named = [(name, value) for name, value in cells if question.coverage(frozenset(terms(name))) > 0]
    said = "; ".join(f"{name}: {value}" if name else value for name, value in named or cells)
    lead = f"{names[0]} {label}".strip() if names.get(0) and not named else label
    return f"{lead} – {said}" if lead and said else lead or said
