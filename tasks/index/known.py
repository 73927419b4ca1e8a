"""Vectors that the lake has already, by item hash: what a changed document shares with the one it replaces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tasks.errors import LakeError
from tasks.index import tables
from tasks.lake import Lake, current_release

Lookup = Callable[[Sequence[str]], Mapping[str, np.ndarray]]


def known_vectors(lake: Lake, space: str, fingerprint: str) -> Lookup:
    """A look-up in the current release; it knows nothing where the release has none of this space and model."""
    release = current_release(lake.storage)
    name = tables.vectors(space, fingerprint)
    made_by = {tables.vectors(other, model): model for other, model in release.models.items()}
    if name not in release.tables or made_by.get(name) != fingerprint:
        return lambda items: {}
    lock = threading.Lock()

    def find(items: Sequence[str]) -> Mapping[str, np.ndarray]:
        from lancedb.expr import col

        if not items:
            return {}
        try:
            with lock:
                table = tables.open_at(tables.connect(lake.storage), name, release.tables[name])
                query = table.search().where(col("item").isin(list(items))).select(["item", "vector"]).limit(None)
                found = query.to_arrow().combine_chunks()
        except (LakeError, ValueError, RuntimeError, OSError):  # gone or damaged: this run makes the index again
            return {}
        vectors = found["vector"].combine_chunks()
        matrix = vectors.flatten().to_numpy().reshape(-1, vectors.type.list_size)
        return dict(zip(found["item"].to_pylist(), matrix.astype(np.float32), strict=True))

    return find
