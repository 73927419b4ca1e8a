import errno
import os
import threading
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.lake import last_report, write_report
from tasks.storage import LocalStorage, open_storage


def test_write_replaces_whole(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/b.bin", b"one")
    storage.write("a/b.bin", b"two", durable=True)
    assert storage.read("a/b.bin") == b"two"
    assert storage.list("a") == ["b.bin"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.bin"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("x", b"old")

    def refuse(source: str, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        storage.write("x", b"new")
    assert storage.read("x") == b"old"
    assert storage.list(".") == ["x"]


@pytest.mark.parametrize("links", [True, False])
def test_create_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    storage = LocalStorage(tmp_path)

    def refuse(source: str, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    won: list[int] = []

    def race(number: int) -> None:
        if storage.create("releases/1.json", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [storage.read("releases/1.json")] == [str(n).encode() for n in won]
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["1.json"]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    before = os.umask(0o027)
    try:
        storage.write("written", b"")
        storage.create("created", b"")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o640, 0o640]


def test_a_root_may_be_given_with_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for root in ("../lake", f"{tmp_path}/here/../lake"):
        assert open_storage(root).local("a/b") == tmp_path / "lake" / "a" / "b"


def test_a_damaged_report_counts_as_absent(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert last_report(storage) is None
    write_report(storage, "1", {"run": "1"})
    for run, data in (("2", b""), ("3", b'{"run": '), ("4", b"[]")):
        storage.write(f"runs/{run}/report.json", data)
    assert last_report(storage) == {"run": "1"}


def test_paths_cannot_leave_the_root(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "lake")
    for path in ("../outside", "/etc/passwd", "a/../../outside"):
        with pytest.raises(LakeError, match="leaves the lake"):
            storage.local(path)


def test_schemes() -> None:
    assert open_storage("file:///tmp/x").root == "/tmp/x"
    with pytest.raises(LakeError, match="only folders"):
        open_storage("s3://bucket/lake")
