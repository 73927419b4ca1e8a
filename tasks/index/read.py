"""Reading a release: every table is pinned to the version that the release names, whatever is written meanwhile."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import LakeError
from tasks.index import tables
from tasks.lake import Lake, Release, current_release
from tasks.result import Match
from tasks.rows import Box, ChunkRow, DocumentRow, Modality, SourceRow, from_table

if TYPE_CHECKING:
    from lancedb import DBConnection
    from lancedb.expr import Expr
    from lancedb.table import Table

_EF, _REFINE = 300, 3  # of the HNSW index: recall .977 at 40k vectors
_COHORT = 512  # vectors of each modality that stand for all of them
_HELD = 4  # cohorts of spaces that a process keeps: 2 MB for each modality of 1024 floats
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
    """A chunk that one search signal proposes. `score`: cosine similarity, or BM25; `calibrated`: see `Signal`."""

    chunk_id: str
    score: float
    match: Match | None = None
    calibrated: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """A sample of a space's vectors of one modality, (n, dimension), and which of its rows belong to which chunk."""

    vectors: np.ndarray
    members: Mapping[str, tuple[int, ...]]


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
        """The ids of the chunks that touch one of the pages and satisfy the expression, if there is one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        query = self._table(tables.CHUNKS).search().select(["chunk_id", "pages"]).limit(None)
        found = (query if where is None else query.where(where)).to_arrow().combine_chunks()
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
    ) -> list[Candidate]:
        """Chunks by the cosine similarity of their nearest view, best first; at most `limit` views are looked at.

        Only views of the modality, where one is given.
        """
        from lancedb.expr import col

        query: Any = self._table(tables.vectors(space)).search(np.asarray(vector, np.float32))
        query = query.distance_type("cosine").ef(max(_EF, limit * _REFINE)).refine_factor(_REFINE)
        if modality is not None:
            of_modality = col("modality") == modality
            where = of_modality if where is None else where & of_modality
        if where is not None:
            query = query.where(where, prefilter=True)
        found = query.select(["chunk_id", *_MATCH, "_distance"]).limit(limit).to_arrow()
        best: dict[str, Candidate] = {}
        for row in sorted(found.to_pylist(), key=lambda row: (row["_distance"], row["view"], row["window"])):
            if row["chunk_id"] not in best:
                match = Match(row["modality"], row["view"], row["window"], Box(**row["box"]) if row["box"] else None)
                best[row["chunk_id"]] = Candidate(row["chunk_id"], max(-1.0, 1.0 - row["_distance"]), match)
        return _ordered(best.values())

    def cohorts(self, space: str) -> Mapping[Modality, Cohort]:
        """A sample of the space's vectors of each modality that it has: always the same one of a release.

        Vectors are chosen by the hash of their item, which is as good as by lot, and each distinct item counts once.
        """
        key = (self._lake, self.release.number, self.release.created, space)
        if key not in _cohorts:
            column = self._table(tables.vectors(space)).search().select(["modality"]).limit(None).to_arrow()
            counts = collections.Counter[Modality](column["modality"].to_pylist())
            _cohorts[key] = {name: self._cohort(space, name, count) for name, count in sorted(counts.items())}
            while len(_cohorts) > _HELD:
                _cohorts.popitem(last=False)
        return _cohorts[key]

    def _cohort(self, space: str, modality: Modality, count: int) -> Cohort:
        """`count`: how many vectors there are."""
        from lancedb.expr import col, lit

        where = col("modality") == modality
        if count > _COHORT:
            where = where & (col("item") < lit(f"{_COHORT * 16**8 // count:08x}"))
        query = self._table(tables.vectors(space)).search().where(where).limit(None)
        found = query.select(["chunk_id", "item", "vector"]).to_arrow().combine_chunks()
        place: dict[str, int] = {}
        items = found["item"].to_pylist()
        for index in sorted(range(len(items)), key=items.__getitem__):
            place.setdefault(items[index], index)
        chosen = list(place.values())[:_COHORT]
        row = {items[index]: position for position, index in enumerate(chosen)}
        members: dict[str, list[int]] = {}
        for chunk_id, item in zip(found["chunk_id"].to_pylist(), items, strict=True):
            if item in row:
                members.setdefault(chunk_id, []).append(row[item])
        matrix = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self.release.spaces[space])
        return Cohort(matrix[chosen], {chunk_id: tuple(rows) for chunk_id, rows in members.items()})

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
