"""The one idea: a stage is a pure function from one document's rows to the next rows, and its output's name is the
hash of everything that went in. A stage file that exists is done.

In: a `Recipe` (settings, STAGE_VERSION and capabilities of a stage) and the digests of its input.
Out: `stages/<stage>/<key>.parquet`, one file per document and stage, with a `StageInfo` in its footer.

Stage files are renamed into place but not synced, which would cost more than many stages do. A kill cannot damage one;
a power cut can leave one with its name and size but without some of its bytes. So the footer names the length and the
checksum of what lies before it, and `find` reads the file once: a damaged one is absent, and made again.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import DocumentError, LakeError
from tasks.rows import StageMark, content_id
from tasks.storage import Storage

_FOOTER = b"bindery"
_TAIL = 8  # bytes of a Parquet file after its footer: the footer's length and the magic
_READ_BYTES = 1 << 20
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


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
class Cost:
    """What making a stage file took: seconds of one process, and its largest resident set by then. In no digest."""

    seconds: float = 0.0
    peak_mb: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class StageRef:
    """A reference to a stage file: what tasks exchange instead of data."""

    stage: str
    key: str
    digest: str
    rows: int
    degraded: tuple[str, ...] = ()
    info: StageInfo = StageInfo()
    cost: Cost = dataclasses.field(default=Cost(), compare=False)

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
    """The finished output under this key, if there is one. A damaged file (see the module) counts as absent."""
    path = _path(stage, key, degraded)
    if not storage.exists(path):
        return None
    try:
        metadata = pq.read_metadata(storage.local(path))
        footer = orjson.loads(metadata.metadata[_FOOTER])
        body, info = footer["body"], footer["info"]
        if storage.size(path) != body["bytes"] + metadata.serialized_size + _TAIL:
            return None
        if _checksum(storage, path, body["bytes"]) != body["crc32"]:
            return None
        return StageRef(
            stage=footer["stage"],
            key=footer["key"],
            digest=footer["digest"],
            rows=metadata.num_rows,
            degraded=tuple(footer["degraded"]),
            info=StageInfo(**{**info, "warnings": tuple(info["warnings"])}),
            cost=Cost(**footer["cost"]),
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, orjson.JSONDecodeError):
        return None


def _checksum(storage: Storage, path: str, length: int) -> int:
    checksum = 0
    with open(storage.local(path), "rb") as file:
        while length > 0 and (data := file.read(min(length, _READ_BYTES))):
            checksum = zlib.crc32(data, checksum)
            length -= len(data)
    return checksum


def save(storage: Storage, stage: str, key: str, output: StageOutput, cost: Cost = Cost()) -> StageRef:
    """Write a stage file under a temporary name and rename it: it is there whole or not at all."""
    table = output.table.replace_schema_metadata(None)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        body = buffer.getbuffer()
        footer = {
            "stage": stage,
            "key": key,
            "digest": output.digest,
            "degraded": output.degraded,
            "info": dataclasses.asdict(output.info),
            "cost": dataclasses.asdict(cost),
            "body": {"bytes": len(body), "crc32": zlib.crc32(body)},
        }
        body.release()  # a buffer cannot grow while it is looked at
        writer.add_key_value_metadata({_FOOTER: orjson.dumps(footer)})
    storage.write(_path(stage, key, bool(output.degraded)), buffer.getvalue())
    return StageRef(stage, key, output.digest, table.num_rows, output.degraded, output.info, cost)


def load(storage: Storage, ref: StageRef) -> pa.Table:
    """The rows behind a reference."""
    with pq.ParquetFile(storage.local(ref.path)) as file:  # half the cost of `read_table` on small files
        return file.read()


def run(storage: Storage, recipe: Recipe, inputs: tuple[str, ...], compute: Callable[[str], StageOutput]) -> StageRef:
    """The output of a stage for these inputs: found if done, else computed (`compute(key)`) and saved."""
    key = recipe.key(*inputs)
    return find(storage, recipe.stage, key) or save(storage, recipe.stage, key, compute(key))


def failure(error: Exception, document: str) -> DocumentError:
    """What an exception that nobody expected, while a stage worked on a document, means for that document.

    Raises LakeError where the lake and not the document is to blame: every other document would fail as well.
    """
    full = isinstance(error, DocumentError) and error.code == "lake_full"
    if full or (isinstance(error, OSError) and error.errno in _UNWRITABLE):
        raise LakeError(
            f"the lake cannot be written: {error}", "free space and run again; what is finished is kept"
        ) from error
    if isinstance(error, DocumentError):
        return error
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if isinstance(error, (OSError, pa.ArrowException)):
        return DocumentError("stage_unreadable", f"a stage file of {document} cannot be read: {what}", "run again")
    return DocumentError("internal", f"{document}: {what}", "please report it")
