"""The tables of the index: their columns, their search indexes, and opening one at a version.

Every table has two columns beside its rows' own: `digest` (what the rows of one key are made of) and `rows` (how many
the key has in this table), so that publishing can compare a table with what is wanted by reading three columns.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tasks.errors import LakeError
from tasks.rows import ChunkRow, DocumentRow, SourceRow, VectorRow
from tasks.space_names import slug
from tasks.storage import Storage

if TYPE_CHECKING:  # loading LanceDB takes over a second
    from lancedb import DBConnection
    from lancedb.table import Table

SOURCES, DOCUMENTS, CHUNKS, VECTORS = "sources", "documents", "chunks", "vectors_"
# Below this many rows a scan answers in less time than an index costs at each publish (measured: 100k x 384 floats
# take 0.4 s, 20k under 0.1 s).
INDEX_ROWS = 20_000
# Optimising may drop old versions of a table; releases pin them, and removing releases is gc's decision alone.
_KEEP_ALL_VERSIONS = timedelta(days=36_500)

_BOOKKEEPING = [pa.field("digest", pa.string(), nullable=False), pa.field("rows", pa.int32(), nullable=False)]
_SEARCHED = [
    *(
        pa.field(name, pa.string(), nullable=False)
        for name in ("summary", "summary_method", "search_text", "search_cjk", "tag")
    ),
    pa.field("tag_probability", pa.float64()),
]


class MissingTables(LakeError):  # noqa: N818  names what is wrong with the lake
    """A release names tables that are gone or cannot be read."""

    code = "missing_tables"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the index is missing or damaged: {what}",
            "run: bindery ingest SOURCE... with all sources; it rebuilds the index from the stage files",
        )


def vectors(space: str, fingerprint: str) -> str:
    """The name of a space's table."""
    return f"{VECTORS}{slug(space, fingerprint)}"


def schema_of(name: str, dimension: int = 0) -> pa.Schema:
    """The columns of a table; `dimension` for those of vectors."""
    own = {
        SOURCES: list(SourceRow.SCHEMA),
        DOCUMENTS: list(DocumentRow.SCHEMA),
        CHUNKS: [*ChunkRow.SCHEMA, *_SEARCHED],
    }
    return pa.schema([*(own[name] if name in own else list(VectorRow.schema(dimension))), *_BOOKKEEPING])


def connect(storage: Storage) -> DBConnection:
    """The database in the lake. Raises LakeError where its folder cannot be made."""
    import lancedb

    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")  # else listing indexes warns on stderr
    folder = storage.local("index")  # absolute, so that no lake's name can be taken for a cloud address
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(f"the index folder {folder} cannot be made: {error}", "check permissions and space") from error
    return lancedb.connect(str(folder))


def open_at(database: DBConnection, name: str, version: int) -> Table:
    """A table as it was at a version, whatever is written to it meanwhile."""
    try:
        table = database.open_table(name)
        table.checkout(version)
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise MissingTables(f"table {name!r} has no version {version} ({reason})") from error
    return table


def exists(storage: Storage, name: str) -> bool:
    """Whether there is anything of a table, told without opening it."""
    return storage.exists(f"index/{name}.lance")


def open_head(database: DBConnection, name: str, schema: pa.Schema) -> Table | None:
    """The newest state of a table; None where there is none. Raises LakeError where its columns are others."""
    try:
        table = database.open_table(name)
    except (ValueError, RuntimeError, OSError):  # never made, its making was killed, or damaged
        return None
    if not len(table.schema):  # its newest version cannot be read
        return None
    if not table.schema.equals(schema):
        changed = sorted({field.name for field in set(schema) ^ set(table.schema)})
        raise LakeError(
            f"table {name!r} of this lake has other columns than this bindery writes: {', '.join(changed)}",
            "ingest into a new lake, or embed in a space of another name",
        )
    return table


def create(database: DBConnection, name: str, schema: pa.Schema) -> Table:
    """An empty table in the place of whatever cannot be opened there."""
    with contextlib.suppress(ValueError):  # there is none
        database.drop_table(name)
    return database.create_table(name, schema=schema)


def maintain(table: Table) -> None:
    """Make the table's search indexes, and bring them up to date with its rows."""
    wanted = _indexes(table.name, table.count_rows())
    held = {column: index for index in table.list_indices() for column in index.columns}
    for column, config in wanted.items():
        if column not in held:
            table.create_index(column, config=config, replace=False)
    if any(index.num_unindexed_rows for index in held.values()):
        table.optimize(cleanup_older_than=_KEEP_ALL_VERSIONS)


def _indexes(name: str, rows: int) -> dict[str, Any]:
    """Column -> index configuration for a table of so many rows."""
    from lancedb.index import FTS, Bitmap, BTree, HnswSq

    big = rows >= INDEX_ROWS
    filtered: dict[str, Any] = {"doc_id": BTree(), "chunk_id": BTree(), "kind": Bitmap()}
    if name == CHUNKS:
        # Chinese, Japanese and Korean by bigrams: word segmentation (ICU) misses 北京 in 北京市, bigrams do not.
        cjk = FTS(base_tokenizer="ngram", ngram_min_length=2, ngram_max_length=2, stem=False, remove_stop_words=False)
        english = FTS(base_tokenizer="simple", language="English", stem=True)
        return {"search_text": english, "search_cjk": cjk} | (filtered if big else {})
    if name in (SOURCES, DOCUMENTS) or not big:
        return {}
    return {**filtered, "item": BTree(), "modality": Bitmap(), "vector": HnswSq(distance_type="cosine")}
