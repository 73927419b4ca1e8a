"""The report of a run: an honest count of what went in, what readers see, and what was lost and why.

`RunReport` is the typed result of the ingest flow, the JSON of `bindery ingest --json`, and `runs/<run>/report.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tasks.context import RunSpec
from tasks.lake import Release
from tasks.losses import Losses
from tasks.plan import MARKS, Plan, PlannedSource, Settled
from tasks.report.spend import Estimate, Spending, estimate_line, estimate_words, spend_line, totals
from tasks.work import Shard

if TYPE_CHECKING:
    from tasks.llm.ledger import SpendRow

SCHEMA_VERSION = 1
_LISTED = 50


class SourceError(BaseModel):
    code: str
    message: str
    hint: str


class SourceReport(BaseModel):
    """What became of one source. `error` is set for quarantined ones, `reason` says why for skipped and moved ones."""

    source: str
    parent: str | None
    status: str
    doc_id: str
    chunks: int
    stage: str | None
    error: SourceError | None
    reason: str = ""
    known: bool = False


class DocumentLosses(BaseModel):
    """The loss ledger of a document that the run has worked on: see tasks.losses."""

    source: str
    doc_id: str
    entries: dict[str, float]
    coverage: float


class RunReport(BaseModel):
    """A finished run (or, with `dry_run`, a preview). `counts` has one entry per status, chunk kind and more.

    `spend` is what this run paid for LLM calls; a preview has an `estimate` instead where models are asked.
    `restage_estimate` is that of the documents which only `--restage` would work on.
    """

    schema_version: int = SCHEMA_VERSION
    run: str
    release: int
    counts: dict[str, int]
    sources: list[SourceReport]
    seconds: float
    warnings: list[str] = []
    memory_mb: dict[str, float] = {}
    settings: dict[str, Any] = {}
    capabilities: dict[str, str] = {}
    dry_run: bool = False
    losses: list[DocumentLosses] = []
    spend: list[Spending] = []
    estimate: Estimate | None = None
    restage_estimate: Estimate | None = None

    @property
    def quarantined(self) -> int:
        return self.counts["quarantined"]

    @property
    def left(self) -> int:
        """Sources that wait for the next run because this one had spent what it may."""
        return self.counts["left"]

    @property
    def summary(self) -> list[str]:
        """The closing report: what readers see now, and what became of each source that went in."""
        found = self.counts
        kinds = ((name.removeprefix("chunks_"), count) for name, count in found.items() if name.startswith("chunks_"))
        chunks = ", ".join(f"{count} {kind}" for kind, count in kinds if count)
        statuses = ", ".join(f"{found[status]} {status}" for status in MARKS if found[status])
        return [
            f"release {self.release}: {found['documents']} documents, {found['chunks']} chunks"
            + (f" ({chunks})" if chunks else "")
            + (f", {found['degraded']} degraded" if found["degraded"] else ""),
            f"{found['sources']} sources in, {found['published']} published: {statuses or 'nothing'}"
            f"; {self.seconds:.1f} s, {self.memory_mb['parent']:.0f} MB, "
            f"largest worker {self.memory_mb['largest_worker']:.0f} MB",
            *([f"spent: {spend_line(self.spend)}"] if self.spend else []),
        ]

    @property
    def headline(self) -> str:
        found = self.counts
        return (
            f"release {self.release}: {found['documents']} documents, {found['chunks']} chunks; "
            f"{found['new']} new, {found['changed']} changed, {found['moved']} moved, {found['gone']} removed, "
            f"{found['restaged']} restaged, {found['unchanged']} unchanged, {found['skipped']} skipped, "
            f"{found['quarantined']} in quarantine, {found['degraded']} degraded"
        )


def make_report(
    spec: RunSpec,
    release: Release,
    plan: Plan,
    settled: Settled,
    shards: Sequence[Shard],
    seconds: float,
    memory_mb: Mapping[str, float],
    spend: Sequence[SpendRow] = (),
) -> RunReport:
    """The report of a run that has published `release`."""
    chunks = {document.doc_id: document.chunks for document in settled.documents}
    counts = _counts(settled.sources, plan)
    counts["processed"] = len(plan.work)
    counts |= {name: count for name, count in release.counts.items() if name not in counts}
    counts.setdefault("documents", len(settled.documents))
    counts.setdefault("chunks", sum(chunks.values()))
    paid = totals(spend)
    counts["degraded"] = sum(document.degraded for document in settled.documents)
    return RunReport(
        run=spec.run,
        release=release.number,
        counts=counts,
        sources=[_source(source, chunks, spent=spend_line(paid)) for source in settled.sources],
        seconds=round(seconds, 3),
        warnings=_warnings(shards),
        losses=_losses(shards),
        memory_mb={name: round(value, 1) for name, value in memory_mb.items()},
        settings=spec.settings.model_dump(mode="json"),
        capabilities=dict(spec.capabilities),
        spend=paid,
        restage_estimate=plan.pending_cost,
    )


def preview_report(plan: Plan, release: Release, seconds: float) -> RunReport:
    """The report of a dry run: the statuses that a run would begin with."""
    chunks = {doc_id: document.chunks for doc_id, document in plan.published.documents.items()}
    counts = {**_counts(plan.sources, plan), "to_process": len(plan.work)}
    return RunReport(
        run="",
        release=release.number,
        counts=counts,
        sources=[_source(source, chunks) for source in plan.sources],
        seconds=round(seconds, 3),
        dry_run=True,
        estimate=plan.cost,
        restage_estimate=plan.pending_cost,
    )


def _counts(sources: Sequence[PlannedSource], plan: Plan) -> dict[str, int]:
    found = Counter(source.status for source in sources)
    return {
        "sources": sum(1 for source in sources if source.status != "gone"),
        **{status: found[status] for status in MARKS},
        "published": sum(1 for s in sources if s.status in ("new", "changed", "moved", "unchanged", "restaged")),
        "restage_pending": len(plan.pending),
    }


def _source(source: PlannedSource, chunks: Mapping[str, int], spent: str = "") -> SourceReport:
    """`spent` is all of the run, known at its end only."""
    error = source.error
    return SourceReport(
        source=source.uri,
        parent=source.parent,
        status=source.status,
        doc_id=source.doc_id,
        chunks=0 if source.skipped_or_failed or source.status == "gone" else chunks.get(source.doc_id, 0),
        stage=source.stage or None,
        error=SourceError(code=error.code, message=error.message, hint=error.hint) if error is not None else None,
        reason=f"{source.reason}; the run spent {spent}" if source.status == "left" else source.reason,
        known=source.known,
    )


def _losses(shards: Sequence[Shard]) -> list[DocumentLosses]:
    found = []
    for state in (state for shard in shards for state in shard.documents if state.failure is None):
        losses = Losses.of(state.ref("partition"), state.ref("chunk"))
        entries = {name: float(value) for name, value in losses.entries.items()}
        work = state.work
        found.append(DocumentLosses(source=work.uri, doc_id=work.doc_id, entries=entries, coverage=losses.coverage))
    return found


def _warnings(shards: Sequence[Shard]) -> list[str]:
    """What was lost inside documents that were published all the same."""
    found: list[str] = []
    for state in (state for shard in shards for state in shard.documents):
        refs = [ref for ref in state.refs if ref.stage in ("partition", "transcribe")]
        said = [warning for ref in refs for warning in ref.info.warnings]
        said += [f"degraded: {reason}" for ref in state.refs for reason in ref.degraded]
        if state.failure is None:
            said.append(Losses.of(state.ref("partition"), state.ref("chunk")).warning)
        found += [f"{state.work.uri}: {warning}" for warning in said if warning]
    return found


def plan_lines(plan: Plan, limit: int | None = None) -> list[str]:
    """The plan as a person reads it: a line per source that is not unchanged, a line of counts, and what models would
    be asked."""
    notable = [source for source in plan.sources if source.status != "unchanged"]
    lines = []
    for source in notable[:limit]:
        reason = f"  ({_one_line(source.reason)})" if source.reason else ""
        lines.append(f"{MARKS[source.status]} {_one_line(source.uri)}{reason}")
    if limit is not None and len(notable) > limit:
        lines.append(f"  … and {len(notable) - limit} more")
    counts = plan.counts()
    lines.append("  ".join(f"{MARKS[status]} {count} {status}" for status, count in counts.items() if count) or "empty")
    if plan.pending:
        again = f"^ restage {len(plan.pending)} documents: settings or software changed; run with --restage"
        lines.append(again + (f" ({estimate_words(plan.pending_cost)})" if plan.pending_cost else ""))
    if plan.cost:
        lines.append(estimate_line(plan.cost))
    return lines


def plan_markdown(plan: Plan) -> str:
    return "```\n" + "\n".join(plan_lines(plan, _LISTED)).replace("```", "'''") + "\n```"


def result_rows(report: RunReport) -> list[dict[str, Any]]:
    """The report as a table for Prefect's UI: counts first, then what is in quarantine."""
    rows: list[dict[str, Any]] = [{"what": name, "value": count} for name, count in report.counts.items()]
    failed = [source for source in report.sources if source.error is not None]
    rows += [{"what": f"quarantine: {s.source}", "value": s.error.message if s.error else ""} for s in failed[:_LISTED]]
    return rows


def _one_line(text: str) -> str:
    """A name without control characters, so that a file called "a\\nb" cannot forge lines."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
