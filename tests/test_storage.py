import threading
from pathlib import Path

import pytest

from tasks.errors import LakeError
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


def test_create_has_one_winner(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
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


def test_paths_cannot_leave_the_root(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "lake")
    for path in ("../outside", "/etc/passwd", "a/../../outside"):
        with pytest.raises(LakeError, match="leaves the lake"):
            storage.local(path)


def test_schemes() -> None:
    assert open_storage("file:///tmp/x").root == "/tmp/x"
    with pytest.raises(LakeError, match="only folders"):
        open_storage("s3://bucket/lake")
