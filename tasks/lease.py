"""One writer at a time: a lease with a heartbeat and a fencing token, kept in the lake beside `lake.json`.

The lease of a process that was killed on this machine is taken over at once; that of another machine when its
heartbeat is older than `EXPIRY_SECONDS`. Each holder gets a larger token; `Lease.check` before a release is created
makes sure that a holder that was believed dead cannot publish over its successor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil

from tasks.errors import LakeBusyError
from tasks.storage import Storage

LEASE = "lease.json"
EXPIRY_SECONDS = 120.0
HEARTBEAT_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease: a process, named so that another one on the same machine can see whether it lives."""

    token: int
    host: str
    pid: int
    started: float
    purpose: str
    beat: float

    def alive(self) -> bool:
        if self.pid == 0:
            return False
        if self.host != _host():
            return time.time() - self.beat < EXPIRY_SECONDS
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.started) < 1.0)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


class Lease:
    """Held from `hold`; `check` raises LakeBusyError if somebody else has taken it meanwhile."""

    def __init__(self, storage: Storage, holder: Holder) -> None:
        self._storage = storage
        self._holder = holder

    @property
    def token(self) -> int:
        return self._holder.token

    def check(self) -> None:
        with _exclusive(self._storage):
            self._require()

    def beat(self) -> None:
        with _exclusive(self._storage):
            self._require()
            self._holder = dataclasses.replace(self._holder, beat=time.time())
            _write(self._storage, self._holder)

    def release(self) -> None:
        with _exclusive(self._storage):
            if (found := _read(self._storage)) and found.token == self.token:
                _write(self._storage, dataclasses.replace(found, pid=0, purpose=""))

    def _require(self) -> None:
        found = _read(self._storage)
        if found is None or found.token != self.token:
            raise LakeBusyError("the lake's lease was taken over by another writer", "run the command again")


@contextlib.contextmanager
def hold(storage: Storage, purpose: str) -> Iterator[Lease]:
    """Hold the lake's lease in the block. Raises LakeBusyError at once if a living writer has it."""
    lease = Lease(storage, _take(storage, purpose))
    done = threading.Event()
    heart = threading.Thread(target=_keep_beating, args=(lease, done), name="lease", daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        done.set()
        heart.join()
        with contextlib.suppress(OSError):  # it must not hide how the block ended; the lease ends with this process
            lease.release()


def current_holder(storage: Storage) -> Holder | None:
    """The living writer of a lake, if there is one."""
    found = _read(storage)
    return found if found is not None and found.alive() else None


def require_free(storage: Storage) -> None:
    """Raises LakeBusyError while a living writer has the lake."""
    _refuse_if_held(_read(storage))


def _refuse_if_held(holder: Holder | None) -> None:
    if holder is not None and holder.alive():
        host = holder.host.split("/")[0]
        raise LakeBusyError(
            f"the lake is being written by another bindery ({holder.purpose}, process {holder.pid} on {host})",
            "wait until it has ended, or stop it, and run the command again",
        )


def _take(storage: Storage, purpose: str) -> Holder:
    with _exclusive(storage):
        found = _read(storage)
        _refuse_if_held(found)
        started = psutil.Process().create_time()
        token = (found.token if found else 0) + 1
        holder = Holder(token, _host(), os.getpid(), started, purpose, time.time())
        _write(storage, holder)
        return holder


def _keep_beating(lease: Lease, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        try:
            lease.beat()
        except LakeBusyError:
            return  # `check` before publishing tells the holder
        except OSError:
            continue  # a full disk or a share that is away for a moment: the lease is still ours


def _host() -> str:
    """This machine since its last start, and this container: elsewhere a process id means another process."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}/{boot.read_text().strip()}/{namespace.stat().st_ino}"
    return f"{socket.gethostname()}/"


@contextlib.contextmanager
def _exclusive(storage: Storage) -> Iterator[None]:
    """A short critical section for read-modify-write of the lease file; the kernel frees it if we die."""
    path = storage.local("lease.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(storage: Storage) -> Holder | None:
    try:
        return Holder(**orjson.loads(storage.read(LEASE)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _write(storage: Storage, holder: Holder) -> None:
    storage.write(LEASE, orjson.dumps(dataclasses.asdict(holder)) + b"\n", durable=True)
