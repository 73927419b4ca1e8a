"""Publish: what the plan wants readers to see in, the next release out.

    wanted ──► compare with each table ──► delete what differs ──► add what is missing ──► search indexes ──► release

Whether all rows that are missing can be had is asked before anything is written. Tables that are gone or cannot be read
are made anew, since every row comes from stage files or the plan.

A killed publish may have left any of these commits in the tables. None is visible (readers see the versions that a
release names), and the next publish starts from the newest state of each table and finishes the work.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from tasks import rows as row_types
from tasks.errors import LakeError
from tasks.index import content, tables
from tasks.index.reconcile import Difference, Part, compare, reconcile
from tasks.lake import Lake, Release, create_release, current_release, release_numbers
from tasks.lease import Lease
from tasks.rows import DocumentRow, SourceRow
from tasks.storage import Storage

if TYPE_CHECKING:
    from lancedb import DBConnection
    from lancedb.table import Table


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that readers shall see after the publish.

    `spaces` maps a space's name to its dimension, `models` to the fingerprint of its model. A document's `stages` mark
    its outputs of "partition", "chunk", "tag" (where there is one), "summarize" and "embed-<space>".
    """

    sources: Sequence[SourceRow]
    documents: Sequence[DocumentRow]
    spaces: Mapping[str, int]
    models: Mapping[str, str] = dataclasses.field(default_factory=dict)


def publish(lake: Lake, lease: Lease, run: str, wanted: Wanted) -> Release:
    """Make the index hold exactly what is wanted and create the next release; returns the current one if that already
    shows it.

    Raises MissingOutputs, and writes nothing, where stage files that are needed are gone; LakeBusyError where the lease
    was lost.
    """
    storage = lake.storage
    parts = _parts(storage, wanted)
    database = tables.connect(storage)
    current = current_release(storage)
    if _shows(database, current, parts, wanted):
        return current
    heads = [_head(database, part) for part in parts]
    missing = _not_loadable(parts, heads)
    if missing:
        raise content.MissingOutputs(missing)
    versions: dict[str, int] = {}
    counts = collections.Counter[str]()
    for part, head in zip(parts, heads, strict=True):
        lease.check()
        # not `head.table or ...`: a table without rows counts as false
        table = tables.create(database, part.name, part.schema) if head.table is None else head.table
        reconcile(table, part, head.difference)
        tables.maintain(table)
        versions[part.name] = table.version
        counts.update(_counts(table))
    release = Release(
        number=max(release_numbers(storage), default=0) + 1,
        run=run,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        tables=versions,
        spaces=dict(wanted.spaces),
        counts={**_no_counts(), **counts, **_wanted_counts(wanted)},
        models=dict(wanted.models),
    )
    lease.check()
    create_release(storage, release)
    return release


def unavailable(
    lake: Lake,
    documents: Sequence[DocumentRow],
    spaces: Mapping[str, int],
    models: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The ids of the documents that could not be published: their rows are neither in the tables nor in stage files.

    Cheap where the tables hold them: digests are compared and no stage file is opened.
    """
    if not documents:
        return []
    parts = _content_parts(lake.storage, _by_key(documents, lambda row: row.doc_id), spaces, models)
    database = tables.connect(lake.storage)
    return _not_loadable(parts, [_head(database, part) for part in parts])


@dataclasses.dataclass(frozen=True, slots=True)
class _Head:
    """The newest state of a table, None where it is to be made, and what separates it from what is wanted."""

    table: Table | None
    difference: Difference


def _head(database: DBConnection, part: Part) -> _Head:
    table = tables.open_head(database, part.name, part.schema)
    if table is not None:
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # its files are gone or damaged
            return _Head(table, compare(table, part))
    return _Head(None, Difference([], list(part.digests)))


def _not_loadable(parts: Sequence[Part], heads: Sequence[_Head]) -> list[str]:
    missing = ((part, key) for part, head in zip(parts, heads, strict=True) for key in head.difference.missing)
    return sorted({key for part, key in missing if not part.loadable(key)})


def _parts(storage: Storage, wanted: Wanted) -> list[Part]:
    """The tables of a release in the order in which they are written."""
    sources = _by_key(wanted.sources, lambda row: row.uri)
    documents = _by_key(wanted.documents, lambda row: row.doc_id)
    return [
        *_content_parts(storage, documents, wanted.spaces, wanted.models),
        _rows_part(tables.DOCUMENTS, "doc_id", documents, DocumentRow),
        _rows_part(tables.SOURCES, "uri", sources, SourceRow),
    ]


def _content_parts(
    storage: Storage, documents: Mapping[str, DocumentRow], spaces: Mapping[str, int], models: Mapping[str, str]
) -> list[Part]:
    """The tables whose rows come from stage files."""
    chunked = {key: content.chunks_digest(row) for key, row in documents.items() if row.chunks}
    chunks = Part(
        tables.CHUNKS,
        "doc_id",
        tables.schema_of(tables.CHUNKS),
        chunked,
        lambda key: content.load_chunks(storage, documents[key], chunked[key]),
        lambda key: content.loadable(storage, documents[key], "chunk", "summarize", "tag"),
    )
    return [
        chunks,
        *(_vectors_part(storage, documents, space, models.get(space, ""), spaces[space]) for space in spaces),
    ]


def _vectors_part(
    storage: Storage, documents: Mapping[str, DocumentRow], space: str, model: str, dimension: int
) -> Part:
    name, made_by = tables.vectors(space, model), content.embed_stage(space, model)
    marked = {key: (row, row.mark(made_by)) for key, row in documents.items() if row.chunks}
    digests = {key: mark.digest for key, (_, mark) in marked.items() if mark is not None}
    schema = tables.schema_of(name, dimension)
    return Part(
        name,
        "doc_id",
        schema,
        digests,
        lambda key: content.load_vectors(storage, documents[key], made_by, schema),
        lambda key: content.loadable(storage, documents[key], made_by),
    )


def _rows_part(name: str, key: str, wanted: Mapping[str, row_types.R], kind: type[row_types.R]) -> Part:
    """A table whose rows are compared and replaced one by one."""
    digests = {value: row_types.digest([row]) for value, row in wanted.items()}
    schema = tables.schema_of(name)
    place = {value: index for index, value in enumerate(wanted)}

    @functools.cache
    def whole() -> pa.Table:
        one = pa.array([1] * len(wanted), pa.int32())
        columns = [*row_types.to_table(wanted.values(), kind).columns, pa.array(digests.values(), pa.string()), one]
        return pa.Table.from_arrays(columns, schema=schema)

    return Part(name, key, schema, digests, lambda value: whole().slice(place[value], 1))


def _by_key(found: Iterable[row_types.R], key: Callable[[row_types.R], str]) -> dict[str, row_types.R]:
    """Rows by key in the order of the keys, so that equal corpora are written alike. Raises LakeError for a double."""
    by_key: dict[str, row_types.R] = {}
    for row in found:
        if key(row) in by_key:
            raise LakeError(f"{key(row)!r} is wanted twice in the index", "please report this")
        by_key[key(row)] = row
    return dict(sorted(by_key.items()))


def _shows(database: DBConnection, release: Release, parts: Sequence[Part], wanted: Wanted) -> bool:
    """Whether the release already shows readers exactly this."""
    if release.number == 0 or set(release.tables) != {part.name for part in parts}:
        return False
    if dict(release.spaces) != dict(wanted.spaces) or dict(release.models) != dict(wanted.models):
        return False
    for part in parts:
        try:
            table = tables.open_at(database, part.name, release.tables[part.name])
            if not table.schema.equals(part.schema):
                return False
            difference = compare(table, part)
        except (LakeError, ValueError, RuntimeError, OSError):  # gone or damaged
            return False
        if difference.extra or any(not part.loadable(key) or part.load(key).num_rows for key in difference.missing):
            return False
    return True


def _no_counts() -> dict[str, int]:
    return dict.fromkeys(("chunks", *(f"chunks_{kind}" for kind in content.KINDS), "vectors"), 0)


def _counts(table: Table) -> dict[str, int]:
    """What a table adds to the release's counts."""
    if table.name == tables.CHUNKS:
        kinds = table.search().select(["kind"]).limit(None).to_arrow()["kind"].to_pylist()
        return {"chunks": len(kinds), **{f"chunks_{kind}": n for kind, n in collections.Counter(kinds).items()}}
    return {"vectors": table.count_rows()} if table.name.startswith(tables.VECTORS) else {}


def _wanted_counts(wanted: Wanted) -> dict[str, int]:
    return {
        "sources": sum(not row.skipped for row in wanted.sources),
        "documents": len(wanted.documents),
        "characters": sum(row.characters for row in wanted.documents),
        "degraded": sum(row.degraded for row in wanted.documents),
        **{
            f"documents_{space}": _embedded(content.embed_stage(space, wanted.models.get(space, "")), wanted.documents)
            for space in wanted.spaces
        },
    }


def _embedded(made_by: str, documents: Sequence[DocumentRow]) -> int:
    return sum(row.mark(made_by) is not None for row in documents)
