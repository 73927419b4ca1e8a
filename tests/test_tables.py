"""Tables as text: lines that say of each value what it is, and what tables say in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import tables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Region | 2022 | 2023\nNorth | 1,204 | (3.5)%", "Region | 2022 | 2023\nNorth"),
        ("North | up | 3\nSouth | up | 4\nWest | down | 5", "North | up\nSouth\nWest | down"),
        ("Total | $ | 12 million | —", "Total | 12 million"),
        ("收入 | 1,204 | 亿元", "收入 | 亿元"),
        ("1 | 2\n3 | 20231", ""),
        ("", ""),
    ],
)
def test_wording_leaves_figures_out(text: str, words: str) -> None:
    assert tables.wording(text, None) == words


def table(head: str, *rows: str) -> str:
    return f"<table><thead>{head}</thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def text_of(html: str, text: str = "") -> list[str]:
    rows = tables.parse(html)
    return tables.linearise(tables.beyond(text, rows), rows).split("\n")


def test_each_value_is_named_by_all_of_its_headers() -> None:
    head = (
        "<tr><th rowspan=2>Port</th><th colspan=2>Traffic</th><th rowspan=2>Note</th></tr>"
        "<tr><th>Ships</th><th>Boxes</th></tr>"
    )
    html = table(head, "<td>Oslo</td><td>1</td><td>2</td><td></td>", "<td>Bergen</td><td></td><td>3</td><td></td>")
    assert text_of(html, "Table 1: Ports") == [
        "Table 1: Ports", "Port | Note", "Oslo | Traffic Ships: 1 | Traffic Boxes: 2", "Bergen | Traffic Boxes: 3",
    ]  # fmt: skip


def test_a_cell_that_reaches_into_rows_below_is_said_in_each() -> None:
    html = table(
        "<tr><th>Sea</th><th>Port</th><th>2024</th></tr>",
        "<td rowspan=2>North</td><td>Oslo</td><td>1</td>",
        "<td>Bergen</td><td>2</td>",
        "<td>Baltic</td><td>Riga</td><td>3</td>",
    )
    assert text_of(html)[1:] == [
        "North | Port: Oslo | 2024: 1", "North | Port: Bergen | 2024: 2", "Baltic | Port: Riga | 2024: 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("<td>Region</td><td>2023</td>", "<td>North</td><td>5</td>", "North | 2023: 5"),  # years are names
        ("<td>Company</td><td>The Gulls</td>", "<td>Town</td><td>Oslo</td>", "Town | Oslo"),  # two facts, no header
        ("<td>North</td><td>4</td>", "<td>South</td><td>5</td>", "South | 5"),
    ],
)
def test_a_first_row_that_nobody_marked_is_a_header_where_figures_follow(first: str, second: str, named: str) -> None:
    assert text_of(f"<table><tr>{first}</tr><tr>{second}</tr></table>")[-1] == named


def test_names_that_would_swell_a_table_stand_once() -> None:
    name = "the amount that was recognised in other comprehensive income over the twelve months that ended in June "
    html = table(f"<tr><th></th><th>{name}</th><th>{name} 2</th></tr>", *["<td>A</td><td>1</td><td>2</td>"] * 20)
    assert "\n".join(text_of(html)).count("comprehensive") == 2 and text_of(html)[1:] == ["A | 1 | 2"] * 20


@pytest.mark.parametrize("span", ["1000000000", "0", "-3", "²", "x", ""])
def test_spans_that_make_no_sense_are_bounded(span: str) -> None:
    html = (
        f"<table><tr><th colspan='{span}' rowspan='{span}'>A</th><th>B</th></tr><tr><td>c</td><td>1</td></tr></table>"
    )
    assert "c" in "\n".join(text_of(html)) and tables.parse(html)[0].cells[0].end <= 200


def test_the_caption_keeps_words_that_cells_have_too() -> None:
    html = table("<tr><th>Sales</th><th>2024</th></tr>", "<td>Ships</td><td>1</td>")
    assert text_of(html, "Table 2: Sales of Ships\nSales |  | 2024\nShips | 1")[0] == "Table 2: Sales of Ships"
    assert text_of(html, "Sales of Ships")[0] == "Sales of Ships"  # a caption alone
    assert text_of(html, "Of ships Sales 2024 Ships 1")[0] == "Of ships"  # where the lines of the table are not kept


CELLS = st.lists(st.lists(st.text("ab1 2", max_size=4), min_size=1, max_size=4), min_size=1, max_size=5)


@given(CELLS, st.integers(0, 3))
def test_no_word_of_a_table_is_lost(grid: list[list[str]], head: int) -> None:
    tags = ["th" if i < head else "td" for i in range(len(grid))]
    rows = ["".join(f"<{tag}>{cell}</{tag}>" for cell in row) for row, tag in zip(grid, tags, strict=True)]
    html = f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    said = set(tables.linearise("", tables.parse(html)).replace("|", " ").replace(":", " ").split())
    assert {word for row in grid for cell in row for word in cell.split()} <= said


def test_hostile_spans_and_nesting_end() -> None:
    """Cells that reach over everything are read once each row that they reach, as far as a table may be wide."""
    row = "<tr>" + '<td rowspan="200" colspan="200">x</td>' * 50 + "</tr>"
    read = tables.parse(f"<table>{row * 200}</table>")
    assert len(read) == 200 and max(len(found.cells) for found in read) < 1100
    deep = [tables.parse("<table><tr><td>" * n + "x" + "</td></tr></table>" * n) for n in (100, 6_000)]
    assert [row.text for row in deep[0]] == ["x"] and len(deep[1]) <= 1  # libxml2 gives up on the latter
