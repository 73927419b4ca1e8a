"""What the next release holds once the stages have run: a document replaces what readers have only when it is whole.

In: the Plan and each worked document's outcome. Out: the rows to publish, the final status of every source, and the
quarantine brought up to date.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping

from tasks.containers import ZIP
from tasks.plan.model import Plan, PlannedSource
from tasks.quarantine import HeldSource, Quarantine, Record
from tasks.recipes import Recipes
from tasks.rows import DocumentRow, SourceRow, content_id
from tasks.work import Failure


@dataclasses.dataclass(frozen=True)
class Settled:
    """`sources` with their final status; `rows` and `documents` are what readers shall see."""

    sources: tuple[PlannedSource, ...]
    rows: tuple[SourceRow, ...]
    documents: tuple[DocumentRow, ...]


def settle(plan: Plan, outcomes: Mapping[str, DocumentRow | Failure]) -> Settled:
    """The plan after the work: sources that failed or are left keep what was published for them."""
    sources: list[PlannedSource] = []
    rows: dict[str, SourceRow] = {row.uri: row for row in plan.untouched}
    for source in plan.sources:
        outcome = outcomes.get(source.row.doc_id) if source.row is not None else None
        if isinstance(outcome, Failure) and not source.skipped_or_failed:
            if outcome.left:
                source = source.left(outcome.error.message, outcome.stage)
            else:
                source = source.failed(outcome.error, outcome.stage)
        sources.append(source)
        row = _published_row(source, plan)
        if row is not None:
            rows[row.uri] = row
    _reopen(rows, sources)
    documents = {
        row.doc_id: document
        for row in rows.values()
        if _has_document(row) and (document := _document(row.doc_id, plan, outcomes)) is not None
    }
    # Without its document a row would point at nothing: its stage files were lost, and could not be made again.
    rows = {uri: row for uri, row in rows.items() if row.doc_id in documents or not _has_document(row)}
    return Settled(
        tuple(sources),
        tuple(sorted(rows.values(), key=lambda row: row.uri)),
        tuple(documents[doc_id] for doc_id in sorted(documents)),
    )


def _reopen(rows: dict[str, SourceRow], sources: Iterable[PlannedSource]) -> None:
    """Containers whose members were left are read again next time: nothing else knows of a member never published."""
    parents = {source.uri: source.parent for source in sources}
    for source in sources:
        uri = source.parent if source.status == "left" else None
        while uri is not None:
            if uri in rows:
                rows[uri] = dataclasses.replace(rows[uri], mtime_ns=0)  # no file is of that time
            uri = rows[uri].parent if uri in rows else parents.get(uri)


def _published_row(source: PlannedSource, plan: Plan) -> SourceRow | None:
    """The row readers shall see for a source; None where there is nothing to see."""
    if source.status == "gone":
        return None
    held_up = source.status in ("quarantined", "left")
    if held_up and (source.row is None or source.row.doc_id not in plan.published.documents):
        return source.previous
    return source.row


def _has_document(row: SourceRow) -> bool:
    """An archive has members and no document of its own."""
    return not row.skipped and row.media_type != ZIP


def _document(doc_id: str, plan: Plan, outcomes: Mapping[str, DocumentRow | Failure]) -> DocumentRow | None:
    outcome = outcomes.get(doc_id)
    return outcome if isinstance(outcome, DocumentRow) else plan.published.documents.get(doc_id)


def update_quarantine(
    quarantine: Quarantine, plan: Plan, settled: Settled, recipes: Recipes, run: str, now: str
) -> None:
    """Bring the records up to date: new attempts are counted, sources that hold no failed document any more leave."""
    failing: dict[str, list[PlannedSource]] = defaultdict(list)
    held: dict[str, list[HeldSource]] = defaultdict(list)
    for source in settled.sources:
        if source.status == "quarantined":
            identity = _identity(source)
            failing[identity].append(source)
            held[identity].append(_held(source))
    by_id = {record.id: record for record in quarantine.records}
    for identity, record in by_id.items():
        elsewhere = [s for s in record.sources if not plan.scope.holds(s.uri)]
        quarantine.keep_sources(record, _unique([*elsewhere, *held.get(identity, ())]))
    for identity, sources in failing.items():
        attempted = next((source for source in sources if not source.known), None)
        if attempted is None or attempted.error is None:
            continue
        media_type = plan.media_types.get(attempted.doc_id, "") if attempted.row is not None else ""
        doc_id = attempted.candidate.doc_id if attempted.candidate is not None else ""
        error = attempted.error
        # Without a key it is no known failure: nothing has to change for another attempt to make sense.
        key = "" if error.transient else recipes.attempt_key(doc_id, media_type)
        elsewhere = [s for s in by_id[identity].sources if not plan.scope.holds(s.uri)] if identity in by_id else []
        quarantine.hold(
            Record(
                doc_id,
                media_type,
                attempted.stage,
                key,
                error.code,
                error.message,
                error.hint,
                1,
                run,
                now,
                now,
                _unique([*elsewhere, *held[identity]]),
            )  # fmt: skip
        )


def _identity(source: PlannedSource) -> str:
    doc_id = source.candidate.doc_id if source.candidate is not None else ""
    return doc_id or content_id(source.uri)


def _held(source: PlannedSource) -> HeldSource:
    seen = source.candidate
    if seen is None:
        raise AssertionError(f"quarantined source {source.uri} was not scanned")
    stat = source.row or seen
    return HeldSource(source.uri, source.parent, source.root, stat.size, stat.mtime_ns, stat.seen_ns)


def _unique(sources: list[HeldSource]) -> tuple[HeldSource, ...]:
    return tuple(sorted({source.uri: source for source in sources}.values(), key=lambda source: source.uri))
