"""Tables of PDF pages: generated pages with known tables, how cells are written, and what is no table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pypdfium2
import pytest

from benchmarks.pdf_tables import real
from benchmarks.pdf_tables.distractors import DISTRACTORS
from benchmarks.pdf_tables.make import MAKERS, document
from benchmarks.pdf_tables.metrics import Score
from benchmarks.pdf_tables.report import RULED
from benchmarks.pdf_tables.run import score_document
from benchmarks.pdf_tables.systems import ours, page_words
from tasks.partition.pdf.content import Rule, Shape, Word
from tasks.partition.pdf.drawings import page_drawings
from tasks.partition.pdf.tables import find as pdf_tables
from tasks.partition.pdf.tables.cells import Cell, Table, cell_text
from tasks.partition.pdf.tables.elements import table_rows
from tasks.partition.pdf.tables.find import find_tables
from tasks.partition.pdf.tables.joins import continues, join
from tasks.partition.pdf.tables.lines import FIGURE, TEXT, kind_of, piece_of
from tasks.partition.pdf.text.layer import page_text
from tasks.rows import ElementRow
from tests.files import make_pdf

PAGE = (612.0, 792.0)
SEEDS = range(300, 303)  # none that the benchmark prints by default
FILINGS = Path(__file__).parents[3] / "shared" / "eval" / "docs" / "financebench"
NUMBER_WIDTH = 5.0


def score(kinds: Sequence[str]) -> Score:
    made = [document(kind, seed) for kind in kinds for seed in SEEDS]
    return sum((score_document(one, ours, page_words(one.pdf)) for one in made), Score())


def line(y: float, *cells: tuple[float, str], size: float = 10.0, bold: bool = False) -> list[Word]:
    """Words on one baseline; a cell begins at its x, its words five points a character, a blank between them."""
    words = []
    for x, text in cells:
        for part in text.split(" "):
            words.append(Word(part, x, y, x + NUMBER_WIDTH * len(part), y + size, size, bold))
            x += NUMBER_WIDTH * (len(part) + 0.6)
    return words


def rows(table: Table) -> list[list[str]]:
    return [[cell.text if cell is not None else "" for cell in row] for row in table.grid()]


def on_page(path: Path, number: int = 1) -> list[Table]:
    with pypdfium2.PdfDocument(path) as opened:
        text = page_text(opened[number - 1])
        drawings = page_drawings(opened[number - 1], text.view)
        return find_tables(text.words, drawings.rules, drawings.shapes, text.view.size)


def test_ruled_tables_are_exact() -> None:
    found = score(RULED)
    assert (found.precision, found.recall) == (1.0, 1.0)
    assert found.cell_f1 >= 0.99 and found.grits_con >= 0.99 and found.grits_top >= 0.99
    assert found.prose_inside == 0 and found.lost == 0 and found.prose_words > 500


def test_unruled_tables_are_found_with_their_cells() -> None:
    found = score([kind for kind in MAKERS if kind not in RULED])
    assert found.precision >= 0.97 and found.recall >= 0.97
    assert found.cell_f1 >= 0.95 and found.grits_con >= 0.95 and found.grits_top >= 0.95
    assert found.prose_inside <= 0.002 * found.prose_words and found.lost <= 0.002 * found.words
    assert found.joined >= 2 and found.joins == len(SEEDS)


@pytest.mark.parametrize("kind", DISTRACTORS)
def test_no_table_where_there_is_none(kind: str) -> None:
    assert score([kind]).found == 0


def test_rows_of_filings_that_were_read_by_eye() -> None:
    there = [page for page in real.pages() if (FILINGS / page.file).is_file()]
    if not there:
        pytest.skip(f"the filings are not in {FILINGS}")
    lost = prose = total = 0
    for page in there:
        [(tables, _)] = ours(real.one_page(FILINGS / page.file, page.page))
        missing, inside = real.measure(page, tables)
        lost, prose, total = lost + len(missing), prose + len(inside), total + len(page.rows)
    assert total >= 100 and lost <= 0.05 * total and prose == 0


def test_a_statement_between_prose() -> None:
    """Signs of currency, brackets and percent are glued to their number; labels over two lines are one cell."""
    prose = "The table below shows what the company earned in each of the two years in millions of dollars."
    words = [
        *line(60, (60, prose)),
        *line(90, (340, "Year ended June 30,")),
        *line(104, (350, "2023"), (430, "2022")),
        *line(120, (60, "Net sales"), (320, "$"), (345, "1,234"), (400, "$"), (430, "987")),
        *line(136, (60, "Costs of goods that were")),
        *line(148, (60, "sold in the year"), (345, "(800"), (365.2, ")"), (425, "(790"), (445.2, ")")),
        *line(164, (60, "Margin"), (350, "35.2"), (372, "%"), (435, "—"), (442, "%")),
        *line(190, (60, prose)),
    ]
    [table] = find_tables(words, [], [], PAGE)
    assert rows(table) == [
        ["", "Year ended June 30,", "Year ended June 30,"],
        ["", "2023", "2022"],
        ["Net sales", "$1,234", "$987"],
        ["Costs of goods that were sold in the year", "(800)", "(790)"],
        ["Margin", "35.2%", "—%"],
    ]
    assert (table.kind, table.header_rows) == ("unruled", 2)
    assert table.box[1] >= 88 and table.box[3] <= 176


def test_a_title_is_the_caption_and_stays_out_of_the_box() -> None:
    words = [
        *line(80, (60, "Table 4: Berths by port"), bold=True),
        *line(100, (60, "Port"), (300, "2023"), (400, "2022")),
        *line(114, (60, "Hamburg"), (305, "120"), (405, "118")),
        *line(128, (60, "Valencia"), (310, "64"), (410, "61")),
        *line(142, (60, "Piraeus"), (310, "50"), (410, "49")),
    ]
    [table] = find_tables(words, [], [], PAGE)
    assert table.caption == "Table 4: Berths by port" and table.box[1] == 100


def test_missing_rules_merge_cells() -> None:
    def cell(x0: float, y0: float, x1: float, y1: float) -> list[Rule]:
        return [Rule(x0, y0, x1, y0, 1), Rule(x0, y1, x1, y1, 1), Rule(x0, y0, x0, y1, 1), Rule(x1, y0, x1, y1, 1)]

    rules = [*cell(50, 50, 150, 90), *cell(150, 50, 350, 70), *cell(150, 70, 250, 90), *cell(250, 70, 350, 90)]
    rules += [*cell(50, 90, 150, 110), *cell(150, 90, 250, 110), *cell(250, 90, 350, 110)]
    words = [
        *line(65, (55, "Port")), *line(55, (220, "Traffic")), *line(75, (155, "Ships"), (255, "Boxes")),
        *line(95, (55, "Busan"), (155, "12"), (255, "3,400")),
    ]  # fmt: skip
    [table] = find_tables(words, rules, [], PAGE)
    assert [(c.row, c.column, c.row_span, c.column_span, c.text) for c in table.cells] == [
        (0, 0, 2, 1, "Port"), (0, 1, 1, 2, "Traffic"), (1, 1, 1, 1, "Ships"), (1, 2, 1, 1, "Boxes"),
        (2, 0, 1, 1, "Busan"), (2, 1, 1, 1, "12"), (2, 2, 1, 1, "3,400"),
    ]  # fmt: skip
    assert (table.kind, table.header_rows, table.box) == ("ruled", 2, (50, 50, 350, 110))
    [row] = table_rows(ElementRow(0, "Table", "", 1), table)
    assert row.html == (
        '<table><thead><tr><th rowspan="2">Port</th><th colspan="2">Traffic</th></tr><tr><th>Ships</th><th>Boxes</th>'
        "</tr></thead><tbody><tr><td>Busan</td><td>12</td><td>3,400</td></tr></tbody></table>"
    )
    assert row.text == "Port\nBusan | Traffic Ships: 12 | Traffic Boxes: 3,400"


def test_bars_of_a_chart_are_no_rows() -> None:
    words, shapes = [], []
    for i, value in enumerate((12, 45, 31, 80, 66)):
        words += line(100 + 20 * i, (60, f"Port {i}"), (150, str(value)), (400, str(value + 3)))
        shapes.append(Shape(140, 98 + 20 * i, 145 + 2 * value, 112 + 20 * i, True, False, (0, 0, 90), False, 4))
    assert find_tables(words, [], shapes, PAGE) == []
    assert len(find_tables(words, [], [], PAGE)) == 1


def test_a_long_list_that_reads_on_is_a_table() -> None:
    """Each label may go on with the one above; rows by the thousand, as on a page as high as its list."""
    words = [word for i in range(2000) for word in line(10 + 6 * i, (72, "and of"), (200, f"{i + 10:,}"), size=5)]
    (table,) = find_tables(words, [], [], (612.0, 12_100.0))
    assert [row[-1] for row in rows(table)] == [f"{i + 10:,}" for i in range(2000)]


def test_a_page_of_prose_ends_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(words: object) -> None:
        raise AssertionError("lines were built")

    monkeypatch.setattr(pdf_tables, "lines_of", never)
    prose = [w for i in range(40) for w in line(60 + 13 * i, (60, "words that go on to the end of the line " * 2))]
    assert find_tables(prose, [], [], PAGE) == []
    assert find_tables([], [], [], PAGE) == []
    with pytest.raises(AssertionError):
        find_tables([*prose, *line(700, (60, "a"), (300, "1")), *line(714, (60, "b"), (300, "2"))], [], [], PAGE)


def test_tables_of_a_plain_pdf(tmp_path: Path) -> None:
    grid = [("", "2023", "2022"), ("Net sales", "1,234", "1,100"), ("Cost", "(800)", "(790)"), ("Profit", "434", "310")]
    page = [(72.0, 720.0, 10.0, "Amounts are in millions of euro and were not audited by anyone.")]
    for i, row in enumerate(grid):
        page += [(x, 680 - 13 * i, 10, text) for x, text in zip((72, 300, 400), row, strict=True) if text]
    [table] = on_page(make_pdf(tmp_path / "a.pdf", [page]))
    assert rows(table) == [list(row) for row in grid]
    assert text_of(table).splitlines() == [
        "Net sales | 2023: 1,234 | 2022: 1,100", "Cost | 2023: (800) | 2022: (790)", "Profit | 2023: 434 | 2022: 310",
    ]  # fmt: skip


def text_of(table: Table) -> str:
    return "\n".join(row.text for row in table_rows(ElementRow(0, "Table", "", 1), table))


def make(texts: Sequence[Sequence[str]], header: int, top: float, bottom: float, caption: str = "") -> Table:
    cells = tuple(
        Cell(r, c, 1, 1, text, (60 + 100 * c, top, 150 + 100 * c, bottom))
        for r, row in enumerate(texts)
        for c, text in enumerate(row)
    )
    return Table((60, top, 350, bottom), cells, caption, "unruled", header, (60.0, 155.0, 255.0, 350.0))


def test_a_table_goes_on_over_the_page() -> None:
    first = make([["", "2023", "2022"], ["Sales", "1", "2"]], 1, 500, 740)
    repeated = make([["", "2023", "2022"], ["Costs", "3", "4"]], 1, 60, 300)
    bare = make([["Costs", "3", "4"]], 0, 60, 300)
    other = make([["", "2021", "2020"], ["Costs", "3", "4"]], 1, 60, 300)
    assert continues(first, repeated, PAGE) and continues(first, bare, PAGE)
    assert not continues(first, other, PAGE)
    assert not continues(first, dataclasses.replace(bare, caption="Table 9: Ships"), PAGE)
    assert not continues(dataclasses.replace(first, box=(60, 60, 350, 300)), bare, PAGE)
    for part in (repeated, bare):
        whole = join([first, part])
        assert rows(whole) == [["", "2023", "2022"], ["Sales", "1", "2"], ["Costs", "3", "4"]]
    assert [row[0] for row in rows(join([first, *[repeated] * 500, bare]))] == ["", "Sales", *["Costs"] * 501]


def test_names_that_would_swell_a_table_stand_once() -> None:
    name = "The amount that was recognised in other comprehensive income over the twelve months that ended in June"
    table = make([["", name, name + " 2022"], *[["Ships", "1", "2"]] * 20], 1, 100, 300)
    text = text_of(table)
    assert text.count("comprehensive") == 2 and text.splitlines()[1:] == ["Ships | 1 | 2"] * 20


def test_a_run_of_marks_is_read_once() -> None:
    """However long it is: a pattern that may part it in several ways would not come back from these."""
    assert kind_of("1,234**") == FIGURE
    assert {kind_of(begin + 5_000 * mark + "?") for begin in ("1", "2023", "") for mark in "*#†"} == {TEXT}
    assert piece_of(line(700, (72, "Notes" + 100_000 * "." + "?"))).kind == TEXT
    written = ("Notes....", "Notes……", "Notes...")
    assert [piece_of(line(700, (72, text))).text for text in written] == ["Notes", "Notes", "Notes..."]


def test_html_is_escaped() -> None:
    [row] = table_rows(ElementRow(0, "Table", "", 1), make([["<script>", "1", "2"]], 0, 1, 2))
    assert row.html and "<script>" not in row.html


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["Additional Paid-", "in Capital"], "Additional Paid-in Capital"),
        (["the harbour author-", "ity"], "the harbour authority"),
        (["Net", "earnings"], "Net earnings"),
        (["经营活动产生的", "现金流量"], "经营活动产生的现金流量"),
        ([], ""),
    ],
)
def test_lines_of_a_cell_are_joined(lines: list[str], text: str) -> None:
    assert cell_text(lines) == text


def test_two_lists_beside_each_other_are_no_table_with_rows_for_names() -> None:
    words = []
    for i in range(12):
        y = 100 + 14 * i
        left = [(60, f"{i + 1}."), (84, f"Harbour {'abcdefghijkl'[i]}"), (200, f"HB{i:02}")]
        right = [(330, f"{i - 4}."), (354, f"Quay {'abcdefghijkl'[i]}"), (470, f"QU{i:02}")] if i > 4 else []
        if i == 3:
            right = [(354, "Name of the market"), (470, "Code")]
        words += line(y, *left, *right)
    for table in find_tables(words, [], [], PAGE):
        assert not any(cell.row < table.header_rows and "1. 2." in cell.text for cell in table.cells)
