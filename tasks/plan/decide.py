"""Compares what the sources hold now with what is published, and decides which documents to work on.

In: candidates, Published, quarantine records. Out: a Plan. Raises MassDeleteError instead of a plan that would remove
an unbelievable share of a root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from tasks.containers import ZIP
from tasks.errors import MassDeleteError
from tasks.partition.detect import DEPTH, IMU, THERMAL
from tasks.plan.model import Candidate, Plan, PlannedSource, PlanOptions, Published, Scope
from tasks.plan.scan import Scanner, Unpack
from tasks.quarantine import Record, by_source
from tasks.recipes import Recipes
from tasks.rows import SourceRow
from tasks.sources import Listing, below, root_uri
from tasks.work import DocumentWork

MASS_DELETE_SHARE = 0.2

# Where sources of one content have names of different types, the type that keeps more structure decides: first what a
# name says that a sensor measured, then what content alone shows, then the text family in this order.
_MEASURED = (DEPTH, THERMAL, IMU)
_STRUCTURE = ("text/html", "text/markdown", "text/csv", "text/tab-separated-values", "message/rfc822", "text/plain")


def make_plan(
    roots: Sequence[str],
    listing: Listing,
    published: Published,
    known_failures: Sequence[Record],
    recipes: Recipes,
    options: PlanOptions,
    unpack: Unpack,
    on_source: Callable[[str], None] = lambda uri: None,
) -> Plan:
    """The plan for these roots. `unpack(uri)` lists a container's members; `on_source` reports progress."""
    scanner = Scanner(published, by_source(known_failures), recipes, options, unpack, on_source)
    candidates = list(scanner.scan(listing))
    given = [root_uri(root) for root in roots]
    scope = Scope(tuple(given if options.only is None else sorted(options.only)), tuple(listing.unlisted))
    untouched, gone = _unseen(candidates, published, scope)
    sources = [_compare(candidate, published) for candidate in candidates]
    sources, gone = _pair_moves(sources, gone)
    if not options.prune:
        untouched, gone = [*untouched, *gone], []
        sources = [_kept(source) for source in sources]
    _guard_mass_delete(given, published, gone, sources, options)

    wanted = _wanted_rows(sources, untouched)
    media_types = _media_types(wanted)
    known = {record.doc_id: record for record in known_failures if record.doc_id}
    work, pending, failing = _documents(sources, media_types, published, recipes, known, options)
    sources = [_with_document(source, work, failing) for source in sources]
    sources += [PlannedSource("gone", row.uri, row.root, row.parent, previous=row) for row in gone]
    return Plan(
        tuple(sorted(sources, key=lambda source: source.uri)),
        tuple(sorted(work.values(), key=lambda item: item.uri)),
        tuple(untouched),
        published,
        media_types,
        tuple(pending),
        scope,
    )


def _unseen(
    candidates: Sequence[Candidate], published: Published, scope: Scope
) -> tuple[list[SourceRow], list[SourceRow]]:
    """Published rows without a candidate: those that stay as they are, and those that are gone."""
    seen = {candidate.uri for candidate in candidates}
    # The members of a container that cannot be read now stay published, as the container itself does.
    failed = [candidate.uri for candidate in candidates if candidate.error is not None]
    untouched: list[SourceRow] = []
    gone: list[SourceRow] = []
    for uri, row in published.sources.items():
        if uri in seen:
            continue
        kept = not scope.holds(uri) or any(below(uri, container) for container in failed)
        (untouched if kept else gone).append(row)
    return untouched, gone


def _compare(candidate: Candidate, published: Published) -> PlannedSource:
    """A candidate against the row published under its uri, before looking at documents."""
    previous = published.sources.get(candidate.uri)
    base = (candidate.uri, candidate.root, candidate.parent)
    if candidate.skipped and candidate.row is None and previous is not None and not previous.skipped:
        return PlannedSource("gone", *base, previous=previous, reason=f"now {candidate.skipped}", candidate=candidate)
    if candidate.skipped:
        return PlannedSource(
            "skipped", *base, row=candidate.row, previous=previous, reason=candidate.skipped, candidate=candidate
        )
    if candidate.error is not None:
        return PlannedSource(
            "quarantined", *base, row=candidate.row, previous=previous, reason=candidate.error.message,
            error=candidate.error, candidate=candidate, stage=candidate.stage, known=candidate.known,
        )  # fmt: skip
    row = candidate.row
    if row is None:
        raise AssertionError(f"candidate {candidate.uri} has neither a row nor a reason")
    if previous is None or previous.skipped:
        return PlannedSource("new", *base, row=row, candidate=candidate)
    if previous.doc_id != row.doc_id:
        return PlannedSource("changed", *base, row=row, previous=previous, candidate=candidate)
    if _described(previous) != _described(row):
        return PlannedSource(
            "changed", *base, row=row, previous=previous, reason="tags, groups or date", candidate=candidate
        )
    return PlannedSource("unchanged", *base, row=row, previous=previous, candidate=candidate)


def _kept(source: PlannedSource) -> PlannedSource:
    """What is there but no document any more stays published where nothing is to be removed."""
    return source.with_row(source.previous, "unchanged") if source.status == "gone" else source


def _described(row: SourceRow) -> tuple[object, ...]:
    return row.tags, row.groups, row.date, row.media_type


def _pair_moves(
    sources: Sequence[PlannedSource], gone: Sequence[SourceRow]
) -> tuple[list[PlannedSource], list[SourceRow]]:
    """A new source with the content of a gone one is that one, moved."""
    left: dict[str, list[SourceRow]] = defaultdict(list)
    for row in sorted(gone, key=lambda row: row.uri, reverse=True):
        if not row.skipped:
            left[row.doc_id].append(row)
    result, moved = [], set()
    for source in sources:
        if source.status == "new" and source.row is not None and left[source.row.doc_id]:
            earlier = left[source.row.doc_id].pop()
            moved.add(earlier.uri)
            source = PlannedSource(
                "moved", source.uri, source.root, source.parent, row=source.row, candidate=source.candidate,
                reason=f"from {earlier.uri}", moved_from=earlier.uri,
            )  # fmt: skip
        result.append(source)
    return result, [row for row in gone if row.uri not in moved]


def _guard_mass_delete(
    given: Sequence[str],
    published: Published,
    gone: Sequence[SourceRow],
    sources: Sequence[PlannedSource],
    options: PlanOptions,
) -> None:
    """Refuse to remove more than a fifth of what a root, as given now or when first ingested, has published."""
    if options.allow_mass_delete:
        return
    held = [row for row in published.sources.values() if not row.skipped]
    unsupported = [source.previous for source in sources if source.status == "gone" and source.previous]
    removed = {row.uri for row in (*gone, *unsupported) if not row.skipped}
    removed_rows = [row for row in held if row.uri in removed]
    # A file that was once given by itself is no root that could be unmounted.
    for root in sorted({*given, *(row.root for row in removed_rows if row.root != row.uri)}):
        total = sum(below(row.uri, root) for row in held)
        lost = sum(below(row.uri, root) for row in removed_rows)
        if lost > MASS_DELETE_SHARE * total:
            raise MassDeleteError(
                f"{lost} of {total} documents of {root} are gone (first: {min(removed)})",
                "check that the disk or share is mounted; if they are to go: --allow-mass-delete, else --no-prune",
            )


def _wanted_rows(sources: Iterable[PlannedSource], untouched: Iterable[SourceRow]) -> list[SourceRow]:
    rows = [source.row for source in sources if source.row is not None and not source.skipped_or_failed]
    return [row for row in (*rows, *untouched) if not row.skipped]


def _media_types(rows: Iterable[SourceRow]) -> dict[str, str]:
    """The type each document is read as: independent of the order in which its sources were found."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row.doc_id].add(row.media_type)

    def rank(media_type: str) -> tuple[int, str]:
        if media_type in _MEASURED:
            return -2, media_type
        return _STRUCTURE.index(media_type) if media_type in _STRUCTURE else -1, media_type

    return {doc_id: min(types, key=rank) for doc_id, types in found.items()}


def _documents(
    sources: Sequence[PlannedSource],
    media_types: Mapping[str, str],
    published: Published,
    recipes: Recipes,
    known: Mapping[str, Record],
    options: PlanOptions,
) -> tuple[dict[str, DocumentWork], list[DocumentWork], dict[str, Record]]:
    """Which documents to work on, which stay behind changed settings, and which are known to fail."""
    work: dict[str, DocumentWork] = {}
    pending: list[DocumentWork] = []
    failing: dict[str, Record] = {}
    decided: set[str] = set()
    for source in sources:
        row = source.row
        if row is None or source.skipped_or_failed or row.doc_id in decided or row.media_type == ZIP:
            continue
        decided.add(row.doc_id)
        media_type = media_types[row.doc_id]
        item = DocumentWork(row.doc_id, media_type, row.uri, row.size)
        document = published.documents.get(row.doc_id)
        if document is None or document.media_type != media_type:
            wants = True
        elif not recipes.up_to_date(document, media_type):
            wants = options.restage
            if not wants:
                pending.append(item)
        else:
            wants = document.degraded
        if wants:
            record = known.get(row.doc_id)
            if record is not None and record.key == recipes.attempt_key(row.doc_id, media_type):
                failing[row.doc_id] = record
            else:
                work[row.doc_id] = item
    return work, pending, failing


def _with_document(
    source: PlannedSource,
    work: Mapping[str, DocumentWork],
    failing: Mapping[str, Record],
) -> PlannedSource:
    """The source's status once it is known what happens to its document."""
    row = source.row
    if row is None or source.skipped_or_failed:
        return source
    record = failing.get(row.doc_id)
    if record is not None:
        return source.failed(record.error, record.stage, known=True)
    if source.status == "unchanged" and row.doc_id in work:
        return source.with_status("restaged")
    return source
