import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest

from tasks import lease
from tasks.errors import LakeBusyError
from tasks.storage import LocalStorage

HOLD = """
import sys, time
from tasks.lease import hold
from tasks.storage import LocalStorage
with hold(LocalStorage(sys.argv[1]), "test"):
    print("held", flush=True)
    time.sleep(600)
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_second_writer_is_told_busy_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    first = _holder(tmp_path)
    try:
        with pytest.raises(LakeBusyError, match=str(first.pid)), lease.hold(storage, "ingest"):
            pass
        assert lease.current_holder(storage) is not None
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert lease.current_holder(storage) is None
    with lease.hold(storage, "ingest") as taken:
        assert taken.token == 2
        taken.check()


def test_it_is_free_again_after_the_block_even_on_error(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with pytest.raises(RuntimeError), lease.hold(storage, "ingest"):
        raise RuntimeError
    with lease.hold(storage, "ingest") as again:
        assert again.token == 2


def test_a_holder_that_was_replaced_cannot_publish(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with lease.hold(storage, "ingest") as old:
        found = orjson.loads(storage.read(lease.LEASE))
        # Another machine's heartbeat that is too old: it is taken for dead, and a successor gets the next token.
        storage.write(lease.LEASE, orjson.dumps({**found, "host": "elsewhere", "beat": 0.0}))
        with lease.hold(storage, "ingest") as successor:
            assert successor.token == old.token + 1
            with pytest.raises(LakeBusyError, match="taken over"):
                old.check()
            successor.check()


def test_another_machine_with_a_fresh_heartbeat_is_alive(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with lease.hold(storage, "ingest"):
        found = orjson.loads(storage.read(lease.LEASE))
        storage.write(lease.LEASE, orjson.dumps({**found, "host": "elsewhere"}))
        with pytest.raises(LakeBusyError, match="elsewhere"), lease.hold(storage, "ingest"):
            pass


def test_a_reused_process_id_is_not_the_holder(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with lease.hold(storage, "ingest"):
        found = orjson.loads(storage.read(lease.LEASE))
    storage.write(lease.LEASE, orjson.dumps({**found, "pid": os.getpid(), "started": 1.0}))
    with lease.hold(storage, "ingest") as taken:
        assert taken.token == 2


def test_the_heart_survives_errors_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    beats = 0
    enough = threading.Event()

    def beat(self: lease.Lease) -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            enough.set()
        raise OSError("the disk is full")

    monkeypatch.setattr(lease.Lease, "beat", beat)
    with lease.hold(LocalStorage(tmp_path), "ingest"):
        assert enough.wait(10)


def test_a_release_that_fails_does_not_hide_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: lease.Lease) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(lease.Lease, "release", refuse)
    with pytest.raises(RuntimeError, match="the real one"), lease.hold(LocalStorage(tmp_path), "ingest"):
        raise RuntimeError("the real one")


def test_another_container_of_the_same_name_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with lease.hold(storage, "ingest"):
        found = orjson.loads(storage.read(lease.LEASE))
        elsewhere = found["host"].rsplit("/", 1)[0] + "/1"
        storage.write(lease.LEASE, orjson.dumps({**found, "host": elsewhere, "pid": 2**22, "started": 1.0}))
        assert lease.current_holder(storage) is not None
