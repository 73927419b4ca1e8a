"""A process that has imported everything and forks one child for each that is asked for: kills cost no start-up.

    with nursery("tests.llm.test_kill") as children:
        children.start(base_url, path)
        children.kill()
        assert children.ended() == signal.SIGKILL

Run by itself, the module of the test calls `serve` with a child's work.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

_BETWEEN = "\t"  # arguments, which are addresses and paths


class Children:
    """One at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._child = 0

    def start(self, *arguments: object) -> None:
        """Returns once there is a new child."""
        assert self._process.stdin is not None
        self._process.stdin.write(_BETWEEN.join(map(str, arguments)) + "\n")
        self._process.stdin.flush()
        self._child = self.ended()

    def kill(self) -> None:
        os.kill(self._child, signal.SIGKILL)

    def ended(self) -> int:
        """How the child ended, as os.waitpid has it; waits for that."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def nursery(module: str) -> Iterator[Children]:
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Children(process)
        finally:
            process.kill()


def serve(work: Callable[..., object], *imports: str) -> None:
    """Fork a child that does the work, for each line of standard input; its words are what the work is given."""
    for name in ("openai", *imports):
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(*line.rstrip("\n").split(_BETWEEN))
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def until(condition: Callable[[], bool]) -> None:
    """A child that fails on its own must not leave the test waiting for ever."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
