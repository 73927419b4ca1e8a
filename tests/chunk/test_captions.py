"""Captions that are paragraphs of their own find the table or picture that they name."""

from __future__ import annotations

from tasks.chunk.captions import captions_of
from tasks.rows import ElementRow
from tests.chunk.made import chunks_of, element

PICTURE = element("Image", "", None, media="blobs/ab/x.png", media_type="image/png")
TABLE = element("Table", "Year | Sales", None)


def text(said: str) -> ElementRow:
    return element("UncategorizedText", said, None)


def test_a_caption_stands_below_a_picture_and_above_a_table_by_custom() -> None:
    rows = [
        PICTURE,
        text("Figure 1: Sales by year"),
        PICTURE,
        text("Figure 2. Costs"),
        text("Table 1: Net sales"),
        TABLE,
    ]
    assert captions_of(rows) == ["Figure 1: Sales by year", "", "Figure 2. Costs", "", "", "Table 1: Net sales"]


def test_the_other_side_is_looked_at_second_and_no_caption_is_taken_twice() -> None:
    rows = [text("图1 销售额"), PICTURE, PICTURE, text("Figure 2. Costs"), TABLE, text("表 2：净销售额")]
    assert captions_of(rows) == ["", "图1 销售额", "Figure 2. Costs", "", "表 2：净销售额", ""]


def test_a_label_of_another_kind_or_a_sentence_is_no_caption() -> None:
    rows = [PICTURE, text("Table 1: Net sales"), text("Figure 3 shows the sales, which rose."), TABLE]
    assert captions_of(rows) == ["", "", "", ""]
    paged = [element("Image", "", 1, media="x"), element("UncategorizedText", "Figure 1: Sales", 2)]
    assert captions_of(paged) == ["", ""], "the caption of another page is of another picture"


def test_what_an_element_holds_comes_first() -> None:
    named = element("Table", "Year", None, html="<table><caption> Net\nsales </caption><tr><td>Year</td></tr></table>")
    drawn = element("Figure", "Figure 7: Output\n2023 2024", None, media="x")
    assert captions_of([text("Table 1: Costs"), named, drawn]) == ["", "Net sales", "Figure 7: Output"]


def test_a_caption_is_part_of_the_chunk_and_stays_in_the_text() -> None:
    rows = chunks_of(PICTURE, text("Figure 1: Sales by year"), text("Table 1: Net sales"), TABLE)
    assert [(row.kind, row.text) for row in rows] == [
        ("image", "Figure 1: Sales by year"),
        ("text", "Figure 1: Sales by year\n\nTable 1: Net sales"),
        ("table", "Table 1: Net sales\nYear | Sales"),
    ]
