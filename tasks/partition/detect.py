"""What a file is: its content signature decides, its extension only where content cannot tell (the text family).

In: a name and a path. Out: `Detected`. Reads the head of the file and the directory of a zip, nothing else; imports
the standard library only, because fast commands use it on every file of a corpus. What a sensor measured looks like
any picture or table: its name says it (see `tasks.media_names`).
"""

from __future__ import annotations

import dataclasses
import os
import re
import zipfile
from pathlib import Path
from typing import IO

from tasks import media_names
from tasks.errors import DocumentError
from tasks.partition.signatures import NPY, signature

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ZIP = "application/zip"
EML = "message/rfc822"
OFFICE = frozenset({DOCX, PPTX, XLSX})
IMAGES = frozenset({"image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp"})
AUDIO = frozenset({"audio/wav", "audio/mpeg", "audio/flac", "audio/mp4", "audio/ogg"})
VIDEO = frozenset({"video/mp4", "video/quicktime", "video/x-matroska", "video/webm", "video/x-msvideo"})
DEPTH, THERMAL, IMU = "image/x-depth", "image/x-thermal", "application/x-imu"

_TEXT = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".htm": "text/html",
    ".html": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".eml": EML,
}
# What the name promises; content that is nothing we know then contradicts it.
_BINARY = {
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".pptx": "a PowerPoint presentation",
    ".xlsx": "an Excel workbook",
    ".zip": "a zip archive",
    **{extension: promise for extension, (_, promise) in media_names.MEDIA.items()},
}
# Of what a sensor measured: the type, and the content that it may be.
_SENSORS = {
    "depth": (DEPTH, ("image/png", "image/tiff", NPY)),
    "thermal": (THERMAL, ("image/png", "image/jpeg", "image/tiff", NPY)),
    "imu": (IMU, (NPY, "text/csv")),
}
_OFFICE_EXTENSIONS = frozenset({".docx", ".pptx", ".xlsx"})
_HEAD = 4096
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_MAIL_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:From |[!-9;-~]+[ \t]*:)")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))
_MAX_ZIP_ENTRIES = 100_000
_MAX_ZIP_DIRECTORY_BYTES = 32 << 20
_ZIP_ENTRY_BYTES = 46  # of a directory's entry, without its name
_ZIP_64_END_BYTES = 76  # what may lie between the directory and the end record


@dataclasses.dataclass(frozen=True, slots=True)
class Detected:
    """The media type a document is processed as, or None and the `reason` why it is skipped."""

    media_type: str | None
    reason: str = ""


def detect(name: str, path: Path) -> Detected:
    """The type of the file at `path`, which is called `name`.

    Raises DocumentError where the content contradicts itself or its name: `empty_file`, `wrong_content`,
    `encrypted` (an office file inside OLE), `malformed` (a damaged zip directory), `too_many_members` (a zip directory
    too large to be looked at).
    """
    extension = os.path.splitext(name)[1].lower()
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if sensor := media_names.sensor(name):
        return _measured(sensor, extension, head)
    if not head and extension not in _BINARY and extension not in _TEXT:
        return _unsupported(extension)
    if not head:
        raise DocumentError("empty_file", "the file is empty (0 bytes)", "replace or remove it")
    if head.startswith(_OLE):
        return _ole(extension)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(extension, path)
    media_type = signature(head, extension, extension in _TEXT)
    if media_type is not None and media_type != NPY:
        return Detected(media_type)
    if extension in _BINARY:
        raise DocumentError(
            "wrong_content", f"named {extension} but its content is not {_BINARY[extension]}", "check how it was saved"
        )
    if extension in _TEXT:
        return _text(extension, head)
    return _unsupported(extension)


def _unsupported(extension: str) -> Detected:
    if extension == ".npy":
        return Detected(None, "unsupported type .npy unless its name says what it measures: NAME.depth.npy, "
                        "NAME.thermal.npy or NAME.imu.npy")  # fmt: skip
    return Detected(None, f"unsupported type {extension}" if extension else "unsupported type (no extension)")


def _measured(sensor: str, extension: str, head: bytes) -> Detected:
    media_type, contents = _SENSORS[sensor]
    if not head:
        raise DocumentError("empty_file", "the file is empty (0 bytes)", "replace or remove it")
    found = signature(head, extension, extension in _TEXT)
    if found is None and extension == ".csv":
        found = _text(extension, head).media_type
    if found not in contents:
        *others, last = (content.rpartition("/")[2].removeprefix("x-").upper() for content in contents)
        raise DocumentError(
            "wrong_content",
            f"named .{sensor}{extension} but its content is not {', '.join(others)} or {last}",
            "check how it was saved, or leave the word out of its name",
        )
    return Detected(media_type)


def _ole(extension: str) -> Detected:
    if extension in _OFFICE_EXTENSIONS:
        raise DocumentError(
            "encrypted", f"the {extension} file is encrypted: it needs a password", "save it without a password"
        )
    if extension in _BINARY or extension in _TEXT:
        raise DocumentError(
            "wrong_content", f"named {extension} but its content is an old Office (OLE) file", "convert it"
        )
    return _unsupported(extension)


def check_zip(file: IO[bytes]) -> None:
    """Refuse a zip whose directory is too large, before it becomes objects: a million entries take seconds and 400 MB.

    Raises DocumentError `too_many_members`. The end record is read as ZipFile reads it, so that no file can show this
    function another directory; entries are counted in the directory, since their declared number may be a lie.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end is None:
        return  # ZipFile says what is wrong
    size, location = int(end[5]), int(end[9])
    entries = 0
    if _MAX_ZIP_ENTRIES * _ZIP_ENTRY_BYTES < size <= _MAX_ZIP_DIRECTORY_BYTES:
        file.seek(max(0, location - size - _ZIP_64_END_BYTES))
        entries = file.read(size + _ZIP_64_END_BYTES).count(b"PK\x01\x02")
    if size > _MAX_ZIP_DIRECTORY_BYTES or entries > _MAX_ZIP_ENTRIES:
        raise DocumentError(
            "too_many_members",
            f"its zip directory has {size >> 20} MB; at most {_MAX_ZIP_ENTRIES} entries in "
            f"{_MAX_ZIP_DIRECTORY_BYTES >> 20} MB are read",
            "split the archive",
        )


def _zip(extension: str, path: Path) -> Detected:
    try:
        with open(path, "rb") as file:
            check_zip(file)
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
    except DocumentError:
        if extension in _BINARY or extension in _TEXT or not extension:
            raise
        return _unsupported(extension)  # .jar, .epub ...
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        if extension in _BINARY:
            raise DocumentError(
                "malformed", f"named {extension} but its zip directory is damaged or cut off", "fetch it again"
            ) from error
        return _unsupported(extension)
    if "[Content_Types].xml" in names:
        parts = set(names)
        if "xl/workbook.xml" in parts:
            return Detected(XLSX)
        if extension in (".docm", ".dotx", ".dotm", ".xlsb", ".vsdx", ".potx"):
            return _unsupported(extension)
        if any(name.startswith("word/") for name in names):
            return Detected(DOCX)
        if any(name.startswith("ppt/") for name in names):
            return Detected(PPTX)
        if any(name.startswith("xl/") for name in names) and extension == ".xlsx":
            return Detected(XLSX)
    if extension in _OFFICE_EXTENSIONS or (extension in _BINARY and extension != ".zip"):
        raise DocumentError(
            "wrong_content", f"named {extension} but its content is not {_BINARY[extension]}", "it is some other zip"
        )
    if extension in ("", ".zip") or extension in _TEXT:
        return Detected(ZIP)
    return _unsupported(extension)  # .odt, .epub, .jar ...: a zip by form only


def _text(extension: str, head: bytes) -> Detected:
    mail = extension == ".eml" and _MAIL_HEAD.match(head) is not None  # its body may be of any bytes
    if head.startswith(_BOMS) or mail or looks_utf16(head) is not None:
        return Detected(_TEXT[extension])
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if b"\0" in head or controls > len(head) * 0.05:
        raise DocumentError(
            "wrong_content", f"named {extension} but its content is binary, not text", "check how it was saved"
        )
    return Detected(_TEXT[extension])


def looks_utf16(head: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` where NULs fill one of the two byte positions of mostly Latin text, else None."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) * 0.2 or min(even, odd) > max(even, odd) * 0.05:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
