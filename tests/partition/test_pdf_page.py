"""A page put together: every word in one element, tables joined over pages and on scans, failures that are said."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

import pytest
from lxml import html as lxml_html
from PIL import Image, ImageDraw, ImageFont

from tasks.partition import hints
from tasks.partition.detect import PDF
from tasks.partition.hints import Hint
from tasks.partition.pdf import page as pdf_page
from tasks.partition.pdf.content import Word
from tasks.partition.pdf.tables.cells import Cell, Table
from tasks.partition.pdf.tables.elements import table_rows
from tasks.rows import ElementRow
from tests.files import make_pdf
from tests.partition.conftest import Partition

Page = list[tuple[float, float, float, str]]
HEAD = ("Port", "2023", "2022")
PORTS = [(f"Harbour {i}", f"{1000 + 7 * i:,}", f"{900 + 3 * i:,}") for i in range(60)]


def table(rows: Sequence[tuple[str, ...]], y: float, head: tuple[str, ...] | None = HEAD) -> Page:
    placed: Page = []
    for i, row in enumerate([head, *rows] if head else rows):
        size = -9.0 if head and i == 0 else 9.0
        placed += [(x, y - 14 * i, size, text) for x, text in zip((72, 300, 420), row, strict=True)]
    return placed


PROSE: Page = [
    (72, 740, 10, "The ports of the country handled more goods than in any year before, which was"),
    (72, 728, 10, "expected by nobody who had looked at their figures in the spring of that year."),
]


def counted(rows: list[ElementRow]) -> collections.Counter[str]:
    """Words, those of tables by their cells."""
    texts = (lxml_html.fromstring(row.html).itertext() if row.html else [row.text] for row in rows)
    return collections.Counter(word for said in texts for text in said for word in text.split())


def test_a_word_is_in_one_element(tmp_path: Path, partition: Partition) -> None:
    after: Page = [(72, 480, 10, "Figures are in thousands of tonnes and were rounded to the nearest one of them.")]
    page = [*PROSE, *table(PORTS[:12], 690), *after]
    rows, context = partition(make_pdf(tmp_path / "a.pdf", [page]), PDF)
    assert [row.category for row in rows] == ["NarrativeText", "Table", "NarrativeText"]
    truth = collections.Counter(word for _, _, _, text in page for word in text.split())
    assert counted(rows) == truth
    assert context.counts["tables_found"] == 1
    assert rows[1].html is not None and rows[1].html.startswith("<table><thead><tr><th>Port</th><th>2023</th>")


def test_a_table_goes_on_over_pages(tmp_path: Path, partition: Partition) -> None:
    first, second = [*PROSE, *table(PORTS[:40], 690)], table(PORTS[40:], 740)
    footer = [[(300.0, 30.0, 8.0, f"Page {n} of 2")] for n in (1, 2)]
    path = make_pdf(tmp_path / "a.pdf", [first + footer[0], second + footer[1]])
    rows, _ = partition(path, PDF)
    tables = [row for row in rows if row.category == "Table"]
    assert [[box.page for box in row.boxes] for row in tables] == [[1, 2], [1, 2]]  # two groups of rows, of one table
    lines = [line for row in tables for line in row.text.split("\n")]
    assert lines.count("Port") == 2 and "Harbour 0 | 2023: 1,000 | 2022: 900" in lines
    assert [line.split(" | ")[0] for line in lines if line.startswith("Harbour")] == [port for port, _, _ in PORTS]

    heading: Page = [(72, 750, 16, "Railways")]
    rows, _ = partition(make_pdf(tmp_path / "b.pdf", [first, [*heading, *table(PORTS[40:], 720)]]), PDF)
    assert [[box.page for box in row.boxes] for row in rows if row.category == "Table"] == [[1], [2]]


def test_each_table_has_the_caption_that_stands_next_to_it(tmp_path: Path, partition: Partition) -> None:
    below = [(72.0, 566.0, 9.0, "Table 1: Goods of the ports that lie in the north, in thousands of tonnes, from"),
             (72.0, 555.0, 9.0, "1990 on, where figures are known.")]  # fmt: skip
    above = [(72.0, 440.0, 9.0, "Table 2: The same in the south.")]
    page = [*PROSE, *table(PORTS[:8], 690), *below, *above, *table(PORTS[8:16], 424)]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [page]), PDF)
    tables = [row.text.split("\n")[0] for row in rows if row.category == "Table"]
    captions = [row.text for row in rows if row.category == "FigureCaption"]
    assert tables == captions == [" ".join(text for *_, text in below), above[0][3]]


def drawn(rows: Sequence[tuple[str, ...]]) -> Image.Image:
    picture = Image.new("RGB", (1200, 900), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=26)
    for i, row in enumerate(rows):
        for x, text in zip((120, 640, 900), row, strict=True):
            draw.text((x, 100 + 48 * i), text, fill="black", font=font)
    return picture


def test_a_table_on_a_scan(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "scan.pdf"
    drawn([HEAD, *PORTS[:8]]).save(path, "PDF", resolution=150)
    rows, context = partition(path, PDF)
    (found,) = (row for row in rows if row.category == "Table")
    assert found.origin == "ocr"
    assert found.text.split("\n") == ["Port", *(f"{port} | 2023: {new} | 2022: {old}" for port, new, old in PORTS[:8])]
    assert context.counts["pages_ocr"] == context.counts["tables_found"] == 1
    assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in found.boxes)


@pytest.mark.parametrize("what", ["tables", "figures"])
def test_a_page_keeps_its_text_where_geometry_fails(
    tmp_path: Path, partition: Partition, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a box without height")

    monkeypatch.setattr(pdf_page, "find_tables" if what == "tables" else "page_figures", fail)
    rows, context = partition(make_pdf(tmp_path / "a.pdf", [PROSE]), PDF)
    assert "".join(row.text for row in rows).startswith("The ports of the country")
    assert context.counts[f"pages_without_{what}"] == 1
    assert context.warnings == [
        f"page 1: its {what} could not be told from its text (ZeroDivisionError: a box without height)"
    ]


def test_words_beside_the_cells_stay_text() -> None:
    cell = Cell(0, 0, 1, 1, "Sales", (10, 10, 60, 20))
    found = Table((10, 10, 200, 60), (cell, Cell(0, 1, 1, 1, "$1,234", (100, 10, 140, 20))), "", "unruled", 0)
    words = [
        Word(text, x, y, x + 20, y + 10, 10)
        for text, x, y in (("Sales", 10, 10), ("$", 100, 10), ("1,234", 110, 10), ("Sales", 20, 30), ("note", 20, 45))
    ]
    assert pdf_page.taken_words([found], words) == {0, 1, 2}  # a word that is said once is taken once


def cells(*rows: tuple[str, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(i, j, 1, 1, text, (0, 0, 1, 1)) for i, row in enumerate(rows) for j, text in enumerate(row))


def test_tables_written_with_spans_and_in_groups() -> None:
    head = (Cell(0, 1, 1, 2, "Year", (0, 0, 1, 1)), *(Cell(1, j, 1, 1, t, (0, 0, 1, 1)) for j, t in enumerate(HEAD)))
    tall = Cell(2, 0, 60, 1, "<all>", (0, 0, 1, 1))
    body = tuple(Cell(2 + i, j, 1, 1, f"{i}.{j}", (0, 0, 1, 1)) for i in range(60) for j in (1, 2))
    whole = Table((0, 0, 1, 1), (*head, tall, *body), "Table 1: Ports", "ruled", 2)
    first, second = table_rows(ElementRow(0, "Table", "", 1), whole)
    assert first.text.split("\n")[:3] == ["Table 1: Ports", "Port", "<all> | Year 2023: 0.1 | Year 2022: 0.2"]
    assert second.text.split("\n")[:3] == ["Table 1: Ports", "Port", "<all> | Year 2023: 50.1 | Year 2022: 50.2"]
    assert first.html is not None and second.html is not None
    assert '<caption>Table 1: Ports</caption><thead><tr><th></th><th colspan="2">Year</th></tr>' in first.html
    assert '<td rowspan="50">&lt;all&gt;</td>' in first.html and '<td rowspan="10">&lt;all&gt;</td>' in second.html
    only_head = Table((0, 0, 1, 1), cells(("a", "b")), "", "ruled", 1)
    assert [row.text for row in table_rows(ElementRow(0, "Table", "", 1), only_head)] == ["a | b"]


def test_hints_survive_a_part() -> None:
    found = Table((1.0, 2.0, 3.0, 4.0), cells(("a", "b"), ("c", "d")), "named", "unruled", 1, (0.0, 1.5, 3.0))
    for hint in (Hint(), Hint(-9.5), Hint(0.0, found, (612.0, 792.0))):
        assert hints.loads(hints.dumps(hint)) == hint
