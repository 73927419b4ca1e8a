"""Prefect's embedded server for a command: deaf to Ctrl-C, and gone when the command is, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading

_POLL_SECONDS = 0.05


def start_embedded_server() -> None:
    """Start the server that a flow in this process would start, unless the user has one (`PREFECT_API_URL`).

    A terminal sends Ctrl-C to all processes of a command, and a server that ends before its flow leaves the flow trying
    to reach it for over a minute. Where this fails the flow tries again, and says what is wrong.
    """
    from prefect.settings import get_current_settings

    if get_current_settings().api.url or os.name != "posix":
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()

    def start() -> None:
        # A process inherits the blocked signals of the thread that starts it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with contextlib.suppress(Exception):
            server.start()

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    watched = False
    while thread.is_alive():  # it answers only seconds after its process is there
        thread.join(_POLL_SECONDS)
        if server.server_process is not None and not watched:
            _end_with_this_process(server.server_process.pid)
            watched = True


def _end_with_this_process(pid: int) -> None:
    """Have a shell wait for this process to end, even by kill -9, and then end the other.

    Its standard input is a pipe whose only other end is here; the system closes that when we are gone.
    """
    subprocess.Popen(
        ["/bin/sh", "-c", f"read -r _; kill {pid} 2>/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
