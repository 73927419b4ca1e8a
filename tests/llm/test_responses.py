"""The kept responses: what a put returned is there, for every thread and process, whatever became of the writer."""

from __future__ import annotations

import builtins
import dataclasses
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.llm.responses import DATABASE, ObjectResponses, Response, Responses, SqliteResponses
from tasks.storage import LocalStorage

RESPONSE = Response("k" * 64, "gpt-4o-2024", "Ünïcode \x00 text", None, "stop", 120, 30, 100, 1.5, b'{"a": "\xff"}')


def _response(number: int) -> Response:
    return dataclasses.replace(RESPONSE, key=f"{number:064x}", text=f"answer {number}")


def test_round_trip(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    responses = Responses.open(storage)
    assert responses.get(RESPONSE.key) is None
    assert responses.put(RESPONSE) == RESPONSE
    refused = dataclasses.replace(RESPONSE, key="r", text="", refusal="I can't", finish="length")
    responses.put(refused)
    responses.close()
    again = Responses.open(storage)
    assert again.get(RESPONSE.key) == RESPONSE
    assert again.get("r") == refused
    assert refused.cut and not RESPONSE.cut
    assert again.get("K" * 64) is None
    again.close()
    assert storage.list("responses") == ["responses.sqlite"]  # closing leaves one whole file


def test_the_first_answer_stays(tmp_path: Path) -> None:
    with SqliteResponses(tmp_path / "r.sqlite") as responses:
        responses.put(RESPONSE)
        other = dataclasses.replace(RESPONSE, text="another answer")
        assert responses.put(other) == RESPONSE
        assert responses.get(RESPONSE.key) == RESPONSE
        assert responses.count() == 1


def test_threads(tmp_path: Path) -> None:
    with SqliteResponses(tmp_path / "r.sqlite") as responses:

        def work(first: int) -> None:
            for number in range(first, first + 60):  # each number is written by two threads
                responses.put(_response(number))
                assert responses.get(_response(number).key) == _response(number)

        with ThreadPoolExecutor(10) as threads:
            list(threads.map(work, range(0, 300, 30)))
        assert responses.count() == 330


def _write_many(path: str, first: int, start: str) -> None:
    while not os.path.exists(start):
        pass
    with SqliteResponses(path) as responses:
        for number in range(first, first + 100):
            responses.put(_response(number))


def test_processes_that_open_a_new_database_at_the_same_moment(tmp_path: Path) -> None:
    path, start = tmp_path / "r.sqlite", tmp_path / "start"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_many, args=(str(path), first, str(start))) for first in (0, 50, 100, 150)]
    for worker in workers:
        worker.start()
    start.touch()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with SqliteResponses(path) as responses:
        assert responses.count() == 250
        assert all(responses.get(_response(number).key) == _response(number) for number in range(250))


def test_a_fork_has_connections_of_its_own(tmp_path: Path) -> None:
    with SqliteResponses(tmp_path / "r.sqlite") as responses:
        responses.put(_response(0))
        pid = os.fork()
        if pid == 0:
            try:
                responses.put(_response(1))
                responses.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        responses.put(_response(2))
        assert [responses.get(_response(n).key) for n in range(3)] == [_response(n) for n in range(3)]


_WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.llm.test_responses import SqliteResponses, _response
responses = SqliteResponses(sys.argv[1])
for number in range(10**9):
    responses.put(_response(number))
    print(number, flush=True)
"""


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    for kill in range(3):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = -1
            for line in writer.stdout:
                told = int(line)
                if told >= 40 * (kill + 1):
                    break
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().split("\n")[:-1]  # what it had told before it died
            told = max(told, *map(int, rest)) if rest else told
        with SqliteResponses(path) as responses:
            missing = [n for n in range(told + 1) if responses.get(_response(n).key) != _response(n)]
            assert missing == [] and told >= 40 * (kill + 1)


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(LakeError, match=r"responses\.sqlite") as caught:
        Responses.open(LocalStorage(tmp_path)).get("k")
    assert "moved away" in caught.value.hint


def test_a_database_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LakeError, match="format is 99"):
        SqliteResponses(path).put(RESPONSE)


class _FakeObjects:
    """A fake object store: whole objects by name, in a folder that nobody else may open."""

    def __init__(self, root: Path) -> None:
        self.root = "fake://bucket"
        self._folder = LocalStorage(root)

    def exists(self, path: str) -> bool:
        return self._folder.exists(path)

    def size(self, path: str) -> int:
        return self._folder.size(path)

    def read(self, path: str) -> bytes:
        return self._folder.read(path)

    def write(self, path: str, data: bytes | Iterable[bytes], durable: bool = False) -> None:
        self._folder.write(path, data, durable)

    def create(self, path: str, data: bytes) -> bool:
        return self._folder.create(path, data)

    def list(self, folder: str) -> builtins.list[str]:
        return self._folder.list(folder)

    def delete(self, path: str) -> None:
        self._folder.delete(path)

    def local(self, path: str) -> Path:
        raise AssertionError("an object store has no files")


def test_answers_as_objects(tmp_path: Path) -> None:
    responses = Responses.open(_FakeObjects(tmp_path))
    assert isinstance(responses, ObjectResponses) and responses.get(RESPONSE.key) is None
    refused = dataclasses.replace(RESPONSE, key="r" * 64, text="", refusal="I can't", finish="length")
    assert [responses.put(one) for one in (RESPONSE, refused)] == [RESPONSE, refused]
    assert responses.put(dataclasses.replace(RESPONSE, text="another answer")) == RESPONSE
    again = Responses.open(_FakeObjects(tmp_path))
    assert [again.get(one.key) for one in (RESPONSE, refused)] == [RESPONSE, refused]
    (path,) = (tmp_path / "responses" / "kk").iterdir()
    path.write_bytes(b"half")
    with pytest.raises(LakeError, match="cannot be read") as caught:
        again.get(RESPONSE.key)
    assert "asked for again" in caught.value.hint


def test_many_writers_of_one_object_agree_on_one_answer(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def put(number: int) -> Response:
        responses = ObjectResponses(_FakeObjects(tmp_path))
        barrier.wait()
        return responses.put(dataclasses.replace(RESPONSE, text=f"answer {number}"))

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(put, range(8)))
    assert len({one.text for one in found}) == 1
    assert ObjectResponses(_FakeObjects(tmp_path)).get(RESPONSE.key) == found[0]
