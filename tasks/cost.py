"""What ingesting some sources would pay to models, and what a lake has paid: for `bindery cost`.

A forecast is exact in calls and an upper bound in tokens for documents whose chunks are known. `read` makes those of
the others: it partitions, chunks and tags on this machine, publishes nothing and asks no model; a later ingest goes on
from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from tasks import estimate, ingest, shards
from tasks.errors import BinderyError
from tasks.lake import Lake, current_release, open_lake
from tasks.llm.ledger import SpendRow, read_ledger
from tasks.plan import PlanOptions
from tasks.report.spend import DocumentSpending, Estimate, RunSpending, Spending, by_document, by_run, totals
from tasks.work import DocumentWork, Failure, make_shards


class Unread(BaseModel):
    """A document that could not be read, and will not be asked about."""

    source: str
    stage: str
    message: str


class Forecast(BaseModel):
    """`estimate` is what an ingest would ask, `restage_estimate` what only one with --restage would; None where no
    model is asked."""

    estimate: Estimate | None
    restage_estimate: Estimate | None
    unread: list[Unread] = []


class Paid(BaseModel):
    """What the ledger holds: all of it by stage and model, by run, and the documents that cost most."""

    spend: list[Spending]
    runs: list[RunSpending]
    documents: list[DocumentSpending]


def forecast(
    sources: Sequence[str],
    options: PlanOptions,
    lake: str | None = None,
    profile: str | None = None,
    spaces: Sequence[str] | None = None,
    read: bool = False,
) -> Forecast:
    """Changes nothing, unless documents are to be `read` first: that writes stage files to the lake."""
    unread, concerned = _read(sources, options, lake, profile, spaces) if read else ([], 0)
    plan, _ = ingest.preview(sources, options, lake, profile, spaces)
    cost = plan.cost
    if cost is not None:
        cost = cost.model_copy(update={"unknown": max(0, cost.unknown - concerned)})
    return Forecast(estimate=cost, restage_estimate=plan.pending_cost, unread=unread)


def _read(
    sources: Sequence[str],
    options: PlanOptions,
    lake: str | None,
    profile: str | None,
    spaces: Sequence[str] | None,
) -> tuple[list[Unread], int]:
    """Make the chunks of all documents that a run would work on, but of recordings that nobody has heard yet; those
    that could not be read, and how many of them models would be asked about."""
    failed: list[tuple[DocumentWork, Failure]] = []
    with ingest.session(sources, options, lake=lake, profile=profile, spaces=spaces, asks=False) as session:
        for shard in make_shards(session.plan().work):
            for step in (shards.partition, shards.transcribe, shards.chunk, shards.tag):
                shard = step(session.spec, shard)
            outcomes = ((state.work, state.failure) for state in shard.documents)
            failed += [(work, failure) for work, failure in outcomes if failure is not None and not failure.left]
        settings = session.spec.settings
    return [_unread(*each) for each in failed], sum(estimate.concerns(settings, work.media_type) for work, _ in failed)


def _unread(work: DocumentWork, failure: Failure) -> Unread:
    return Unread(source=work.uri, stage=failure.stage, message=failure.error.message)


def paid(uri: str, documents: int) -> Paid:
    """What a lake's runs have paid, with so many of the dearest documents. Raises LakeError where there is no lake."""
    lake = open_lake(uri)
    rows = read_ledger(lake.storage)
    dearest = by_document(rows, _sources(lake, rows))[:documents]
    return Paid(spend=totals(rows), runs=by_run(rows), documents=dearest)


def _sources(lake: Lake, rows: Sequence[SpendRow]) -> dict[str, list[str]]:
    """The sources of each document that readers see; none where the index cannot tell."""
    if not rows or current_release(lake.storage).number == 0:
        return {}
    from tasks.index import open_reader

    found: dict[str, list[str]] = {}
    try:
        for row in open_reader(lake).sources():
            found.setdefault(row.doc_id, []).append(row.uri)
    except BinderyError:  # a damaged index is no reason to hide what was paid
        return {}
    return found
