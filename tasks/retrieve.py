"""Retrieve: a query in, the best chunks of a release with their sources out, each with the reasons why.

    query ──► vectors of each space ─┐
          ──► English full text ─────┼──► reciprocal rank fusion ──► copies collapsed ──► hits
          ──► CJK full text ─────────┘

Fusion is Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
Methods" (SIGIR 2009): a chunk scores the sum of weight / (60 + rank) over the signals that found it.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np

from tasks.embed import spaces as embed_spaces
from tasks.errors import LakeError, UsageError
from tasks.index import Candidate, IndexedChunk, Reader, open_reader
from tasks.lake import Lake, Release
from tasks.result import Hit, SearchResult, Signal
from tasks.rows import ChunkRow, Kind, SourceRow
from tasks.select import matches
from tasks.words import cjk_share, cjk_text, content_words, words

if TYPE_CHECKING:
    from lancedb.expr import Expr

__all__ = ["Hit", "QuerySpace", "SearchResult", "Signal", "retrieve"]

_RRF = 60
_DEPTH = 50  # chunks that each signal proposes, at least
_VIEWS = 4  # vectors looked at per proposed chunk: a long chunk has several windows
_LEAST_WEIGHT = 0.1
TEXT, CJK = "text", "cjk"


class QuerySpace(Protocol):
    """What retrieval needs of a space; tasks.embed.spaces.Space is one."""

    @property
    def dimension(self) -> int: ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...


def retrieve(
    lake: Lake,
    query: str,
    k: int = 10,
    kinds: Sequence[str] = (),
    sources: Sequence[str] = (),
    tags: Sequence[str] = (),
    pages: Sequence[int] = (),
    groups: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
    release: Release | None = None,
    spaces: Sequence[str] = (),
    open_space: Callable[[str], QuerySpace] = embed_spaces.open_space,
) -> SearchResult:
    """The k best chunks for a query, in the current release or the one given.

    The values of one filter are alternatives; all filters that are given must hold. `sources` are globs over a source's
    uri or the end of it after any "/"; `since` and `until` are the first and last day (yyyy-mm-dd) of a source's date,
    and a source without a date matches neither. A document matches `groups` when one of its sources names one of them;
    a source that states no groups matches no group. The filters on sources must hold of one and the same source, and a
    hit lists those sources only. `spaces` limits vector search to some of the release's spaces.

    Raises UsageError for an empty query or unknown filter values, LakeError where nothing is published,
    MissingCapabilityError where the model of a space is not installed.
    """
    started = time.perf_counter()
    text = query.strip()
    _check(text, k, kinds)
    only = _SourceFilter.of(sources, tags, groups, since, until)
    reader = open_reader(lake, release)
    chosen = _chosen_spaces(reader.release, spaces)
    with ThreadPoolExecutor(1) as pool:  # the model loads while this thread loads LanceDB and searches text
        embedded = {name: pool.submit(_embed, open_space, name, text, reader.release) for name in chosen}
        doc_ids = sorted({row.doc_id for row in reader.sources() if only.fits(row)}) if only else None
        if doc_ids == []:
            found: dict[str, list[Candidate]] = {}
        else:
            found = _search(reader, text, max(_DEPTH, 4 * k), _scope(reader, kinds, doc_ids, pages), embedded)
        for future in embedded.values():
            future.result()  # a space that cannot be opened is an error whatever the filters leave
    weights = _weights(text, found)
    ranked = _fuse(found, weights)
    hits = tuple(_hits(reader, ranked, k, only))
    return SearchResult(text, reader.release.number, hits, time.perf_counter() - started)


def _check(text: str, k: int, kinds: Sequence[str]) -> None:
    if not text:
        raise UsageError("the query is empty", "say what to look for")
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates, as Python makes of arguments in another encoding
        raise UsageError("the query is not valid UTF-8", "check the encoding of the terminal or the caller") from None
    if k < 1:
        raise UsageError(f"k is {k}", "ask for at least one hit")
    known = get_args(Kind)
    for kind in kinds:
        if kind not in known:
            raise UsageError(f"there is no kind of chunk {kind!r}", f"kinds: {', '.join(known)}")


def _chosen_spaces(release: Release, asked: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in release.spaces:
            held = ", ".join(sorted(release.spaces)) or "none"
            raise UsageError(f"the lake has no space {name!r}", f"its spaces: {held}; ingest with it to add it")
    return sorted(asked or release.spaces)


def _embed(open_space: Callable[[str], QuerySpace], name: str, text: str, release: Release) -> np.ndarray:
    space = open_space(name)
    if space.dimension != release.spaces[name]:
        raise LakeError(
            f"space {name!r} has dimension {space.dimension} here and {release.spaces[name]} in the lake",
            "use the version of bindery that wrote the lake, or ingest into a new lake",
        )
    vector: np.ndarray = space.embed_texts([text])[0]
    return vector


@dataclasses.dataclass(frozen=True, slots=True)
class _SourceFilter:
    """Which sources the asker means: those that satisfy each of the filters that are given."""

    globs: Sequence[str]
    tags: frozenset[str]
    groups: frozenset[str]
    since: datetime.date | None
    until: datetime.date | None

    @classmethod
    def of(
        cls, globs: Sequence[str], tags: Sequence[str], groups: Sequence[str], since: str | None, until: str | None
    ) -> _SourceFilter | None:
        """None where there is nothing to filter by."""
        days = _day("since", since), _day("until", until)
        given = globs or tags or groups or any(days)
        return cls(globs, frozenset(tags), frozenset(groups), *days) if given else None

    def fits(self, row: SourceRow) -> bool:
        return (
            not row.skipped
            and (not self.globs or matches(row.uri, self.globs))
            and (not self.tags or not self.tags.isdisjoint(row.tags))
            and (not self.groups or not self.groups.isdisjoint(row.groups))
            and self._dated(row.date)
        )

    def _dated(self, date: str | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if date is None:
            return False
        day = datetime.date.fromisoformat(date)
        return (self.since or day) <= day <= (self.until or day)


def _day(name: str, value: str | None) -> datetime.date | None:
    try:
        return None if value is None else datetime.date.fromisoformat(value)
    except ValueError:
        raise UsageError(f"{name} is {value!r}, which is not a date", "write a date as 2025-03-31") from None


def _scope(reader: Reader, kinds: Sequence[str], doc_ids: Sequence[str] | None, pages: Sequence[int]) -> Expr | None:
    """The filters as a predicate that LanceDB applies before it ranks, on chunks and on vectors."""
    from lancedb.expr import col

    where: Expr | None = col("kind").isin(sorted(set(kinds))) if kinds else None
    if doc_ids is not None:
        of_documents = col("doc_id").isin(list(doc_ids))
        where = of_documents if where is None else where & of_documents
    if pages:  # a list column, which expressions cannot look into: resolved to chunks first
        where = col("chunk_id").isin(reader.chunk_ids(where, pages) or [""])
    return where


def _search(
    reader: Reader, text: str, depth: int, where: Expr | None, embedded: Mapping[str, Future[np.ndarray]]
) -> dict[str, list[Candidate]]:
    """Candidates by signal."""
    found: dict[str, list[Candidate]] = {}
    if latin := " ".join(content_words(text) or words(text)):
        found[TEXT] = reader.matching("search_text", latin, depth, where)
    if cjk := cjk_text(text):
        found[CJK] = reader.matching("search_cjk", cjk, depth, where)
    for name, future in embedded.items():
        found[f"vector:{name}"] = reader.nearest(name, future.result(), depth * _VIEWS, where)[:depth]
    return found


def _weights(text: str, found: Mapping[str, object]) -> dict[str, float]:
    """How much each signal counts: all alike, except that what cannot read CJK counts as far as the query is not CJK.

    The spaces so far are trained on English, and English full text sees but the product name in a Chinese question. At
    the least weight, even their best hit scores below the fiftieth of CJK full text, so it is shown after those.
    """
    latin = max(_LEAST_WEIGHT, 1.0 - cjk_share(text))
    return {name: 1.0 if name == CJK else latin for name in found}


def _fuse(
    found: Mapping[str, Sequence[Candidate]], weights: Mapping[str, float]
) -> list[tuple[str, float, tuple[Signal, ...]]]:
    """(chunk id, score, signals) best first. Equal scores are ordered by id."""
    signals: dict[str, list[Signal]] = {}
    for name in sorted(found):
        for rank, candidate in enumerate(found[name], start=1):
            signals.setdefault(candidate.chunk_id, []).append(Signal(name, rank, candidate.score))
    scored = [
        (chunk_id, sum(weights[signal.name] / (_RRF + signal.rank) for signal in by), tuple(by))
        for chunk_id, by in signals.items()
    ]
    return sorted(scored, key=lambda item: (-item[1], item[0]))


def _hits(
    reader: Reader, ranked: Sequence[tuple[str, float, tuple[Signal, ...]]], k: int, only: _SourceFilter | None
) -> Iterator[Hit]:
    """The first k distinct chunks; a copy in another document lends its sources to the one that stays.

    Sources that the filter leaves out are not named: an asker may not be meant to know of them.
    """
    copies: dict[object, list[tuple[IndexedChunk, float, tuple[Signal, ...]]]] = {}
    for start in range(0, len(ranked), 2 * k):
        block = {chunk_id: (score, signals) for chunk_id, score, signals in ranked[start : start + 2 * k]}
        for item in reader.chunks(list(block)):
            copies.setdefault(_content(item.chunk), []).append((item, *block[item.chunk.chunk_id]))
        if len(copies) >= k:
            break
    kept = list(copies.values())[:k]
    sources = reader.sources_of(sorted({item.chunk.doc_id for group in kept for item, _, _ in group}))
    for group in kept:
        item, score, signals = group[0]
        doc_ids = {copy.chunk.doc_id for copy, _, _ in group}
        held = [row for row in sources if row.doc_id in doc_ids]
        uris = tuple(row.uri for row in held if only is None or only.fits(row))
        yield Hit(item.chunk, item.summary, uris, score, signals)


def _content(chunk: ChunkRow) -> object:
    """Equal for chunks that show a reader the same: their letters and digits, or else their picture or recording."""
    letters = "".join(character for character in chunk.text.casefold() if character.isalnum())
    return (chunk.kind, letters, "" if letters else chunk.media or chunk.chunk_id)
