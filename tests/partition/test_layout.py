"""Reading order from boxes alone: columns, what stands across them, boxes with a place in the order, frames."""

from __future__ import annotations

from tasks.partition.columns import Row, gutters
from tasks.partition.layout import arrange, blocks
from tasks.partition.order import in_order
from tasks.partition.spans import Block, Span, join_lines, joined

LEFT, RIGHT = "the left column goes on with words", "the right column goes on with words"


def span(text: str, x: float, y: float, width: float = 180, size: float = 10, angle: int = 0, order: int = -1) -> Span:
    return Span(text, x, y, x + width, y + 1.1 * size, size, angle=angle, order=order)


def column(text: str, x: float, y: float, lines: int, width: float = 180) -> list[Span]:
    return [span(f"{text} {i}", x, y + 12 * i, width) for i in range(lines)]


def said(found: list[Block | int]) -> list[str | int]:
    return [item if isinstance(item, int) else item.text for item in found]


def test_a_head_across_two_columns_parts_them() -> None:
    top = [*column("one", 60, 100, 6), *column("two", 260, 100, 6)]
    head = [span("A heading across both of the columns of the page", 60, 190, 380, size=14)]
    low = [*column(LEFT, 60, 220, 8), *column(RIGHT, 260, 220, 8)]
    text = [
        block.text.split(" 0")[0] for block in blocks([*low, *head, *top]) if " 0" in block.text or "head" in block.text
    ]
    order = [name for name in text if name in (LEFT, RIGHT) or "heading" in name]
    assert order == [head[0].text, LEFT, RIGHT]


def test_columns_that_do_not_share_baselines() -> None:
    left, right = column(LEFT, 60, 100, 10), column(RIGHT, 260, 105.5, 10)
    found = blocks([one for pair in zip(left, right, strict=True) for one in pair])
    assert ["left" in block.text for block in found] == [True, False]
    assert len(found[0].lines) == len(found[1].lines) == 10


def test_the_cells_of_a_table_are_no_columns() -> None:
    rows = [
        [
            span(f"Row {i}", 60, 100 + 12 * i, 40),
            span(f"{i},234", 200, 100 + 12 * i, 30),
            span(f"{i},100", 300, 100 + 12 * i, 30),
        ]
        for i in range(9)
    ]
    (block,) = blocks([one for row in rows for one in row])
    assert block.tabular and block.text.split("\n")[8] == "Row 8 8,234 8,100"


def test_a_box_of_facts_beside_prose_is_read_after_it() -> None:
    facts = [
        span(text, 280, 103 + 17 * i, 60) for i, text in enumerate(("Born 943", "Died 975", "Reign 16", "House W"))
    ]
    found = blocks([*column("prose that goes on and fills its lines well", 60, 100, 12), *facts])
    assert "prose" in found[0].text and all("prose" not in block.text for block in found[1:])
    numbered = [span(f"({i})", 40, 100 + 12 * i, 12) for i in range(8)]
    lines = blocks([*column("prose that goes on and fills its lines well", 80, 100, 8), *numbered])
    assert "(0) prose" in lines[0].text  # numbers of a list stand on their lines


def test_boxes_have_their_place() -> None:
    left, right = column(LEFT, 60, 100, 12), column(RIGHT, 260, 200, 4)
    figure = (260.0, 100.0, 440.0, 190.0)
    banner = (60.0, 40.0, 440.0, 90.0)
    found = said(arrange([*left, *right], [figure, banner]))
    assert [item if isinstance(item, int) else item[:9] for item in found] == [1, "the left ", 0, "the right"]


def test_text_wrapped_around_a_picture() -> None:
    above, below = (
        column("as wide as the page is", 60, 100, 4, 380),
        column("as wide as the page again", 60, 230, 4, 380),
    )
    beside = column("beside it", 60, 148, 6, 170)
    found = said(arrange([*above, *beside, *below], [(260.0, 150.0, 440.0, 220.0)]))
    assert [item if isinstance(item, int) else item[:9] for item in found] == ["as wide a", "beside it", 0, "as wide a"]


def test_what_stands_in_a_frame_is_read_together() -> None:
    cards = [span(f"{name} {i}", 60 + 200 * k, 100 + 12 * i, 60) for i in range(3) for k, name in enumerate("ab")]
    assert said(arrange(cards))[0] == "a 0 b 0\na 1 b 1\na 2 b 2"
    frames = [(50.0, 90.0, 240.0, 150.0), (250.0, 90.0, 440.0, 150.0)]
    assert said(arrange(cards, [], frames)) == ["a 0 a 1 a 2", "b 0 b 1 b 2"]
    crossing = span("a line across the edge of both frames", 100, 124, 300)
    assert said(arrange([*cards, crossing], [], frames))[0] == "a 0 b 0\na 1 b 1\na 2 b 2"  # decoration, not frames


def test_turned_text_comes_last() -> None:
    turned = [span("stamp", 10, 100, 12, angle=90), span("in the margin", 10, 200, 12, angle=90)]
    found = said(arrange([*turned, *column(LEFT, 60, 100, 3)]))
    assert found[-1] == "stamp in the margin"


def test_nothing_is_lost_however_boxes_overlap() -> None:
    spans = [span(f"word {i}", 40 * (i % 5), 7 * (i % 11), 60, size=8 + i % 3) for i in range(60)]
    boxes = [(0.0, 0.0, 200.0, 60.0), (50.0, 20.0, 300.0, 90.0)]
    found = arrange(spans, boxes, [(10.0, 10.0, 120.0, 70.0)])
    words = " ".join(item.text for item in found if isinstance(item, Block)).split()
    assert sorted(words) == sorted(f"{w}" for i in range(60) for w in ("word", str(i)))
    assert sorted(item for item in found if isinstance(item, int)) == [0, 1]


def test_spans_join_only_where_they_belong_together() -> None:
    near = [span("the", 0, 0, 14, order=3), span("harbour", 22, 0, 40, order=4)]
    assert [s.text for s in joined(near)] == ["the harbour"]
    other_column = [span("the", 0, 0, 14, order=3), span("harbour", 22, 0, 40, order=9)]
    assert [s.text for s in joined(other_column)] == ["the", "harbour"]
    assert [s.text for s in joined(other_column, one_column=True)] == ["the harbour"]
    mark = [span("sales", 0, 0, 25, order=0), span("1", 25, -2, 4, size=6, order=1)]
    assert joined(mark)[0].text == "sales1" and joined(mark)[0].y0 == 0
    assert joined([span("DATA", 0, 0, 25, order=0), span("L14", 25, 0, 15, order=1)])[0].text == "DATA L14"


def test_lone_lines_are_no_paragraph() -> None:
    far = [span("Ships in the harbour", 60, 100), span("and in the docks", 60, 200)]
    assert said(arrange(far)) == ["Ships in the harbour", "and in the docks"]
    near = [span("Ships in the harbour", 60, 100), span("and in the docks", 60, 122)]  # a line between is free
    assert said(arrange(near)) == ["Ships in the harbour and in the docks"]


def test_hyphens_at_line_ends() -> None:
    assert join_lines(["the port author-", "ity of"]) == "the port authority of"
    assert join_lines(["over-the-", "counter"]) == "over-the-counter"
    assert join_lines(["from Baden-", "Baden"]) == "from Baden- Baden"


def test_no_gutter_without_two_columns() -> None:
    rows = [Row([s], [(s.x0, s.x1)], s.y0, s.y1) for s in column(LEFT, 60, 100, 12)]
    assert gutters(rows) == []


def test_order_of_boxes_that_wait_for_each_other() -> None:
    assert in_order([]) == [] and in_order([(0, 0, 1, 1)]) == [0]
    assert in_order([(0, 50, 100, 90), (0, 0, 100, 40)]) == [1, 0]
    tangled = [(0.0, 0.0, 60.0, 100.0), (50.0, 10.0, 120.0, 60.0), (30.0, 40.0, 90.0, 80.0)]
    assert sorted(in_order(tangled)) == [0, 1, 2]


def test_order_of_many_boxes() -> None:
    """Two columns under a heading across both, again and again; each column before the next heading."""
    sections = [
        [(0.0, y, 100.0, y + 8.0), (0.0, y + 10, 45.0, y + 30), (55.0, y + 10, 100.0, y + 30)]
        for y in range(0, 12_000, 40)
    ]
    boxes = [box for section in sections for box in section]
    assert in_order(boxes[::-1]) == list(range(len(boxes)))[::-1]
