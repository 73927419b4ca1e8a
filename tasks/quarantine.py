"""Quarantine: what a stage could not process, with its stage, error and attempt count; one JSON file per document.

A record is a known failure while its `key` (recipe and limits of the attempt) is what a new attempt would have: the
plan then shows `!` and does not try again. A success, a vanished source or `quarantine retry` ends that.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence

import orjson

from tasks.errors import DocumentError
from tasks.rows import content_id
from tasks.storage import Storage


@dataclasses.dataclass(frozen=True, slots=True)
class HeldSource:
    """A source whose document is in quarantine, with the stat at which it was read."""

    uri: str
    parent: str | None
    root: str
    size: int
    mtime_ns: int
    seen_ns: int


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One failed document. `doc_id` is empty where its bytes could not be read; `key` says under which recipe."""

    doc_id: str
    media_type: str
    stage: str
    key: str
    code: str
    message: str
    hint: str
    attempts: int
    run: str
    first_at: str
    last_at: str
    sources: tuple[HeldSource, ...]

    @property
    def id(self) -> str:
        return self.doc_id or content_id(*(source.uri for source in self.sources))

    @property
    def error(self) -> DocumentError:
        return DocumentError(self.code, self.message, self.hint)


class Quarantine:
    """The records of a lake. Reads them once; `hold` and `release` write through."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._records = {record.id: record for record in read_records(storage)}

    @property
    def records(self) -> list[Record]:
        """All records, ordered by their first source."""
        return sorted(self._records.values(), key=lambda record: (record.sources[0].uri, record.id))

    def hold(self, record: Record) -> None:
        """Add a failed attempt: counts on from an earlier record of the same document."""
        earlier = self._records.get(record.id)
        if earlier is not None:
            record = dataclasses.replace(record, attempts=earlier.attempts + 1, first_at=earlier.first_at)
        self._write(record)

    def keep_sources(self, record: Record, sources: Sequence[HeldSource]) -> None:
        """Set which sources hold the document; without any, the record ends."""
        if not sources:
            self.release(record.id)
        elif tuple(sources) != record.sources:
            self._write(dataclasses.replace(record, sources=tuple(sources)))

    def release(self, record_id: str) -> None:
        if self._records.pop(record_id, None) is not None:
            self._storage.delete(_path(record_id))

    def forget_key(self, records: Iterable[Record]) -> None:
        """Let the next ingest try these again."""
        for record in records:
            self._write(dataclasses.replace(record, key=""))

    def _write(self, record: Record) -> None:
        self._records[record.id] = record
        self._storage.write(_path(record.id), orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n")


def by_source(records: Iterable[Record]) -> dict[str, tuple[Record, HeldSource]]:
    return {source.uri: (record, source) for record in records for source in record.sources}


def _path(record_id: str) -> str:
    return f"quarantine/{record_id}.json"


def read_records(storage: Storage) -> Iterable[Record]:
    """The records of a lake; one that is damaged counts as absent, and its document is tried again."""
    for name in storage.list("quarantine"):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found = orjson.loads(storage.read(f"quarantine/{name}"))
            yield Record(**{**found, "sources": tuple(HeldSource(**source) for source in found["sources"])})
