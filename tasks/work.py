"""Units of work that tasks exchange: references to documents and stage files, never data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.errors import DocumentError
from tasks.losses import Losses
from tasks.rows import DocumentRow
from tasks.stage import StageRef

_SHARD_BYTES = 8 * 1024**2
_SHARD_DOCUMENTS = 32
_MAX_SHARDS = 200
LEFT = "left"  # the code of what is no failure: the run may spend no more, or an endpoint still works on it


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentWork:
    """A document to run through the stages. `uri` is one source that holds its bytes."""

    doc_id: str
    media_type: str
    uri: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A document that a stage could not process."""

    stage: str
    error: DocumentError

    @property
    def left(self) -> bool:
        """Whether it was only left for the next run."""
        return self.error.code == LEFT


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentState:
    """How far a document has come: the references of its finished stages, or where it failed."""

    work: DocumentWork
    refs: tuple[StageRef, ...] = ()
    failure: Failure | None = None

    def ref(self, stage: str) -> StageRef:
        return next(ref for ref in self.refs if ref.stage == stage)

    def find(self, stage: str) -> StageRef | None:
        """As `ref`, of a stage that not every document has."""
        return next((ref for ref in self.refs if ref.stage == stage), None)

    def outcome(self) -> DocumentRow | Failure:
        """The row of a finished document, or its failure."""
        if self.failure is not None:
            return self.failure
        parts, chunks = self.ref("partition"), self.ref("chunk")
        return DocumentRow(
            doc_id=self.work.doc_id,
            media_type=self.work.media_type,
            size=self.work.size,
            title=chunks.info.title,
            pages=chunks.info.pages,
            characters=chunks.info.characters,
            chunks=chunks.rows,
            degraded=any(ref.degraded for ref in self.refs),
            stages=tuple(ref.mark for ref in self.refs),
            losses=Losses.of(parts, chunks).written(),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """A group of documents that one task run works on."""

    number: int
    documents: tuple[DocumentState, ...]


def make_shards(work: Sequence[DocumentWork]) -> list[Shard]:
    """Documents in order, cut where a shard is full: minutes of work each, and at most a few hundred of them."""
    total = sum(item.size for item in work)
    most_bytes = max(_SHARD_BYTES, total // _MAX_SHARDS)
    most_documents = max(_SHARD_DOCUMENTS, len(work) // _MAX_SHARDS)
    shards: list[list[DocumentState]] = []
    size = 0
    for item in work:
        if not shards or len(shards[-1]) >= most_documents or size + item.size > most_bytes:
            shards.append([])
            size = 0
        shards[-1].append(DocumentState(item))
        size += item.size
    return [Shard(number, tuple(documents)) for number, documents in enumerate(shards, start=1)]
