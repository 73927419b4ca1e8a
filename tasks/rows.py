"""The row types of the lake: one frozen dataclass per table with its Arrow schema beside it.

Parquet stage files, LanceDB tables and function signatures all use these types; no dict with string keys
crosses a module border. `to_table` and `from_table` convert; `digest` names rows by their content.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import orjson
import pyarrow as pa

Kind = Literal["text", "table", "image", "audio", "video", "depth", "thermal", "imu"]
Modality = Literal["text", "image", "audio", "video", "depth", "thermal", "imu"]
View = Literal["text", "summary", "raw"]
Origin = Literal["native", "text-layer", "ocr", "metadata", "speech"]
EXTRACTIVE = "extractive"  # the method of summaries that no model wrote


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page: 1-based page, coordinates normalised to 0–1, origin top left."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def of(cls, page: int, x0: float, y0: float, x1: float, y1: float) -> Box:
        """A box clipped to the page and rounded to 1e-5, so that equal layouts give equal rows."""
        left, right = sorted((x0, x1))
        top, bottom = sorted((y0, y1))
        clip = [round(min(1.0, max(0.0, float(v))), 5) for v in (left, top, right, bottom)]
        return cls(page, *clip)


BOX = pa.struct(
    [
        pa.field("page", pa.int32()),
        *(pa.field(name, pa.float64()) for name in ("x0", "y0", "x1", "y1")),
    ]
)
_STRINGS = pa.list_(pa.string())


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


@dataclasses.dataclass(frozen=True, slots=True)
class SourceRow:
    """A URI that holds bytes, and what was true of it when it was last read.

    `uri` is an absolute path, or `CONTAINER!/N/NAME` for the member of a mail or archive, whose `parent` is the
    container's uri. `skipped` is empty for a published source, else why a container's member is not indexed (kept
    so that an unchanged container need not be opened to list it). `metadata` fields come from a sidecar.
    """

    uri: str
    root: str
    parent: str | None
    doc_id: str
    media_type: str
    size: int
    mtime_ns: int
    seen_ns: int
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    date: str | None = None
    skipped: str = ""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            _required("uri", pa.string()),
            _required("root", pa.string()),
            pa.field("parent", pa.string()),
            _required("doc_id", pa.string()),
            _required("media_type", pa.string()),
            _required("size", pa.int64()),
            _required("mtime_ns", pa.int64()),
            _required("seen_ns", pa.int64()),
            _required("tags", _STRINGS),
            _required("groups", _STRINGS),
            pa.field("date", pa.string()),
            _required("skipped", pa.string()),
        ]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class StageMark:
    """Which stage output a published document has: the stage file's key and the digest of its rows."""

    stage: str
    key: str
    digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One line of a document's loss ledger: see tasks.losses."""

    name: str
    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentRow:
    """A published document. `doc_id` is the sha256 of its bytes; `stages` is its chain of stage outputs, `losses` its
    loss ledger."""

    doc_id: str
    media_type: str
    size: int
    title: str
    pages: int
    characters: int
    chunks: int
    degraded: bool
    stages: tuple[StageMark, ...]
    losses: tuple[Entry, ...] = ()

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            _required("doc_id", pa.string()),
            _required("media_type", pa.string()),
            _required("size", pa.int64()),
            _required("title", pa.string()),
            _required("pages", pa.int32()),
            _required("characters", pa.int64()),
            _required("chunks", pa.int32()),
            _required("degraded", pa.bool_()),
            _required(
                "stages",
                pa.list_(
                    pa.struct(
                        [
                            pa.field("stage", pa.string()),
                            pa.field("key", pa.string()),
                            pa.field("digest", pa.string()),
                        ]
                    )
                ),
            ),
            _required("losses", pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("value", pa.float64())]))),
        ]
    )

    def mark(self, stage: str) -> StageMark | None:
        return next((mark for mark in self.stages if mark.stage == stage), None)


@dataclasses.dataclass(frozen=True, slots=True)
class ElementRow:
    """What partitioning finds, in unstructured's vocabulary (`category`), in reading order (`ordinal`).

    `html` is set for tables. `media` is the lake path of the raw picture or recording that the element stands for,
    `media_type` its type. `level` is the heading depth of a Title (0 = top). `boxes` is empty where the format has no
    pages. `page` is 1-based: PDF page, slide, sheet or image frame; None where the format has none.
    """

    ordinal: int
    category: str
    text: str
    page: int | None = None
    boxes: tuple[Box, ...] = ()
    html: str | None = None
    media: str | None = None
    media_type: str | None = None
    level: int | None = None
    origin: Origin = "native"
    time_start: float | None = None
    time_end: float | None = None

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            _required("ordinal", pa.int32()),
            _required("category", pa.string()),
            _required("text", pa.string()),
            pa.field("page", pa.int32()),
            _required("boxes", pa.list_(BOX)),
            pa.field("html", pa.string()),
            pa.field("media", pa.string()),
            pa.field("media_type", pa.string()),
            pa.field("level", pa.int32()),
            _required("origin", pa.string()),
            pa.field("time_start", pa.float64()),
            pa.field("time_end", pa.float64()),
        ]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkRow:
    """The raw unit that is retrieved and shown: a run of text, one table, one picture, one recording.

    `context` (document title > section) is searched with the chunk but is not its content. `tokens` counts `text` in
    o200k tokens. `pages` lists every page the chunk touches, in order. `before` and `after` are what the document says
    around a table or picture and of it, a paragraph a line ("" for other kinds): searched and asked about with it.
    """

    chunk_id: str
    doc_id: str
    ordinal: int
    kind: Kind
    text: str
    html: str | None
    media: str | None
    media_type: str | None
    context: str
    tokens: int
    pages: tuple[int, ...]
    boxes: tuple[Box, ...]
    origin: Origin
    time_start: float | None = None
    time_end: float | None = None
    before: str = ""
    after: str = ""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            _required("chunk_id", pa.string()),
            _required("doc_id", pa.string()),
            _required("ordinal", pa.int32()),
            _required("kind", pa.string()),
            _required("text", pa.string()),
            pa.field("html", pa.string()),
            pa.field("media", pa.string()),
            pa.field("media_type", pa.string()),
            _required("context", pa.string()),
            _required("tokens", pa.int32()),
            _required("pages", pa.list_(pa.int32())),
            _required("boxes", pa.list_(BOX)),
            _required("origin", pa.string()),
            pa.field("time_start", pa.float64()),
            pa.field("time_end", pa.float64()),
            _required("before", pa.string()),
            _required("after", pa.string()),
        ]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class SummaryRow:
    """A short text that stands for a chunk in search. `method` is `EXTRACTIVE` or `llm:<model>`.

    `english` says it again in one English line, for models that read nothing else; empty where `text` is English, or
    where no model wrote it.
    """

    chunk_id: str
    text: str
    method: str
    english: str = ""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [_required(name, pa.string()) for name in ("chunk_id", "text", "method", "english")]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class SegmentRow:
    """What is said in a recording from `time_start` to `time_end`, in its own seconds, as a model heard it.

    `element` is the ordinal of the recording's element. `language` is the model's word, "" where it did not say;
    `probability` is that of its words, 0 to 1, where it told.
    """

    element: int
    text: str
    time_start: float
    time_end: float
    language: str
    probability: float | None = None

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            _required("element", pa.int32()),
            _required("text", pa.string()),
            _required("time_start", pa.float64()),
            _required("time_end", pa.float64()),
            _required("language", pa.string()),
            pa.field("probability", pa.float64()),
        ]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TagRow:
    """The label that a space finds for a picture without having been trained on it, and its probability (0 to 1)."""

    chunk_id: str
    label: str
    probability: float

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [_required("chunk_id", pa.string()), _required("label", pa.string()), _required("probability", pa.float64())]
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class VectorRow:
    """The embedding of one view of a chunk. `item` is the hash of exactly what was embedded.

    `vector` is L2-normalised float32 of the space's dimension. `window` numbers the windows of a long text, or the
    views of a picture, from 0; `box` is the part of the picture that such a view shows, in the picture's own
    coordinates (page 1), None where it is all of it. `modality` is what the model was given.
    """

    chunk_id: str
    doc_id: str
    kind: Kind
    view: View
    window: int
    item: str
    modality: Modality
    box: Box | None
    vector: np.ndarray

    @staticmethod
    def schema(dimension: int) -> pa.Schema:
        return pa.schema(
            [
                _required("chunk_id", pa.string()),
                _required("doc_id", pa.string()),
                _required("kind", pa.string()),
                _required("view", pa.string()),
                _required("window", pa.int32()),
                _required("item", pa.string()),
                _required("modality", pa.string()),
                pa.field("box", BOX),
                _required("vector", pa.list_(pa.float32(), dimension)),
            ]
        )


Row = SourceRow | DocumentRow | ElementRow | SegmentRow | ChunkRow | SummaryRow | TagRow
R = TypeVar("R", SourceRow, DocumentRow, ElementRow, SegmentRow, ChunkRow, SummaryRow, TagRow)

_NESTED: dict[str, type[Box] | type[StageMark] | type[Entry]] = {"boxes": Box, "stages": StageMark, "losses": Entry}


def to_table(rows: Iterable[R], kind: type[R]) -> pa.Table:
    """Rows as an Arrow table of `kind.SCHEMA` (checked by Arrow: a missing required value raises)."""
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=kind.SCHEMA)


def from_table(table: pa.Table, kind: type[R]) -> list[R]:
    """The rows of a table whose columns include those of `kind.SCHEMA`; other columns are ignored."""
    names = kind.SCHEMA.names
    return [kind(**{name: _thaw(name, record[name]) for name in names}) for record in table.select(names).to_pylist()]


def _thaw(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    nested = _NESTED.get(name)
    return tuple(value if nested is None else (nested(**item) for item in value))


def vectors_to_table(rows: Sequence[VectorRow], dimension: int) -> pa.Table:
    """Vector rows as an Arrow table with a fixed-size list column of `dimension` float32."""
    matrix = np.stack([row.vector for row in rows]) if rows else np.zeros((0, dimension))
    if matrix.shape[1:] != (dimension,):
        raise ValueError(f"vectors have shape {matrix.shape[1:]}, the space has dimension {dimension}")
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel(), type=pa.float32())
    schema = VectorRow.schema(dimension)
    records = [{name: getattr(row, name) for name in schema.names[:-1]} for row in rows]
    for record in records:
        record["box"] = record["box"] and dataclasses.asdict(record["box"])
    columns = [
        pa.array([record[name] for record in records], type=schema.field(name).type) for name in schema.names[:-1]
    ]
    return pa.Table.from_arrays([*columns, pa.FixedSizeListArray.from_arrays(values, dimension)], schema=schema)


def vectors_from_table(table: pa.Table) -> list[VectorRow]:
    """The inverse of `vectors_to_table`; each vector is a read-only view into one (n, dimension) array."""
    column = table.column("vector").combine_chunks()
    dimension = column.type.list_size
    matrix = column.flatten().to_numpy().reshape(-1, dimension)
    names = VectorRow.schema(dimension).names[:-1]
    records = table.select(names).to_pylist()
    for record in records:
        record["box"] = record["box"] and Box(**record["box"])
    return [VectorRow(**record, vector=matrix[i]) for i, record in enumerate(records)]


def digest(rows: Iterable[Row | VectorRow], *extra: object) -> str:
    """sha256 over the canonical JSON of the rows in order, and of anything else that is part of the output.

    Vectors enter by their item hash and space alone: the floats differ in the last bit between machines, what was
    embedded does not.
    """
    h = hashlib.sha256()
    for value in (*rows, *extra):
        if isinstance(value, VectorRow):
            value = (value.chunk_id, value.kind, value.view, value.window, value.item)
        h.update(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        h.update(b"\n")
    return h.hexdigest()


def content_id(*parts: object) -> str:
    """A 32-character id of the given JSON-able parts."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
