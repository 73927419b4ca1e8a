"""What each source holds now: told from its stat where that is unchanged, else by reading, hashing and unpacking.

In: a Listing, what is published, what is in quarantine. Out: one Candidate per source, members after their container.
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tasks.containers import CONTAINERS, Member
from tasks.errors import DocumentError
from tasks.partition.detect import detect
from tasks.plan.model import Candidate, PlanOptions, Published
from tasks.quarantine import HeldSource, Record
from tasks.recipes import Recipes
from tasks.rows import SourceRow
from tasks.settings import Limits
from tasks.sources import FoundFile, Listing, content_hash

Unpack = Callable[[str], list[Member]]

# A file that was changed within its time stamp's granularity of being read may have been changed again with the same
# stamp (git calls these racily clean). Stamps in whole seconds come from file systems with a granularity of 1 or 2 s.
_GRANULARITY_NS = 50_000_000
_COARSE_GRANULARITY_NS = 2_000_000_000


@dataclasses.dataclass
class Scanner:
    """Turns listed files into candidates; `unpack(uri)` lists a container's members in a worker process."""

    published: Published
    held: Mapping[str, tuple[Record, HeldSource]]
    recipes: Recipes
    options: PlanOptions
    unpack: Unpack
    on_source: Callable[[str], None]

    def __post_init__(self) -> None:
        self._members: dict[str, list[str]] = defaultdict(list)
        for uri, row in self.published.sources.items():
            if row.parent is not None:
                self._members[row.parent].append(uri)
        for uri, (_, source) in self.held.items():
            if source.parent is not None and uri not in self.published.sources:
                self._members[source.parent].append(uri)

    @property
    def _limits(self) -> Limits:
        return self.recipes.settings.limits

    def scan(self, listing: Listing) -> Iterator[Candidate]:
        for file in listing.files:
            self.on_source(file.uri)
            yield from self._file(file)
        for skipped in listing.skipped:
            yield Candidate(skipped.uri, "", None, skipped=skipped.reason)

    def _file(self, file: FoundFile) -> Iterator[Candidate]:
        if self.options.only is not None and file.uri not in self.options.only:
            if file.uri in self.published.sources:
                yield from self._as_before(file.uri, None)
            return
        base = Candidate(file.uri, self._root(file), None, size=file.size, mtime_ns=file.mtime_ns)
        record, source = self.held.get(file.uri, (None, None))
        if file.problem is not None:
            seen = record is not None and record.message == file.problem.message and self._is_known(record)
            yield dataclasses.replace(base, error=file.problem, known=seen)
            return
        if not self._unread_member(file.uri):
            # What failed in a stage needs no new reading to be tried again; `decide` says whether it is.
            if record and source and self._same(file, source) and (record.media_type or self._is_known(record)):
                yield self._in_quarantine(record, source, file)
                yield from self._members_as_before(file.uri, file)
                return
            previous = self.published.sources.get(file.uri)
            if previous and not source and self._same(file, previous):
                yield from self._as_before(file.uri, file)
                return
        yield from self._read(base, file)

    def _root(self, file: FoundFile) -> str:
        """The root a source was first published from: it stays, so that overlapping roots do not take turns."""
        previous = self.published.sources.get(file.uri)
        return previous.root if previous is not None else file.root

    def _same(self, file: FoundFile, before: SourceRow | HeldSource) -> bool:
        return not self.options.checksum and self._trusted(file, before)

    def _trusted(self, file: FoundFile, before: SourceRow | HeldSource) -> bool:
        """Whether equal size and time stamp mean equal content."""
        if (file.size, file.mtime_ns) != (before.size, before.mtime_ns):
            return False
        coarse = before.mtime_ns % 1_000_000_000 == 0
        return before.seen_ns - before.mtime_ns > (_COARSE_GRANULARITY_NS if coarse else _GRANULARITY_NS)

    def _is_known(self, record: Record) -> bool:
        return bool(record.key) and record.key == self.recipes.attempt_key(record.doc_id, record.media_type)

    def _unread_member(self, uri: str) -> bool:
        """Whether a member could not even be unpacked or told apart, and is to be tried again: read the container."""
        for member in self._members.get(uri, ()):
            record = self.held[member][0] if member in self.held else None
            if record is not None and not record.media_type and not self._is_known(record):
                return True
            if self._unread_member(member):
                return True
        return False

    def _as_before(self, uri: str, file: FoundFile | None) -> Iterator[Candidate]:
        """An unchanged source with its members, from the rows and records of earlier runs."""
        row = self.published.sources.get(uri)
        if row is not None:
            if file is not None:
                row = _with_metadata(row, file)
            yield Candidate(uri, row.root, row.parent, row=row, skipped=row.skipped, doc_id=row.doc_id)
        elif uri in self.held:
            record, source = self.held[uri]
            yield self._in_quarantine(record, source, file)
        yield from self._members_as_before(uri, file)

    def _members_as_before(self, uri: str, file: FoundFile | None) -> Iterator[Candidate]:
        for member in sorted(self._members.get(uri, ()), key=_member_order):
            yield from self._as_before(member, file)

    def _in_quarantine(self, record: Record, source: HeldSource, file: FoundFile | None) -> Candidate:
        """A source of unchanged content in quarantine: a document to decide on, or a known error where there is none.

        Where a document failed in a stage, it is its record that counts, whichever of its sources is looked at.
        """
        row = self._row_of(record, source, file) if record.media_type else None
        return Candidate(
            source.uri, source.root, source.parent, row=row, error=None if row else record.error,
            doc_id=record.doc_id, known=row is None, stage=record.stage, size=source.size, mtime_ns=source.mtime_ns,
            seen_ns=source.seen_ns,
        )  # fmt: skip

    def _row_of(self, record: Record, source: HeldSource, file: FoundFile | None) -> SourceRow:
        row = SourceRow(
            source.uri, source.root, source.parent, record.doc_id, record.media_type, source.size, source.mtime_ns,
            source.seen_ns,
        )  # fmt: skip
        return _with_metadata(row, file) if file is not None else row

    def _read(self, base: Candidate, file: FoundFile) -> Iterator[Candidate]:
        """Read a new or changed file: detect, hash, unpack."""
        path = Path(file.uri)
        base = dataclasses.replace(base, seen_ns=time.time_ns())
        try:
            found = detect(path.name, path)
            if found.media_type is None:
                yield dataclasses.replace(base, skipped=found.reason)
                return
            if file.size > self._limits.max_file_bytes:
                raise DocumentError(
                    "too_large", f"{file.size} bytes, the limit is {self._limits.max_file_bytes}",
                    "raise limits.max_file_bytes",
                )  # fmt: skip
            base = dataclasses.replace(base, doc_id=_stable_hash(path, file))
        except DocumentError as error:
            yield dataclasses.replace(base, error=error)
            return
        except OSError as error:
            problem = DocumentError("unreadable", f"cannot be read: {error.strerror}", "check its permissions")
            yield dataclasses.replace(base, error=problem)
            return
        row = SourceRow(
            base.uri, base.root, None, base.doc_id, found.media_type, base.size, base.mtime_ns, base.seen_ns
        )
        previous = self.published.sources.get(file.uri)
        if previous and previous.doc_id == row.doc_id and self._trusted(file, previous):
            row = dataclasses.replace(row, seen_ns=previous.seen_ns)  # read on request: nothing to write down
        yield from self._with_members(dataclasses.replace(base, row=_with_metadata(row, file)), depth=1)

    def _with_members(self, container: Candidate, depth: int) -> Iterator[Candidate]:
        """The candidate, and where it is a container, its members; a container that breaks a limit is an error."""
        row = container.row
        if row is None or row.media_type not in CONTAINERS:
            yield container
            return
        try:
            members = self.unpack(row.uri)
        except DocumentError as error:
            yield dataclasses.replace(container, row=None, error=error)
            return
        yield container
        for member in members:
            yield from self._member(row, member, depth)

    def _member(self, container: SourceRow, member: Member, depth: int) -> Iterator[Candidate]:
        uri = member.uri(container.uri)
        base = Candidate(
            uri, container.root, container.uri, doc_id=member.doc_id, size=member.size, mtime_ns=container.mtime_ns,
            seen_ns=container.seen_ns,
        )  # fmt: skip
        if member.error is not None:
            yield dataclasses.replace(base, error=member.error)
            return
        skipped = member.reason
        if member.media_type in CONTAINERS and depth >= self._limits.container_depth:
            skipped = f"nested more than {self._limits.container_depth} containers deep"
        row = dataclasses.replace(
            container, uri=uri, parent=container.uri, doc_id=member.doc_id, media_type=member.media_type or "",
            size=member.size, skipped=skipped,
        )  # fmt: skip
        candidate = dataclasses.replace(base, row=row, skipped=skipped)
        if skipped:
            yield candidate
        else:
            yield from self._with_members(candidate, depth + 1)


def _with_metadata(row: SourceRow, file: FoundFile) -> SourceRow:
    found = file.metadata
    return dataclasses.replace(row, tags=found.tags, groups=found.groups, date=found.date)


def _stable_hash(path: Path, file: FoundFile) -> str:
    """The content hash. Raises DocumentError if the file changed between listing and the end of reading."""
    doc_id = content_hash(path)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (file.size, file.mtime_ns):
        raise DocumentError("changing", "the file changed while it was read", "it is tried again by the next ingest")
    return doc_id


def _member_order(uri: str) -> list[int | str]:
    """Members in the order of their numbers: `!/2/` before `!/10/`."""
    number = uri.rsplit("!/", 1)[-1].split("/", 1)[0]
    return [int(number) if number.isdigit() else 0, uri]
