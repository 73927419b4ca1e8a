"""Runs an ingest without Prefect: the same session and stages as the flow, one shard after the other.

`InlineWorkers` is a fake of `tasks.isolation.Workers` that calls in this process, for tests that ingest many times.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest.mock import patch

import numpy as np
import pytest

from tasks import asking, shards
from tasks import ingest as run
from tasks.errors import DocumentError
from tasks.lake import Lake, open_lake
from tasks.plan import Plan
from tasks.report.run import RunReport
from tasks.rows import ChunkRow, SourceRow
from tasks.settings import Limits
from tasks.work import make_shards

T = TypeVar("T")


def configure(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str | None]) -> None:
    """Set `BINDERY_` variables, by the rest of their names; None takes one away."""
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(f"BINDERY_{name}")
        else:
            monkeypatch.setenv(f"BINDERY_{name}", value)


class InlineWorkers:
    """A fake: no process, no limits."""

    peak_memory_mb = 0

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, fn: Callable[..., T], *args: Any, seconds: float, name: str) -> T:
        try:
            with self._one_at_a_time:  # pdfium is not for several threads
                return fn(*args)
        except DocumentError:
            raise
        except Exception as error:
            raise DocumentError("malformed", f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        pass


@contextlib.contextmanager
def inline() -> Iterator[None]:
    """Use `InlineWorkers` in the block, one document after the other: pdfium crashes when threads share it."""

    def in_turn(function: Callable[[Any], Any], states: Sequence[Any], threads: int) -> list[Any]:
        return [function(state) for state in states]

    with (
        patch("tasks.context.Workers", InlineWorkers),
        patch("tasks.ingest.Workers", InlineWorkers),
        patch("tasks.shards._map", in_turn),
    ):
        yield


def ingest(sources: Sequence[Path | str], lake: Path | str, **options: Any) -> RunReport:
    """One whole ingest; the report."""
    return ingest_planned(sources, lake, **options)[1]


def ingest_planned(
    sources: Sequence[Path | str],
    lake: Path | str,
    checksum: bool = False,
    restage: bool = False,
    prune: bool = True,
    allow_mass_delete: bool = False,
    only: Sequence[str] | None = None,
    spaces: Sequence[str] | None = None,
    **llm: Any,
) -> tuple[Plan, RunReport]:
    options = run.plan_options(checksum, restage, prune, allow_mass_delete, only)
    with run.session([str(source) for source in sources], options, lake=str(lake), spaces=spaces, **llm) as session:
        plan = session.plan()
        asking.collect(session.spec)
        done = make_shards(plan.work)
        for step in (shards.partition, shards.transcribe, shards.chunk, shards.tag):
            done = [step(session.spec, shard) for shard in done]
        if session.spec.lane == "batch":
            asking.ask(session.spec, done)
        for step in (shards.summarize, shards.embed):
            done = [step(session.spec, shard) for shard in done]
        return plan, session.publish(plan, done)


def statuses(report: RunReport, root: Path) -> dict[str, str]:
    """Status by path relative to the root."""
    return {s.source.removeprefix(f"{root}/"): s.status for s in report.sources}


def contents(lake: Path | str) -> tuple[list[tuple[object, ...]], list[object], list[ChunkRow]]:
    """What readers see: sources without stat, documents, chunks; comparable between lakes."""
    from tasks.index import open_reader

    reader = open_reader(open_lake(str(lake)))
    sources = sorted(_comparable(row) for row in reader.sources())
    documents = sorted(reader.documents().values(), key=lambda row: row.doc_id)
    return sources, list(documents), sorted(reader.all_chunks(), key=lambda row: (row.doc_id, row.ordinal))


def vectors(lake: Path | str) -> dict[str, tuple[list[tuple[object, ...]], np.ndarray]]:
    """What readers search in, by table: the identity of each vector, and the vectors in that order."""
    from tasks.index import open_reader

    reader = open_reader(open_lake(str(lake)))
    found = {}
    for name in sorted(name for name in reader.release.tables if name.startswith("vectors_")):
        rows = reader._table(name).search().limit(None).to_arrow().to_pylist()
        own = ("doc_id", "chunk_id", "kind", "view", "window", "item")
        rows.sort(key=lambda row: tuple(row[column] for column in own))
        held = np.array([row["vector"] for row in rows], np.float32)
        found[name] = [tuple(row[column] for column in own) for row in rows], held
    return found


def assert_same_index(lake: Path | str, other: Path | str) -> None:
    """Readers of both lakes see the same, to the accuracy of floats summed in another order."""
    assert contents(lake) == contents(other)
    ours, theirs = vectors(lake), vectors(other)
    assert {name: ids for name, (ids, _) in ours.items()} == {name: ids for name, (ids, _) in theirs.items()}
    for name, (_, held) in ours.items():
        np.testing.assert_allclose(held, theirs[name][1], atol=1e-5)


def _comparable(row: SourceRow) -> tuple[object, ...]:
    return row.uri, row.parent, row.doc_id, row.media_type, row.size, row.tags, row.groups, row.date, row.skipped


def opened(lake: Path | str) -> Lake:
    return open_lake(str(lake))
