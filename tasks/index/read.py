"""Reading a release: every table is pinned to the version that the release names, whatever is written meanwhile."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import LakeError
from tasks.index import tables
from tasks.lake import Lake, Release, current_release
from tasks.rows import ChunkRow, DocumentRow, SourceRow, from_table

if TYPE_CHECKING:
    from lancedb import DBConnection
    from lancedb.expr import Expr
    from lancedb.table import Table

_EF, _REFINE = 300, 3  # of the HNSW index: recall .977 at 40k vectors


@dataclasses.dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk as it is in the index: its own row, and the summary that stands for it ("" where it has none)."""

    chunk: ChunkRow
    summary: str
    summary_method: str


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that one search signal proposes. `score`: cosine similarity, or BM25."""

    chunk_id: str
    score: float


class Reader:
    """The rows of one release."""

    def __init__(self, lake: Lake, release: Release) -> None:
        self.release = release
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
        found = query.select([*ChunkRow.SCHEMA.names, "summary", "summary_method"]).to_arrow()
        rows = zip(
            from_table(found, ChunkRow),
            found["summary"].to_pylist(),
            found["summary_method"].to_pylist(),
            strict=True,
        )
        by_id = {row.chunk_id: IndexedChunk(row, summary, method) for row, summary, method in rows}
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

    def nearest(self, space: str, vector: np.ndarray, limit: int, where: Expr | None = None) -> list[Candidate]:
        """Chunks by the cosine similarity of their nearest view, best first; at most `limit` views are looked at."""
        query: Any = self._table(tables.vectors(space)).search(np.asarray(vector, np.float32))
        query = query.distance_type("cosine").ef(_EF).refine_factor(_REFINE)
        if where is not None:
            query = query.where(where, prefilter=True)
        found = query.select(["chunk_id", "_distance"]).limit(limit).to_arrow()
        best: dict[str, float] = {}
        for chunk_id, distance in zip(found["chunk_id"].to_pylist(), found["_distance"].to_pylist(), strict=True):
            best[chunk_id] = max(best.get(chunk_id, -1.0), 1.0 - distance)
        return _ordered(best)

    def matching(self, column: str, text: str, limit: int, where: Expr | None = None) -> list[Candidate]:
        """Chunks by BM25 over `search_text` or `search_cjk`, best first. Any text is a query: there is no syntax."""
        from lancedb import query as lance

        make: Any = lance.MatchQuery  # its own type hints ask for every default
        query: Any = self._table(tables.CHUNKS).search(make(text, column), query_type="fts")
        if where is not None:
            query = query.where(where, prefilter=True)
        found = query.select(["chunk_id", "_score"]).limit(limit).to_arrow()
        return _ordered(dict(zip(found["chunk_id"].to_pylist(), found["_score"].to_pylist(), strict=True)))

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


def _ordered(scores: dict[str, float]) -> list[Candidate]:
    """Best first; equal scores by id, so that the order does not depend on how the rows lie on disk."""
    return [Candidate(key, score) for key, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))]
