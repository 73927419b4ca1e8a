"""Downloads the published checkpoint: a URL in, `<models>/downloads/imagebind_huge.pth` out, resumed where it stopped.

Whoever calls `fetch` has shown `NOTICE` and had it accepted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import orjson

from tasks.embed.imagebind import installed
from tasks.errors import BinderyError, UsageError
from tasks.progress import report
from tasks.storage import sync_folder

if TYPE_CHECKING:
    import httpx

URL = "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth"
FILE = "imagebind_huge.pth"
NOTICE = (
    f"ImageBind's weights have the licence {installed.LICENCE}: {installed.LICENCE_URL}",
    "They are for non-commercial use only.",
)
_ATTEMPTS = 6  # in a row that bring nothing
_FIRST_ATTEMPTS = 2  # where no server has ever answered: it is likelier the address or the network than a pause
_BLOCK = 2**20
_SHARE = 0.02  # of the file, between two reports
_SPARE_BYTES = 64 * 2**20
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """The file on the server that what is here is of, in part or complete. `version` is what If-Range compares; empty:
    it cannot be resumed.
    """

    url: str
    version: str
    size: int | None


class _TryAgainError(Exception):
    """The connection or the server failed in a way that may pass. `answered`: there was a server."""

    def __init__(self, message: str, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


def fetch(url: str, models: Path, pause: Callable[[float], object] = time.sleep) -> Path:
    """The checkpoint as a complete file. What an earlier call began is gone on with, if the server still has that file;
    a complete file of another URL is downloaded anew.

    Raises BinderyError where the server refuses or keeps failing; what has come is kept.
    """
    if not url.startswith(("https://", "http://")):
        raise UsageError(
            f"{url!r} is no http or https URL", "a file is added by: bindery models add imagebind PATH.pth"
        )
    folder = models / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE
    known = _read_description(folder)
    if target.exists() and known is not None and known.url == url:  # stopped after the download, before it was added
        return target
    with _part(folder) as part:
        target.unlink(missing_ok=True)  # of another URL: before the description tells of this one
        failures, answered = 0, False
        while True:
            before = part.seek(0, os.SEEK_END)
            answered |= before > 0
            try:
                _go_on(url, part, folder)
                break
            except _TryAgainError as error:
                failures = 1 if part.seek(0, os.SEEK_END) > before else failures + 1
                answered |= error.answered
                if not answered and failures >= _FIRST_ATTEMPTS:
                    message, hint = f"{url} cannot be reached: {error}", "check the network and --url, or get the file"
                    raise BinderyError(message, f"{hint} by other means: {installed.HOW_TO_ADD}", "download") from error
                if failures >= _ATTEMPTS:
                    message = f"the download of {url} keeps failing: {error}"
                    raise BinderyError(message, "the same command goes on where it stopped", "download") from error
                report("note", label=f"bindery: {error}; trying again")
                pause(min(30.0, 2.0**failures))
        part.flush()
        os.fsync(part.fileno())
        os.replace(part.name, target)
    sync_folder(folder)
    return target


def discard(models: Path) -> None:
    """Take away what `fetch` has downloaded, and its folder if nothing else is in it."""
    folder = models / "downloads"
    for path in (folder / FILE, folder / f"{FILE}.part", _description(folder)):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _part(folder: Path) -> Iterator[IO[bytes]]:
    """The file that is being downloaded into, for one process at a time."""
    with (folder / f"{FILE}.part").open("ab") as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(part.fileno()).st_nlink:
                raise BlockingIOError("whoever had it has just taken it away")
        except BlockingIOError as error:
            message = f"another bindery is downloading into {folder}"
            raise BinderyError(message, "wait until it has ended", "busy") from error
        try:
            yield part
        except BaseException:
            if part.seek(0, os.SEEK_END) == 0:
                discard(folder.parent)
            raise


def _go_on(url: str, part: IO[bytes], folder: Path) -> None:
    """One request for what is missing, to its end. Raises _TryAgainError where that does not come."""
    import httpx

    known, have = _read_description(folder), part.seek(0, os.SEEK_END)
    if known is None or known.url != url or not known.version:
        have = 0
    elif known.size == have:
        return
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges are of the file itself
    if have and known is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": known.version}
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
            if response.status_code == 416:  # what is here is not the beginning of what is there
                part.truncate(0)
            start, size = _extent(response, have)
            part.truncate(start)  # opened to append: what comes is written at the end
            _require_space(folder, start, size)
            _write_description(folder, _Known(url, _version(response), size))
            _copy(response, part, start, size)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise BinderyError(f"{url} cannot be fetched: {error}", "check --url", "download") from error
    except httpx.TransportError as error:
        answered = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        raise _TryAgainError(f"the connection failed, {type(error).__name__}: {error}", answered) from error


def _extent(response: httpx.Response, have: int) -> tuple[int, int | None]:
    """At which byte of the file the answer begins, and the file's size if the server tells."""
    status = response.status_code
    if status == 200:
        length = response.headers.get("content-length", "")
        return 0, int(length) if length.isdecimal() else None
    if status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        if span is not None and int(span[1]) == have:
            return have, None if span[2] == "*" else int(span[2])
        raise BinderyError(f"{response.url} sends another part than was asked for", "use another --url", "download")
    if status in (408, 416, 429) or status >= 500:
        raise _TryAgainError(f"the server answered {status} {response.reason_phrase}")
    message = f"{response.url} cannot be fetched: the server answered {status} {response.reason_phrase}"
    raise BinderyError(message, "check --url, or get the file by other means and add it", "download")


def _copy(response: httpx.Response, part: IO[bytes], start: int, size: int | None) -> None:
    done = told = start
    began = time.monotonic()
    for block in response.iter_raw():  # as it comes: what is held back is lost when the connection fails
        part.write(block)
        done += len(block)
        if done == size or done - told >= _SHARE * (size or 50 * _BLOCK):
            told, rate = done, (done - start) / max(1e-3, time.monotonic() - began)
            whole = f" of {size / 1e9:.2f} GB, {done / size:.0%}" if size else " GB"
            report("phase", label=f"downloaded {done / 1e9:.2f}{whole}, {rate / 1e6:.1f} MB/s")
    part.flush()
    if size is not None and done != size:
        raise _TryAgainError(f"the server ended after {done} of {size} bytes")


def _require_space(folder: Path, start: int, size: int | None) -> None:
    missing, free = (size or start) - start, shutil.disk_usage(folder).free
    if free < missing + _SPARE_BYTES:
        raise BinderyError(
            f"the download needs {missing / 1e9:.1f} GB more in {folder}, which has {free / 1e9:.1f} GB free",
            "make room, or choose another folder with BINDERY_MODELS",
            "storage",
        )


def _version(response: httpx.Response) -> str:
    """What tells this file from a later one: a strong entity tag, or else the time of its last change."""
    tag: str = response.headers.get("etag", "")
    changed: str = response.headers.get("last-modified", "")
    return tag if tag and not tag.startswith("W/") else changed


def _description(folder: Path) -> Path:
    return folder / f"{FILE}.json"


def _read_description(folder: Path) -> _Known | None:
    with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
        return _Known(**orjson.loads(_description(folder).read_bytes()))
    return None


def _write_description(folder: Path, known: _Known) -> None:
    temporary = folder / f"{installed.TEMPORARY}{FILE}.json"
    temporary.write_bytes(orjson.dumps(dataclasses.asdict(known)))
    os.replace(temporary, _description(folder))
