"""What the parts of the plan exchange."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from tasks.errors import DocumentError
from tasks.rows import DocumentRow, SourceRow
from tasks.sources import below
from tasks.work import DocumentWork

if TYPE_CHECKING:
    from tasks.report.spend import Estimate

Status = Literal["new", "changed", "moved", "unchanged", "gone", "restaged", "skipped", "quarantined", "left"]

MARKS: Mapping[Status, str] = {
    "new": "+",
    "changed": "~",
    "moved": ">",
    "gone": "-",
    "restaged": "^",
    "quarantined": "!",
    "unchanged": "=",
    "skipped": ".",
    "left": "…",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """What readers see now: the sources (members and their skipped siblings included) and documents of a release."""

    sources: Mapping[str, SourceRow]
    documents: Mapping[str, DocumentRow]


@dataclasses.dataclass(frozen=True, slots=True)
class PlanOptions:
    """`only` restricts the run to these files and their members; other sources are held as they are."""

    checksum: bool = False
    restage: bool = False
    prune: bool = True
    allow_mass_delete: bool = False
    only: frozenset[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """What a source holds now. `row` is None where `error` says why it cannot be taken, or `skipped` why it is not."""

    uri: str
    root: str
    parent: str | None
    row: SourceRow | None = None
    error: DocumentError | None = None
    skipped: str = ""
    doc_id: str = ""
    size: int = 0
    mtime_ns: int = 0
    seen_ns: int = 0
    known: bool = False
    stage: str = "plan"


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedSource:
    """One line of the plan. `row` is what the source becomes if its document succeeds, `previous` what it is now.

    `stage` is where a quarantined one failed, or one that is left for the next run stopped; `known` says that it is not
    attempted again; `moved_from` is the earlier uri of a moved source.
    """

    status: Status
    uri: str
    root: str
    parent: str | None
    row: SourceRow | None = None
    previous: SourceRow | None = None
    reason: str = ""
    error: DocumentError | None = None
    candidate: Candidate | None = None
    stage: str = ""
    known: bool = False
    moved_from: str | None = None

    @property
    def skipped_or_failed(self) -> bool:
        return self.status in ("skipped", "quarantined", "left")

    def with_status(self, status: Status) -> PlannedSource:
        return dataclasses.replace(self, status=status)

    def with_row(self, row: SourceRow | None, status: Status) -> PlannedSource:
        return dataclasses.replace(self, row=row, status=status)

    def failed(self, error: DocumentError, stage: str, known: bool = False) -> PlannedSource:
        return dataclasses.replace(
            self, status="quarantined", reason=error.message, error=error, stage=stage, known=known
        )

    def left(self, reason: str, stage: str) -> PlannedSource:
        return dataclasses.replace(self, status="left", reason=reason, stage=stage)

    @property
    def doc_id(self) -> str:
        if self.row is not None:
            return self.row.doc_id
        if self.candidate is not None and self.candidate.doc_id:
            return self.candidate.doc_id
        return self.previous.doc_id if self.previous is not None else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Which sources a run speaks of: those below `roots`, but for folders that could not be listed."""

    roots: tuple[str, ...]
    unlisted: tuple[str, ...]

    def holds(self, uri: str) -> bool:
        return any(below(uri, root) for root in self.roots) and not any(below(uri, part) for part in self.unlisted)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would do. `work` are the documents to run through the stages, each once, however many hold it.

    `untouched` are published rows outside the given roots. `pending` are documents whose settings or capabilities
    changed and that stay as they are without `--restage`. `media_types` is the type each wanted document is read as.
    `cost` is what models would be asked for `work`, `pending_cost` for `pending`; None where none is asked.
    """

    sources: tuple[PlannedSource, ...]
    work: tuple[DocumentWork, ...]
    untouched: tuple[SourceRow, ...]
    published: Published
    media_types: Mapping[str, str]
    pending: tuple[DocumentWork, ...]
    scope: Scope
    cost: Estimate | None = None
    pending_cost: Estimate | None = None

    def counts(self) -> dict[Status, int]:
        found = Counter(source.status for source in self.sources)
        return {status: found[status] for status in MARKS}

    @property
    def nothing_to_do(self) -> bool:
        return not self.work and all(
            source.status in ("unchanged", "skipped") or (source.status == "quarantined" and source.known)
            for source in self.sources
        )
