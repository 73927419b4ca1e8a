"""Publishing is idempotent, survives any kill, and readers see one whole release."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from lancedb.table import LanceTable

from tasks.errors import LakeBusyError, LakeError
from tasks.index import MissingOutputs, MissingTables, Reader, Wanted, open_reader, publish, tables, unavailable
from tasks.index import publish as publish_function
from tasks.lake import Lake, current_release, release_numbers
from tasks.rows import SummaryRow
from tests.lakes import SPACES, chunk, document, new_lake, publish_to, simple, source

EMPTY = Wanted([], [], SPACES)


def contents(reader: Reader) -> dict[str, list[str]]:
    """All rows of a release, in a form that can be compared."""
    found = {}
    for name in reader.release.tables:
        rows = reader._table(name).search().limit(None).to_arrow().to_pylist()
        found[name] = sorted(repr(sorted(row.items())) for row in rows)
    return found


def versions(lake: Lake) -> dict[str, int]:
    database = tables.connect(lake.storage)
    return {name: database.open_table(name).version for name in current_release(lake.storage).tables}


def test_a_release_holds_what_was_wanted(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    rows = [chunk("a", 0, "revenue grew"), chunk("a", 1, "x | 1", kind="table", html="<table></table>")]
    summaries = [SummaryRow(rows[1].chunk_id, "a table of x 北京市", "extractive")]
    wanted = Wanted(
        [source("/data/a.txt", "a"), source("/data/m!/1/b", "a", skipped="encrypted")],
        [document(lake.storage, "a", rows, summaries, degraded=True)],
        SPACES,
    )
    release = publish_to(lake, wanted, "r1")

    assert (release.number, release.run, release.spaces) == (1, "r1", SPACES)
    assert release == current_release(lake.storage)
    expected = {"sources": 1, "documents": 1, "chunks": 2, "chunks_text": 1, "chunks_table": 1, "chunks_image": 0}
    expected |= {"chunks_audio": 0, "chunks_video": 0, "chunks_depth": 0, "chunks_thermal": 0, "chunks_imu": 0}
    expected |= {"vectors": 2, "characters": 17, "degraded": 1, "documents_fake": 1}
    assert release.counts == expected
    reader = open_reader(lake)
    assert reader.sources() == sorted(wanted.sources, key=lambda row: row.uri)
    assert reader.documents() == {row.doc_id: row for row in wanted.documents}
    assert reader.all_chunks() == rows
    (found,) = reader.chunks([rows[1].chunk_id, "unknown"])
    assert (found.chunk, found.summary, found.summary_method) == (rows[1], summaries[0].text, "extractive")


def test_a_chunk_is_found_by_both_languages_of_its_summary(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    row = chunk("a", 0, "", kind="image")
    summaries = [SummaryRow(row.chunk_id, "黄昏的码头", "llm:m", "A quay at dusk")]
    publish_to(lake, Wanted([source("/a", "a")], [document(lake.storage, "a", [row], summaries)], SPACES))
    reader = open_reader(lake)
    for column, words in (("search_text", "dusk"), ("search_cjk", "码头")):
        assert [found.chunk_id for found in reader.matching(column, words, 5)] == [row.chunk_id]
    (found_row,) = reader.chunks([row.chunk_id])
    assert found_row.summary == "黄昏的码头\nA quay at dusk"


def test_a_chunk_is_found_by_its_header_and_what_stands_around_is_not_full_text_by_itself(tmp_path: Path) -> None:
    """Of a picture's surroundings, full text reads what its summary took."""
    lake = new_lake(tmp_path)
    row = chunk("a", 0, "7", "image", page=12, context="Annual report", around=("Gulls over the quay.", "Nets."))
    rows = [row, chunk("a", 1, "Words.", page=13, context="Annual report")]
    summary = SummaryRow(row.chunk_id, "Annual report\n7\nGulls over the quay.", "extractive")
    publish_to(lake, Wanted([source("/data/a", "a")], [document(lake.storage, "a", rows, [summary])], SPACES))
    reader = open_reader(lake)
    found = {
        word: [each.chunk_id for each in reader.matching("search_text", word, 5)] for word in ("12", "gulls", "nets")
    }
    assert found == {"12": [row.chunk_id], "gulls": [row.chunk_id], "nets": []}
    (held,) = reader.chunks([row.chunk_id])
    assert held.chunk == row


def test_publishing_the_same_again_makes_no_commit_and_no_release(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a", "b"])
    release, before = publish_to(lake, wanted), versions(lake)
    assert publish_to(lake, wanted, "another") == release
    assert versions(lake) == before


def test_a_document_without_vectors_or_chunks_is_settled_too(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    documents = [document(lake.storage, "a", [chunk("a", 0, "text")], embed=False), document(lake.storage, "b", [])]
    wanted = Wanted([source("/a", "a"), source("/b", "b")], documents, SPACES)
    release = publish_to(lake, wanted)
    assert (release.counts["documents"], release.counts["chunks"], release.counts["vectors"]) == (2, 1, 0)
    assert publish_to(lake, wanted) == release


def test_an_empty_corpus_can_be_published_and_everything_removed(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert publish_to(lake, EMPTY).number == 1
    assert publish_to(lake, EMPTY).number == 1
    assert publish_to(lake, simple(lake.storage, ["a"])).counts["chunks"] == 3
    release = publish_to(lake, EMPTY)
    assert release.number == 3
    assert not any(release.counts.values())
    reader = open_reader(lake)
    assert (reader.sources(), reader.documents(), reader.all_chunks()) == ([], {}, [])
    assert reader.matching("search_text", "harbour", 5) == []


def test_changes_give_the_same_rows_as_a_publish_from_scratch(tmp_path: Path) -> None:
    lake, fresh = new_lake(tmp_path), new_lake(tmp_path / "fresh")
    publish_to(lake, simple(lake.storage, ["a", "b", "c"]))
    newer = simple(lake.storage, ["b", "d"], edition=2)
    older = simple(lake.storage, ["a"])
    wanted = Wanted([*older.sources, *newer.sources], [*older.documents, *newer.documents], SPACES)
    publish_to(lake, wanted)
    for name in ("a",):
        simple(fresh.storage, [name])
    simple(fresh.storage, ["b", "d"], edition=2)
    publish_to(fresh, wanted)
    assert contents(open_reader(lake)) == contents(open_reader(fresh))


def test_a_release_keeps_its_rows_while_others_are_published(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    first = publish_to(lake, simple(lake.storage, ["a", "b"]))
    reader = open_reader(lake)
    before = contents(reader)
    for edition in range(2, 6):
        publish_to(lake, simple(lake.storage, ["a", "c"], edition))
    assert contents(reader) == before == contents(open_reader(lake, first))
    assert len(reader.matching("search_text", "harbour", 50)) == 6


def test_a_release_outlives_that_everything_was_removed_and_added_again(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    first = publish_to(lake, simple(lake.storage, ["a", "b"]))
    before = contents(open_reader(lake, first))
    publish_to(lake, EMPTY)
    publish_to(lake, simple(lake.storage, ["c"]))  # into tables without rows, which are tables all the same
    assert contents(open_reader(lake, first)) == before


def test_search_reaches_rows_added_after_the_indexes_were_made(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    publish_to(lake, EMPTY)
    rows = [chunk("a", 0, "北京市的营业收入"), chunk("a", 1, "The running revenues")]
    publish_to(lake, Wanted([source("/a", "a")], [document(lake.storage, "a", rows)], SPACES))
    reader = open_reader(lake)
    for query in ("北京", "营业收入", "收入", "北京市"):
        assert [hit.chunk_id for hit in reader.matching("search_cjk", query, 5)] == [rows[0].chunk_id]
    assert [hit.chunk_id for hit in reader.matching("search_text", "REVENUE", 5)] == [rows[1].chunk_id]
    assert all(index.num_unindexed_rows == 0 for index in reader._table(tables.CHUNKS).list_indices())


def test_large_tables_get_indexes_that_find_the_same(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    names = [f"n{i}" for i in range(40)]
    with patch.object(tables, "INDEX_ROWS", 300):
        publish_to(lake, simple(lake.storage, names, chunks=10))
    reader = open_reader(lake)
    kinds = {column: i.index_type for i in reader._table("vectors_fake").list_indices() for column in i.columns}
    assert set(kinds) == {"doc_id", "chunk_id", "kind", "item", "modality", "vector"}
    from tests.lakes import FakeSpace

    target = reader.all_chunks()[7]
    assert reader.nearest("fake", FakeSpace().embed_texts([target.text])[0], 5)[0].chunk_id == target.chunk_id


NASTY = ["a' OR 1=1 --", 'q"uote', "new\nline", "émoji 🎉", "back\\slash", "per%cent_", "'; DROP TABLE sources; --"]


def test_uris_are_never_read_as_expressions(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, NASTY)
    publish_to(lake, wanted)
    for i, gone in enumerate(wanted.sources):
        left = Wanted(wanted.sources[i + 1 :], wanted.documents[i + 1 :], SPACES)
        publish_to(lake, left)
        assert gone.uri not in {row.uri for row in open_reader(lake).sources()}
        assert len(open_reader(lake).sources()) == len(NASTY) - i - 1


def test_the_same_source_twice_is_refused(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a"])
    with pytest.raises(LakeError, match="twice"):
        publish_to(lake, dataclasses.replace(wanted, sources=[*wanted.sources, *wanted.sources]))


def test_rows_that_somebody_doubled_are_repaired(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    publish_to(lake, simple(lake.storage, ["a"]))
    for name in ("chunks", "vectors_fake", "documents", "sources"):
        table = tables.connect(lake.storage).open_table(name)
        table.add(table.search().limit(None).to_arrow())
    release = publish_to(lake, simple(lake.storage, ["a", "b"]))
    assert (release.counts["chunks"], release.counts["vectors"]) == (6, 6)
    reader = open_reader(lake)
    assert Counter(row.uri for row in reader.sources()) == {"/data/a.txt": 1, "/data/b.txt": 1}


def test_a_missing_stage_file_is_a_clear_error_and_publishes_nothing(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    release = publish_to(lake, simple(lake.storage, ["a"]))
    wanted = simple(lake.storage, ["a", "b"])
    for path in Path(lake.uri, "stages", "embed-fake").glob("*"):
        path.unlink()
    before = heads(lake)
    with pytest.raises(MissingOutputs, match="missing or damaged") as missing:
        publish_to(lake, wanted)
    (lost,) = [row for row in wanted.documents if row.title.startswith("b")]
    assert missing.value.doc_ids == (lost.doc_id,) and "--restage" in missing.value.hint
    assert (current_release(lake.storage), heads(lake)) == (release, before)


def heads(lake: Lake) -> dict[str, int]:
    database = tables.connect(lake.storage)
    return {name: database.open_table(name).version for name in ("chunks", "vectors_fake", "documents", "sources")}


def _zeroed(folder: Path) -> None:
    for path in folder.glob("*"):
        path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: shutil.rmtree(index),
        lambda index: shutil.rmtree(index / "chunks.lance"),
        lambda index: shutil.rmtree(index / "sources.lance" / "_versions"),
        lambda index: shutil.rmtree(index / "vectors_fake.lance" / "data"),
        lambda index: _zeroed(index / "documents.lance" / "_versions"),
        lambda index: _zeroed(index / "chunks.lance" / "data"),
    ],
    ids=["index gone", "table gone", "versions gone", "data gone", "versions damaged", "data damaged"],
)
def test_a_lost_or_damaged_index_is_rebuilt(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a", "b"])
    first = publish_to(lake, wanted)
    expected = contents(open_reader(lake))
    damage(Path(lake.uri, "index"))
    assert unavailable(lake, wanted.documents, SPACES) == []
    assert publish_to(lake, wanted).number == first.number + 1
    assert contents(open_reader(lake)) == expected


def test_documents_whose_rows_are_nowhere_are_named(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a", "b"])
    publish_to(lake, wanted)
    lost, kept = wanted.documents
    for mark in lost.stages:
        Path(lake.uri, "stages", mark.stage, f"{mark.key}.parquet").unlink()
    assert unavailable(lake, wanted.documents, SPACES) == []  # the tables hold its rows
    shutil.rmtree(Path(lake.uri, "index"))
    assert unavailable(lake, wanted.documents, SPACES) == [lost.doc_id]
    with pytest.raises(MissingOutputs) as missing:
        publish_to(lake, wanted)
    assert missing.value.doc_ids == (lost.doc_id,)
    assert publish_to(lake, Wanted(wanted.sources[1:], [kept], SPACES)).counts["documents"] == 1


def test_a_release_without_its_tables_says_what_to_do(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    publish_to(lake, simple(lake.storage, ["a"]))
    shutil.rmtree(Path(lake.uri, "index", "chunks.lance", "_versions"))
    with pytest.raises(MissingTables, match="chunks"):
        open_reader(lake).all_chunks()
    shutil.rmtree(Path(lake.uri, "index"))
    with pytest.raises(MissingTables, match="chunks, documents, sources, vectors_fake") as gone:
        open_reader(lake)
    assert "bindery ingest" in gone.value.hint


def test_another_dimension_in_the_same_space_is_refused(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a"])
    publish_to(lake, wanted)
    with pytest.raises(LakeError, match="other columns"):
        publish_to(lake, dataclasses.replace(wanted, spaces={"fake": 32}))


def test_nothing_published_yet(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="nothing has been published"):
        open_reader(new_lake(tmp_path))


def test_a_writer_that_lost_its_lease_publishes_nothing(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    with lake.lease("first") as lost:
        holder = orjson.loads(lake.storage.read("lease.json"))
        lake.storage.write("lease.json", orjson.dumps({**holder, "pid": 0}))  # as if it was taken for dead
        with lake.lease("second"), pytest.raises(LakeBusyError):
            publish(lake, lost, "r", simple(lake.storage, ["a"]))
    assert release_numbers(lake.storage) == []


class KilledError(BaseException):
    """A kill as far as Python can tell: nothing in the code under test catches it."""


def _killed_after(method: Callable[..., Any], calls: list[int], at: int, before: bool) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == at and before:
            raise KilledError
        result = method(*args, **kwargs)
        if calls[0] == at:
            raise KilledError
        return result

    return wrapper


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_commit_is_finished_by_the_next_publish(tmp_path: Path, before: bool) -> None:
    """Kill at the nth LanceDB commit or storage write, for every n; readers stay on the old release until then."""
    reference = new_lake(tmp_path / "reference")
    publish_to(reference, simple(reference.storage, ["b", "c"], edition=2))
    expected = contents(open_reader(reference))
    at, finished = 0, False
    while not finished:
        at += 1
        lake = new_lake(tmp_path / f"{at}")
        first = publish_to(lake, simple(lake.storage, ["a", "b"]))
        old = contents(open_reader(lake))
        wanted = simple(lake.storage, ["b", "c"], edition=2)
        calls = [0]
        with (
            lake.lease("test") as lease,
            patch.multiple(
                LanceTable,
                add=_killed_after(LanceTable.add, calls, at, before),
                delete=_killed_after(LanceTable.delete, calls, at, before),
                optimize=_killed_after(LanceTable.optimize, calls, at, before),
                create_index=_killed_after(LanceTable.create_index, calls, at, before),
            ),
            patch.object(
                sys.modules[publish_function.__module__],
                "create_release",
                _killed_after(sys.modules[publish_function.__module__].create_release, calls, at, before),
            ),
        ):
            try:
                publish(lake, lease, "killed", wanted)
                finished = True
            except KilledError:
                pass
        if current_release(lake.storage).number == first.number:
            assert contents(open_reader(lake)) == old
        release = publish_to(lake, wanted)
        assert contents(open_reader(lake)) == expected
        assert release.number == 2
    assert at >= 9  # four tables deleted from and added to, and the release


_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from tasks.lake import open_lake
import lancedb  # so that kills fall into publishing, not into this import
from tests.lakes import publish_to, simple
lake = open_lake(sys.argv[2])
editions = [simple(lake.storage, ["a", "b", "c"], edition) for edition in (1, 2)]
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    publish_to(lake, editions[turn % 2], str(turn))
"""


def test_kill_9_while_publishing(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    editions = [simple(lake.storage, ["a", "b", "c"], edition) for edition in (1, 2)]
    allowed = []
    for edition in editions:
        publish_to(lake, edition)
        allowed.append(contents(open_reader(lake)))
    moments = random.Random(7)
    root = str(Path(__file__).parents[1])
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, root, lake.uri], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0.0, 0.4))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert contents(open_reader(lake)) in allowed
    for edition, rows in zip(editions, allowed, strict=True):
        publish_to(lake, edition)
        assert contents(open_reader(lake)) == rows
