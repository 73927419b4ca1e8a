"""Workers end every call as a result or a named error, and nothing outlives them."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from tasks.errors import DocumentError
from tasks.isolation import Workers
from tasks.settings import Limits


def add(a: int, b: int) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def hang() -> None:
    while True:
        time.sleep(0.05)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def hog() -> None:
    blocks = []
    while True:
        blocks.append(b"\1" * (8 << 20))
        time.sleep(0.01)


def gulp() -> int:
    return len(bytearray(64 << 30))


def refuse() -> None:
    raise DocumentError("encrypted", "it needs a password", "save it without")


def fail() -> None:
    raise KeyError("no such part\nsecond line")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(Limits(workers=2, memory_mb=256), preload=()) as pool:
        yield pool


def error_of(workers: Workers, function: object, seconds: float = 30.0) -> tuple[str, str, str]:
    with pytest.raises(DocumentError) as caught:
        workers.call(function, seconds=seconds, name="test")  # type: ignore[arg-type]
    return caught.value.code, caught.value.message, caught.value.hint


def test_result_comes_back_from_another_process(workers: Workers) -> None:
    assert workers.call(add, 2, 3, seconds=30, name="test") == 5
    assert workers.call(pid, seconds=30, name="test") != os.getpid()
    assert workers.peak_memory_mb > 5


def test_errors_are_named(workers: Workers) -> None:
    assert error_of(workers, refuse) == ("encrypted", "it needs a password", "save it without")
    assert error_of(workers, fail)[:2] == ("malformed", r"KeyError: 'no such part\nsecond line'")
    assert error_of(workers, die)[:2] == ("crash", "the worker process died (signal 9, SIGKILL; test)")
    assert error_of(workers, leave)[:2] == ("crash", "the worker process died (exit code 3; test)")
    assert error_of(workers, hang, seconds=0.5)[:2] == ("timeout", "took longer than 0.5 s (test)")
    assert error_of(workers, hog)[:2] == ("memory", "needed more than 256 MB of memory (test)")
    assert error_of(workers, gulp)[0] == "memory"
    assert workers.call(add, 1, 1, seconds=30, name="test") == 2


def test_one_bad_call_does_not_touch_its_neighbours(workers: Workers) -> None:
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        bad = [threads.submit(error_of, workers, fn) for fn in (die, leave, die)]
        good = [threads.submit(workers.call, add, n, n, seconds=30, name="test") for n in range(20)]
        assert [future.result() for future in good] == [2 * n for n in range(20)]
        assert [future.result()[0] for future in bad] == ["crash"] * 3


def test_a_worker_killed_while_idle_is_replaced(workers: Workers) -> None:
    for _ in range(3):
        os.kill(workers.call(pid, seconds=30, name="test"), signal.SIGKILL)
        time.sleep(0.3)
        assert workers.call(add, 1, 2, seconds=30, name="test") == 3


def test_close_ends_waiting_calls() -> None:
    pool = Workers(Limits(workers=1), preload=())
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            pool.call(hang, seconds=600, name="test")
        except concurrent.futures.CancelledError as error:
            ended.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1.0)
    pool.close()
    thread.join(20)
    assert not thread.is_alive() and ended == [concurrent.futures.CancelledError]


PARENT = """
import sys, threading, time
sys.path[:0] = {path!r}
from tests.partition.test_isolation import hang, pid
from tasks.isolation import Workers
from tasks.settings import Limits
if __name__ == "__main__":
    with Workers(Limits(workers=1), preload=()) as workers:
        print(workers.call(pid, seconds=60, name="test"), flush=True)
        workers.call(hang, seconds=600, name="test")
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_workers_die_with_the_parent(kill: signal.Signals, tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "parent.py")
    with open(script, "w") as file:
        file.write(PARENT.format(path=[os.getcwd()]))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.5)
    parent.send_signal(kill)
    parent.wait(20)
    for stream in (parent.stdout, parent.stderr):
        assert stream is not None
        stream.close()
    _, alive = psutil.wait_procs([worker], timeout=20)
    assert not alive
