"""Containers (mail, zip) and their members: a member is a source of its own, `report.eml!/1/budget.xlsx`.

Listing and extraction are bounded in number and bytes, stream to temporary files, and never use a member's name as a
path. Both run in worker processes, since what they read is untrusted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email
import email.policy
import functools
import hashlib
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from email.message import Message, MIMEPart
from pathlib import Path
from typing import IO, cast

from tasks.errors import DocumentError
from tasks.partition.detect import detect
from tasks.settings import Limits

MEMBER = "!/"
ZIP = "application/zip"
MAIL = "message/rfc822"
CONTAINERS = frozenset({ZIP, MAIL})
_MAX_MAIL_BYTES = 256 * 1024**2
_MAX_RATIO = 200  # deflate reaches about 1000; documents stay under 100
_RATIO_FLOOR = 64 * 1024**2


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


def list_members(path: Path, limits: Limits) -> list[Member]:
    """The members of a container file, each hashed and detected. Raises DocumentError if it breaks a limit."""
    members: list[Member] = []
    remaining = limits.container_bytes
    for number, (name, write) in enumerate(_members(path, limits), start=1):
        if number > limits.container_members:
            raise DocumentError(
                "too_many_members", f"more than {limits.container_members} members", "raise limits.container_members"
            )
        with tempfile.NamedTemporaryFile(prefix="bindery-") as file:
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
def extract_member(path: Path, number: int, limits: Limits) -> Iterator[Path]:
    """A temporary file with one member's bytes."""
    for index, (_, write) in enumerate(_members(path, limits), start=1):
        if index == number:
            with tempfile.NamedTemporaryFile(prefix="bindery-") as file:
                write(cast(IO[bytes], file), limits.container_bytes)
                file.flush()
                yield Path(file.name)
                return
    raise DocumentError("no_member", f"member {number} is no longer in {path.name}")


# Writes one member to a file, up to a number of bytes, and returns its size.
Write = Callable[[IO[bytes], int], int]


def _members(path: Path, limits: Limits) -> Iterator[tuple[str, Write]]:
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    yield from _zip_members(path, limits) if is_zip else _mail_members(path)


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
        raise DocumentError("malformed", f"the member cannot be unpacked: {error}") from error
    return size


def _zip_members(path: Path, limits: Limits) -> Iterator[tuple[str, Write]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            declared = sum(entry.file_size for entry in entries)
            if declared > limits.container_bytes:
                raise _bomb(f"declares {declared} bytes unpacked, the limit is {limits.container_bytes}")
            if declared > _RATIO_FLOOR and declared > _MAX_RATIO * max(1, path.stat().st_size):
                raise _bomb(f"declares {declared} bytes in a file of {path.stat().st_size}")
            for entry in entries:
                yield _clean(entry.filename), functools.partial(_write_zip_member, archive, entry)
    except zipfile.BadZipFile as error:
        raise DocumentError("malformed", f"not a readable zip archive: {error}") from error


def _write_mail_member(part: MIMEPart, file: IO[bytes], limit: int) -> int:
    if part.get_content_type() == MAIL:
        inner = part.get_payload()
        forwarded = inner[0] if isinstance(inner, list) and inner else None
        content = forwarded.as_bytes() if isinstance(forwarded, Message) else b""
    else:
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
    if len(content) > limit:
        raise _bomb(f"unpacks to more than {limit} bytes")
    return file.write(content)


def _mail_members(path: Path) -> Iterator[tuple[str, Write]]:
    if path.stat().st_size > _MAX_MAIL_BYTES:
        raise DocumentError("too_large", f"the mail is larger than {_MAX_MAIL_BYTES} bytes")
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    for number, part in enumerate(_attachments(message), start=1):
        yield _clean(_name(part, number)), functools.partial(_write_mail_member, part)


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
