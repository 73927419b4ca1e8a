"""Where documents come from: list a SOURCE root, read a source's bytes, name what is not a document.

In: a SOURCE as the user gave it. Out: a `Listing` of files with their stat, what was skipped and why. Nothing is
opened here but sidecars; reading and unpacking are asked for source by source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tasks.containers import MEMBER, Member, extract_member, list_members
from tasks.errors import DocumentError, SourceRootError, UsageError
from tasks.settings import Limits
from tasks.sidecars import NO_METADATA, Metadata, Sidecars, is_sidecar, printable

_TEMPORARY_SUFFIXES = ("~", ".tmp", ".temp", ".swp", ".swo", ".part", ".partial", ".crdownload", ".lock")
_TEMPORARY_NAMES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_LAKE_NAMES = frozenset({"releases", "stages", "lease.lock"})  # with a lake.json, the folder is a lake


@dataclasses.dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below a root: its absolute path (the source's uri) and stat, without having read it.

    `problem` is set where the file is there but cannot be taken as it is (a broken sidecar, an undecodable name).
    """

    uri: str
    root: str
    size: int
    mtime_ns: int
    metadata: Metadata = NO_METADATA
    problem: DocumentError | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SkippedFile:
    uri: str
    reason: str


@dataclasses.dataclass(slots=True)
class Listing:
    """What is below the roots. `unlisted` are folders that could not be read: nothing below them counts as gone."""

    files: list[FoundFile] = dataclasses.field(default_factory=list)
    skipped: list[SkippedFile] = dataclasses.field(default_factory=list)
    unlisted: list[str] = dataclasses.field(default_factory=list)


def root_uri(source: str) -> str:
    """The absolute path of a SOURCE argument. Raises SourceRootError for what cannot be one."""
    if not source:
        raise UsageError("a SOURCE is empty", "give a file or folder; is a variable unset?")
    if source.startswith("file://"):
        source = source.removeprefix("file://")
    if "://" in source:
        raise SourceRootError(f"source {source!r}: only files and folders are supported by this version")
    path = os.path.abspath(os.path.expanduser(source)) if "\0" not in source else source
    if "\0" in path or printable(path) != path:
        raise SourceRootError(f"source {printable(path)!r}: the path is not valid UTF-8", "rename the folder or file")
    return path


def below(uri: str, root: str) -> bool:
    """Whether a source (or a member of it) lies at or below a root."""
    return uri == root or uri.startswith(root.rstrip("/") + "/") or uri.startswith(root + MEMBER)


def list_roots(sources: list[str], exclude: str) -> Listing:
    """Every file at or below the SOURCE roots, each once, in path order. `exclude` (the lake) is never entered.

    Raises SourceRootError where a root is missing or unreadable, since an unmounted folder must not look like an empty
    one, and where it is a lake or lies in `exclude`.
    """
    listing = Listing()
    seen: set[str] = set()
    lake = _identity(exclude) if exclude else None
    for root in sorted({root_uri(source) for source in sources}):
        is_folder = check_root(root)
        real = Path(root).resolve()
        if lake is not None and any(_identity(folder) == lake for folder in (real, *real.parents)):
            raise _is_lake(root)
        walk = _Walk(root, str(real), lake, os.path.realpath(exclude), listing, seen)
        try:
            if is_folder:
                walk.folder(Path(root), Sidecars(Path(root)))
            else:
                walk.file(Path(root))
        except OSError as error:
            raise _unusable(root, error) from error
    return listing


def check_root(root: str) -> bool:
    """Whether a root is a folder. Raises SourceRootError where it is missing or neither a folder nor a file."""
    try:
        mode = Path(root).stat().st_mode
    except OSError as error:
        raise _unusable(root, error) from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise SourceRootError(f"source {root} is neither a file nor a folder")
    return stat.S_ISDIR(mode)


def _unusable(root: str, error: OSError) -> SourceRootError:
    if isinstance(error, FileNotFoundError):
        hint = "check the path, and that the disk or share is mounted"
        return SourceRootError(f"source {root} does not exist", hint)
    return SourceRootError(f"source {root} cannot be read: {error.strerror}", "check its permissions")


def _is_lake(root: str) -> SourceRootError:
    return SourceRootError(f"source {root} is a bindery lake or lies in one", "give a folder of documents")


def _identity(path: str | Path) -> tuple[int, int] | None:
    """What tells a folder from others, whatever the path that leads to it."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_dev, info.st_ino


@dataclasses.dataclass(frozen=True)
class _Walk:
    """The listing of one root; `real` is its path without links, `lake` and `real_lake` are what is never entered."""

    root: str
    real: str
    lake: tuple[int, int] | None
    real_lake: str
    listing: Listing
    seen: set[str]

    def file(self, path: Path) -> None:
        """The root itself, where it is a file; the user named it, so whatever it is called it is meant."""
        sidecars = Sidecars.of_folder(path.parent, entries=[path.name, path.name + ".meta.json"])
        with os.scandir(path.parent) as entries:
            entry = next((e for e in entries if e.name == path.name), None)
        if entry is None:
            raise FileNotFoundError(path)
        self._entry(entry, sidecars, named=True)

    def folder(self, folder: Path, sidecars: Sidecars) -> None:
        if self.lake is not None and _identity(folder) == self.lake:
            return
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if str(folder) == self.root:
                raise
            self.listing.unlisted.append(printable(str(folder)))
            self._skip(str(folder), f"folder cannot be read: {error.strerror}")
            return
        names = [entry.name for entry in entries]
        if "lake.json" in names and not _LAKE_NAMES.isdisjoint(names):
            if str(folder) == self.root:
                raise _is_lake(self.root)
            self._skip(str(folder), "a bindery lake")
            return
        sidecars = sidecars.below(folder, names)
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                self._entry(entry, sidecars)
            elif entry.name.startswith("."):
                self._skip(entry.path, "hidden folder")
            else:
                self.folder(Path(entry.path), sidecars)

    def _entry(self, entry: os.DirEntry[str], sidecars: Sidecars, named: bool = False) -> None:
        if entry.path in self.seen:
            return
        self.seen.add(entry.path)
        reason = "" if named else _not_a_document(entry.name)
        if reason:
            self._skip(entry.path, reason)
            return
        if is_sidecar(entry.name):
            if not sidecars.used(entry.name):
                self._skip(entry.path, "sidecar without its file")
            return
        try:
            info = entry.stat()
        except OSError:
            self._skip(entry.path, "broken link")
            return
        if not stat.S_ISREG(info.st_mode):
            self._skip(entry.path, "link to a folder" if stat.S_ISDIR(info.st_mode) else "not a file")
            return
        if entry.is_symlink() and not named and not self._inside(os.path.realpath(entry.path)):
            self._skip(entry.path, "link to outside of the source")
            return
        uri = printable(entry.path)
        problem = None
        metadata = NO_METADATA
        if uri != entry.path:
            problem = DocumentError("bad_name", "the file's name is not valid UTF-8", "rename the file")
        else:
            try:
                metadata = sidecars.metadata(entry.name)
            except DocumentError as error:
                problem = error
        self.listing.files.append(FoundFile(uri, self.root, info.st_size, info.st_mtime_ns, metadata, problem))

    def _inside(self, target: str) -> bool:
        """Whether the target of a link is of this root, and not of the lake."""
        if self.lake is not None and Path(target).is_relative_to(self.real_lake):
            return False
        return Path(target).is_relative_to(self.real)

    def _skip(self, path: str, reason: str) -> None:
        self.listing.skipped.append(SkippedFile(printable(path), reason))


def _not_a_document(name: str) -> str:
    if name.startswith("."):
        return "hidden file"
    if name.startswith("~$") or name.lower().endswith(_TEMPORARY_SUFFIXES) or name.lower() in _TEMPORARY_NAMES:
        return "temporary file"
    return ""


def content_hash(path: Path) -> str:
    """sha256 of a file's bytes: the `doc_id`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def open_source(uri: str, limits: Limits) -> Iterator[Path]:
    """A local file with a source's bytes: the file itself, or a temporary copy of a container's member.

    Raises DocumentError where the member is not there or breaks a limit, OSError where a file cannot be read.
    """
    path, members = split_uri(uri)
    if not members:
        yield path
        return
    with extract_member(path, members, limits) as copy:
        yield copy


def unpack_source(uri: str, limits: Limits) -> list[Member]:
    """The members of a container source; for a worker process, since it reads untrusted bytes."""
    with open_source(uri, limits) as path:
        return list_members(path, limits)


def split_uri(uri: str) -> tuple[Path, list[int]]:
    """The file of a uri and the 1-based member numbers to follow inside it. A real file of that name wins."""
    start = 0
    while (cut := uri.find(MEMBER, start)) >= 0:
        if Path(uri[:cut]).is_file():
            numbers = [part.split("/", 1)[0] for part in uri[cut + len(MEMBER) :].split(MEMBER)]
            if all(number.isdigit() for number in numbers):
                return Path(uri[:cut]), [int(number) for number in numbers]
        start = cut + len(MEMBER)
    return Path(uri), []
