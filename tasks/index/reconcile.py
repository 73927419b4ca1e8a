"""Bring a table to what it shall hold, whatever an earlier, perhaps killed, attempt has left in it.

In: a table at its newest state and a `Part` that says what each key shall have. Out: the table with at most one commit
that adds, after those that delete. Rows are streamed, so memory does not grow with the corpus.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from lancedb.table import Table

_BATCH_ROWS = 4096  # rows handed to LanceDB at once; a commit holds as many batches as there are
_DELETE_KEYS = 5000  # keys in one IN (...) expression


@dataclasses.dataclass(frozen=True)
class Part:
    """What one table shall hold: for each key a digest of its rows, and how to get those rows.

    `load` yields one Arrow table for each key; only called for what is missing. `loadable` says whether it can.
    """

    name: str
    key: str
    schema: pa.Schema
    digests: Mapping[str, str]
    load: Callable[[str], pa.Table]
    loadable: Callable[[str], bool] = lambda key: True


@dataclasses.dataclass(frozen=True)
class Difference:
    """What separates a table from what it shall hold. `missing` may name documents that turn out to have no rows."""

    extra: list[str]
    missing: list[str]


def reconcile(table: Table, part: Part, difference: Difference) -> None:
    """Bring the newest state of a table to what it shall hold: commits that delete and one that adds."""
    from lancedb.expr import col

    for start in range(0, len(difference.extra), _DELETE_KEYS):
        table.delete(col(part.key).isin(difference.extra[start : start + _DELETE_KEYS]))
    _add(table, part, difference.missing)


def compare(table: Table, part: Part) -> Difference:
    """A key is right where all its rows carry the wanted digest and there are as many as they say."""
    held = table.search().select([part.key, "digest", "rows"]).limit(None).to_arrow()
    groups = held.group_by([part.key, "digest", "rows"]).aggregate([([], "count_all")])
    whole = pc.equal(groups["rows"].cast(pa.int64()), groups["count_all"])
    right: set[str] = set()
    wrong: set[str] = set()
    for key, digest, complete in zip(
        groups[part.key].to_pylist(), groups["digest"].to_pylist(), whole.to_pylist(), strict=True
    ):
        (right if complete and part.digests.get(key) == digest else wrong).add(key)
    right -= wrong  # rows of two digests: all of the key is replaced
    return Difference(sorted(wrong), [key for key in part.digests if key not in right])


def _add(table: Table, part: Part, keys: Sequence[str]) -> None:
    """Append the rows of these keys in one commit, streaming: memory holds a few thousand rows at a time."""
    failures: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from _batches(part, keys)
        except Exception as error:  # LanceDB would turn it into an Arrow error without its type
            failures.append(error)
            raise

    stream = batches()
    first = next(stream, None)
    if first is None:
        return

    def whole() -> Iterator[pa.RecordBatch]:
        yield first
        yield from stream

    try:
        table.add(pa.RecordBatchReader.from_batches(part.schema, whole()))
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _batches(part: Part, keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    pending: list[pa.Table] = []
    count = 0
    for key in keys:
        loaded = part.load(key)
        if not loaded.num_rows:
            continue
        pending.append(loaded)
        count += loaded.num_rows
        if count >= _BATCH_ROWS:
            yield from pa.concat_tables(pending).combine_chunks().to_batches(_BATCH_ROWS)
            pending, count = [], 0
    if pending:
        yield from pa.concat_tables(pending).combine_chunks().to_batches(_BATCH_ROWS)
