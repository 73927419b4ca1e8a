"""Tables as chunks: whole under their caption, long ones in parts that each repeat caption and header."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import tables
from tasks.rows import Box
from tests.chunk.made import SMALL, chunks_of, element

CAPTION = "Table 4: Net sales by item & year"


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


def long_table(rows: int, caption: str = CAPTION) -> str:
    named = f"<caption>{caption.replace('&', '&amp;')}</caption>" if caption else ""
    body = "".join(f"<tr><td>Item {i}</td><td>{i}</td></tr>" for i in range(rows))
    return f"<table>{named}<thead><tr><th>Net sales</th><th>Count</th></tr></thead><tbody>{body}</tbody></table>"


def test_the_caption_of_html_leads_the_table_whole() -> None:
    """Also where the cells hold some of its words, and where the element's text lacks it, as from a web page."""
    html = long_table(1)
    for text in ("Net sales | Count\nItem 0 | 0", f"{CAPTION}\nNet sales | Count\nItem 0 | 0"):
        (row,) = chunks_of(element("Table", text, html=html))
        assert (row.text, row.html) == (f"{CAPTION}\nNet sales\nItem 0 | Count: 0", html)


def test_the_parts_of_a_table_repeat_its_caption_and_header() -> None:
    rows = chunks_of(element("Table", f"{CAPTION}\n…", html=long_table(60)))
    first, *parts = rows
    assert first.text == "…"  # beyond cells and caption
    assert len(parts) > 2 and all(row.tokens <= 4 * SMALL.max_tokens for row in rows)
    assert all(row.text.startswith(f"{CAPTION}\nNet sales\nItem ") for row in parts)
    assert all(tables.caption(row.html or "") == CAPTION for row in parts)
    assert [line for row in parts for line in row.text.splitlines()[2:]] == [
        f"Item {i} | Count: {i}" for i in range(60)
    ]


def test_a_caption_that_would_crowd_out_the_rows_appears_once() -> None:
    caption = "Table 4: " + "much is said of it " * 10
    rows = chunks_of(element("Table", "", html=long_table(60, caption)))
    assert all(row.tokens <= 4 * SMALL.max_tokens for row in rows)
    assert sum(row.text.count("Table 4") for row in rows) == 1
    assert [line for row in rows for line in row.text.splitlines() if line.startswith("Item ")] == [
        f"Item {i} | Count: {i}" for i in range(60)
    ]


def test_a_table_continued_over_pages_keeps_its_pages_and_boxes_in_every_part() -> None:
    boxes = (Box.of(2, 0.1, 0.7, 0.9, 0.95), Box.of(3, 0.1, 0.05, 0.9, 0.95), Box.of(4, 0.1, 0.05, 0.9, 0.3))
    rows = chunks_of(element("Table", CAPTION, page=2, boxes=boxes, html=long_table(60)))
    assert len(rows) > 2
    assert {(row.pages, row.boxes) for row in rows} == {((2, 3, 4), boxes)}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.text(st.sampled_from("ab 1.中"), max_size=60), min_size=1, max_size=4), max_size=40),
    st.sampled_from(["", CAPTION, "caption " * 40]),
    st.booleans(),
)
def test_every_cell_of_a_table_is_in_its_parts_and_limits_hold(
    cells: list[list[str]], caption: str, with_html: bool
) -> None:
    lines = [" | ".join(row) for row in cells]
    named = f"<caption>{caption}</caption>" if caption else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
    html = f"<table>{named}{body}</table>" if with_html else None
    parts = tables.split(
        "\n".join(filter(str.strip, [caption, *lines])), html, 40, len_words, cut_words, caption.strip()
    )
    assert all(len_words(part.text) <= 40 for part in parts)
    found = " ".join(part.text for part in parts).replace("|", " ").replace(":", " ").split()  # a: 1, of column a
    wanted = " ".join([caption, *lines]).replace("|", " ").replace(":", " ").split()
    assert all(found.count(word) >= min(1, wanted.count(word)) for word in set(wanted))


def len_words(text: str) -> int:
    return len(text.split())


def cut_words(text: str, limit: int) -> list[str]:
    words = text.split()
    return [" ".join(words[i : i + limit]) for i in range(0, len(words), limit)]
