"""What stands around a table or picture: near, bounded, nobody else's caption; and what names it from afar."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.rows import ElementRow
from tests.chunk.made import chunks_of, element

LONG = "This sentence is one of many that say little, at some length, about nothing in particular. "


def picture(text: str = "", page: int | None = 1) -> ElementRow:
    return element("Image", text, page, media="blobs/ab/x.png", media_type="image/png")


def prose(text: str, page: int | None = 1) -> ElementRow:
    return element("NarrativeText", text, page)


def around(*rows: ElementRow) -> list[tuple[str, str]]:
    """(before, after) of the tables and pictures."""
    return [(row.before, row.after) for row in chunks_of(*rows) if row.kind != "text"]


def test_the_nearest_text_on_both_sides_past_other_tables_and_captions() -> None:
    rows = [
        prose("Far before."), element("Table", "a b"), prose("Sales rose."), prose("As the chart shows:"),
        picture("Bars"), element("FigureCaption", "Figure 9: Something else"), picture("Lines"),
        prose("Then they fell."), element("Table", "c d"), prose("Far after."),
    ]  # fmt: skip
    near = ("Sales rose.\nAs the chart shows:", "Then they fell.")
    assert around(*rows) == [("Far before.", near[0]), near, near, (near[1], "Far after.")]


def test_text_has_none_and_neither_have_recordings() -> None:
    call = element("Audio", "Call", None, media="blobs/x.wav", media_type="audio/wav", time_start=0.0, time_end=3.0)
    assert {(row.before, row.after) for row in chunks_of(prose("One."), call, prose("Two."))} == {("", "")}


def test_whole_sentences_up_to_a_limit() -> None:
    ((before, after),) = around(prose("First. " + LONG * 20 + "Last."), picture(), prose("Next. " + LONG * 20 + "End."))
    assert before.endswith(f"{LONG}Last.") and before.startswith("This sentence") and 600 < len(before) <= 700
    assert after.startswith(f"Next. {LONG}") and after.endswith("particular.") and 600 < len(after) <= 700
    ((before, after),) = around(prose("word " * 300), picture(), prose("字" * 900))
    assert before.startswith("…word word") and len(before) <= 700
    assert after == "字" * 699 + "…"


def test_another_page_only_where_it_is_the_next_and_of_the_same_section() -> None:
    heading = element("Title", "Costs", 2, level=1)
    assert around(prose("Before.", 1), picture(page=2), prose("After.", 3)) == [("Before.", "After.")]
    assert around(prose("Before.", 1), picture(page=3), prose("After.", 5)) == [("", "")]
    assert around(prose("Before.", 1), heading, picture(page=2), prose("After.", 2)) == [("", "After.")]
    assert around(prose("Before.", 2), heading, picture(page=2), prose("After.", 2)) == [("Before.", "After.")]
    assert around(picture(page=1), heading, prose("After.", 2)) == [("", "")]
    unpaged = element("Title", "Costs", None, level=1)
    assert around(prose("Before.", None), picture(page=None), unpaged, prose("After.", None)) == [("Before.", "")]


def test_a_table_over_pages_has_neighbours_on_its_first_and_last() -> None:
    rows = [prose("Before.", 1), element("Table", "a b", 1), prose("After.", 3)]
    rows[1] = element("Table", "a b", 1, boxes=(*rows[0].boxes, *prose("", 2).boxes))
    assert around(*rows) == [("Before.", "After.")]


def test_its_own_words_and_headings_are_not_said_again() -> None:
    rows = [
        element("Title", "Sales", level=1), prose("Source: the company"), picture("Bars\nSource: the company"),
        prose("It rose."), prose("Bars"),
    ]  # fmt: skip
    assert around(*rows) == [("", "It rose.")]


def test_sentences_elsewhere_that_name_it_come_first_at_most_two_and_the_nearest() -> None:
    rows = [
        prose("Figure 3 is named first. Nothing here.", 1), prose("See Figs. 2–4 for all. Or not.", 3),
        prose("Near before.", 5), picture("Figure 3: Sales by region", 5), prose("Near after: see fig. 3.", 5),
        prose("Costs are in Table 3. As figure 3b shows, they rose in the U.S. market.", 7),
    ]  # fmt: skip
    assert around(*rows) == [
        (
            "See Figs. 2–4 for all.\nAs figure 3b shows, they rose in the U.S. market.\nNear before.",
            "Near after: see fig. 3.",
        )
    ]


def test_chinese_labels() -> None:
    rows = [
        prose("销售额见图3和表2。其他略。", 1), prose("前文。", 5), picture("图3 各地区销售额", 5), prose("后文。", 5),
        element("Table", "表 2：成本\n年 | 元", 9), prose("如表2所示，成本上升。代表2人出席。", 11),
    ]  # fmt: skip
    assert around(*rows) == [
        ("销售额见图3和表2。\n前文。", "后文。"),
        ("销售额见图3和表2。\n如表2所示，成本上升。", ""),
    ]


def test_of_equal_labels_a_sentence_names_the_nearest() -> None:
    def paper(subject: str, page: int) -> list[ElementRow]:
        return [
            picture(f"Figure 1: {subject}", page),
            prose("Filler.", page),
            prose(f"Figure 1 shows {subject}.", page + 2),
            *(prose(f"More on {subject}.", page + 3) for _ in range(3)),
        ]

    assert around(*paper("cats", 1), *paper("dogs", 11)) == [
        ("Figure 1 shows cats.", "Filler."),
        ("Figure 1 shows dogs.", "Filler."),
    ]


def test_entries_of_a_list_of_figures_are_no_sentences() -> None:
    rows = [
        prose("Figure 1: Sales ........ 7", 1),
        prose("Figure 2 Costs ........ 9", 1),
        picture("Figure 1: Sales", 7),
    ]
    assert around(*rows) == [("", "")]


words = st.text(st.sampled_from("ab. A!?\n中文。；x1"), max_size=900)
labelled = st.sampled_from(["", "Figure 1: a", "Table 1", "as Figure 1 shows. ", "图1。"])
elements = st.builds(
    lambda category, label, text, page: element(category, label + text, page),
    st.sampled_from(["Title", "NarrativeText", "Table", "Image", "FigureCaption"]),
    labelled, words, st.one_of(st.none(), st.integers(1, 4)),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(elements, max_size=14))
def test_surroundings_are_bounded_and_are_words_of_the_text(rows: list[ElementRow]) -> None:
    text = "".join("".join(row.text.split()) for row in rows)
    for chunk in chunks_of(*rows):
        assert len(chunk.after) <= 700 and len(chunk.before) <= 700 + 2 * 301
        assert chunk.kind in ("table", "image") or chunk.before == chunk.after == ""
        for line in (*chunk.before.splitlines(), *chunk.after.splitlines()):
            assert line.strip() and "".join(line.strip("…").split()) in text
