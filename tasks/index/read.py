"""Reading a release: every table is pinned to the version that the release names, whatever is written meanwhile."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import LakeError
from tasks.index import cohorts, tables
from tasks.index.cohorts import Cohort
from tasks.lake import Lake, Release, current_release
from tasks.result import Match
from tasks.rows import Box, ChunkRow, DocumentRow, Modality, SourceRow, from_table

if TYPE_CHECKING:
    from lancedb import DBConnection
    from lancedb.expr import Expr
    from lancedb.table import Table

_EF, _REFINE = 300, 3  # of the HNSW index: recall .977 at 40k vectors
_COPIES = 50  # chunks that show one and the same, at most: as many as a signal proposes
_HELD = 4  # spaces whose cohorts a process keeps
_MATCH = ("view", "window", "modality", "box")


@dataclasses.dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk as it is in the index: its own row, the summary that stands for it and its tag ("" where it has none)."""

    chunk: ChunkRow
    summary: str
    summary_method: str
    tag: str = ""
    tag_probability: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that one search signal proposes. `score`: cosine similarity, or BM25; `calibrated`: see `Signal`.

    Copies, chunks that show the same, have the same `item`, where they are told apart.
    """

    chunk_id: str
    score: float
    match: Match | None = None
    calibrated: float | None = None
    item: str = ""


_cohorts: collections.OrderedDict[tuple[object, ...], Mapping[Modality, Cohort]] = collections.OrderedDict()


class Reader:
    """The rows of one release."""

    def __init__(self, lake: Lake, release: Release) -> None:
        self.release = release
        self._lake = lake.id
        self._storage = lake.storage
        self._tables: dict[str, Table] = {}

    @functools.cached_property
    def _database(self) -> DBConnection:
        return tables.connect(self._storage)

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            if name not in self.release.tables:
                raise LakeError(f"release {self.release.number} has no table {name!r}", "run the ingest again")
            self._tables[name] = tables.open_at(self._database, name, self.release.tables[name])
        return self._tables[name]

    def _vectors(self, space: str) -> Table:
        return self._table(tables.vectors(space, self.release.models.get(space, "")))

    def sources(self) -> list[SourceRow]:
        """All sources, skipped members of containers included, by uri."""
        return sorted(self._rows(tables.SOURCES, SourceRow), key=lambda row: row.uri)

    def documents(self) -> dict[str, DocumentRow]:
        """All documents by doc_id."""
        return {row.doc_id: row for row in self._rows(tables.DOCUMENTS, DocumentRow)}

    def sources_of(self, doc_ids: Sequence[str]) -> list[SourceRow]:
        """The sources that hold these documents, by uri; skipped ones are left out."""
        from lancedb.expr import col

        rows = self._rows(tables.SOURCES, SourceRow, col("doc_id").isin(list(doc_ids))) if doc_ids else []
        return sorted((row for row in rows if not row.skipped), key=lambda row: row.uri)

    def chunks(self, chunk_ids: Sequence[str]) -> list[IndexedChunk]:
        """The chunks with these ids in the order of the ids; unknown ids are left out."""
        from lancedb.expr import col

        if not chunk_ids:
            return []
        query = self._table(tables.CHUNKS).search().where(col("chunk_id").isin(list(chunk_ids))).limit(None)
        beside = ("summary", "summary_method", "tag", "tag_probability")
        found = query.select([*ChunkRow.SCHEMA.names, *beside]).to_arrow()
        rows = zip(from_table(found, ChunkRow), *(found[name].to_pylist() for name in beside), strict=True)
        by_id = {row.chunk_id: IndexedChunk(row, *values) for row, *values in rows}
        return [by_id[chunk_id] for chunk_id in dict.fromkeys(chunk_ids) if chunk_id in by_id]

    def all_chunks(self) -> list[ChunkRow]:
        """Every chunk, by document and place; for tests and small corpora."""
        return sorted(self._rows(tables.CHUNKS, ChunkRow), key=lambda row: (row.doc_id, row.ordinal))

    def chunk_ids(self, where: Expr | None, pages: Sequence[int]) -> list[str]:
        """The ids of the chunks that touch one of the pages, if there are any, and satisfy the expression, if there is
        one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        query = self._table(tables.CHUNKS).search().select(["chunk_id", "pages"]).limit(None)
        found = (query if where is None else query.where(where)).to_arrow().combine_chunks()
        if not pages:
            return sorted(found["chunk_id"].to_pylist())
        places, parents = pc.list_flatten(found["pages"]), pc.list_parent_indices(found["pages"])
        touched = pc.filter(parents, pc.is_in(places, pa.array(list(pages), pa.int32())))
        return sorted(set(found["chunk_id"].take(touched).to_pylist()))

    def nearest(
        self,
        space: str,
        vector: np.ndarray,
        limit: int,
        where: Expr | None = None,
        modality: Modality | None = None,
        distinct: int = 0,
    ) -> list[Candidate]:
        """Chunks by the cosine similarity of their nearest view, best first; `limit` views are looked at.

        Only views of the modality, where one is given. With `distinct`, more views are looked at until the chunks show
        so many different things, or nothing is left; then only some of the copies of one thing are returned.
        """
        from lancedb.expr import col

        if modality is not None:
            where = _both(where, col("modality") == modality)
        rows = self._views(space, vector, limit, where)
        if not distinct:
            return _ordered(_best(rows).values())
        best = _best(rows, told_apart=True)
        seen: set[str] = set()
        while len(rows) >= limit and len({candidate.item for candidate in best.values()}) < distinct:
            seen |= {row["item"] for row in rows}
            limit *= 2
            rows = self._views(space, vector, limit, _both(where, ~col("item").isin(sorted(seen))))
            best = {**_best(rows, told_apart=True), **best}
        copies = collections.Counter[str]()
        kept: list[Candidate] = []
        for candidate in _ordered(best.values()):
            copies[candidate.item] += 1
            if copies[candidate.item] <= _COPIES:
                kept.append(candidate)
        return kept

    def _views(self, space: str, vector: np.ndarray, limit: int, where: Expr | None) -> list[dict[str, Any]]:
        query: Any = self._vectors(space).search(np.asarray(vector, np.float32))
        query = query.distance_type("cosine").ef(max(_EF, limit * _REFINE)).refine_factor(_REFINE)
        if where is not None:
            query = query.where(where, prefilter=True)
        found: list[dict[str, Any]]
        found = query.select(["chunk_id", "item", *_MATCH, "_distance"]).limit(limit).to_arrow().to_pylist()
        return found

    def cohorts(self, space: str) -> Mapping[Modality, Cohort]:
        """A sample of what the space holds of each modality: always the same one of a release."""
        key = (self._lake, self.release.number, self.release.created, space)
        if key not in _cohorts:
            _cohorts[key] = cohorts.sample(self._vectors(space), self.release.spaces[space])
            while len(_cohorts) > _HELD:
                _cohorts.popitem(last=False)
        return _cohorts[key]

    def matching(self, column: str, text: str, limit: int, where: Expr | None = None) -> list[Candidate]:
        """Chunks by BM25 over `search_text` or `search_cjk`, best first. Any text is a query: there is no syntax."""
        from lancedb import query as lance

        make: Any = lance.MatchQuery  # its own type hints ask for every default
        query: Any = self._table(tables.CHUNKS).search(make(text, column), query_type="fts")
        if where is not None:
            query = query.where(where, prefilter=True)
        found = query.select(["chunk_id", "_score"]).limit(limit).to_arrow()
        pairs = zip(found["chunk_id"].to_pylist(), found["_score"].to_pylist(), strict=True)
        return _ordered(Candidate(chunk_id, score) for chunk_id, score in dict(pairs).items())

    def _rows(self, name: str, kind: Any, where: Expr | None = None) -> list[Any]:
        query = self._table(name).search().select(kind.SCHEMA.names).limit(None)
        return from_table((query if where is None else query.where(where)).to_arrow(), kind)


def open_reader(lake: Lake, release: Release | None = None) -> Reader:
    """A reader of the release, or of the current one.

    Raises LakeError where nothing has been published, MissingTables where its tables are gone; a table that is there
    and cannot be read raises MissingTables when it is first used.
    """
    chosen = release or current_release(lake.storage)
    if chosen.number == 0:
        raise LakeError(
            f"nothing has been published in {lake.uri} yet", f"run: bindery ingest SOURCE... --lake {lake.uri}"
        )
    gone = [name for name in chosen.tables if not tables.exists(lake.storage, name)]
    if gone:
        raise tables.MissingTables(f"release {chosen.number} needs {', '.join(sorted(gone))}")
    return Reader(lake, chosen)


def _ordered(found: Iterable[Candidate]) -> list[Candidate]:
    """Best first; equal scores by id, so that the order does not depend on how the rows lie on disk."""
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.chunk_id))


def _best(rows: Iterable[Mapping[str, Any]], told_apart: bool = False) -> dict[str, Candidate]:
    """The nearest view of each chunk."""
    best: dict[str, Candidate] = {}
    for row in sorted(rows, key=lambda row: (row["_distance"], row["view"], row["window"])):
        if row["chunk_id"] not in best:
            match = Match(row["modality"], row["view"], row["window"], Box(**row["box"]) if row["box"] else None)
            score, item = max(-1.0, 1.0 - row["_distance"]), row["item"] if told_apart else ""
            best[row["chunk_id"]] = Candidate(row["chunk_id"], score, match, item=item)
    return best


def _both(first: Expr | None, second: Expr) -> Expr:
    return second if first is None else first & second
