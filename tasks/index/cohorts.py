"""Cohorts: a space's table of vectors in, for each modality a sample of what is in it out (for tasks.calibrate).

What is sampled are different pictures, texts and recordings with all of their vectors, since a search sees each by
the best of them. What a chunk shows is named by the item of its first view, so that a logo on thousands of pages counts
once, and the choice is by that item's hash: as good as by lot, the same at each reading, and not more likely for what
has many views.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tasks.rows import Modality

if TYPE_CHECKING:
    from lancedb.expr import Expr
    from lancedb.table import Table

_COHORT = 512  # what stands for a modality, at most
_VECTORS = 4096  # and its vectors: 16 MB of 1024 floats
_WIDEN = 8


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """A sample of a space in one modality.

    `vectors` is (n, dimension); those of one member lie together, and `starts` has the first row of each. `members`
    says which of them a chunk is, or is a copy of.
    """

    vectors: np.ndarray
    starts: np.ndarray
    members: Mapping[str, tuple[int, ...]]


def sample(table: Table, dimension: int) -> dict[Modality, Cohort]:
    """A cohort of each modality that the table has."""
    counts = collections.Counter[Modality](_read(table, _first_view(), "modality")["modality"].to_pylist())
    return {name: _cohort(table, dimension, name, count) for name, count in sorted(counts.items())}


def _cohort(table: Table, dimension: int, modality: Modality, count: int) -> Cohort:
    from lancedb.expr import col

    showing = _showing(table, modality, count)
    chosen: dict[str, int] = {}  # the chunk whose vectors are taken -> its place
    place: dict[str, int] = {}  # item -> place
    for item in sorted(showing)[:_COHORT]:  # a chunk of two texts has two first views
        place[item] = chosen.setdefault(min(showing[item]), len(chosen))
    of_modality = col("modality") == modality
    views = _read(table, of_modality & col("chunk_id").isin(list(chosen)), "chunk_id")["chunk_id"].to_pylist()
    taken = _affordable(chosen, collections.Counter(views))
    found = _read(table, of_modality & col("chunk_id").isin(taken), "chunk_id", "vector")
    owners = np.array([chosen[chunk_id] for chunk_id in found["chunk_id"].to_pylist()], np.int64)
    order = np.argsort(owners, kind="stable")
    matrix = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, dimension)
    members: dict[str, tuple[int, ...]] = {}
    for item, index in place.items():
        for chunk_id in showing[item] if index < len(taken) else ():
            members[chunk_id] = (*members.get(chunk_id, ()), index)
    return Cohort(matrix[order], np.searchsorted(owners[order], np.arange(len(taken))), members)


def _showing(table: Table, modality: Modality, count: int) -> dict[str, list[str]]:
    """Items of first views, those of the least hashes for certain, and the chunks of each. `count`: rows there are."""
    from lancedb.expr import col, lit

    share = 2 * _COHORT / max(1, count)
    while True:  # the more copies among the rows, the further it must look
        where = _first_view() & (col("modality") == modality)
        if share < 1:
            where = where & (col("item") < lit(f"{int(share * 16**8):08x}"))
        found = _read(table, where, "item", "chunk_id")
        showing: dict[str, list[str]] = {}
        for item, chunk_id in zip(found["item"].to_pylist(), found["chunk_id"].to_pylist(), strict=True):
            showing.setdefault(item, []).append(chunk_id)
        if len(showing) >= _COHORT or share >= 1:
            return showing
        share *= _WIDEN


def _affordable(chosen: Iterable[str], views: Mapping[str, int]) -> list[str]:
    """The first of the chosen chunks whose vectors are not too many together."""
    taken: list[str] = []
    total = 0
    for chunk_id in chosen:
        total += views[chunk_id]
        if taken and total > _VECTORS:
            break
        taken.append(chunk_id)
    return taken


def _first_view() -> Expr:
    from lancedb.expr import col, lit

    return col("window") == lit(0)


def _read(table: Table, where: Expr, *columns: str) -> pa.Table:
    return table.search().where(where).select(list(columns)).limit(None).to_arrow().combine_chunks()
