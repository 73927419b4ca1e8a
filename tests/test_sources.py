from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from email.message import EmailMessage
from pathlib import Path

import orjson
import pytest

from tasks import containers
from tasks.containers import list_members, run_scratch, scratch
from tasks.errors import DocumentError, SourceRootError
from tasks.settings import Limits
from tasks.sidecars import Metadata
from tasks.sources import below, content_hash, list_roots, open_source, root_uri, split_uri

LIMITS = Limits(workers=1)


def _names(paths: list[str], root: Path) -> list[str]:
    return [path.removeprefix(f"{root}/") for path in paths]


def test_listing_names_what_is_not_a_document(tmp_path: Path) -> None:
    for name in ("a.txt", "sub/b.txt", ".hidden", ".git/config", "~$lock.docx", "x.tmp", "c.TXT~", "Thumbs.db"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")

    listing = list_roots([str(tmp_path)], exclude="")

    assert _names([file.uri for file in listing.files], tmp_path) == ["a.txt", "link.txt", "sub/b.txt"]
    assert {_names([s.uri], tmp_path)[0]: s.reason for s in listing.skipped} == {
        ".hidden": "hidden file",
        ".git": "hidden folder",
        "~$lock.docx": "temporary file",
        "x.tmp": "temporary file",
        "c.TXT~": "temporary file",
        "Thumbs.db": "temporary file",
        "broken": "broken link",
        "loop": "link to a folder",
        "pipe.txt": "not a file",
    }


def test_roots_that_overlap_list_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("x")
    listing = list_roots([str(tmp_path / "sub"), str(tmp_path), str(tmp_path / "sub" / "a.txt")], exclude="")
    assert [file.uri for file in listing.files] == [str(tmp_path / "sub" / "a.txt")]


def test_the_lake_is_not_a_source(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "lake.json").write_text("{}")
    (tmp_path / "a.txt").write_text("x")
    listing = list_roots([str(tmp_path)], exclude=str(tmp_path / "lake"))
    assert _names([file.uri for file in listing.files], tmp_path) == ["a.txt"]


def test_no_lake_is_entered_whatever_leads_to_it(tmp_path: Path) -> None:
    for lake in ("docs/mine", "docs/other"):
        (tmp_path / lake / "releases").mkdir(parents=True)
        (tmp_path / lake / "lake.json").write_text("{}")
        (tmp_path / lake / "page.txt").write_text("x")
    (tmp_path / "docs" / "a.txt").write_text("x")
    (tmp_path / "docs" / "blob.txt").symlink_to(tmp_path / "docs" / "mine" / "page.txt")
    (tmp_path / "link").symlink_to(tmp_path / "docs", target_is_directory=True)
    mine = str(tmp_path / "docs" / "mine" / ".." / "mine")
    listing = list_roots([str(tmp_path / "link")], exclude=mine)
    assert _names([file.uri for file in listing.files], tmp_path) == ["link/a.txt"]
    assert [(Path(s.uri).name, s.reason) for s in listing.skipped] == [
        ("blob.txt", "link to outside of the source"),
        ("other", "a bindery lake"),
    ]
    for inside in ("link/mine", "docs/mine/releases", "docs/mine/page.txt", "docs/other"):
        with pytest.raises(SourceRootError, match="lake"):
            list_roots([str(tmp_path / inside)], exclude=mine)


def test_links_do_not_leave_the_source(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("x")
    (tmp_path / "docs-secret.txt").write_text("secret")
    (tmp_path / "docs" / "out.txt").symlink_to("../docs-secret.txt")
    (tmp_path / "docs" / "in.txt").symlink_to("a.txt")
    listing = list_roots([str(tmp_path / "docs")], exclude="")
    assert [Path(file.uri).name for file in listing.files] == ["a.txt", "in.txt"]
    assert [(Path(s.uri).name, s.reason) for s in listing.skipped] == [("out.txt", "link to outside of the source")]
    (tmp_path / "root.txt").symlink_to("docs/a.txt")
    assert len(list_roots([str(tmp_path / "root.txt")], exclude="").files) == 1


def test_paths_that_are_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "docs" / os.fsdecode(b"caf\xe9")
    (odd / "shut").mkdir(parents=True)
    (odd / "a.txt").write_text("x")
    (odd / "bindery.meta.csv").write_text("nonsense")
    with pytest.raises(SourceRootError, match=r"caf\\\\xe9.*not valid UTF-8"):
        list_roots([str(odd)], exclude="")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    listing = list_roots([str(tmp_path / "docs")], exclude="")
    assert [file.problem.code for file in listing.files if file.problem] == ["bad_name"]
    assert [path.removeprefix(f"{tmp_path}/") for path in listing.unlisted] == [r"docs/caf\xe9/shut"]
    orjson.dumps([*listing.unlisted, *(skipped.uri for skipped in listing.skipped)])  # which takes valid Unicode only


def test_a_missing_root_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(SourceRootError, match="does not exist"):
        list_roots([str(tmp_path / "nowhere")], exclude="")
    with pytest.raises(SourceRootError, match="only files and folders"):
        root_uri("ftp://host/x")


def test_names_with_odd_characters(tmp_path: Path) -> None:
    names = ["new\nline.txt", "quo'te\".txt", "emoji 🐙.txt", "' OR 1=1 --.txt", "wi!/th.txt".replace("/", "∕")]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / os.fsdecode(b"latin\xe9.txt")).write_text("x")
    listing = list_roots([str(tmp_path)], exclude="")
    good = [file for file in listing.files if file.problem is None]
    assert sorted(_names([file.uri for file in good], tmp_path)) == sorted(names)
    (bad,) = [file for file in listing.files if file.problem is not None]
    assert bad.uri.endswith("latin\\xe9.txt") and bad.problem is not None and bad.problem.code == "bad_name"
    for file in good:
        with open_source(file.uri, LIMITS) as path:
            assert path.read_text() == Path(file.uri).name


def test_below() -> None:
    assert below("/a/b.txt", "/a") and below("/a", "/a") and below("/a/m.eml!/1/x.txt", "/a/m.eml")
    assert not below("/ab/c.txt", "/a") and not below("/a/m.emlx", "/a/m.eml")
    assert below("/x", "/")


def test_sidecars(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "b.txt", "bad.txt", "sub/c.txt", "plain.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "a.txt.meta.json").write_bytes(
        orjson.dumps({"tags": ["z", "a", "a"], "groups": ["board"], "date": "2025-03-31", "note": "ignored"})
    )
    (tmp_path / "bad.txt.meta.json").write_text('{"tags": "finance"}')
    (tmp_path / "gone.txt.meta.json").write_text("{}")
    (tmp_path / "bindery.meta.csv").write_text(
        "path,tags,groups,date\nb.txt,x; y,,2024-01-01\nsub/c.txt,,staff,\na.txt,overridden,,\n"
    )
    listing = list_roots([str(tmp_path)], exclude="")
    found = {Path(file.uri).name: file for file in listing.files}
    assert found["a.txt"].metadata == Metadata(("a", "z"), ("board",), "2025-03-31")
    assert found["b.txt"].metadata == Metadata(("x", "y"), (), "2024-01-01")
    assert found["c.txt"].metadata == Metadata((), ("staff",), None)
    assert found["plain.txt"].metadata == Metadata()
    problem = found["bad.txt"].problem
    assert problem is not None and problem.code == "bad_sidecar" and "tags is not a list" in problem.message
    assert [Path(s.uri).name for s in listing.skipped] == ["gone.txt.meta.json"]
    (only,) = list_roots([str(tmp_path / "sub" / "c.txt")], exclude="").files
    assert only.metadata == Metadata()


def test_a_broken_table_holds_back_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "bindery.meta.csv").write_text("name,tags\na.txt,x\n")
    (file,) = list_roots([str(tmp_path)], exclude="").files
    assert file.problem is not None and "no column named path" in file.problem.message


def test_sidecars_that_are_no_files_or_too_large(tmp_path: Path) -> None:
    for folder in ("json", "table", "large"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("x")
    os.mkfifo(tmp_path / "json" / "a.txt.meta.json")
    os.mkfifo(tmp_path / "table" / "bindery.meta.csv")
    (tmp_path / "large" / "a.txt.meta.json").write_bytes(b" " * (1 << 20) + b"{}")
    for roots in ([tmp_path], [tmp_path / name / "a.txt" for name in ("json", "table", "large")]):
        files = list_roots([str(root) for root in roots], exclude="").files
        problems = [file.problem.message.split(": ")[-1] for file in files if file.problem]
        assert problems == ["not a regular file", "larger than 1 MB", "not a regular file"]


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_of_nested_containers_can_be_read(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "inner.zip", {"deep.txt": b"deep", "dir/": b"", "dir/../../up.txt": b"up"})
    mail = EmailMessage()
    mail["Subject"] = "Figures"
    mail.set_content("the body")
    mail.add_attachment(inner.read_bytes(), maintype="application", subtype="zip", filename="inner.zip")
    mail.add_attachment("note", filename="a/b!/c.txt")
    outer = tmp_path / "mail.eml"
    outer.write_bytes(mail.as_bytes())

    found = list_members(outer, LIMITS)
    assert [member.uri("mail.eml") for member in found] == ["mail.eml!/1/inner.zip", "mail.eml!/2/a/b!_c.txt"]
    nested = found[0].uri(str(outer))
    with open_source(nested, LIMITS) as path:
        deep = list_members(path, LIMITS)
    assert [(m.name, m.media_type) for m in deep] == [("deep.txt", "text/plain"), ("dir/up.txt", "text/plain")]
    with open_source(deep[1].uri(nested), LIMITS) as path:
        assert path.read_bytes() == b"up" and content_hash(path) == deep[1].doc_id
    assert split_uri(deep[1].uri(nested)) == (outer, [1, 2])


def test_a_file_may_have_a_name_like_a_member(tmp_path: Path) -> None:
    folder = tmp_path / "a!" / "1"
    folder.mkdir(parents=True)
    (folder / "x.txt").write_text("plain")
    uri = str(folder / "x.txt")
    assert split_uri(uri) == (Path(uri), [])
    with open_source(uri, LIMITS) as path:
        assert path.read_text() == "plain"


def test_containers_are_bounded(tmp_path: Path) -> None:
    many = _zip(tmp_path / "many.zip", {f"{n}.txt": b"x" for n in range(20)})
    with pytest.raises(DocumentError) as error:
        list_members(many, Limits(container_members=10))
    assert error.value.code == "too_many_members"
    bomb = _zip(tmp_path / "bomb.zip", {"zeros.txt": bytes(100_000_000)})
    with pytest.raises(DocumentError) as error:
        list_members(bomb, LIMITS)
    assert error.value.code == "zip_bomb"
    small = _zip(tmp_path / "small.zip", {"a.txt": bytes(5000)})
    with pytest.raises(DocumentError) as error:
        list_members(small, Limits(container_bytes=1000))
    assert error.value.code == "zip_bomb"
    (tmp_path / "cut.zip").write_bytes(many.read_bytes()[:200])
    with pytest.raises(DocumentError) as error:
        list_members(tmp_path / "cut.zip", LIMITS)
    assert error.value.code == "malformed"


def test_one_damaged_member_does_not_hide_the_others(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"good.txt": b"good " * 100, "bad.txt": b"bad " * 1000})
    data = bytearray(path.read_bytes())
    start = data.index(b"bad.txt") + len("bad.txt")
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    good, bad = list_members(path, LIMITS)
    assert good.error is None and good.media_type == "text/plain"
    assert bad.error is not None and bad.error.code == "malformed"


def test_inner_containers_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = _zip(tmp_path / "inner", {f"{n}.txt": b"%d" % n for n in range(5)}).read_bytes()
    outer = _zip(tmp_path / "outer.zip", {"a.zip": inner, "b.zip": inner})
    copied: list[int] = []
    copy = containers._copy

    def counted(path: Path, number: int, limits: Limits) -> containers.Copy[bytes]:
        copied.append(number)
        return copy(path, number, limits)

    monkeypatch.setattr("tasks.containers._copy", counted)
    for number in range(1, 6):
        with open_source(f"{outer}!/1/a.zip!/{number}/x.txt", LIMITS) as path:
            assert path.read_bytes() == b"%d" % (number - 1)
    assert copied == [1, 1, 2, 3, 4, 5]
    (kept,) = containers._kept
    with open_source(f"{outer}!/2/b.zip!/1/x.txt", LIMITS) as path:
        assert path.read_bytes() == b"0" and not os.path.exists(kept[1].name)
    _zip(outer, {"new.zip": _zip(tmp_path / "new", {"y.txt": b"new"}).read_bytes()})  # the same path, other content
    with open_source(f"{outer}!/1/a.zip!/1/x.txt", LIMITS) as path:
        assert path.read_bytes() == b"new"
    with pytest.raises(DocumentError, match="no longer"), open_source(f"{outer}!/2/b.zip!/1/x.txt", LIMITS):
        pass


def test_the_cost_of_a_member_does_not_grow_with_their_number(tmp_path: Path) -> None:
    path = _zip(tmp_path / "many.zip", {f"{n}.txt": b"x%d" % n for n in range(10_000)})
    start = time.process_time()
    for number in range(1, 10_001, 20):
        with open_source(f"{path}!/{number}/x.txt", LIMITS) as member:
            assert member.read_bytes() == b"x%d" % (number - 1)
    assert time.process_time() - start < 10  # 500 members; 23 s when each reads the directory anew


KILLED = """
import os, signal, tempfile
from tasks.containers import run_scratch, scratch
with run_scratch():
    tempfile.NamedTemporaryFile(prefix="bindery-", dir=scratch(), delete=False)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_copies_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("BINDERY_SCRATCH", "")
    assert scratch() == str(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)})
    (left,) = tmp_path.iterdir()
    assert list(left.iterdir())
    containers._own_scratch.cache_clear()
    for _ in range(2):
        with run_scratch():
            (own,) = tmp_path.iterdir()
            assert own != left and scratch() == str(own)
            with tempfile.NamedTemporaryFile(dir=scratch(), delete=False):
                pass
            with run_scratch():
                pass
            assert len(list(own.iterdir())) == 1
        assert list(own.iterdir()) == []
    containers._own_scratch.cache_clear()
