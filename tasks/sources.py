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
from tasks.errors import DocumentError, SourceRootError
from tasks.settings import Limits
from tasks.sidecars import NO_METADATA, Metadata, Sidecars, is_sidecar

_TEMPORARY_SUFFIXES = ("~", ".tmp", ".temp", ".swp", ".swo", ".part", ".partial", ".crdownload", ".lock")
_TEMPORARY_NAMES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})


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
    """The absolute path of a SOURCE argument. Raises SourceRootError for schemes that cannot be read."""
    if source.startswith("file://"):
        source = source.removeprefix("file://")
    if "://" in source:
        raise SourceRootError(f"source {source!r}: only files and folders are supported by this version")
    return str(Path(os.path.normpath(Path(source).expanduser().absolute())))


def below(uri: str, root: str) -> bool:
    """Whether a source (or a member of it) lies at or below a root."""
    return uri == root or uri.startswith(root.rstrip("/") + "/") or uri.startswith(root + MEMBER)


def list_roots(sources: list[str], exclude: str) -> Listing:
    """Every file at or below the SOURCE roots, each once, in path order. `exclude` (the lake) is never entered.

    Raises SourceRootError where a root is missing or unreadable: an unmounted folder must not look like an empty one.
    """
    listing = Listing()
    seen: set[str] = set()
    for root in sorted({root_uri(source) for source in sources}):
        path = Path(root)
        try:
            if check_root(root):
                _list_folder(path, root, exclude, listing, seen, Sidecars(path))
            else:
                _list_file(path, root, path.parent, listing, seen)
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


def _list_file(path: Path, root: str, folder: Path, listing: Listing, seen: set[str]) -> None:
    sidecars = Sidecars.of_folder(folder, entries=[path.name, path.name + ".meta.json"])
    with os.scandir(folder) as entries:
        entry = next((e for e in entries if e.name == path.name), None)
    if entry is None:
        raise FileNotFoundError(path)
    _list_entry(entry, root, listing, seen, sidecars, named=True)


def _list_folder(folder: Path, root: str, exclude: str, listing: Listing, seen: set[str], sidecars: Sidecars) -> None:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if str(folder) == root:
            raise
        listing.unlisted.append(str(folder))
        listing.skipped.append(SkippedFile(str(folder), f"folder cannot be read: {error.strerror}"))
        return
    sidecars = sidecars.below(folder, [entry.name for entry in entries])
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.path == exclude:
                continue
            if entry.name.startswith("."):
                listing.skipped.append(SkippedFile(_printable(entry.path), "hidden folder"))
            else:
                _list_folder(Path(entry.path), root, exclude, listing, seen, sidecars)
        else:
            _list_entry(entry, root, listing, seen, sidecars)


def _list_entry(
    entry: os.DirEntry[str], root: str, listing: Listing, seen: set[str], sidecars: Sidecars, named: bool = False
) -> None:
    if entry.path in seen:
        return
    seen.add(entry.path)
    uri = _printable(entry.path)
    reason = "" if named else _not_a_document(entry.name)
    if reason:
        listing.skipped.append(SkippedFile(uri, reason))
        return
    if is_sidecar(entry.name):
        if not sidecars.used(entry.name):
            listing.skipped.append(SkippedFile(uri, "sidecar without its file"))
        return
    try:
        info = entry.stat()
    except OSError:
        listing.skipped.append(SkippedFile(uri, "broken link"))
        return
    if not stat.S_ISREG(info.st_mode):
        listing.skipped.append(SkippedFile(uri, "link to a folder" if stat.S_ISDIR(info.st_mode) else "not a file"))
        return
    problem = None
    metadata = NO_METADATA
    if uri != entry.path:
        problem = DocumentError("bad_name", "the file's name is not valid UTF-8", "rename the file")
    else:
        try:
            metadata = sidecars.metadata(entry.name)
        except DocumentError as error:
            problem = error
    listing.files.append(FoundFile(uri, root, info.st_size, info.st_mtime_ns, metadata, problem))


def _not_a_document(name: str) -> str:
    if name.startswith("."):
        return "hidden file"
    if name.startswith("~$") or name.lower().endswith(_TEMPORARY_SUFFIXES) or name.lower() in _TEMPORARY_NAMES:
        return "temporary file"
    return ""


def _printable(path: str) -> str:
    """The path as valid Unicode: undecodable bytes of a name as `\\xNN`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
    with contextlib.ExitStack() as stack:
        for member in members:
            path = stack.enter_context(extract_member(path, member, limits))
        yield path


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
