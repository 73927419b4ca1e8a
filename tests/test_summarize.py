"""Extractive summaries: whole rows, the limit kept, English and Chinese."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import stage
from tasks.rows import ChunkRow, Kind, SummaryRow, digest, from_table, to_table
from tasks.settings import Settings, SummarizeSettings
from tasks.stage import StageInfo, StageOutput
from tasks.storage import LocalStorage
from tasks.summarize import STAGE_VERSION, recipe, summarize_chunks, summarize_document

EVERY = SummarizeSettings(kinds=("text", *SummarizeSettings().kinds), max_characters=200)
CHUNK = ChunkRow(
    chunk_id="c",
    doc_id="d",
    ordinal=0,
    kind="text",
    text="",
    html=None,
    media=None,
    media_type=None,
    context="",
    tokens=0,
    pages=(),
    boxes=(),
    origin="native",
)


def summary_of(settings: SummarizeSettings = EVERY, **fields: object) -> str:
    chunk = dataclasses.replace(CHUNK, **fields)  # type: ignore[arg-type]
    (row,) = from_table(summarize_chunks([chunk], settings).table, SummaryRow)
    return row.text


def test_whole_rows_of_the_kinds_asked_for() -> None:
    chunks = [
        dataclasses.replace(CHUNK, chunk_id="1", text="Not asked for."),
        dataclasses.replace(CHUNK, chunk_id="2", kind="image", text="A bar chart.", context="Report > Sales"),
    ]
    output = summarize_chunks(chunks, SummarizeSettings())
    assert from_table(output.table, SummaryRow) == [SummaryRow("2", "Report > Sales\nA bar chart.", "extractive")]
    assert output.info == StageInfo(counts={"image": 1})


def test_text_keeps_the_central_sentences_in_order() -> None:
    text = (
        "Net revenue grew because card spending grew. It rained. Card spending grew most among younger members. "
        "Lunch was served at noon in the usual place by the usual people. "
        "We expect card spending and net revenue to grow again. Thank you."
    )
    summary = summary_of(text=text, settings=EVERY.model_copy(update={"max_characters": 160}))
    assert summary == (
        "Net revenue grew because card spending grew. Card spending grew most among younger members. "
        "We expect card spending and net revenue to grow again."
    )


def test_chinese_text() -> None:
    text = "公司营业收入增长。今天下雨。营业收入增长主要来自公司海外业务。" + "午餐照常供应。" * 20
    summary = summary_of(text=text, settings=EVERY.model_copy(update={"max_characters": 80}))
    assert "公司营业收入增长。" in summary
    assert len(summary) <= 80


def test_table_gives_caption_header_and_labels() -> None:
    html = (
        "<table><tr><th>Segment</th><th>2022</th><th>2021</th></tr>"
        "<tr><td>Consumer</td><td>7</td><td>6</td></tr><tr><td>Commercial</td><td>3</td><td>2</td></tr></table>"
    )
    text = "Table 3\nSegment | 2022 | 2021\nConsumer | 7 | 6\nCommercial | 3 | 2"
    summary = summary_of(kind="table", text=text, html=html, context="Report > Segments")
    assert summary == "Report > Segments\nTable 3. Segment; 2022; 2021. Consumer; Commercial"


def test_table_of_numbers_and_table_without_html() -> None:
    assert summary_of(kind="table", text="x | y\n1 | 2\n3 | 4") == "x; y. 1; 2"
    assert summary_of(kind="table", text="", pages=(4,), context="Report") == "Table on page 4 of Report"


def test_picture_without_words() -> None:
    assert summary_of(kind="image", pages=(7, 8), context="Report > Sales") == "Picture on page 7 of Report > Sales"
    assert summary_of(kind="image") == "Picture"


def test_a_picture_that_says_little_has_the_best_sentences_around_it() -> None:
    before = "It rained.\nThe following graph compares card spending of members by age. Members are people."
    some: dict[str, Any] = {"kind": "image", "text": "7\n8", "context": "Report", "before": before}
    whole = "It rained. The following graph compares card spending of members by age. Members are people. It rose."
    assert summary_of(after="It rose.", **some) == f"Report\n7 8\n{whole}"
    tight = EVERY.model_copy(update={"max_characters": 90})
    assert summary_of(tight, after="It rose.", **some) == (
        "Report\n7 8\nThe following graph compares card spending of members by age. It rose."
    )
    assert summary_of(kind="image", before="图表上方。", after="营业收入增长。") == "图表上方。营业收入增长。"
    assert summary_of(kind="table", text="", pages=(4,), after="Costs by year.") == "Costs by year."


def test_a_caption_is_followed_by_the_sentences_that_name_what_it_is_of() -> None:
    around: dict[str, Any] = {
        "before": "Far off, Fig. 3 is called the best of all.\nFigure 4 shows something else. It rained.",
        "after": "As shown in Figures 2-5, spending rose. It rained again.",
    }
    summary = summary_of(kind="image", text="Figure 3: Card spending\n2023", context="Report", **around)
    assert summary == (
        "Report\nFigure 3: Card spending 2023\n"
        "Far off, Fig. 3 is called the best of all. As shown in Figures 2-5, spending rose."
    )
    table = summary_of(kind="table", text="表3：成本\n年 | 元\n2023 | 7", before="如表3所示，成本上升。其他略。")
    assert table == "表3：成本. 年\n如表3所示，成本上升。"


def test_what_introduces_a_table_without_a_label_leads() -> None:
    html = "<table><tr><th></th><th>2023</th></tr><tr><td>Beyond the United States</td><td>7</td></tr></table>"
    table: dict[str, Any] = {
        "kind": "table",
        "text": "2023\nBeyond the United States | 7",
        "html": html,
        "after": "It rained.",
    }
    own = "2023. Beyond the United States"
    lead = "Earnings by jurisdiction were as follows ($ in millions):"
    assert summary_of(before=f"It rained. {lead}", **table) == f"{lead}\n{own}"
    assert summary_of(before="The table below gives earnings.", **table) == f"The table below gives earnings.\n{own}"
    assert summary_of(before="It rained.", **table) == own
    assert len(summary_of(before="Earnings " * 40 + ":", **table)) <= 200


def test_recordings() -> None:
    summary = summary_of(kind="audio", text="Title: Earnings call", context="Call", time_start=0.0, time_end=3725.2)
    assert summary == "Call\nRecording, 0:00 to 1:02:05. Title: Earnings call"
    assert summary_of(kind="video") == "Video."
    window = summary_of(kind="video", text="Tour, 0:10–0:20 of 1:00", context="Tour", time_start=10.0, time_end=20.0)
    assert window == "Tour\nVideo, 0:10 to 0:20."  # the time once, and the title once


def test_what_sensors_measured() -> None:
    assert summary_of(kind="depth", text="Depth map, 64 × 48, 0.4–7.9 m") == "Depth map, 64 × 48, 0.4–7.9 m"
    assert [summary_of(kind=kind) for kind in ("depth", "thermal", "imu")] == [
        "Depth map",
        "Thermal picture",
        "Motion recording",
    ]


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["text", "table", "image", "audio", "depth"]),
    st.text(max_size=800) | st.text(st.sampled_from("ab. |\n中文。"), max_size=800),
    st.text(max_size=200),
    st.text(max_size=800) | st.text(st.sampled_from("ab. |:\nFig 1中文。"), max_size=800),
    st.integers(80, 300),
)
def test_never_empty_never_too_long(kind: str, text: str, context: str, around: str, limit: int) -> None:
    settings = EVERY.model_copy(update={"max_characters": limit})
    summary = summary_of(kind=kind, text=text, context=context, before=around, after=around[::-1], settings=settings)
    assert 0 < len(summary) <= limit


def test_document_is_summarized_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    chunks = [dataclasses.replace(CHUNK, kind="image", text="A bar.")]
    upstream = stage.save(storage, "chunk", "k", StageOutput(to_table(chunks, ChunkRow), digest(chunks)))
    how = recipe(Settings(), {})
    ref = summarize_document(storage, upstream, how, SummarizeSettings())
    assert ref.key == how.key(upstream.digest)
    storage.delete(upstream.path)
    assert summarize_document(storage, upstream, how, SummarizeSettings()) == ref
    assert from_table(stage.load(storage, ref), SummaryRow) == [SummaryRow("c", "A bar.", "extractive")]


def test_golden_output() -> None:
    """When this fails, raise STAGE_VERSION and put the new digest here: published documents must be restaged."""
    text = "Net revenue grew. It rained all day in the city. Net revenue grew because card spending grew. " * 3
    kinds: tuple[Kind, ...] = ("text", "table", "image", "audio", "video")
    chunks = [dataclasses.replace(CHUNK, chunk_id=kind, kind=kind, text=text, context="Report") for kind in kinds]
    assert (STAGE_VERSION, summarize_chunks(chunks, EVERY).digest) == (
        3,
        "ba751d62c193d6eaa480f2963bfaaaf5dedcff627babe29a329c95afaf5878ce",
    )
