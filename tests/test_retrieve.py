"""Retrieval fuses its signals, filters without interpreting names, and says why a hit is there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from flows.search_options import Selection, Terms, retrieve_selected
from tasks import retrieve as retrieve_module
from tasks.embed import spaces as spaces_module
from tasks.errors import LakeError, MissingCapabilityError, UsageError
from tasks.index import Wanted, open_reader, tables
from tasks.lake import Lake
from tasks.result import SearchResult, Signal
from tasks.retrieve import retrieve
from tasks.rows import SummaryRow, TagRow
from tasks.select import matches
from tests.lakes import (
    MEDIA_DIMENSION,
    MEDIA_SPACES,
    SPACES,
    FakeSpace,
    chunk,
    doc_id,
    document,
    media_vector,
    new_lake,
    open_fake,
    publish_to,
    simple,
    source,
)

ROWS = {
    "finance": [
        chunk("finance", 0, "Revenue of radar gauges grew to 12,930 thousand euros in 2025.", page=3),
        chunk("finance", 1, "Region | Q1\nNordics | 112", kind="table", page=4, html="<table></table>"),
    ],
    "handbook": [
        chunk("handbook", 0, "The cable may be up to 120 m long.", page=1, context="Handbook > Cables"),
        chunk("handbook", 1, "A harbour at dusk", kind="image", page=2, media="blobs/aa/x.png"),
    ],
    "中文": [chunk("中文", 0, "北京市的营业收入在2023年增长了百分之十二。", page=None)],
}
SOURCES = [
    source("/data/reports/finance 2025.xlsx", "finance", tags=("money",)),
    source("/data/mail/old.eml!/1/finance.xlsx", "finance"),
    source("/data/mail/old.eml!/2/broken.xlsx", "finance", skipped="encrypted"),
    source("/data/support/handbook.docx", "handbook", tags=("support", "it's"), groups=("field",)),
    source("/data/zh/说明 [1] 🎉.md", "中文"),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = new_lake(tmp_path_factory.mktemp("retrieve"))
    picture = ROWS["handbook"][1]
    summaries = {"handbook": [SummaryRow(picture.chunk_id, "photograph of a tide gauge", "extractive")]}
    documents = [document(made.storage, doc, rows, summaries.get(doc, ())) for doc, rows in ROWS.items()]
    publish_to(made, Wanted(SOURCES, documents, SPACES))
    return made


def search(lake: Lake, query: str, **options: object) -> SearchResult:
    return retrieve(lake, query, open_space=open_fake, **options)  # type: ignore[arg-type]


def ids(result: SearchResult) -> list[str]:
    return [hit.chunk.chunk_id for hit in result.hits]


def test_a_hit_has_its_row_sources_and_reasons(lake: Lake) -> None:
    result = search(lake, "revenue of radar gauges")
    hit = result.hits[0]
    assert hit.chunk == ROWS["finance"][0]
    assert hit.sources == ("/data/mail/old.eml!/1/finance.xlsx", "/data/reports/finance 2025.xlsx")
    assert {signal.name: signal.rank for signal in hit.signals} == {"text": 1, "vector:fake": 1}
    assert hit.score == pytest.approx(2 / 61)
    assert 0.2 < hit.similarity <= 1.0
    assert result.release == 1


def test_the_public_fields_of_a_hit(lake: Lake) -> None:
    found = search(lake, " cable ").to_json()
    assert (found["query"], found["release"]) == ("cable", 1)
    assert found["terms"] == [{"weight": 1.0, "modality": "text", "text": "cable", "path": None}]
    assert list(found["hits"][0]) == [
        "chunk_id", "doc_id", "sources", "pages", "time_range", "kind", "score", "text", "html", "image", "media",
        "media_type", "boxes", "modality", "located", "picture_tag",
    ]  # fmt: skip
    assert [found["hits"][0][name] for name in ("modality", "located", "picture_tag")] == ["text", None, None]
    assert found["hits"][0]["boxes"] == [{"page": 1, "x0": 0.1, "y0": 0.1, "x1": 0.9, "y1": 0.2}]
    (picture,) = search(lake, "photograph", kinds=("image",)).to_json()["hits"]
    assert picture["image"] == "blobs/aa/x.png"


def test_chinese_is_found_first_though_the_space_cannot_read_it(lake: Lake) -> None:
    for query in ("北京", "营业收入", "北京的营业收入增长了多少?"):
        hit = search(lake, query).hits[0]
        assert hit.chunk == ROWS["中文"][0]
        assert "cjk" in {signal.name for signal in hit.signals}


def test_equal_queries_give_equal_results(lake: Lake) -> None:
    assert search(lake, "revenue harbour 北京") == search(lake, "revenue harbour 北京")


def test_filters(lake: Lake) -> None:
    finance, table = (row.chunk_id for row in ROWS["finance"])
    cable, picture = (row.chunk_id for row in ROWS["handbook"])
    (chinese,) = (row.chunk_id for row in ROWS["中文"])
    everything = {finance, table, cable, picture, chinese}

    def found(**options: object) -> set[str]:
        return set(ids(search(lake, "revenue cable harbour 北京", **options)))

    assert found() == everything
    assert found(kinds=("table", "image")) == {table, picture}
    assert found(pages=(1, 2)) == {cable, picture}
    assert found(pages=(3,), kinds=("text",)) == {finance}
    assert found(pages=(99,)) == set()
    assert found(sources=("*.xlsx",)) == {finance, table}
    assert found(sources=("support/*", "zh/*")) == {cable, picture, chinese}
    assert found(sources=("*.xlsx",), kinds=("text",), pages=(3, 4)) == {finance}
    assert found(tags=("money",)) == {finance, table}
    assert found(tags=("it's",)) == {cable, picture}
    assert found(groups=("field",), sources=("*.docx",)) == {cable, picture}
    assert found(tags=("money",), groups=("field",)) == set()
    assert found(sources=("broken.xlsx",)) == set()
    assert found(sources=("说明 [1] 🎉.md",)) == {chinese}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One content under several names, a copy of its chunk in another document, and no vectors."""
    lake = new_lake(tmp_path_factory.mktemp("shared"))
    documents = [document(lake.storage, n, [chunk(n, 0, "Salaries of divers: 77 euros")], embed=False) for n in "ab"]
    sources = [
        source("/a/board.txt", "a", tags=("secret",), groups=("board",), date="2024-12-31"),
        source("/b/none.txt", "a"),
        source("/public/pay.txt", "a", tags=("pub",), groups=("staff",), date="2025-03-31"),
        source("/public/old.txt", "a", groups=("board",), date="2023-01-01"),
        source("/c/copy.txt", "b", groups=("staff", "board"), date="2025-06-01"),
    ]
    publish_to(lake, Wanted(sources, documents, {}))
    return lake


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({}, "/a/board.txt /b/none.txt /c/copy.txt /public/old.txt /public/pay.txt"),
        ({"groups": ["staff"]}, "/c/copy.txt /public/pay.txt"),
        ({"groups": ["staff", "board"]}, "/a/board.txt /c/copy.txt /public/old.txt /public/pay.txt"),
        ({"groups": ["nobody"]}, ""),
        ({"tags": ["pub"]}, "/public/pay.txt"),
        ({"sources": ["/public/*"]}, "/public/old.txt /public/pay.txt"),
        ({"sources": ["/public/*"], "groups": ["staff"]}, "/public/pay.txt"),
        ({"tags": ["pub"], "groups": ["board"]}, ""),  # no one source is both
        ({"since": "2025-03-31"}, "/c/copy.txt /public/pay.txt"),
        ({"since": "2025-04-01"}, "/c/copy.txt"),
        ({"until": "2024-12-31"}, "/a/board.txt /public/old.txt"),
        ({"since": "2024-12-31", "until": "2025-03-31"}, "/a/board.txt /public/pay.txt"),
        ({"since": "2025-06-02"}, ""),
        ({"since": "2025-01-01", "until": "2024-01-01"}, ""),
    ],
)
def test_only_sources_that_satisfy_the_filters_are_named(shared: Lake, filters: dict[str, object], named: str) -> None:
    assert [uri for hit in search(shared, "salaries", **filters).hits for uri in hit.sources] == named.split()


def test_the_query_flow_passes_the_filters_on_and_cites_what_they_leave(shared: Lake) -> None:
    from flows.query import query

    def cited(**filters: Any) -> list[list[str]]:
        answer = query.fn("What are the salaries of divers?", lake=shared.storage.root, **filters)
        return [citation.sources for citation in answer.citations]

    assert cited(groups=["staff"], pages=[1]) == [["/c/copy.txt", "/public/pay.txt"]]
    assert cited(since="2024-01-01", until="2025-04-01") == [["/a/board.txt", "/public/pay.txt"]]
    assert cited(pages=[2]) == []


@pytest.mark.parametrize("name", ["' OR 1=1 --", 'a"b', "a\nb", "🎉", "[", "*[!", "\\", ""])
def test_filter_values_are_never_read_as_expressions(lake: Lake, name: str) -> None:
    assert search(lake, "revenue", tags=(name,)).hits == ()
    assert search(lake, "revenue", groups=(name,)).hits == ()
    assert all(name == "🎉" for _ in search(lake, "revenue", sources=(name,)).hits)


@pytest.mark.parametrize(
    "query", ['"foo AND (', "+revenue -radar^2", "a:b~ *", "' OR 1=1", "the", "🎉", "?", "a" * 20_000, "北", "\x00"]
)
def test_any_text_is_a_query(lake: Lake, query: str) -> None:
    search(lake, query)


def test_copies_of_a_chunk_do_not_fill_the_list(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    names = [f"copy {i}" for i in range(6)]
    documents = [document(lake.storage, n, [chunk(n, 0, "Radar gauges,  best of 2025")]) for n in names]
    documents.append(document(lake.storage, "other", [chunk("other", 0, "radar gauges of another kind")]))
    sources = [source(f"/data/{n}.txt", n) for n in [*names, "other"]]
    publish_to(lake, Wanted(sources, documents, SPACES))
    result = search(lake, "best radar gauges", k=2)
    assert [len(hit.sources) for hit in result.hits] == [6, 1]


def test_parts_of_a_recording_and_other_pictures_are_no_copies(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wav = "blobs/aa/gull.wav"
    times = [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    windows = [chunk("gull", i, "A gull", "audio", media=wav, seconds=seconds) for i, seconds in enumerate(times)]
    copy = [dataclasses.replace(row, doc_id=doc_id("copy"), chunk_id=f"copy {row.ordinal}") for row in windows[:1]]
    pictures = [chunk("deck", i, "A gull", "image", media=f"blobs/aa/{name}.png") for i, name in enumerate("xyx")]
    rows = {"gull": windows, "copy": copy, "deck": pictures}
    documents = [document(lake.storage, doc, chunks) for doc, chunks in rows.items()]
    publish_to(lake, Wanted([source(f"/data/{doc}", doc) for doc in rows], documents, SPACES))
    hits = search(lake, "gull").hits
    found = [(hit.chunk.kind, hit.chunk.media, hit.chunk.time_start, hit.sources) for hit in hits]
    assert sorted(found, key=repr) == [
        ("audio", "blobs/aa/gull.wav", 0.0, ("/data/copy", "/data/gull")),
        ("audio", "blobs/aa/gull.wav", 2.0, ("/data/gull",)),
        ("audio", "blobs/aa/gull.wav", 4.0, ("/data/gull",)),
        ("image", "blobs/aa/x.png", None, ("/data/deck",)),
        ("image", "blobs/aa/y.png", None, ("/data/deck",)),
    ]


def test_copies_of_a_picture_leave_room_for_others(tmp_path: Path) -> None:
    """A logo of two views on 700 pages is as near as can be; thirty other pictures are still found, next to it."""
    lake = new_lake(tmp_path)
    logos = [chunk("deck", i, "", "image", page=i + 1, media="blobs/logo.png") for i in range(700)]
    others = [chunk("album", i, "", "image", media=f"blobs/{i}.png") for i in range(30)]
    media = {
        "deck": [media_vector(row, "image", words, i) for row in logos for i, words in enumerate(("gull", "a gull"))],
        "album": [media_vector(row, "image", f"gull beside {row.ordinal}") for row in others],
    }
    rows = {"deck": logos, "album": others}
    documents = [document(lake.storage, doc, rows[doc], media=media[doc], embed=False) for doc in rows]
    spaces = {"fakebind": MEDIA_DIMENSION}
    publish_to(lake, Wanted([source(f"/data/{doc}", doc) for doc in rows], documents, spaces))
    hits = search(lake, "gull", k=10, kinds=("image",)).hits
    assert [hit.chunk.media for hit in hits[:1]] == ["blobs/logo.png"]
    assert len({hit.chunk.media for hit in hits}) == len(hits) == 10
    assert [hit.signals[0].rank for hit in hits] == [1, *range(hits[1].signals[0].rank, hits[1].signals[0].rank + 9)]
    assert len(search(lake, "gull", k=100).hits) == 31


def test_what_a_space_does_not_hold_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = new_lake(tmp_path)
    rows = {doc: chunk(doc, 0, "a gull at the harbour") for doc in ("old", "older", "new")}
    media = {"new": [media_vector(rows["new"], "text", "gull")]}
    documents = [document(lake.storage, doc, [row], media=media.get(doc)) for doc, row in rows.items()]
    sources = [source(f"/data/{doc}", doc) for doc in rows]
    release = publish_to(lake, Wanted(sources, documents, MEDIA_SPACES))
    said = "space fakebind holds vectors of 1 of 3 documents: bindery ingest --restage SOURCE... adds the others"
    found = search(lake, "gull")
    assert found.notes == (said,) and found.to_json()["notes"] == [said]
    with patch.object(retrieve_module, "retrieve", lambda *_, **__: found), patch.object(spaces_module, "open_space"):
        retrieve_selected("gull", Terms(), Selection(lake=lake.uri))
    assert capsys.readouterr().err.splitlines() == [said]
    assert search(lake, "gull", spaces=("fake",)).notes == ()
    unknown = {name: count for name, count in release.counts.items() if not name.startswith("documents_")}
    assert search(lake, "gull", release=dataclasses.replace(release, counts=unknown)).notes == ()
    whole = [document(lake.storage, doc, [row], media=media.get(doc, ())) for doc, row in rows.items()]
    publish_to(lake, Wanted(sources, whole, MEDIA_SPACES))
    assert search(lake, "gull").notes == ()


def test_pictures_are_filtered_by_their_label(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    rows = [chunk("deck", i, f"gull {i}", "image", page=i + 1, media=f"blobs/{i}.png") for i in range(4)]
    labels = [TagRow(row.chunk_id, label, 0.9) for row, label in zip(rows, ("chart", "photo", "it's"), strict=False)]
    publish_to(
        lake, Wanted([source("/deck", "deck", ("photo",))], [document(lake.storage, "deck", rows, tags=labels)], SPACES)
    )

    def found(*labels: str, **options: object) -> list[str]:
        hits = search(lake, "gull", picture_tags=labels, **options).hits
        return sorted(hit.picture_tag for hit in hits)

    assert found() == ["", "chart", "it's", "photo"]
    assert found("chart") == ["chart"] and found("it's", "photo") == ["it's", "photo"]
    assert found("photo", pages=(1, 2)) == ["photo"] and found("photo", pages=(1,)) == []
    assert found("") == [] and found("diagram", "' OR 1=1") == [] and found("chart", kinds=("text",)) == []
    with patch.object(retrieve_module, "retrieve", return_value=search(lake, "gull")) as asked:
        retrieve_selected("gull", Terms(), Selection(lake=lake.uri, picture_tag=["chart"], tag=["photo"]))
    assert asked.call_args.kwargs["picture_tags"] == ("chart",) and asked.call_args.kwargs["tags"] == ("photo",)


def test_large_tables_are_searched_through_their_indexes(tmp_path: Path) -> None:
    """More is asked of the vector index than it looks at by default."""
    lake = new_lake(tmp_path)
    with patch.object(tables, "INDEX_ROWS", 300):
        publish_to(lake, simple(lake.storage, [f"n{i}" for i in range(40)], chunks=10))
    result = search(lake, "n7 edition 1 part 3", k=100)
    assert result.hits[0].chunk.text.startswith("n7 edition 1 part 3") and len(result.hits) == 100
    reader = open_reader(lake)
    indexes = {
        name: {column: index.index_type for index in reader._table(name).list_indices() for column in index.columns}
        for name in ("vectors_fake", "chunks")
    }
    scalar = {"doc_id": "BTree", "chunk_id": "BTree", "kind": "Bitmap"}
    assert indexes["chunks"] == {**scalar, "search_text": "FTS", "search_cjk": "FTS"}
    assert indexes["vectors_fake"].pop("vector").startswith("IvfHnsw")
    assert indexes["vectors_fake"] == {**scalar, "item": "BTree", "modality": "Bitmap"}
    assert len(search(lake, "n7 edition", k=100, kinds=("text",)).hits) == 100
    assert search(lake, "n7 edition", kinds=("image",)).hits == ()


def test_a_space_made_by_another_model_is_refused(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    wanted = simple(lake.storage, ["a"])
    publish_to(lake, dataclasses.replace(wanted, models={"fake": "fake:1"}))
    assert search(lake, "harbour").hits

    class Newer(FakeSpace):
        fingerprint = "fake:2"

    with pytest.raises(
        LakeError, match=r"space 'fake' .* another model than the one here \(fake:1, not fake:2\)"
    ) as caught:
        retrieve(lake, "harbour", open_space=lambda name: Newer())
    assert "--restage" in caught.value.hint


def test_pictures_beside_one_text_do_not_take_its_place(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    said = "Gulls over the quay at dusk."
    text = chunk("a", 0, f"{said} The rest of a long paragraph says how they are counted, and by whom, and how often.")
    pictures = [chunk("a", i, "", "image", media=f"blobs/aa/{i}.png", around=(said, "")) for i in range(1, 9)]
    other = chunk("a", 9, "Nothing but a quay.", page=2)
    summaries = [SummaryRow(row.chunk_id, said, "extractive") for row in pictures]
    wanted = document(lake.storage, "a", [text, *pictures, other], summaries)
    publish_to(lake, Wanted([source("/data/a", "a")], [wanted], SPACES))
    hits = search(lake, "gulls over the quay at dusk", k=3).hits
    assert {hits[0].chunk.kind, hits[1].chunk.kind} == {"text", "image"}
    assert {text.chunk_id, other.chunk_id} < {hit.chunk.chunk_id for hit in hits}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.chunk.kind for hit in search(lake, "gulls over the quay", k=10).hits].count("image") == 8
    alone = search(lake, "gulls over the quay", k=8, kinds=("image",)).hits
    assert len({hit.chunk.media for hit in alone}) == 8


def test_hits_are_limited_to_k(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    publish_to(lake, simple(lake.storage, [f"n{i}" for i in range(20)]))
    assert [len(search(lake, "harbour 北京", k=k).hits) for k in (1, 7, 100)] == [1, 7, 60]


def test_an_older_release_can_be_searched(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    first = publish_to(lake, simple(lake.storage, ["old"]))
    publish_to(lake, simple(lake.storage, ["new"]))
    assert {hit.sources for hit in search(lake, "harbour", release=first).hits} == {("/data/old.txt",)}


def test_clear_errors(lake: Lake, tmp_path: Path) -> None:
    for query in ("", " \n\t"):
        with pytest.raises(UsageError, match="empty"):
            search(lake, query)
    with pytest.raises(UsageError, match="not valid UTF-8"):
        search(lake, "caf\udce9")
    for value in ("", "yesterday", "2025-02-30", "2025-13-01", "\udce9"):
        with pytest.raises(UsageError) as refused:
            search(lake, "x", since=value)
        assert repr(value) in refused.value.message
        with pytest.raises(UsageError, match="until is"):
            search(lake, "x", until=value)
    with pytest.raises(UsageError, match="kind"):
        search(lake, "x", kinds=("poem",))
    with pytest.raises(UsageError, match="no space 'imagebind'"):
        search(lake, "x", spaces=("imagebind",))
    with pytest.raises(LakeError, match="nothing has been published"):
        search(new_lake(tmp_path), "x")

    def missing(name: str) -> FakeSpace:
        raise MissingCapabilityError("its model is not installed", "install it")

    with pytest.raises(MissingCapabilityError, match="space 'fake' of the lake: its model is not installed") as caught:
        retrieve(lake, "x", open_space=missing, sources=("nothing",))
    assert caught.value.hint == "install it"

    class Wider(FakeSpace):
        dimension = 65

    with pytest.raises(LakeError, match="dimension 65"):
        retrieve(lake, "x", open_space=lambda name: Wider())


def test_an_empty_release_has_no_hits(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    publish_to(lake, Wanted([], [], SPACES))
    assert search(lake, "anything").hits == ()


def test_a_space_without_vectors_for_the_query_adds_nothing(lake: Lake) -> None:
    class Blind(FakeSpace):
        def embed_texts(self, texts: object) -> np.ndarray:
            return np.eye(1, self.dimension, dtype=np.float32)

    result = retrieve(lake, "cable", open_space=lambda name: Blind())
    text = [hit for hit in result.hits if any(signal.name == "text" for signal in hit.signals)]
    assert text[0].signals[0] == Signal("text", 1, text[0].signals[0].score)


@pytest.mark.parametrize(
    ("uri", "pattern", "expected"),
    [
        ("/data/reports/q1/a.xlsx", "*.xlsx", True),
        ("/data/reports/q1/a.xlsx", "reports/*", True),
        ("/data/reports/q1/a.xlsx", "reports/", True),
        ("/data/reports/q1/a.xlsx", "./reports/q1/a.xlsx", True),
        ("/data/reports/q1/a.xlsx", "a.xlsx", True),
        ("/data/reports/q1/a.xlsx", "/data/*", True),
        ("/data/reports/q1/a.xlsx", "ports/*", False),
        ("/data/reports/q1/a.xlsx", "*.xls", False),
        ("/data/m.eml!/1/b.xlsx", "m.eml", True),
        ("/data/m.eml!/1/b.xlsx", "*.xlsx", True),
        ("/data/m.eml!/1/b.xlsx", "b.xlsx", True),
        ("/data/a[1].txt", "a[1].txt", True),
        ("/data/a\nb.txt", "a*.txt", True),
        ("/data/a.txt", "", False),
    ],
)
def test_source_patterns(uri: str, pattern: str, expected: bool) -> None:
    assert matches(uri, [pattern]) is expected
