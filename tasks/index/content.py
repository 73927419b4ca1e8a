"""What a document puts into the index: its stage files read, joined and given the columns that search needs.

Loaded only for documents whose rows in a table differ from what is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pyarrow as pa

from tasks import stage
from tasks.errors import LakeError
from tasks.headings import header
from tasks.index import tables
from tasks.rows import DocumentRow, Kind, StageMark, content_id
from tasks.space_names import slug
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.words import cjk_text

KINDS: tuple[str, ...] = get_args(Kind)
_COLUMNS_VERSION = 2  # raise it when the searched columns are made differently: all rows are then written anew


class MissingOutputs(LakeError):  # noqa: N818  names what it holds
    """Stage files that the index needs are missing or damaged; `doc_ids` are the documents to work on again."""

    code = "missing_outputs"

    def __init__(self, doc_ids: Sequence[str]) -> None:
        self.doc_ids = tuple(doc_ids)
        count = f"{len(self.doc_ids)} document{'s' if len(self.doc_ids) != 1 else ''}"
        super().__init__(
            f"stage files of {count} are missing or damaged (first: {self.doc_ids[0]})",
            "run: bindery ingest --restage SOURCE..., with the sources that hold them",
        )


def embed_stage(space: str, fingerprint: str) -> str:
    """The stage whose output fills a space's table."""
    return f"embed-{slug(space, fingerprint)}"


def chunks_digest(row: DocumentRow) -> str:
    """Names what a document's rows in the table of chunks are made of, without reading them."""
    marks = (row.mark("chunk"), row.mark("summarize"), row.mark("tag"))
    return content_id(_COLUMNS_VERSION, [mark.digest if mark else "" for mark in marks])


def load_chunks(storage: Storage, row: DocumentRow, digest: str) -> pa.Table:
    """A document's chunks with their summaries, their tags and the text that full-text search reads.

    A chunk is found by its header, too, and a summary by its own words and those of its English line.
    """
    chunks = _records(_load(storage, row, "chunk"))
    by_chunk = {item["chunk_id"]: item for item in _records(_load(storage, row, "summarize"))}
    tags = {item["chunk_id"]: item for item in _records(_load(storage, row, "tag"))}
    for chunk in chunks:
        tag = tags.get(chunk["chunk_id"], {})
        chunk["tag"], chunk["tag_probability"] = tag.get("label", ""), tag.get("probability")
        summary = by_chunk.get(chunk["chunk_id"], {})
        lines = (summary.get("text"), summary.get("english"))  # files of the first version have no English line
        chunk["summary"] = "\n".join(line for line in lines if line)
        chunk["summary_method"] = summary.get("method", "")
        parts = (header(chunk["context"], chunk["pages"]), chunk["text"], chunk["summary"])
        chunk["search_text"] = "\n".join(dict.fromkeys(part for part in parts if part))
        chunk["search_cjk"] = cjk_text(chunk["search_text"])
        chunk["digest"], chunk["rows"] = digest, len(chunks)
    return pa.Table.from_pylist(chunks, schema=tables.schema_of(tables.CHUNKS))


def load_vectors(storage: Storage, row: DocumentRow, made_by: str, schema: pa.Schema) -> pa.Table:
    """A document's vectors in a space, which a stage has made; none where nothing in it could be embedded.

    Raises LakeError where they have another dimension than the table.
    """
    table, mark = _load(storage, row, made_by), row.mark(made_by)
    if table is None or mark is None:
        return schema.empty_table()
    if table.schema.field("vector").type != schema.field("vector").type:
        raise LakeError(
            f"document {row.doc_id}: stage {made_by!r} gave {table.schema.field('vector').type}, the index has "
            f"{schema.field('vector').type}",
            "ingest into a new lake, or give the space another name",
        )
    return with_bookkeeping(table, mark.digest, schema)


def loadable(storage: Storage, row: DocumentRow, *stages: str) -> bool:
    """Whether the outputs of these stages that the document is marked with are there, whole."""
    marks = [row.mark(stage) for stage in stages]
    return all(mark is None or _find(storage, mark) is not None for mark in marks)


def with_bookkeeping(table: pa.Table, digest: str, schema: pa.Schema) -> pa.Table:
    """The rows of one key with the columns `digest` and `rows`, under the table's schema."""
    count = table.num_rows
    own = table.select([name for name in schema.names if name not in ("digest", "rows")])
    columns = [*own.columns, pa.array([digest] * count, pa.string()), pa.array([count] * count, pa.int32())]
    return pa.Table.from_arrays(columns, names=schema.names).cast(schema)


def _load(storage: Storage, row: DocumentRow, name: str) -> pa.Table | None:
    """The rows of a stage's output that the document is marked with; None where there are none."""
    mark = row.mark(name)
    if mark is None:
        return None
    ref = _find(storage, mark)
    if ref is None:
        raise MissingOutputs([row.doc_id])
    return stage.load(storage, ref) if ref.rows else None


def _records(table: pa.Table | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_pylist()


def _find(storage: Storage, mark: StageMark) -> StageRef | None:
    for degraded in (False, True):
        ref = stage.find(storage, mark.stage, mark.key, degraded)
        if ref is not None and ref.digest == mark.digest:
            return ref
    return None
