"""Word, PowerPoint and Excel: text, tables, pictures where they stand, notes, charts, and bombs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import DocumentError
from tasks.partition.detect import DOCX, PPTX, XLSX
from tasks.partition.tables import ROWS_PER_GROUP
from tasks.rows import ElementRow
from tasks.settings import Limits
from tests.files import encoded, make_docx, make_pptx, make_xlsx, make_zip, picture
from tests.partition.conftest import Partition


def brief(rows: list[ElementRow]) -> list[tuple[str, str, int | None]]:
    return [(row.category, row.text, row.page) for row in rows]


def test_word(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(make_docx(tmp_path / "a.docx"), DOCX)
    assert brief(rows) == [
        ("Title", "Findings", None),
        ("NarrativeText", "The harbour was deepened in 1998. Traffic has doubled since then.", None),
        ("Image", "", None),
        ("ListItem", "Depth by year", None),
        ("Table", "Year | Metres\n1998 | 14.5", None),
    ]
    assert rows[2].media is not None and context.storage.read(rows[2].media) == encoded(picture())
    assert rows[4].html == "<table><tr><td>Year</td><td>Metres</td></tr><tr><td>1998</td><td>14.5</td></tr></table>"
    assert context.title == "Harbour report"


def test_slides(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(make_pptx(tmp_path / "a.pptx"), PPTX)
    assert brief(rows) == [
        ("Title", "Slide number 1", 1),
        ("NarrativeText", "Notes: Remember to mention the harbour on slide 1.", 1),
        ("Title", "Slide number 2", 2),
        ("Image", "", 2),
        ("Table", " | Sales\nQ1 | 1.5\nQ2 | 2.25", 2),
        ("NarrativeText", "Notes: Remember to mention the harbour on slide 2.", 2),
    ]
    box = rows[3].boxes[0]
    assert (box.page, box.x0, box.y0, box.x1, box.y1) == (2, 0.1, 0.26667, 0.4, 0.53333)
    assert (context.pages, context.title) == (2, "")


def test_sheets(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(make_xlsx(tmp_path / "a.xlsx"), XLSX)
    lines = [
        "Item | Amount | Share | Day",
        "item 0 | 1234567.125 | 12.5% | 2024-01-01",
        "item 1 | 1234568.125 | 12.5% | 2024-01-02",
    ]
    assert brief(rows) == [
        ("Title", "Budget", 1),
        ("Table", "\n".join(lines), 1),
        ("UncategorizedText", "All amounts in euro", 1),
        ("Title", "Pictures", 2),
        ("UncategorizedText", "Harbour", 2),
        ("Image", "", 2),
    ]  # fmt: skip
    assert context.pages == 2


def test_long_sheets_are_split(tmp_path: Path, partition: Partition) -> None:
    rows, _ = partition(make_xlsx(tmp_path / "a.xlsx", rows=2 * ROWS_PER_GROUP + 1), XLSX)
    tables = [row.text.splitlines() for row in rows if row.category == "Table"]
    assert [len(lines) for lines in tables] == [ROWS_PER_GROUP + 1, ROWS_PER_GROUP + 1, 2]
    assert {lines[0] for lines in tables} == {"Item | Amount | Share | Day"}


def test_formulas_without_results_are_said(tmp_path: Path, partition: Partition) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["sum", "=1+1"])
    book.save(tmp_path / "a.xlsx")
    _, context = partition(tmp_path / "a.xlsx", XLSX)
    assert context.warnings == ["some formulas have no computed values: open it in a spreadsheet program and save it"]


@pytest.mark.parametrize("media_type", [DOCX, PPTX, XLSX])
def test_bombs_are_refused_before_unpacking(tmp_path: Path, partition: Partition, media_type: str) -> None:
    bomb = make_zip(tmp_path / "bomb", {"word/document.xml": b"<a/>" + b" " * (64 << 20)})
    large = make_zip(tmp_path / "large", {"word/document.xml": b"x" * 5000})
    for path, limits in ((bomb, Limits()), (large, Limits(container_bytes=4000))):
        with pytest.raises(DocumentError) as caught:
            partition(path, media_type, limits)
        assert caught.value.code == "zip_bomb"
