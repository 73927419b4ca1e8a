"""The lake: the root that holds everything the pipeline keeps, and the lease that lets one writer in at a time.

`lake.json` names the format; `blobs/` holds media by content; `releases/<n>.json` says which version of each index
table readers see; `quarantine/` (tasks.quarantine) and `runs/<run>/` hold what failed and the reports. Light to
import: reading commands start here and load the index only when they need rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from tasks.errors import DocumentError, LakeError
from tasks.lease import Lease, hold
from tasks.storage import Storage, open_storage

FORMAT = 4
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """One published, immutable state of the index: the version of each table that readers see.

    `tables` maps a table's name to its version; `spaces` maps a space's name to its dimension, `models` to the
    fingerprint of its model; `counts` is what `bindery status` shows without opening the index.
    """

    number: int
    run: str
    created: str
    tables: Mapping[str, int]
    spaces: Mapping[str, int]
    counts: Mapping[str, int]
    models: Mapping[str, str] = dataclasses.field(default_factory=dict)


NO_RELEASE = Release(0, "", "", {}, {}, {})


@dataclasses.dataclass(frozen=True, slots=True)
class Lake:
    """An opened lake: its id and the storage below it."""

    id: str
    storage: Storage

    @property
    def uri(self) -> str:
        return self.storage.root

    @contextlib.contextmanager
    def lease(self, purpose: str) -> Iterator[Lease]:
        """Be the lake's one writer while in the block; raises LakeBusyError at once if somebody else is."""
        with hold(self.storage, purpose) as lease:
            yield lease


def open_lake(uri: str, create: bool = False) -> Lake:
    """The lake at a URI. Raises LakeError where there is none (unless `create`) or its format is another."""
    storage = open_storage(uri)
    if create and not storage.exists("lake.json"):
        _refuse_foreign_folder(storage)
        storage.create("lake.json", orjson.dumps({"format": FORMAT, "id": uuid.uuid4().hex}) + b"\n")
    if not storage.exists("lake.json"):
        raise LakeError(f"there is no lake at {uri}", "create one with: bindery ingest SOURCE... --lake " + uri)
    try:
        about = orjson.loads(storage.read("lake.json"))
        found, identity = int(about["format"]), str(about["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(f"lake.json of {uri} is damaged: {error}", "restore it from a backup") from error
    if found != FORMAT:
        age = "newer than this bindery" if found > FORMAT else "older than this bindery can read"
        raise LakeError(
            f"the lake at {uri} has format {found}, {age} (format {FORMAT})",
            "use a matching version, or ingest into a new lake",
        )
    return Lake(identity, storage)


def _refuse_foreign_folder(storage: Storage) -> None:
    """A lake is created in an empty or new folder only, so that a typing error cannot fill somebody's documents."""
    root = storage.local(".")
    if not root.exists():
        return
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {root.name}
    if "lake.json" not in names and any(not name.startswith(".") for name in names):
        raise LakeError(f"{root} is not a lake and is not empty", "give a new or empty folder for the lake")


def put_blob(storage: Storage, data: bytes, extension: str) -> str:
    """Keep raw media under the hash of its content; returns its lake path. Equal content is kept once."""
    name = hashlib.sha256(data).hexdigest()
    path = f"blobs/{name[:2]}/{name}.{extension.lstrip('.').lower()}"
    if not storage.exists(path):
        storage.write(path, data)
    return path


def put_file(storage: Storage, source: Path, extension: str) -> str:
    """`put_blob` for a file that may be larger than the memory. Raises DocumentError if it changes meanwhile."""
    with open(source, "rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()
        path = f"blobs/{name[:2]}/{name}.{extension}"
        if not storage.exists(path):
            file.seek(0)
            storage.write(path, _blocks(file, name))
    return path


def _blocks(file: IO[bytes], name: str) -> Iterator[bytes]:
    """A file's bytes; the error comes before the last of them is kept."""
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
        yield block
    if found.hexdigest() != name:
        raise DocumentError("changed_while_reading", "the file changed while it was kept", "run again")


def current_release(storage: Storage) -> Release:
    """The newest release, or `NO_RELEASE` before the first."""
    numbers = release_numbers(storage)
    return read_release(storage, numbers[-1]) if numbers else NO_RELEASE


def release_numbers(storage: Storage) -> list[int]:
    names = (name.removesuffix(".json") for name in storage.list("releases") if name.endswith(".json"))
    return sorted(int(name) for name in names if name.isdigit())


def read_release(storage: Storage, number: int) -> Release:
    """Raises LakeError where the release does not exist or is damaged."""
    try:
        return Release(**orjson.loads(storage.read(f"releases/{number}.json")))
    except (OSError, ValueError, TypeError) as error:
        raise LakeError(f"release {number} cannot be read: {error}") from error


def create_release(storage: Storage, release: Release) -> None:
    """Publish: from now on readers see this release. Raises LakeError if the number is taken (a lost lease)."""
    data = orjson.dumps(dataclasses.asdict(release), option=orjson.OPT_INDENT_2) + b"\n"
    if not storage.create(f"releases/{release.number}.json", data):
        raise LakeError(f"release {release.number} was created by another writer", "run the ingest again")


def write_report(storage: Storage, run: str, report: Mapping[str, Any]) -> str:
    path = f"runs/{run}/report.json"
    storage.write(path, orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n", durable=True)
    return path


def last_report(storage: Storage) -> dict[str, Any] | None:
    """The report of the newest finished run; one that is damaged counts as absent."""
    folder = storage.local("runs")
    names = (
        sorted((entry.name for entry in folder.iterdir() if entry.is_dir()), reverse=True) if folder.exists() else []
    )
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            report = orjson.loads(storage.read(f"runs/{name}/report.json"))
            if isinstance(report, dict):
                return report
    return None
