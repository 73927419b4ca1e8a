"""A real `prefect server start` for tests, on a port and in a home of its own, and commands that use it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import PrefectHome

ROOT = Path(__file__).parent.parent
PATIENCE = 240.0  # seconds to wait for what a busy machine may be slow to do; never asserted on
PREFECT = [sys.executable, "-m", "prefect"]


@contextlib.contextmanager
def serving(folder: Path, prefect_home: PrefectHome) -> Iterator[Mapping[str, str]]:
    """The environment of processes that use a server of this test's own."""
    port = _free_port()
    environment = {
        **os.environ,
        **prefect_home.environment,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_PROFILES_PATH": str(folder / "prefect" / "profiles.toml"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "BINDERY_LAKE": str(folder / "lake"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    process = start(environment, folder / "server.log", "server", "start", "--port", str(port))
    try:
        wait(lambda: _healthy(port), "the server")
        yield environment
    finally:
        end(process)


def start(environment: Mapping[str, str], log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with open(log, "w") as file:
        return subprocess.Popen(
            [*PREFECT, *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
        )


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def call(environment: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
