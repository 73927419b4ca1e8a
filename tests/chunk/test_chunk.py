"""Chunks: whole rows, nothing lost, limits kept, equal input gives equal ids."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import stage, tokens
from tasks.chunk import STAGE_VERSION, chunk_document, chunk_elements, cut_text, recipe
from tasks.rows import Box, ChunkRow, ElementRow, content_id, digest, from_table, to_table
from tasks.settings import ChunkSettings, Settings
from tasks.stage import StageInfo, StageOutput
from tasks.storage import LocalStorage
from tests.chunk.made import INFO, SMALL, chunks_of, element, recording, squash


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
            before="They rose.",
            after="They will rise.",
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
            before="They will rise.",
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


def test_surroundings_do_not_count_as_text_that_was_kept() -> None:
    rows = [element("NarrativeText", "Said once."), element("Table", "a b"), element("Image", "", media="blobs/x.png")]
    counts = chunk_elements("doc", rows, INFO, SMALL).info.counts
    assert counts["characters_elements"] == counts["characters_chunks"] == len("Saidonce.ab")


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


@st.composite
def spread(draw: st.DrawFn) -> ElementRow:
    """An element whose boxes lie on one page or several; its words occur in no other."""
    number = draw(st.integers(0, 10**9))
    pages = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(sorted))
    boxes = tuple(Box.of(page, 0.1, round(number / 10**9, 5), 0.9, 1.0) for page in pages)
    text = f"element{number} " * draw(st.integers(1, 60))
    category = draw(st.sampled_from(["Title", "NarrativeText", "ListItem"]))
    return ElementRow(0, category, text, pages[0], boxes)


@settings(max_examples=80, deadline=None)
@given(st.lists(spread(), min_size=1, max_size=10, unique_by=lambda row: row.text.split()[0]))
def test_a_chunk_has_all_pages_and_boxes_of_what_it_says_and_no_others(elements: list[ElementRow]) -> None:
    for chunk in chunks_of(*elements):
        said = [row for row in elements if row.text.split()[0] in chunk.text.split()]
        assert said
        assert chunk.boxes == tuple(dict.fromkeys(box for row in said for box in row.boxes))
        assert chunk.pages == tuple(dict.fromkeys(box.page for box in chunk.boxes))


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
        "3256fdbb8090a883f9e9513e46cb63c8672b87f14f9d0462506babbb8d48aa65",
    )
