import io
import os
import shutil
import zipfile
from email.message import EmailMessage
from pathlib import Path
from unittest.mock import patch

import pytest

from tasks.errors import MassDeleteError, SourceRootError
from tasks.plan import Published
from tasks.quarantine import Quarantine
from tasks.settings import Limits
from tests.plan.world import World, make_recipes, marks


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b", "c", "d", "e", "sub/f"):
        (folder / f"{name}.txt").write_text(f"text of {name}")
    return folder


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "lake")


def _mail(path: Path, *attachments: tuple[str, bytes]) -> None:
    mail = EmailMessage()
    mail["Subject"] = "hello"
    mail.set_content("body")
    for name, data in attachments:
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    path.write_bytes(mail.as_bytes())


def test_a_second_run_reads_nothing(docs: Path, world: World) -> None:
    first = world.ingest(docs)
    assert set(marks(first, docs).values()) == {"new"} and len(world.worked) == 6
    before = world.published
    with patch("tasks.plan.scan.content_hash", side_effect=AssertionError("read")):
        plan = world.plan(docs)
    assert set(marks(plan, docs).values()) == {"unchanged"}
    assert plan.nothing_to_do
    world.ingest(docs)
    assert world.published == before


def test_edit_rename_duplicate_delete(docs: Path, world: World) -> None:
    world.ingest(docs)
    (docs / "a.txt").write_text("edited text of a")
    (docs / "b.txt").rename(docs / "moved.txt")
    shutil.copy(docs / "c.txt", docs / "copy of c.txt")
    (docs / "d.txt").unlink()
    settled = world.ingest(docs)
    assert marks(settled, docs) == {
        "a.txt": "changed",
        "moved.txt": "moved",
        "c.txt": "unchanged",
        "copy of c.txt": "new",
        "d.txt": "gone",
        "e.txt": "unchanged",
        "sub/f.txt": "unchanged",
    }
    assert world.worked == [str(docs / "a.txt")]
    assert len(world.published.documents) == 5
    assert set(world.published.sources) == {str(p) for p in docs.rglob("*.txt")}


def test_same_size_edit_is_seen_and_a_touch_is_not_a_change(docs: Path, world: World) -> None:
    world.ingest(docs)
    (docs / "a.txt").write_text("text of A")
    os.utime(docs / "b.txt")
    settled = world.ingest(docs)
    found = marks(settled, docs)
    assert (found["a.txt"], found["b.txt"]) == ("changed", "unchanged")
    row = world.published.sources[str(docs / "b.txt")]
    assert row.mtime_ns == (docs / "b.txt").stat().st_mtime_ns


def test_checksum_sees_what_the_stat_hides(docs: Path, world: World) -> None:
    world.ingest(docs)
    info = (docs / "a.txt").stat()
    (docs / "a.txt").write_text("text of A")
    os.utime(docs / "a.txt", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert marks(world.plan(docs), docs)["a.txt"] == "unchanged"
    assert marks(world.plan(docs, checksum=True), docs)["a.txt"] == "changed"


def test_a_stamp_too_fresh_to_trust_is_read_again(docs: Path, world: World) -> None:
    world.ageing = False
    now = (docs / "a.txt").stat().st_mtime_ns
    with patch("tasks.plan.scan.time.time_ns", return_value=now + 1):  # read within the stamp's granularity
        world.ingest(docs)
    info = (docs / "a.txt").stat()
    (docs / "a.txt").write_text("text of A")
    os.utime(docs / "a.txt", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert marks(world.plan(docs), docs)["a.txt"] == "changed"


def test_other_roots_are_not_touched(docs: Path, tmp_path: Path, world: World) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("x")
    world.ingest(docs)
    world.ingest(other)
    (docs / "a.txt").unlink()
    settled = world.ingest(other)
    assert marks(settled, other) == {"x.txt": "unchanged"}
    assert str(docs / "a.txt") in world.published.sources


def test_a_folder_inside_a_root_speaks_for_what_is_below_it(docs: Path, world: World) -> None:
    world.ingest(docs)
    (docs / "a.txt").unlink()
    (docs / "sub" / "g.txt").write_text("g")
    settled = world.ingest(docs / "sub")
    assert marks(settled, docs) == {"sub/f.txt": "unchanged", "sub/g.txt": "new"}
    assert str(docs / "a.txt") in world.published.sources
    (docs / "sub" / "g.txt").unlink()
    assert marks(world.ingest(docs, allow_mass_delete=True), docs)["sub/g.txt"] == "gone"
    assert str(docs / "a.txt") not in world.published.sources


def test_a_file_once_given_by_itself_may_go_with_its_folder(docs: Path, world: World) -> None:
    world.ingest(docs / "a.txt")
    world.ingest(docs)
    (docs / "a.txt").unlink()
    assert marks(world.ingest(docs), docs)["a.txt"] == "gone"


def test_a_root_that_is_gone_is_fatal(docs: Path, world: World) -> None:
    world.ingest(docs)
    docs.rename(docs.with_name("elsewhere"))
    with pytest.raises(SourceRootError, match="does not exist"):
        world.ingest(docs)


def test_an_empty_mount_point_is_refused(docs: Path, world: World) -> None:
    world.ingest(docs)
    shutil.rmtree(docs)
    docs.mkdir()
    with pytest.raises(MassDeleteError, match="6 of 6"):
        world.ingest(docs)
    assert len(world.published.sources) == 6
    assert set(marks(world.ingest(docs, prune=False), docs).values()) == set()
    assert len(world.published.sources) == 6
    world.ingest(docs, allow_mass_delete=True)
    assert world.published == Published({}, {})


def test_the_guard_counts_each_root_by_itself(docs: Path, tmp_path: Path, world: World) -> None:
    big = tmp_path / "big"
    big.mkdir()
    for number in range(50):
        (big / f"{number}.txt").write_text(str(number))
    world.ingest(docs, big)
    (docs / "a.txt").unlink()
    world.ingest(docs, big)  # 1 of 6
    (docs / "b.txt").unlink()
    (docs / "c.txt").unlink()
    with pytest.raises(MassDeleteError, match="2 of 5"):
        world.ingest(docs, big)


def test_an_unmounted_folder_inside_a_given_root_is_guarded_too(docs: Path, world: World) -> None:
    for number in range(50):
        (docs / f"{number}.txt").write_text(str(number))
    world.ingest(docs / "sub")
    world.ingest(docs)
    (docs / "sub" / "f.txt").unlink()
    with pytest.raises(MassDeleteError, match=r"1 of 1 documents of .*/sub"):
        world.ingest(docs)


def test_an_unreadable_folder_loses_nothing(docs: Path, world: World) -> None:
    world.ingest(docs)
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with patch("tasks.sources.os.scandir", refuse):
        settled = world.ingest(docs)
    assert marks(settled, docs)["sub"] == "skipped"
    assert str(docs / "sub" / "f.txt") in world.published.sources


def test_a_failure_keeps_what_was_published(docs: Path, world: World) -> None:
    world.ingest(docs)
    before = world.published.sources[str(docs / "a.txt")]
    (docs / "a.txt").write_text("FAIL now")
    settled = world.ingest(docs)
    assert marks(settled, docs)["a.txt"] == "quarantined"
    assert world.published.sources[str(docs / "a.txt")] == before
    assert before.doc_id in world.published.documents
    (record,) = Quarantine(world.storage).records
    assert (record.stage, record.code, record.attempts) == ("partition", "malformed", 1)

    again = world.plan(docs)
    assert again.nothing_to_do and marks(again, docs)["a.txt"] == "quarantined"
    world.ingest(docs)
    assert Quarantine(world.storage).records[0].attempts == 1

    Quarantine(world.storage).forget_key([record])
    world.ingest(docs)
    assert Quarantine(world.storage).records[0].attempts == 2

    (docs / "a.txt").write_text("mended")
    settled = world.ingest(docs)
    assert marks(settled, docs)["a.txt"] == "changed"
    assert Quarantine(world.storage).records == []


def test_a_known_failure_is_tried_again_when_its_key_changes(docs: Path, world: World) -> None:
    (docs / "bad.txt").write_text("FAIL")
    world.ingest(docs)
    world.recipe = make_recipes(limits=Limits(workers=1, memory_mb=8000))
    world.ingest(docs)
    (record,) = Quarantine(world.storage).records
    assert record.attempts == 2
    world.recipe = make_recipes(limits=Limits(workers=2, memory_mb=8000))
    world.ingest(docs)
    assert Quarantine(world.storage).records == [record]


def test_a_failing_duplicate_and_a_vanished_failure(docs: Path, world: World) -> None:
    (docs / "bad.txt").write_text("FAIL")
    world.ingest(docs)
    shutil.copy(docs / "bad.txt", docs / "bad copy.txt")
    settled = world.ingest(docs)
    assert world.worked == []
    assert marks(settled, docs)["bad copy.txt"] == "quarantined"
    (record,) = Quarantine(world.storage).records
    assert [Path(source.uri).name for source in record.sources] == ["bad copy.txt", "bad.txt"]
    (docs / "bad.txt").unlink()
    world.ingest(docs)
    assert [Path(s.uri).name for s in Quarantine(world.storage).records[0].sources] == ["bad copy.txt"]
    (docs / "bad copy.txt").unlink()
    world.ingest(docs)
    assert Quarantine(world.storage).records == []


def test_a_failure_that_is_not_the_documents_is_tried_again(docs: Path, world: World) -> None:
    (docs / "a.txt").write_text("BUSY disk")
    world.ingest(docs)
    (record,) = Quarantine(world.storage).records
    assert (record.code, record.key) == ("lake_full", "")
    world.ingest(docs)
    assert world.worked == [str(docs / "a.txt")]
    assert Quarantine(world.storage).records[0].attempts == 2


def test_checksum_alone_changes_no_row(docs: Path, world: World) -> None:
    world.ingest(docs)
    before = world.published
    world.ingest(docs, checksum=True)
    assert world.published == before


def test_a_degraded_document_behind_the_settings_waits_for_restage(docs: Path, world: World) -> None:
    (docs / "weak.txt").write_text("WEAK")
    world.ingest(docs)
    world.recipe = make_recipes(max_tokens=128)
    world.ingest(docs)
    assert world.worked == [] and len(world.plan(docs).pending) == 7


def test_undetectable_content_is_held_and_not_read_again(docs: Path, world: World) -> None:
    (docs / "empty.txt").write_bytes(b"")
    (docs / "fake.pdf").write_text("not a pdf")
    settled = world.ingest(docs)
    assert {k: v for k, v in marks(settled, docs).items() if v != "new"} == {
        "empty.txt": "quarantined",
        "fake.pdf": "quarantined",
    }
    assert {(r.stage, r.code) for r in Quarantine(world.storage).records} == {
        ("plan", "empty_file"),
        ("plan", "wrong_content"),
    }
    with patch("tasks.plan.scan.content_hash", side_effect=AssertionError("read")):
        assert world.plan(docs).nothing_to_do


def test_restage_is_announced_and_done_on_request(docs: Path, world: World) -> None:
    world.ingest(docs)
    world.recipe = make_recipes(max_tokens=128)
    plan = world.plan(docs)
    assert plan.nothing_to_do and len(plan.pending) == 6
    (docs / "new.txt").write_text("new")
    settled = world.ingest(docs)
    assert marks(settled, docs)["new.txt"] == "new" and len(world.worked) == 1
    settled = world.ingest(docs, restage=True)
    assert len(world.worked) == 6
    assert {k for k, v in marks(settled, docs).items() if v == "restaged"} == {
        "a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "sub/f.txt",
    }  # fmt: skip
    assert world.plan(docs, restage=True).nothing_to_do


def test_a_degraded_document_is_tried_again_each_run(docs: Path, world: World) -> None:
    (docs / "weak.txt").write_text("WEAK")
    world.ingest(docs)
    world.ingest(docs)
    assert world.worked == [str(docs / "weak.txt")]


def test_mail_members_come_and_go_with_it(docs: Path, world: World) -> None:
    mail = docs / "mail.eml"
    _mail(mail, ("one.txt", b"one"), ("two.xyz", b"two"), ("bad.txt", b"FAIL"))
    settled = world.ingest(docs)
    found = {k: v for k, v in marks(settled, docs).items() if "mail" in k}
    assert found == {
        "mail.eml": "new",
        "mail.eml!/1/one.txt": "new",
        "mail.eml!/2/two.xyz": "skipped",
        "mail.eml!/3/bad.txt": "quarantined",
    }
    plan = world.plan(docs)
    assert plan.nothing_to_do and world.unpacked == []
    assert {k: v for k, v in marks(plan, docs).items() if "mail" in k} == {
        **found, "mail.eml": "unchanged", "mail.eml!/1/one.txt": "unchanged",
    }  # fmt: skip

    _mail(mail, ("one.txt", b"one, edited"))
    found = {k: v for k, v in marks(world.ingest(docs), docs).items() if "mail" in k}
    assert found == {"mail.eml": "changed", "mail.eml!/1/one.txt": "changed", "mail.eml!/2/two.xyz": "gone"}
    assert Quarantine(world.storage).records == []

    mail.rename(docs / "renamed.eml")
    found = {k: v for k, v in marks(world.ingest(docs), docs).items() if ".eml" in k}
    assert found == {"renamed.eml": "moved", "renamed.eml!/1/one.txt": "moved"}
    assert world.worked == []

    (docs / "renamed.eml").unlink()
    with pytest.raises(MassDeleteError, match="2 of 8"):  # its attachment is a document too
        world.ingest(docs)
    found = {k: v for k, v in marks(world.ingest(docs, allow_mass_delete=True), docs).items() if ".eml" in k}
    assert found == {"renamed.eml": "gone", "renamed.eml!/1/one.txt": "gone"}


def test_a_member_that_a_budget_leaves_is_taken_up_by_the_next_run(docs: Path, world: World) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.txt", "DEAR as well")
    _mail(docs / "mail.eml", ("one.txt", b"one"), ("two.txt", b"DEAR"), ("three.zip", inner.getvalue()))
    world.budget = False
    found = marks(world.ingest(docs), docs)
    assert (found["mail.eml"], found["mail.eml!/1/one.txt"]) == ("new", "new")
    assert (found["mail.eml!/2/two.txt"], found["mail.eml!/3/three.zip!/1/deep.txt"]) == ("left", "left")
    again = marks(world.ingest(docs), docs)
    assert (again["mail.eml"], again["mail.eml!/2/two.txt"]) == ("unchanged", "left")
    world.budget = True
    last = marks(world.ingest(docs), docs)
    assert (last["mail.eml!/2/two.txt"], last["mail.eml!/3/three.zip!/1/deep.txt"]) == ("new", "new")
    assert world.plan(docs).nothing_to_do and world.unpacked == [], "then it is as any other"


def test_a_container_that_breaks_keeps_its_members(docs: Path, world: World) -> None:
    path = docs / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "x" * 2000)
        archive.writestr("y.txt", "y")
    world.ingest(docs)
    good = path.read_bytes()
    path.write_bytes(good[:-40])
    found = {k: v for k, v in marks(world.ingest(docs), docs).items() if ".zip" in k}
    assert found["a.zip"] == "quarantined"
    assert str(path) + "!/1/x.txt" in world.published.sources
    assert world.plan(docs).nothing_to_do
    path.write_bytes(good)
    found = {k: v for k, v in marks(world.ingest(docs), docs).items() if ".zip" in k}
    assert found == {"a.zip": "unchanged", "a.zip!/1/x.txt": "unchanged", "a.zip!/2/y.txt": "unchanged"}
    assert Quarantine(world.storage).records == []


def test_members_that_could_not_be_unpacked_are_read_again_on_retry(docs: Path, world: World) -> None:
    _mail(docs / "mail.eml", ("empty.txt", b""))
    world.ingest(docs)
    (record,) = Quarantine(world.storage).records
    assert record.sources[0].uri.endswith("mail.eml!/1/empty.txt")
    Quarantine(world.storage).forget_key([record])
    world.ingest(docs)
    assert world.unpacked == [str(docs / "mail.eml")]
    assert Quarantine(world.storage).records[0].attempts == 2


def test_a_source_that_is_no_document_any_more_is_gone_unless_nothing_is_pruned(docs: Path, world: World) -> None:
    target = docs.parent / "target.txt"
    (docs / "kept.txt").write_text("kept")
    world.ingest(docs)
    (docs / "kept.txt").unlink()
    (docs / "kept.txt").symlink_to(target)  # broken
    uri = str(docs / "kept.txt")
    assert marks(world.ingest(docs, prune=False), docs)["kept.txt"] == "unchanged"
    assert uri in world.published.sources
    assert marks(world.ingest(docs), docs)["kept.txt"] == "gone"
    assert uri not in world.published.sources


def test_sidecars_change_rows_and_nothing_else(docs: Path, world: World) -> None:
    world.ingest(docs)
    (docs / "a.txt.meta.json").write_text('{"tags": ["x"], "groups": ["g"]}')
    settled = world.ingest(docs)
    assert marks(settled, docs)["a.txt"] == "changed" and world.worked == []
    row = world.published.sources[str(docs / "a.txt")]
    assert (row.tags, row.groups) == (("x",), ("g",))
    assert world.plan(docs).nothing_to_do


def test_one_content_under_names_of_two_types(docs: Path, world: World) -> None:
    (docs / "table.txt").write_text("a,b\n1,2\n")
    world.ingest(docs)
    doc_id = world.published.sources[str(docs / "table.txt")].doc_id
    assert world.published.documents[doc_id].media_type == "text/plain"
    (docs / "table.csv").write_text("a,b\n1,2\n")
    world.ingest(docs)
    assert world.published.documents[doc_id].media_type == "text/csv"
    (docs / "table.csv").unlink()
    world.ingest(docs)
    assert world.published.documents[doc_id].media_type == "text/plain"


def test_a_name_that_says_what_was_measured_counts_more_than_one_that_does_not(docs: Path, world: World) -> None:
    content = b"\x89PNG\r\n\x1a\n and more"
    (docs / "a.png").write_bytes(content)
    world.ingest(docs)
    doc_id = world.published.sources[str(docs / "a.png")].doc_id
    assert world.published.documents[doc_id].media_type == "image/png"
    (docs / "z.depth.png").write_bytes(content)
    world.ingest(docs)
    assert world.published.documents[doc_id].media_type == "image/x-depth"


def test_only_holds_everything_else_as_it_is(docs: Path, world: World) -> None:
    world.ingest(docs)
    (docs / "a.txt").write_text("edited a")
    (docs / "b.txt").write_text("edited b")
    (docs / "c.txt").unlink()
    plan = world.plan(docs, only=[str(docs / "a.txt")])
    assert [work.uri for work in plan.work] == [str(docs / "a.txt")]
    assert "gone" not in marks(plan, docs).values()
