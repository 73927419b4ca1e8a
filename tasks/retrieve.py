"""Retrieve: a query in, the best chunks of a release with their sources out, each with the reasons why.

    query ──► words in each space of text ─────────────────────┐
          ──► sum of its terms in each space that embeds media,│
              each modality by itself ──► calibrated ──────────┼──► reciprocal rank fusion ──► copies collapsed ──► hits
          ──► English full text ───────────────────────────────┤
          ──► CJK full text ───────────────────────────────────┘

Fusion is Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
Methods" (SIGIR 2009): a chunk scores the sum of weight / (60 + rank) over the signals that found it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, get_args

from tasks import neighbours
from tasks.calibrate import SAME, Calibration
from tasks.embed import spaces as embed_spaces
from tasks.errors import UsageError
from tasks.index import Candidate, IndexedChunk, Reader, open_reader
from tasks.lake import Lake, Release
from tasks.query import Query
from tasks.query_spaces import (
    QuerySpace,
    QueryVector,
    ask,
    chosen_spaces,
    coverage,
    require_media_space,
    text_spaces,
)
from tasks.result import Hit, SearchResult, Signal
from tasks.rows import ChunkRow, Kind
from tasks.source_filter import SourceFilter
from tasks.space_names import is_own
from tasks.words import cjk_share, cjk_text, content_words, words

if TYPE_CHECKING:
    from lancedb.expr import Expr

__all__ = ["Hit", "Query", "QuerySpace", "SearchResult", "Signal", "retrieve", "text_spaces"]

_RRF = 60
_DEPTH = 50  # chunks that each signal proposes, at least
_VIEWS = 4  # vectors looked at per proposed chunk: a long chunk has several windows
_PICTURE_VIEWS = 12  # and a picture several parts
_LEAST_WEIGHT = 0.1
TEXT, CJK = "text", "cjk"


def retrieve(
    lake: Lake,
    query: str | Query,
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
    picture_tags: Sequence[str] = (),
    open_space: Callable[[str], QuerySpace] | None = None,
) -> SearchResult:
    """The k best chunks for a query, words or a sum of words and files, in the current release or the one given.

    The values of one filter are alternatives; all filters that are given must hold. `sources` are globs over a source's
    uri or the end of it after any "/"; `since` and `until` are the first and last day (yyyy-mm-dd) of a source's date,
    and a source without a date matches neither. A document matches `groups` when one of its sources names one of them;
    a source that states no groups matches no group. The filters on sources must hold of one and the same source, and a
    hit lists those sources only. `tags` are those of sources, `picture_tags` the labels that the ingest found for
    pictures. `spaces` limits vector search to some of the release's spaces. Who searches often by an endpoint keeps a
    `tasks.embed.spaces.Spaces.for_queries` open and hands in its `open`.

    Raises UsageError for an empty query, unknown filter values, a file that cannot be read and a query that none of the
    spaces can be asked; LakeError where nothing is published or a space was made by another model than the one here;
    MissingCapabilityError where the model of a space is not installed.
    """
    started = time.perf_counter()
    asked = Query.of(query) if isinstance(query, str) else query
    _check(asked, k, kinds)
    only = SourceFilter.of(sources, tags, groups, since, until)
    reader = open_reader(lake, release)
    chosen = chosen_spaces(reader.release, spaces)
    with contextlib.ExitStack() as stack:
        if open_space is None:
            open_space = stack.enter_context(embed_spaces.Spaces.for_queries(lake.storage)).open
        pool = stack.enter_context(ThreadPoolExecutor(1))  # models load while this thread loads LanceDB, searches text
        futures = {name: pool.submit(ask, open_space, name, asked, reader.release) for name in chosen}
        doc_ids = sorted({row.doc_id for row in reader.sources() if only.fits(row)}) if only else None
        depth, nothing = max(_DEPTH, 4 * k), doc_ids == []
        where = None if nothing else _scope(reader, kinds, doc_ids, pages, picture_tags)
        found = {} if nothing else _matching(reader, asked.words, depth, where)
        vectors = {name: vector for name, future in futures.items() if (vector := future.result()) is not None}
    require_media_space(asked, vectors.values(), chosen, reader.release)
    if not nothing:
        found |= {f"vector:{name}": _nearest(reader, name, vector, depth, where) for name, vector in vectors.items()}
    ranked = _fuse(found, _weights(asked, found, vectors))
    hits = tuple(_hits(reader, ranked, k, only, among_text=not kinds or "text" in kinds))
    notes = coverage(reader.release, [name for name, vector in vectors.items() if vector.media])
    return SearchResult(str(asked), reader.release.number, hits, time.perf_counter() - started, asked.terms, notes)


def _check(query: Query, k: int, kinds: Sequence[str]) -> None:
    query.check()
    try:
        str(query).encode()
    except UnicodeEncodeError:  # lone surrogates, as Python makes of arguments in another encoding
        raise UsageError("the query is not valid UTF-8", "check the encoding of the terminal or the caller") from None
    if k < 1:
        raise UsageError(f"k is {k}", "ask for at least one hit")
    known = get_args(Kind)
    for kind in kinds:
        if kind not in known:
            raise UsageError(f"there is no kind of chunk {kind!r}", f"kinds: {', '.join(known)}")


def _scope(
    reader: Reader,
    kinds: Sequence[str],
    doc_ids: Sequence[str] | None,
    pages: Sequence[int],
    picture_tags: Sequence[str],
) -> Expr | None:
    """The filters as a predicate that LanceDB applies before it ranks, on chunks and on vectors."""
    from lancedb.expr import col, lit

    where: Expr | None = col("kind").isin(sorted(set(kinds))) if kinds else None
    if doc_ids is not None:
        of_documents = col("doc_id").isin(list(doc_ids))
        where = of_documents if where is None else where & of_documents
    if picture_tags:  # of chunks only
        tagged = col("tag").isin(sorted(set(picture_tags))) & (col("tag") != lit(""))
        where = tagged if where is None else where & tagged
    if pages or picture_tags:  # a list column, which expressions cannot look into, and one that vectors do not have
        where = col("chunk_id").isin(reader.chunk_ids(where, pages) or [""])
    return where


def _matching(reader: Reader, text: str, depth: int, where: Expr | None) -> dict[str, list[Candidate]]:
    """Candidates of full text by signal."""
    found: dict[str, list[Candidate]] = {}
    if latin := " ".join(content_words(text) or words(text)):
        found[TEXT] = reader.matching("search_text", latin, depth, where)
    if cjk := cjk_text(text):
        found[CJK] = reader.matching("search_cjk", cjk, depth, where)
    return found


def _nearest(reader: Reader, space: str, vector: QueryVector, depth: int, where: Expr | None) -> list[Candidate]:
    """Candidates of a space, best first; of one that embeds media by their calibrated scores.

    Each modality proposes its own, so that none is drowned by one whose cosines are higher, and copies count as one.
    """
    if not vector.media:
        return reader.nearest(space, vector.values, depth * _VIEWS, where)[:depth]
    cohorts = reader.cohorts(space)
    calibration = Calibration(vector.values, cohorts)
    best: dict[str, Candidate] = {}
    for modality in cohorts:
        views = _PICTURE_VIEWS if modality == "image" else _VIEWS
        proposed = reader.nearest(space, vector.values, depth * views, where, modality, distinct=depth)
        for found in _first(proposed, depth):
            candidate = dataclasses.replace(found, calibrated=calibration.score(modality, found.chunk_id, found.score))
            rival = best.get(candidate.chunk_id)
            if rival is None or _order(candidate) < _order(rival):
                best[candidate.chunk_id] = candidate
    return _first(sorted(best.values(), key=_order), depth)


def _first(candidates: Sequence[Candidate], depth: int) -> list[Candidate]:
    """Those that show the first so many different things."""
    items = set(list(dict.fromkeys(candidate.item for candidate in candidates))[:depth])
    return [candidate for candidate in candidates if candidate.item in items]


def _order(candidate: Candidate) -> tuple[bool, float, str]:
    """Best first: what is the query itself, then by calibrated score."""
    return (candidate.score < SAME, -(candidate.calibrated or 0.0), candidate.chunk_id)


def _weights(query: Query, found: Iterable[str], vectors: Mapping[str, QueryVector]) -> dict[str, float]:
    """How much each signal counts: all alike, except that what cannot read CJK counts as far as the query is not CJK.

    Our own spaces are trained on English, and English full text sees but the product name in a Chinese question. At
    the least weight, even their best hit scores below the fiftieth of CJK full text, so it is shown after those. A file
    speaks no language; a model that the user has chosen is taken to read what it is given.
    """
    latin = max(_LEAST_WEIGHT, 1.0 - cjk_share(query.words))
    by_file = {f"vector:{name}" for name, vector in vectors.items() if vector.media and query.files}
    chosen = {f"vector:{name}" for name in vectors if is_own(name)}
    return {name: 1.0 if name == CJK or name in by_file | chosen else latin for name in found}


def _fuse(
    found: Mapping[str, Sequence[Candidate]], weights: Mapping[str, float]
) -> list[tuple[str, float, tuple[Signal, ...]]]:
    """(chunk id, score, signals) best first. Equal scores are ordered by id; copies have one rank."""
    signals: dict[str, list[Signal]] = {}
    for name in sorted(found):
        ranks: dict[str, int] = {}
        for candidate in found[name]:
            rank = ranks.setdefault(candidate.item or candidate.chunk_id, len(ranks) + 1)
            signal = Signal(name, rank, candidate.score, candidate.calibrated, candidate.match)
            signals.setdefault(candidate.chunk_id, []).append(signal)
    scored = [
        (chunk_id, sum(weights[signal.name] / (_RRF + signal.rank) for signal in by), tuple(by))
        for chunk_id, by in signals.items()
    ]
    return sorted(scored, key=lambda item: (-item[1], item[0]))


def _hits(
    reader: Reader,
    ranked: Sequence[tuple[str, float, tuple[Signal, ...]]],
    k: int,
    only: SourceFilter | None,
    among_text: bool,
) -> Iterator[Hit]:
    """The first k distinct chunks; a copy in another document lends its sources to the one that stays.

    `among_text`: the pictures beside a text that was looked for, too, do not take its place.
    Sources that the filter leaves out are not named: an asker may not be meant to know of them.
    """
    copies: dict[object, list[tuple[IndexedChunk, float, tuple[Signal, ...]]]] = {}
    for start in range(0, len(ranked), 2 * k):
        block = {chunk_id: (score, signals) for chunk_id, score, signals in ranked[start : start + 2 * k]}
        for item in reader.chunks(list(block)):
            copies.setdefault(_content(item.chunk), []).append((item, *block[item.chunk.chunk_id]))
        if len(copies) >= 2 * k:
            break
    groups = list(copies.values())
    if among_text:
        shown = [(group[0][0].chunk, any(s.match and s.match.view == "raw" for s in group[0][2])) for group in groups]
        groups = [groups[place] for place in neighbours.order(shown)]
    kept = groups[:k]
    best = math.inf
    sources = reader.sources_of(sorted({item.chunk.doc_id for group in kept for item, _, _ in group}))
    for group in kept:
        item, score, signals = group[0]
        doc_ids = {copy.chunk.doc_id for copy, _, _ in group}
        held = [row for row in sources if row.doc_id in doc_ids]
        uris = tuple(row.uri for row in held if only is None or only.fits(row))
        best = min(best, score)  # of a picture that comes after others
        yield Hit(item.chunk, item.summary, uris, best, signals, item.tag, item.tag_probability, item.summary_method)


def _content(chunk: ChunkRow) -> object:
    """Equal for chunks that show a reader the same: by letters and digits, and of media by what they are cut from."""
    letters = "".join(character for character in chunk.text.casefold() if character.isalnum())
    if chunk.kind in ("text", "table"):
        return (chunk.kind, letters, "" if letters else chunk.media or chunk.chunk_id)
    what = chunk.media or ("" if letters else chunk.chunk_id)
    return (chunk.kind, letters, what, chunk.time_start, chunk.time_end)
