"""kill -9 at every step of a batch: the next run goes on with the same batch, and nothing is paid or put down twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tasks.llm.batch.store import open_batches
from tasks.llm.errors import PendingError
from tasks.storage import LocalStorage
from tests.llm.batch_runs import account, ask, assert_paid, ledger, run_live, settings, submit
from tests.llm.batches import BatchBehaviour, Point
from tests.llm.endpoint import FakeEndpoint, Fault
from tests.llm.nursery import Children, nursery, serve, until

REQUESTS = [ask(number) for number in range(60)]
KILLS = 20


def _child(base_url: str, lake: str) -> None:
    used = account(Path(lake), settings(base_url, batch_requests=25), f"run {os.getpid()}")
    assert used.lane is not None
    submit(used.lane, REQUESTS)
    used.close()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with nursery("tests.llm.test_batch_kill") as found:
        yield found


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        endpoint.batches.behaviour = BatchBehaviour(polls=3)
        yield endpoint


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
def test_killed_at(point: Point, children: Children, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    def kill() -> None:
        if point == "answering":  # some of the answers are put down, and the batch is not
            until(lambda: len(ledger(tmp_path)) > 3)
        children.kill()

    endpoint.batches.on[point] = kill
    children.start(endpoint.base_url, tmp_path)
    assert children.ended() == signal.SIGKILL and endpoint.batches.on == {}
    until(lambda: not endpoint.connected)  # what it had sent is done, though nobody listens
    children.start(endpoint.base_url, tmp_path)
    assert children.ended() == 0
    _assert_whole(endpoint, tmp_path)


def test_killed_between_upload_and_create(children: Children, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.script("create", Fault.HANG)
    children.start(endpoint.base_url, tmp_path)
    until(lambda: bool(endpoint.batches.files) and endpoint.batches._scripts["create"] == type(endpoint._script)())
    children.kill()
    assert children.ended() == signal.SIGKILL
    assert endpoint.batches.batches == {} and len(endpoint.batches.files) == 1
    children.start(endpoint.base_url, tmp_path)
    assert children.ended() == 0
    _assert_whole(endpoint, tmp_path)


def test_a_live_run_after_a_kill_waits_for_the_batch(
    children: Children, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=3)
    endpoint.batches.on["created"] = children.kill
    children.start(endpoint.base_url, tmp_path)
    assert children.ended() == signal.SIGKILL
    assert endpoint.batches.sizes() == [25]
    found = run_live(tmp_path, endpoint, REQUESTS)
    assert [isinstance(one, PendingError) for one in found] == [True] * 25 + [False] * 35
    for _ in range(2):
        found = run_live(tmp_path, endpoint, REQUESTS)
    assert not [one for one in found if isinstance(one, BaseException)]
    assert len(endpoint.calls) == 35 and endpoint.billed_twice() == 0
    assert_paid(tmp_path, endpoint)


def test_killed_at_random_moments(children: Children, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.batches.behaviour = BatchBehaviour(polls=60)
    dice = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        before = sum(endpoint.batches.operations.values())
        children.start(endpoint.base_url, tmp_path)
        wanted = before + dice.randint(1, 9)
        until(lambda wanted=wanted: sum(endpoint.batches.operations.values()) >= wanted)  # type: ignore[misc]
        time.sleep(dice.random() * 0.01)
        children.kill()
        killed += children.ended() == signal.SIGKILL
        until(lambda: not endpoint.connected)
    assert killed == KILLS
    children.start(endpoint.base_url, tmp_path)
    assert children.ended() == 0
    _assert_whole(endpoint, tmp_path)


if __name__ == "__main__":
    serve(_child)
