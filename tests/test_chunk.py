"""Chunks: whole rows, nothing lost, limits kept, equal input gives equal ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import stage, tokens
from tasks.chunk import STAGE_VERSION, chunk_document, chunk_elements, cut_text, recipe
from tasks.recordings import clock, windows
from tasks.rows import Box, ChunkRow, ElementRow, content_id, digest, from_table, to_table
from tasks.settings import ChunkSettings, Settings
from tasks.stage import StageInfo, StageOutput
from tasks.storage import LocalStorage

SMALL = ChunkSettings(max_tokens=32, soft_tokens=24, combine_under_tokens=8)
INFO = StageInfo(title="Annual report", pages=3, characters=99)


def chunks_of(
    *elements: ElementRow, settings: ChunkSettings = SMALL, info: StageInfo = INFO, doc_id: str = "doc"
) -> list[ChunkRow]:
    numbered = [dataclasses.replace(row, ordinal=i) for i, row in enumerate(elements)]
    return from_table(chunk_elements(doc_id, numbered, info, settings).table, ChunkRow)


def element(category: str, text: str, page: int | None = 1, **fields: object) -> ElementRow:
    boxes = () if page is None else (Box.of(page, 0.1, 0.1, 0.9, 0.2),)
    return dataclasses.replace(ElementRow(0, category, text, page, boxes), **fields)  # type: ignore[arg-type]


def squash(texts: Sequence[str]) -> str:
    return "".join("".join(texts).split())


def test_whole_rows() -> None:
    html = "<table><tr><th>Year</th><th>Sales</th></tr><tr><td>2024</td><td>7</td></tr></table>"
    box_1, box_2 = Box.of(1, 0.1, 0.1, 0.9, 0.2), Box.of(2, 0.1, 0.1, 0.9, 0.2)
    rows = chunks_of(
        element("Header", "ACME", 1),
        element("Title", "Annual report", 1, level=0),
        element("Title", "Sales", 1, level=1),
        element("NarrativeText", "They rose.", 1),
        element("Table", "Year Sales 2024 7", 1, html=html),
        element("NarrativeText", "They will rise.", 2, origin="ocr"),
        element("Image", "Figure 1: a bar", 2, media="blobs/ab/x.png", media_type="image/png"),
        element("Audio", "", None, media="blobs/cd/y.wav", media_type="audio/wav", time_start=0.0, time_end=2.5),
    )
    text = "Annual report\n\nSales\n\nThey rose.\n\nThey will rise."
    table_text = "Year\n2024 | Sales: 7"
    wav = "blobs/cd/y.wav"

    def identity(
        kind: str, text: str, html: str | None, media: str | None, pages: tuple[int, ...], end: float | None
    ) -> str:
        return content_id("doc", kind, text, html, media, pages, None if end is None else 0.0, end)

    assert rows == [
        ChunkRow(
            chunk_id=identity("text", text, None, None, (1, 2), None),
            doc_id="doc",
            ordinal=0,
            kind="text",
            text=text,
            html=None,
            media=None,
            media_type=None,
            context="Annual report",
            tokens=tokens.count(text),
            pages=(1, 2),
            boxes=(box_1, box_2),
            origin="ocr",
        ),
        ChunkRow(
            chunk_id=identity("table", table_text, html, None, (1,), None),
            doc_id="doc",
            ordinal=1,
            kind="table",
            text=table_text,
            html=html,
            media=None,
            media_type=None,
            context="Annual report > Sales",
            tokens=tokens.count(table_text),
            pages=(1,),
            boxes=(box_1,),
            origin="native",
        ),
        ChunkRow(
            chunk_id=identity("image", "Figure 1: a bar", None, "blobs/ab/x.png", (2,), None),
            doc_id="doc",
            ordinal=2,
            kind="image",
            text="Figure 1: a bar",
            html=None,
            media="blobs/ab/x.png",
            media_type="image/png",
            context="Annual report > Sales",
            tokens=tokens.count("Figure 1: a bar"),
            pages=(2,),
            boxes=(box_2,),
            origin="native",
        ),
        ChunkRow(
            chunk_id=identity("audio", "", None, wav, (), 2.5),
            doc_id="doc",
            ordinal=3,
            kind="audio",
            text="",
            html=None,
            media=wav,
            media_type="audio/wav",
            context="Annual report > Sales",
            tokens=0,
            pages=(),
            boxes=(),
            origin="native",
            time_start=0.0,
            time_end=2.5,
        ),
    ]


def test_info_counts_by_kind_and_carries_the_document() -> None:
    output = chunk_elements("doc", [element("NarrativeText", "One."), element("Table", "a b")], INFO, SMALL)
    assert output.info == StageInfo(
        "Annual report", 3, 99, counts={"table": 1, "text": 1, "characters_elements": 6, "characters_chunks": 6}
    )


def test_identical_chunks_have_ids_of_their_own_and_the_same_ones_next_time() -> None:
    same = [element("Table", "a b") for _ in range(3)]
    ids = [row.chunk_id for row in chunks_of(*same)]
    assert len(set(ids)) == 3
    assert ids == [row.chunk_id for row in chunks_of(*same)]
    assert ids[:2] == [row.chunk_id for row in chunks_of(*same[:2])]


def test_a_heading_stays_with_the_beginning_of_its_text() -> None:
    first, *rest = chunks_of(element("Title", "Risk factors"), element("NarrativeText", "Rates may rise again. " * 30))
    assert first.text.startswith("Risk factors\n\nRates may rise again.")
    assert rest
    assert {row.context for row in (first, *rest)} == {"Annual report > Risk factors"}


def test_small_sections_join_the_next_by_tokens() -> None:
    long = "An uncommonly long paragraph about depreciation and amortisation methodology, internationally."
    (row,) = chunks_of(element("Title", "Part I"), element("Title", "Item 1"), element("NarrativeText", long))
    assert row.text == f"Part I\n\nItem 1\n\n{long}"


def test_chinese_is_cut_at_its_sentence_ends() -> None:
    text = "公司营业收入同比增长百分之十二。净利润也有所上升；董事会建议派发股息！" * 20
    rows = chunks_of(element("NarrativeText", text))
    assert len(rows) > 5
    assert all(row.tokens <= SMALL.max_tokens and row.text[-1] in "。；！" for row in rows)
    assert squash([row.text for row in rows]) == text


def test_running_headers_are_left_out_unless_there_is_nothing_else() -> None:
    furniture = [element("Header", "ACME plc"), element("PageNumber", "7")]
    assert [row.text for row in chunks_of(*furniture, element("NarrativeText", "Text."))] == ["Text."]
    assert [row.text for row in chunks_of(*furniture)] == ["ACME plc\n\n7"]


def test_nothing_gives_nothing() -> None:
    assert chunks_of() == []
    assert chunks_of(element("NarrativeText", " \n")) == []


def test_a_long_table_is_cut_by_rows_under_its_header() -> None:
    body = "".join(f"<tr><td>Item {i}</td><td>{i}</td></tr>" for i in range(100))
    html = f"<table><thead><tr><th>Name</th><th>Count</th></tr></thead><tbody>{body}</tbody></table>"
    rows = chunks_of(element("Table", "Name Count", html=html))
    assert len(rows) > 3
    assert all(row.tokens <= 4 * SMALL.max_tokens for row in rows)
    assert all(row.text.startswith("Name\nItem ") for row in rows)
    assert all((row.html or "").startswith("<table><tr><th>Name</th><th>Count</th></tr><tr><td>Item ") for row in rows)
    lines = [line for row in rows for line in row.text.splitlines()[1:]]
    assert lines == [f"Item {i} | Count: {i}" for i in range(100)]


def test_a_row_beyond_the_limit_and_words_outside_the_cells_are_kept() -> None:
    cell = "word " * 500
    html = f"<table><tr><td>Head</td></tr><tr><td>{cell}</td></tr></table>"
    rows = chunks_of(element("Table", f"Caption Head {cell}", html=html))
    assert rows[0].text == "Caption"
    assert all(row.tokens <= 4 * SMALL.max_tokens for row in rows)
    assert sum(row.text.count("word") for row in rows) == 500
    assert sum((row.html or "").count("word") for row in rows) == 500


def test_a_long_table_without_html_is_cut_by_lines() -> None:
    text = "\n".join(["Name Count", *(f"Item {i} {i}" for i in range(100))])
    rows = chunks_of(element("Table", text))
    assert [line for row in rows for line in row.text.splitlines()[1:]] == text.splitlines()[1:]
    assert all(row.html is None for row in rows)


def recording(seconds: float, category: str = "Audio", **fields: object) -> ElementRow:
    kind = category.lower()
    known = {"media": f"blobs/ab/x.{kind}", "media_type": f"{kind}/any", "time_start": 0.0, "time_end": seconds}
    return element(category, f"{category}, told in full", None, origin="metadata", **(known | fields))


def test_a_long_recording_is_cut_into_windows_of_time() -> None:
    call = recording(3661.3)
    rows = chunks_of(call, info=StageInfo(title="Earnings call"), settings=ChunkSettings())
    assert len(rows) == 366 and {row.kind for row in rows} == {"audio"}
    assert {(row.media, row.media_type, row.context) for row in rows} == {(call.media, "audio/any", "Earnings call")}
    assert [(row.time_start, row.time_end) for row in rows[:2]] == [(0.0, 10.0), (10.0, 20.0)]
    assert (rows[-1].time_start, rows[-1].time_end) == (3650.0, 3661.3)  # 1.3 s are no window of their own
    assert [row.text for row in (rows[0], rows[1], rows[360], rows[-1])] == [
        "Audio, told in full",
        "Earnings call, 0:10–0:20 of 1:01:01",
        "Earnings call, 1:00:00–1:00:10 of 1:01:01",
        "Earnings call, 1:00:50–1:01:01 of 1:01:01",
    ]
    assert len({row.chunk_id for row in rows}) == len({row.text for row in rows}) == 366
    assert rows[1].chunk_id == content_id(
        "doc", "audio", rows[1].text, None, call.media, (), 10.0, 20.0
    )  # of content alone: the same whatever comes before
    assert [row.ordinal for row in rows] == list(range(366))


def test_windows_are_as_long_as_the_settings_say() -> None:
    settings = ChunkSettings(audio_seconds=5, video_seconds=20)
    rows = chunks_of(recording(12.0), recording(45.0, "Video"), settings=settings, info=StageInfo())
    assert [(row.kind, row.time_start, row.time_end, row.text) for row in rows] == [
        ("audio", 0.0, 5.0, "Audio, told in full"),
        ("audio", 5.0, 10.0, "Recording, 0:05–0:10 of 0:12"),
        ("audio", 10.0, 12.0, "Recording, 0:10–0:12 of 0:12"),
        ("video", 0.0, 20.0, "Video, told in full"),
        ("video", 20.0, 40.0, "Video, 0:20–0:40 of 0:45"),
        ("video", 40.0, 45.0, "Video, 0:40–0:45 of 0:45"),
    ]
    few = chunks_of(recording(3600.0), settings=ChunkSettings(max_windows=7))
    assert [row.time_end for row in few] == [515.0, 1030.0, 1545.0, 2060.0, 2575.0, 3090.0, 3600.0]


def test_a_recording_of_unknown_length_or_without_bytes_is_one_chunk() -> None:
    for row in (recording(30.0, time_end=None), recording(30.0, media=None, media_type=None)):
        (chunk,) = chunks_of(row)
        assert (chunk.kind, chunk.text, chunk.time_end) == ("audio", "Audio, told in full", row.time_end)


def test_what_sensors_measured_has_kinds_of_its_own() -> None:
    types = {"depth": "image/x-depth", "thermal": "image/x-thermal", "imu": "application/x-imu"}
    rows = chunks_of(
        *(
            element(
                "Imu" if kind == "imu" else "Image", f"of {kind}", None, media=f"blobs/{kind}", media_type=media_type
            )
            for kind, media_type in types.items()
        )
    )
    assert [(row.kind, row.text, row.media, row.media_type) for row in rows] == [
        (kind, f"of {kind}", f"blobs/{kind}", media_type) for kind, media_type in types.items()
    ]


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e6), st.floats(2, 100), st.integers(1, 50))
@example(12.0, 10.0, 5000)
@example(11.99, 10.0, 5000)
@example(0.1, 10.0, 5000)
def test_windows_cover_a_recording_without_gaps(seconds: float, window: float, most: int) -> None:
    found = windows(seconds, window, most)
    assert 1 <= len(found) <= most
    assert [start for start, _ in found] == [0.0, *(end for _, end in found[:-1])]
    assert found[-1][1] == max(0.001, round(seconds, 3))  # a window of nothing could not be embedded
    assert all(end - start >= window - 0.01 for start, end in found[:-1])
    longest = window if seconds <= window * most else np.ceil(seconds / most)
    assert all(end - start < longest + 2.01 for start, end in found)
    assert len(found) == 1 or found[-1][1] - found[-1][0] > 1.99


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 7.4, 59.6, 3599, 3600, 90061)] == [
        "0:00",
        "0:07",
        "1:00",
        "59:59",
        "1:00:00",
        "25:01:01",
    ]


words = st.text(st.sampled_from("ab. A!?\n中文。；x1"), max_size=400)
pieces = st.builds(
    element,
    st.sampled_from(["Title", "NarrativeText", "ListItem", "CheckBox", "Table", "Image", "FigureCaption"]),
    words,
    st.one_of(st.none(), st.integers(1, 4)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces, max_size=12))
@example([element("Title", "t " * 200), element("NarrativeText", "x" * 5000)])
def test_nothing_is_lost_and_limits_hold(elements: list[ElementRow]) -> None:
    rows = chunks_of(*elements)
    texts = [row.text for row in rows if row.kind == "text"]
    assert squash(texts) == squash([e.text for e in elements if e.category not in ("Table", "Image")])
    for kind, category in (("table", "Table"), ("image", "Image")):
        found = squash([row.text for row in rows if row.kind == kind])
        assert set(found) == set(squash([e.text for e in elements if e.category == category]))
    assert all(row.tokens <= SMALL.max_tokens for row in rows if row.kind == "text")
    boxes = {box for e in elements if e.text.strip() for box in e.boxes}
    assert {box for row in rows for box in row.boxes} == boxes
    assert [row.ordinal for row in rows] == list(range(len(rows)))
    assert len({row.chunk_id for row in rows}) == len(rows)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=600), st.integers(16, 64))
def test_cut_text_keeps_the_limit_and_every_character(text: str, limit: int) -> None:
    parts = cut_text(text, limit)
    assert squash(parts) == squash([text])
    assert all(tokens.count(part) <= limit for part in parts)


def test_document_is_chunked_once_and_ids_do_not_mix(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    rows = [element("NarrativeText", "The same words.")]
    output = StageOutput(to_table(rows, ElementRow), digest(rows, INFO), INFO)
    partition = stage.save(storage, "partition", "p", output)
    how = recipe(Settings(), {"unstructured": "unstructured 1", "ocr": "unused"})
    refs = [chunk_document(storage, doc_id, partition, how, ChunkSettings()) for doc_id in ("one", "two", "one")]
    assert refs[0] == refs[2] and refs[0].key == how.key("one", partition.digest)
    assert from_table(stage.load(storage, refs[1]), ChunkRow)[0].doc_id == "two"
    assert refs[0].info.counts["text"] == 1
    assert dict(how.capabilities) == {"unstructured": "unstructured 1"}


def test_golden_output() -> None:
    """When this fails, raise STAGE_VERSION and put the new digest here: published documents must be restaged."""
    html = "<table><tr><th>Year</th><th>Sales</th></tr><tr><td>2024</td><td>7</td></tr></table>"
    rows = [
        element("Title", "Results", 1, level=0),
        element("NarrativeText", "Net revenue rose by 12% in 2022. " * 20, 1),
        element("NarrativeText", "公司营业收入同比增长百分之十二。" * 20, 2),
        element("Table", "Year Sales 2024 7", 2, html=html),
        element("Image", "Figure 1", 3, media="blobs/ab/x.png", media_type="image/png"),
        recording(25.0, "Video"),
    ]
    assert (STAGE_VERSION, chunk_elements("doc", rows, INFO, SMALL).digest) == (
        4,
        "1a0adbf49d3a9202a5b9f3631fdcdfb3521089f1755532fed5b7a2f59ae2ca2c",
    )
