"""Bytes under a root, by relative path: the only module that touches the lake's files.

Writes appear whole or not at all, whatever happens to the process. `LocalStorage` is a folder; another backend
(an object store) needs the same eight methods and nothing else changes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from tasks.errors import LakeError

_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
)


class Storage(Protocol):
    root: str

    def exists(self, path: str) -> bool: ...
    def size(self, path: str) -> int: ...
    def read(self, path: str) -> bytes: ...
    def write(self, path: str, data: bytes | Iterable[bytes], durable: bool = False) -> None: ...
    def create(self, path: str, data: bytes) -> bool: ...
    def list(self, folder: str) -> list[str]: ...
    def delete(self, path: str) -> None: ...
    def local(self, path: str) -> Path: ...


class LocalStorage:
    """A folder. Temporary names begin with `.tmp-`, which no reader looks at."""

    def __init__(self, root: str | Path) -> None:
        self.root = os.path.abspath(root)  # without `..`, as `local` compares it

    def local(self, path: str) -> Path:
        """The file behind a relative path; refuses to leave the root."""
        target = Path(os.path.normpath(os.path.join(self.root, path)))
        if not target.is_relative_to(self.root):
            raise LakeError(f"path {path!r} leaves the lake")
        return target

    def exists(self, path: str) -> bool:
        return self.local(path).exists()

    def size(self, path: str) -> int:
        return self.local(path).stat().st_size

    def read(self, path: str) -> bytes:
        return self.local(path).read_bytes()

    def write(self, path: str, data: bytes | Iterable[bytes], durable: bool = False) -> None:
        """Replace `path` by `data`, given whole or in blocks, atomically; `durable` waits until it would survive a
        power cut. An error while the blocks are made leaves nothing behind."""
        with self._temporary(path, data, durable) as temporary:
            os.replace(temporary, self.local(path))

    def create(self, path: str, data: bytes) -> bool:
        """Create `path` with `data`, durably, unless it exists; says whether it did. One of many callers wins."""
        target = self.local(path)
        with self._temporary(path, data, durable=True) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                if not _claim(target, temporary):
                    return False
            sync_folder(target.parent)
            return True

    def list(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, sorted; empty where it does not exist."""
        try:
            with os.scandir(self.local(folder)) as entries:
                return sorted(e.name for e in entries if e.is_file() and not e.name.startswith(".tmp-"))
        except FileNotFoundError:
            return []

    def delete(self, path: str) -> None:
        self.local(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _temporary(self, path: str, data: bytes | Iterable[bytes], durable: bool) -> Iterator[str]:
        folder = self.local(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        name = str(folder / f".tmp-{secrets.token_hex(8)}")
        # Not mkstemp, whose files only their owner can read: others may search the lake if the umask lets them.
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines((data,) if isinstance(data, bytes) else data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _claim(target: Path, temporary: str) -> bool:
    """What a hard link does, where the file system has none: whoever creates the empty file may replace it."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileExistsError:
        return False
    try:
        os.replace(temporary, target)
    except BaseException:
        os.unlink(target)
        raise
    return True


def sync_folder(folder: Path) -> None:
    """Have renames in a folder survive a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_storage(uri: str) -> Storage:
    """The storage behind a lake URI: a path or file:// URI."""
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    if "://" in uri:
        raise LakeError(
            f"lake {uri!r}: only folders are supported by this version", "give a folder: --lake /path/to/lake"
        )
    return LocalStorage(uri)
