"""Containers (mail, zip) and their members: a member is a source of its own, `report.eml!/1/budget.xlsx`.

Listing and extraction are bounded in number and bytes, stream to temporary files, and never use a member's name as a
path. Both run in worker processes, since what they read is untrusted.

A worker keeps the last containers open, and the last inner containers unpacked, so that reading all n members of one
costs n and not n * n. Temporary files lie in one folder per process that runs workers (`run_scratch`): it removes what
killed workers leave, and the next one what a killed run leaves.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import email
import email.headerregistry
import email.policy
import fcntl
import functools
import hashlib
import lzma
import multiprocessing.util
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from email.message import Message, MIMEPart
from pathlib import Path
from typing import IO, NamedTuple, cast

from tasks.errors import DocumentError
from tasks.partition.detect import check_zip, detect
from tasks.settings import Limits

MEMBER = "!/"
ZIP = "application/zip"
MAIL = "message/rfc822"
CONTAINERS = frozenset({ZIP, MAIL})
SCRATCH = "BINDERY_SCRATCH"  # set by `run_scratch` for the workers, not by users: they have TMPDIR
_MAX_MAIL_BYTES = 256 * 1024**2
_MAX_KEPT_MAIL_BYTES = 64 * 1024**2
_MAX_RATIO = 200  # deflate reaches about 1000; documents stay under 100
_RATIO_FLOOR = 64 * 1024**2
# The parser reads a header anew at each look, which is most of the time that a mail with many attachments takes.
_POLICY = email.policy.default.clone(header_factory=functools.lru_cache(4096)(email.headerregistry.HeaderRegistry()))


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One file inside a container: its 1-based number, its name (never trusted as a path), and what it is.

    `media_type` is None where `reason` says why it is skipped; `error` is set where it cannot be read.
    """

    number: int
    name: str
    size: int
    doc_id: str
    media_type: str | None
    reason: str = ""
    error: DocumentError | None = None

    def uri(self, container: str) -> str:
        return f"{container}{MEMBER}{self.number}/{self.name.replace(MEMBER, '!_')}"


def scratch() -> str:
    """The folder for temporary copies: that of the run this worker works for, else the system's."""
    folder = os.environ.get(SCRATCH, "")
    return folder if os.path.isdir(folder) else tempfile.gettempdir()


_runs = 0
_runs_lock = threading.Lock()


@contextlib.contextmanager
def run_scratch() -> Iterator[None]:
    """Around what starts workers and ends them: temporary copies get a folder, which is emptied at the end."""
    global _runs
    folder = _own_scratch()
    os.environ[SCRATCH] = folder
    with _runs_lock:
        _runs += 1
    try:
        yield
    finally:
        with _runs_lock:
            _runs -= 1
            if _runs == 0:
                for entry in os.scandir(folder) if os.path.isdir(folder) else ():
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


@functools.cache
def _own_scratch() -> str:
    """This process's folder, one for all its runs: the fork server keeps the environment of its own start.

    It is locked as long as this process lives; folders of processes that were killed are not, and are removed.
    """
    prefix = "bindery-run-"
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(prefix):
            with contextlib.suppress(OSError):
                handle = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path, ignore_errors=True)
                finally:
                    os.close(handle)
    folder = tempfile.mkdtemp(prefix=prefix)
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def list_members(path: Path, limits: Limits) -> list[Member]:
    """The members of a container file, each hashed and detected. Raises DocumentError if it breaks a limit."""
    members: list[Member] = []
    remaining = limits.container_bytes
    found = _members(path, limits)
    if len(found) > limits.container_members:
        raise DocumentError(
            "too_many_members", f"more than {limits.container_members} members", "raise limits.container_members"
        )
    for number, (name, write) in enumerate(found, start=1):
        with tempfile.NamedTemporaryFile(prefix="bindery-", dir=scratch()) as file:
            try:
                size = write(cast(IO[bytes], file), remaining)
            except DocumentError as error:
                if error.code == "zip_bomb":
                    raise
                members.append(Member(number, name, 0, "", None, error=error))
                continue
            file.flush()
            remaining -= size
            members.append(_describe(number, name, size, Path(file.name)))
    return members


def _describe(number: int, name: str, size: int, path: Path) -> Member:
    with open(path, "rb") as content:
        doc_id = hashlib.file_digest(content, "sha256").hexdigest()
    try:
        found = detect(name, path)
    except DocumentError as error:
        return Member(number, name, size, doc_id, None, error=error)
    return Member(number, name, size, doc_id, found.media_type, found.reason)


@contextlib.contextmanager
def extract_member(path: Path, numbers: Sequence[int], limits: Limits) -> Iterator[Path]:
    """A temporary file with the bytes of a member; `numbers` lead to it, through containers inside containers."""
    with _kept_lock:
        for depth, number in enumerate(numbers[:-1]):
            path = _inner_container(depth, path, number, limits)
        file = _copy(path, numbers[-1], limits)
    with file:
        yield Path(file.name)


Copy = tempfile._TemporaryFileWrapper  # deleted when closed

# The containers inside the container that was last read, unpacked: one for each depth, with what it was unpacked from.
_kept: list[tuple[object, Copy[bytes]]] = []
_kept_lock = threading.Lock()


def _inner_container(depth: int, path: Path, number: int, limits: Limits) -> Path:
    origin = (_stamp(path), number, limits.container_bytes)
    if depth < len(_kept) and _kept[depth][0] == origin and os.path.exists(_kept[depth][1].name):
        return Path(_kept[depth][1].name)
    _forget(depth)
    _forget_at_exit()
    _kept.append((origin, _copy(path, number, limits)))
    return Path(_kept[depth][1].name)


def _forget(depth: int) -> None:
    while len(_kept) > depth:
        with contextlib.suppress(OSError):
            _kept.pop()[1].close()


@functools.cache
def _forget_at_exit() -> None:
    multiprocessing.util.Finalize(None, _forget, args=(0,), exitpriority=1)  # workers run no atexit functions


def _copy(path: Path, number: int, limits: Limits) -> Copy[bytes]:
    members = _members(path, limits)
    if not 0 < number <= len(members):
        raise DocumentError("no_member", f"member {number} is no longer in {path.name}")
    file = tempfile.NamedTemporaryFile(prefix="bindery-", dir=scratch())  # noqa: SIM115  # the caller closes it
    try:
        members[number - 1][1](cast(IO[bytes], file), limits.container_bytes)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


# Writes one member to a file, up to a number of bytes, and returns its size.
Write = Callable[[IO[bytes], int], int]


Members = Sequence[tuple[str, Write]]


def _members(path: Path, limits: Limits) -> Members:
    stamp = _stamp(path)
    with open(path, "rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    if is_zip:
        return _zip_members(path, stamp, limits)
    if stamp.size > _MAX_MAIL_BYTES:
        raise DocumentError("too_large", f"the mail is larger than {_MAX_MAIL_BYTES} bytes")
    return _kept_mail(path, stamp) if stamp.size <= _MAX_KEPT_MAIL_BYTES else _parse_mail(path)


class _Stamp(NamedTuple):
    """Says that a path still holds the same file with the same content."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def _stamp(path: Path) -> _Stamp:
    info = path.stat()
    return _Stamp(str(path), info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _write_zip_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: IO[bytes], limit: int) -> int:
    if entry.flag_bits & 1:
        raise DocumentError("encrypted", "the member is encrypted", "unpack it with its password and ingest that")
    size = 0
    try:
        with archive.open(entry) as source:
            while block := source.read(1 << 20):
                size += len(block)
                if size > limit:
                    raise _bomb(f"unpacks to more than {limit} bytes")
                file.write(block)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, which may be full, and not of the archive
        raise DocumentError("malformed", f"the member cannot be unpacked: {error}") from error
    return size


def _zip_members(path: Path, stamp: _Stamp, limits: Limits) -> Members:
    members, declared = _kept_zip(path, stamp)
    if declared > limits.container_bytes:
        raise _bomb(f"declares {declared} bytes unpacked, the limit is {limits.container_bytes}")
    if declared > _RATIO_FLOOR and declared > _MAX_RATIO * max(1, stamp.size):
        raise _bomb(f"declares {declared} bytes in a file of {stamp.size}")
    return members


@functools.lru_cache(maxsize=2)
def _kept_zip(path: Path, stamp: _Stamp) -> tuple[Members, int]:
    """The members of a zip, which stays open as long as they are kept, and the bytes that it declares for them."""
    try:
        with open(path, "rb") as file:
            check_zip(file)
        archive = zipfile.ZipFile(path)  # it closes itself when the last of its members is forgotten
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DocumentError("malformed", f"not a readable zip archive: {error}") from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    members = [(_clean(entry.filename), functools.partial(_write_zip_member, archive, entry)) for entry in entries]
    return members, sum(entry.file_size for entry in entries)


def _write_mail_member(part: MIMEPart, file: IO[bytes], limit: int) -> int:
    if part.get_content_type() == MAIL:
        inner = part.get_payload()
        forwarded = inner[0] if isinstance(inner, list) and inner else None
        try:
            content = forwarded.as_bytes() if isinstance(forwarded, Message) else b""
        except Exception as error:  # the generator raises many kinds on what the parser has let through
            raise DocumentError("malformed", f"the forwarded mail cannot be taken out: {error}") from error
    else:
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
    if len(content) > limit:
        raise _bomb(f"unpacks to more than {limit} bytes")
    return file.write(content)


def _parse_mail(path: Path) -> Members:
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=_POLICY)
    return [
        (_clean(_name(part, number)), functools.partial(_write_mail_member, part))
        for number, part in enumerate(_attachments(message), start=1)
    ]


@functools.lru_cache(maxsize=1)
def _kept_mail(path: Path, stamp: _Stamp) -> Members:
    return _parse_mail(path)


def _attachments(part: MIMEPart) -> Iterator[MIMEPart]:
    """The parts that are not the mail's own text: attachments, inline pictures, forwarded mails."""
    if part.get_content_type() == MAIL:
        yield part
    elif part.is_multipart():
        for inner in part.iter_parts():
            yield from _attachments(inner)
    elif part.get_content_maintype() == "multipart":
        return  # it says so but has no parts: a malformed mail whose text partitioning reads
    elif part.get_content_disposition() == "attachment" or _file_name(part) or part.get_content_maintype() != "text":
        yield part


def _file_name(part: MIMEPart) -> str:
    try:
        return part.get_filename() or ""
    except (ValueError, TypeError, AttributeError, LookupError, IndexError):  # malformed headers of real mails
        return ""


def _name(part: MIMEPart, number: int) -> str:
    given = _file_name(part)
    if given:
        return given
    if part.get_content_type() == MAIL:
        return f"message-{number}.eml"
    subtype = part.get_content_subtype()
    return f"part-{number}.{ {'jpeg': 'jpg', 'plain': 'txt', 'markdown': 'md', 'mpeg': 'mp3'}.get(subtype, subtype) }"


def _clean(name: str) -> str:
    """A member's name as a readable label: valid Unicode, no control characters, no leading or parent folders."""
    text = name.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    text = "".join(char for char in text if char.isprintable())
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def _bomb(message: str) -> DocumentError:
    return DocumentError("zip_bomb", f"the archive {message}", "unpack it by hand if it is genuine")
