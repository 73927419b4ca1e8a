"""The inside of a worker process of `tasks.isolation`: its limits, its watch on the parent, and one guarded call."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tasks.errors import DocumentError

# One worker per core: libraries in it must not start threads of their own.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_THREAD_LIMIT"), "1"
)
_MB = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_NOT_READABLE = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
_inside = False


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: `value`, or `error`; and the largest resident set of the process so far."""

    value: Any
    error: DocumentError | None
    peak_mb: int


def in_worker() -> bool:
    """Whether this process is a worker, so that engines take one thread."""
    return _inside


def ready(announce: Connection, watched: Connection, memory_mb: int, file_bytes: int) -> None:
    """Prepare this process: announce its pid, die with the parent, limit memory and file size, use one thread."""
    global _inside
    _inside = True
    os.environ.update(ONE_THREAD)
    _die_with_parent(watched)
    if sys.platform != "win32":
        import resource

        # The watchdog is the limit; these are the backstop for what grows faster than it looks. Address space that
        # allocators reserve and never touch counts here, hence the margin.
        _lower(resource.RLIMIT_DATA, memory_mb * _MB * 5 // 4 + 1024 * _MB)
        _lower(resource.RLIMIT_FSIZE, max(file_bytes, 4096 * _MB))
        _lower(resource.RLIMIT_CORE, 0)
    announce.send(os.getpid())


def _lower(kind: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, hard))


def _die_with_parent(watched: Connection) -> None:
    """End when the parent does, even by kill -9: the pipe that only it writes to then reads end of file.

    The fork server is this process's parent by birth, so PR_SET_PDEATHSIG would watch the wrong one. On Linux the
    kernel also signals (SIGIO ends the process), which works while C code holds the interpreter lock.
    """
    if sys.platform == "linux":
        import fcntl

        handle = watched.fileno()
        fcntl.fcntl(handle, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | os.O_ASYNC)

    def wait() -> None:
        with contextlib.suppress(OSError, EOFError):
            watched.recv()
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="bindery-parent").start()


def start(fn: Callable[..., Any], args: tuple[Any, ...]) -> Outcome:
    """`fn(*args)`, with every exception made a DocumentError: only that crosses the border between processes."""
    try:
        return Outcome(fn(*args), None, peak_mb())
    except DocumentError as error:
        return Outcome(None, DocumentError(error.code, error.message, error.hint), peak_mb())
    except MemoryError:
        return Outcome(None, _out_of_memory(), peak_mb())
    except OSError as error:
        return Outcome(None, _environment(error) or _malformed(error), peak_mb())
    except Exception as error:  # noqa: BLE001  # whatever a library raises, the document is what failed
        if is_out_of_memory(error):
            return Outcome(None, _out_of_memory(), peak_mb())
        return Outcome(None, _malformed(error), peak_mb())
    except BaseException as error:  # noqa: BLE001  # a panic of a Rust library, or sys.exit: it must not end the run
        message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Outcome(None, DocumentError("crash", message, "the file may be hostile or damaged"), peak_mb())


def is_out_of_memory(error: Exception) -> bool:
    """Whether a C++ library has wrapped its own error of that kind."""
    return "bad_alloc" in str(error) or "Failed to allocate memory" in str(error)


def _malformed(error: Exception) -> DocumentError:
    lines = str(error).strip().splitlines()
    message = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
    return DocumentError("malformed", message, "the file may be damaged")


def _environment(error: OSError) -> DocumentError | None:
    """An error of the disk or the permissions, not of the document; Pillow's OSErrors about content have no number."""
    if error.errno in _NO_SPACE:
        return DocumentError("lake_full", f"the disk cannot be written: {error.strerror}", "free space and run again")
    if error.errno in _NOT_READABLE:
        name = os.path.basename(str(error.filename)) if error.filename else "the file"
        return DocumentError("unreadable", f"{name}: {error.strerror}", "the next ingest tries again")
    return None


def _out_of_memory() -> DocumentError:
    return DocumentError(
        "memory", "ran out of the memory that one worker may use", "raise limits.memory_mb, or split the document"
    )


def peak_mb() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
