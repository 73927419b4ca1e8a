"""kill -9 at every step of a batch: the next run goes on with the same batch, and nothing is paid or put down twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from tasks.llm.batch.store import open_batches
from tasks.llm.errors import PendingError
from tasks.storage import LocalStorage
from tests.llm.batch_runs import account, ask, assert_paid, ledger, run_live, settings, submit
from tests.llm.batches import BatchBehaviour, Point
from tests.llm.endpoint import FakeEndpoint, Fault

REQUESTS = [ask(number) for number in range(60)]
KILLS = 20


def _child(base_url: str, lake: Path) -> None:
    used = account(lake, settings(base_url, batch_requests=25), f"run {os.getpid()}")
    assert used.lane is not None
    submit(used.lane, REQUESTS)
    used.close()


def _serve() -> None:
    """A process that has imported everything and forks one child per line of its input: kills cost no start-up."""
    import openai  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            base_url, lake = line.split()
            _child(base_url, Path(lake))
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


class Nursery:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._child = 0

    def start(self, endpoint: FakeEndpoint, lake: Path) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{endpoint.base_url} {lake}\n")
        self._process.stdin.flush()
        self._child = self._line()

    def kill(self) -> None:
        os.kill(self._child, signal.SIGKILL)

    def ended(self) -> int:
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.llm.test_batch_kill"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        endpoint.batches.behaviour = BatchBehaviour(polls=3)
        yield endpoint


def _until(condition: Callable[[], bool]) -> None:
    """A child that fails on its own must not leave the test waiting for ever."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _assert_whole(endpoint: FakeEndpoint, lake: Path) -> None:
    """Every request was in one batch, is answered, and costs once; nothing is left at the endpoint or on the disk."""
    assert sum(endpoint.batches.sizes()) == len(REQUESTS) and endpoint.calls == []
    assert endpoint.billed_twice() == 0 and endpoint.batches.bill()["calls"] == len(REQUESTS)
    assert endpoint.batches.files == {} and list((lake / "responses/batches").iterdir()) == []
    assert open_batches(LocalStorage(lake)) == []
    assert_paid(lake, endpoint)
    assert all(row.calls == 1 for row in ledger(lake)) and len(ledger(lake)) == len(REQUESTS)
    before = endpoint.batches.operations.copy()
    run_live(lake, endpoint, REQUESTS)
    assert endpoint.calls == [] and endpoint.batches.operations == before


@pytest.mark.parametrize("point", get_args(Point))
def test_killed_at(point: Point, nursery: Nursery, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    def kill() -> None:
        if point == "answering":  # some of the answers are put down, and the batch is not
            _until(lambda: len(ledger(tmp_path)) > 3)
        nursery.kill()

    endpoint.batches.on[point] = kill
    nursery.start(endpoint, tmp_path)
    assert nursery.ended() == signal.SIGKILL and endpoint.batches.on == {}
    _until(lambda: not endpoint.connected)  # what it had sent is done, though nobody listens
    nursery.start(endpoint, tmp_path)
    assert nursery.ended() == 0
    _assert_whole(endpoint, tmp_path)


def test_killed_between_upload_and_create(nursery: Nursery, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.script("create", Fault.HANG)
    nursery.start(endpoint, tmp_path)
    _until(lambda: bool(endpoint.batches.files) and endpoint.batches._scripts["create"] == type(endpoint._script)())
    nursery.kill()
    assert nursery.ended() == signal.SIGKILL
    assert endpoint.batches.batches == {} and len(endpoint.batches.files) == 1
    nursery.start(endpoint, tmp_path)
    assert nursery.ended() == 0
    _assert_whole(endpoint, tmp_path)


def test_a_live_run_after_a_kill_waits_for_the_batch(nursery: Nursery, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=3)
    endpoint.batches.on["created"] = nursery.kill
    nursery.start(endpoint, tmp_path)
    assert nursery.ended() == signal.SIGKILL
    assert endpoint.batches.sizes() == [25]
    found = run_live(tmp_path, endpoint, REQUESTS)
    assert [isinstance(one, PendingError) for one in found] == [True] * 25 + [False] * 35
    for _ in range(2):
        found = run_live(tmp_path, endpoint, REQUESTS)
    assert not [one for one in found if isinstance(one, BaseException)]
    assert len(endpoint.calls) == 35 and endpoint.billed_twice() == 0
    assert_paid(tmp_path, endpoint)


def test_killed_at_random_moments(nursery: Nursery, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=60)
    dice = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        before = sum(endpoint.batches.operations.values())
        nursery.start(endpoint, tmp_path)
        wanted = before + dice.randint(1, 9)
        _until(lambda wanted=wanted: sum(endpoint.batches.operations.values()) >= wanted)  # type: ignore[misc]
        time.sleep(dice.random() * 0.01)
        nursery.kill()
        killed += nursery.ended() == signal.SIGKILL
        _until(lambda: not endpoint.connected)
    assert killed == KILLS
    nursery.start(endpoint, tmp_path)
    assert nursery.ended() == 0
    _assert_whole(endpoint, tmp_path)


if __name__ == "__main__":
    _serve()
