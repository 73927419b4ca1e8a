"""What a lake holds, told from its manifest, quarantine and last report; never opens the index."""

from __future__ import annotations

import datetime
import fnmatch
from pathlib import Path
from typing import Any

from tasks.errors import UsageError
from tasks.lake import current_release, last_report, open_lake
from tasks.lease import current_holder
from tasks.quarantine import Quarantine, Record
from tasks.rows import DocumentRow
from tasks.select import matches
from tasks.storage import Storage


def lake_status(uri: str) -> dict[str, Any]:
    """The fields of `bindery status --json`. Raises LakeError where there is no lake."""
    lake = open_lake(uri)
    release = current_release(lake.storage)
    report = last_report(lake.storage)
    holder = current_holder(lake.storage)
    return {
        "lake": lake.uri,
        "id": lake.id,
        "release": release.number,
        "created": release.created,
        "counts": dict(release.counts),
        "spaces": dict(release.spaces),
        "quarantine": len(Quarantine(lake.storage).records),
        "writer": f"{holder.purpose}, process {holder.pid} on {holder.host}" if holder else None,
        "last_run": _last_run(report) if report else None,
        "spend": _spend(lake.storage),
        "batches": _batches(lake.storage),
    }


def document_status(uri: str, source: str) -> list[dict[str, Any]]:
    """The published documents of the sources that match (as `bindery search --source` does), with their loss ledgers.

    Raises LakeError where there is no lake, UsageError where nothing matches, or only what is in quarantine.
    """
    from tasks import stage
    from tasks.index import open_reader
    from tasks.losses import Losses

    lake = open_lake(uri)
    reader = open_reader(lake, current_release(lake.storage))
    named: dict[str, list[str]] = {}
    for row in reader.sources():
        if not row.skipped and (row.doc_id == source or matches(row.uri, [source])):
            named.setdefault(row.doc_id, []).append(row.uri)
    if not named:
        for record in Quarantine(lake.storage).records:
            if _matches(record, [source]) or any(matches(each.uri, [source]) for each in record.sources):
                why = f"{record.sources[0].uri} is in quarantine: {record.message}"
                raise UsageError(why, "bindery quarantine list shows all of them")
        raise UsageError(f"no published document matches {source!r}", "bindery search --json names sources")
    documents, found = reader.documents(), []
    for doc_id, uris in named.items():
        document = documents[doc_id]
        mark = document.mark("partition")
        made = stage.find(lake.storage, mark.stage, mark.key) if mark else None
        losses = Losses.read(document.losses)
        found.append(
            {
                "doc_id": doc_id,
                "sources": uris,
                "title": document.title,
                "media_type": document.media_type,
                "chunks": document.chunks,
                "degraded": document.degraded,
                "losses": (losses.costing(made.cost) if made else losses).to_json(),
                "warnings": [*(made.info.warnings if made else ()), *_degradations(lake.storage, document)],
            }
        )
    return found


def _degradations(storage: Storage, document: DocumentRow) -> list[str]:
    """Why the stages of a document are not what they should be; the next ingest tries again."""
    from tasks import stage

    found = (stage.find(storage, mark.stage, mark.key, degraded=True) for mark in document.stages)
    return [f"degraded: {reason}" for ref in found if ref for reason in ref.degraded] if document.degraded else []


def _batches(storage: Storage) -> list[dict[str, Any]]:
    """The batches that endpoints work on, or have answered and nobody has collected yet."""
    from tasks.llm.batch.store import open_batches

    return [
        {"batch": batch.remote, "endpoint": batch.endpoint, "model": batch.model, "requests": batch.requests,
         "run": batch.run, "created": datetime.datetime.fromtimestamp(batch.created, datetime.UTC).isoformat()}
        for batch in open_batches(storage)
    ]  # fmt: skip


def _spend(storage: Storage) -> list[dict[str, Any]]:
    """What all runs paid for LLM calls, by stage and model."""
    from tasks.llm.ledger import read_ledger
    from tasks.report.spend import totals

    return [each.model_dump() for each in totals(read_ledger(storage))]


def _last_run(report: dict[str, Any]) -> dict[str, Any]:
    from tasks.report.run import RunReport

    found = RunReport.model_validate(report)
    return {"run": found.run, "release": found.release, "headline": found.headline, "seconds": found.seconds}


def quarantine_status(uri: str) -> list[dict[str, Any]]:
    """One entry per document in quarantine, ordered by source."""
    return [_entry(record) for record in Quarantine(open_lake(uri).storage).records]


def _entry(record: Record) -> dict[str, Any]:
    return {
        "doc_id": record.doc_id,
        "sources": [source.uri for source in record.sources],
        "media_type": record.media_type,
        "stage": record.stage,
        "error": {"code": record.code, "message": record.message, "hint": record.hint},
        "attempts": record.attempts,
        "first_at": record.first_at,
        "last_at": record.last_at,
        "run": record.run,
        "retry_pending": not record.key,
    }


def release_known_failures(uri: str, patterns: list[str]) -> tuple[list[str], list[str]]:
    """Let matching records be tried again; returns the roots and files that an ingest has to look at, if they exist.

    A pattern is a source's uri, a glob over it, or a `doc_id`; none means all.
    """
    lake = open_lake(uri)
    with lake.lease("quarantine retry"):
        quarantine = Quarantine(lake.storage)
        chosen = [record for record in quarantine.records if not patterns or _matches(record, patterns)]
        quarantine.forget_key(chosen)
    sources = [source for record in chosen for source in record.sources]
    files = {_file(source.uri): source.root for source in sources}
    there = {file: root for file, root in files.items() if Path(file).exists() and Path(root).exists()}
    return sorted(set(there.values())), sorted(there)


def _matches(record: Record, patterns: list[str]) -> bool:
    names = [record.doc_id, *(source.uri for source in record.sources)]
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _file(uri: str) -> str:
    """The file that holds a source: itself, or the outermost container."""
    from tasks.sources import split_uri

    return str(split_uri(uri)[0])
