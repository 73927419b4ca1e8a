"""The inside of one process of `devices`: methods of this device's runtime by name in, answers out, in order."""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tasks.embed.imagebind.installed import Installed
from tasks.errors import BinderyError

PENDING = 2  # tasks that a process has: one that it computes, one that is on its way


def serve(connection: Connection, installed: Installed, device: str, precision: str, threads: int) -> None:
    """Answer until the other end says that it is done, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to end
    inbox: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    runtime: Any = None
    failure: BinderyError | None = None
    try:
        import torch

        from tasks.embed.imagebind.runtime import Runtime

        if device == "cpu":
            torch.set_num_threads(threads)
        runtime = Runtime(installed, device, precision)
    except BinderyError as error:
        failure = error
    started: collections.deque[tuple[BinderyError | None, Any]] = collections.deque()
    while True:
        task = None
        try:
            task = inbox.get(block=not started)
        except queue.Empty:
            pass
        else:
            if task is None:
                break
            started.append(_answer(runtime, failure, *task))
            if len(started) < PENDING and runtime is not None and runtime.in_flight:
                continue  # begin the next one before this one is waited for
        connection.send(_settled(*started.popleft()))
    while started:
        connection.send(_settled(*started.popleft()))
    connection.close()
    os._exit(0)  # nothing is left to tidy up, and unloading torch and a driver takes seconds


def _receive(connection: Connection, inbox: queue.Queue[Any]) -> None:
    """Read at once whatever comes, so that neither side ever waits for the other to read."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            inbox.put(task)
            if task is None:
                return
    os._exit(1)  # the other end is gone, with the process that wanted the results


def _answer(runtime: Any, failure: BinderyError | None, method: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    if failure is not None:
        return failure, None
    return _guarded(getattr(runtime, method), *arguments)


def _settled(error: BinderyError | None, value: Any) -> tuple[BinderyError | None, Any]:
    return (error, value) if error is not None or not callable(value) else _guarded(value)


def _guarded(call: Callable[..., Any], *arguments: Any) -> tuple[BinderyError | None, Any]:
    try:
        return None, call(*arguments)
    except BinderyError as error:
        return error, None
    except Exception as error:  # noqa: BLE001  it must reach whoever waits, and may not survive pickling as it is
        return BinderyError(f"{type(error).__name__}: {error}"), None
