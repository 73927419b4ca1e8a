"""The one idea: a stage is a pure function from one document's rows to the next rows, and its output's name is the
hash of everything that went in. A stage file that exists is done.

In: a `Recipe` (settings, STAGE_VERSION and capabilities of a stage) and the digests of its input.
Out: `stages/<stage>/<key>.parquet`, one file per document and stage, with a `StageInfo` in its footer.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.rows import StageMark, content_id
from tasks.storage import Storage

_FOOTER = b"bindery"


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a stage's output besides its input rows. `settings` and `capabilities` are JSON-able."""

    stage: str
    version: int
    settings: Mapping[str, Any]
    capabilities: Mapping[str, str]

    def key(self, *inputs: str) -> str:
        """The name of this stage's output for these inputs (document id and media type, or upstream row digests)."""
        return content_id(self.stage, self.version, dict(self.settings), dict(self.capabilities), inputs)


@dataclasses.dataclass(frozen=True, slots=True)
class StageInfo:
    """What a stage knows of a document besides rows; part of the digest, so it flows into later keys."""

    title: str = ""
    pages: int = 0
    characters: int = 0
    warnings: tuple[str, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class StageOutput:
    """One document's rows as an Arrow table, the digest of rows and info, and the reasons it is degraded, if any."""

    table: pa.Table
    digest: str
    info: StageInfo = StageInfo()
    degraded: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class StageRef:
    """A reference to a stage file: what tasks exchange instead of data."""

    stage: str
    key: str
    digest: str
    rows: int
    degraded: tuple[str, ...] = ()
    info: StageInfo = StageInfo()

    @property
    def mark(self) -> StageMark:
        return StageMark(self.stage, self.key, self.digest)

    @property
    def path(self) -> str:
        return _path(self.stage, self.key, bool(self.degraded))


def _path(stage: str, key: str, degraded: bool = False) -> str:
    """A degraded output has a name of its own, so it is never taken for done."""
    return f"stages/{stage}/{key}{'.degraded' if degraded else ''}.parquet"


def find(storage: Storage, stage: str, key: str, degraded: bool = False) -> StageRef | None:
    """The finished output under this key, if there is one. A damaged file (power cut) counts as absent."""
    path = _path(stage, key, degraded)
    if not storage.exists(path):
        return None
    try:
        metadata = pq.read_metadata(storage.local(path))
        footer = orjson.loads(metadata.metadata[_FOOTER])
        info = footer.pop("info")
        return StageRef(
            stage=footer["stage"],
            key=footer["key"],
            digest=footer["digest"],
            rows=metadata.num_rows,
            degraded=tuple(footer["degraded"]),
            info=StageInfo(**{**info, "warnings": tuple(info["warnings"])}),
        )
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, orjson.JSONDecodeError):
        return None


def save(storage: Storage, stage: str, key: str, output: StageOutput) -> StageRef:
    """Write a stage file under a temporary name and rename it: it is there whole or not at all."""
    footer = {
        "stage": stage,
        "key": key,
        "digest": output.digest,
        "degraded": output.degraded,
        "info": dataclasses.asdict(output.info),
    }
    table = output.table.replace_schema_metadata({_FOOTER: orjson.dumps(footer)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    storage.write(_path(stage, key, bool(output.degraded)), buffer.getvalue())
    return StageRef(stage, key, output.digest, table.num_rows, output.degraded, output.info)


def load(storage: Storage, ref: StageRef) -> pa.Table:
    """The rows behind a reference."""
    with pq.ParquetFile(storage.local(ref.path)) as file:  # half the cost of `read_table` on small files
        return file.read()


def run(storage: Storage, recipe: Recipe, inputs: tuple[str, ...], compute: Callable[[str], StageOutput]) -> StageRef:
    """The output of a stage for these inputs: found if done, else computed (`compute(key)`) and saved."""
    key = recipe.key(*inputs)
    return find(storage, recipe.stage, key) or save(storage, recipe.stage, key, compute(key))
