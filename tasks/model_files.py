"""Models on disk: where they are kept, and checksums of their files.

Checksums of large files are remembered by size and time stamp: gigabytes are read once, not at every command.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tasks.rows import content_id

DEFAULT_ROOT = (
    Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share").expanduser() / "bindery" / "models"
)
_SMALL = 1 << 16  # bytes that are read anew each time
_RACY_SECONDS = 2.0  # a file that is so young may change once more within its time stamp


def root(setting: str | None) -> Path:
    """The folder of models: what the setting `models` says, or the user's data folder."""
    return Path(setting).expanduser().absolute() if setting else DEFAULT_ROOT


def cache_root() -> Path:
    """Where what can be made again from models is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "bindery" / "models"


def checksum(file: Path, name: str, known: dict[str, list[Any]]) -> str:
    """The sha256 of a file, looked up under `name` in what is `remembered`. Raises OSError."""
    stat = file.stat()
    stamp = [stat.st_size, stat.st_mtime_ns]
    if stat.st_size > _SMALL and known.get(name, [])[:2] == stamp:
        return str(known[name][2])
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if stat.st_size > _SMALL and time.time() - stat.st_mtime > _RACY_SECONDS:
        known[name] = [*stamp, found]
    return found


@contextlib.contextmanager
def remembered(folder: Path) -> Iterator[dict[str, list[Any]]]:
    """The checksums of a folder's files as this machine has them, kept again where they changed; that it can is no
    condition."""
    place = cache_root() / "checksums" / f"{content_id(str(folder.resolve()))}.json"
    known: dict[str, list[Any]] = {}
    with contextlib.suppress(OSError, ValueError):
        held = orjson.loads(place.read_bytes())
        known = {str(name): list(entry) for name, entry in held.items()} if isinstance(held, Mapping) else {}
    before = orjson.dumps(known)
    yield known
    if orjson.dumps(known) != before:
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary = place.with_name(f".tmp-{secrets.token_hex(8)}")
            temporary.write_bytes(orjson.dumps(known))
            os.replace(temporary, place)
