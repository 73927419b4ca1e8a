"""PDF pages as elements: reading order, headings, rows of numbers, pictures, scans, and broken files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    RectangleObject,
    StreamObject,
    TextStringObject,
)

from tasks.errors import DocumentError
from tasks.partition.detect import PDF
from tasks.partition.pdf import reader
from tasks.rows import ElementRow
from tests.files import add_picture, encrypt_pdf, make_pdf, make_scan, picture
from tests.partition.conftest import Partition

BODY = [
    "The harbour was deepened in 1998 so that larger ships could",
    "enter it. Since then traffic has doubled, and the port author-",
    "ity expects that it will double again.",
]


def paragraph(
    y: float, lines: list[str] = BODY, x: float = 72, size: float = 10
) -> list[tuple[float, float, float, str]]:
    return [(x, y - 12 * i, size, line) for i, line in enumerate(lines)]


def summary(rows: list[ElementRow]) -> list[tuple[str, str, int | None, int | None]]:
    return [(row.category, row.text, row.page, row.level) for row in rows]


def test_headings_paragraphs_and_footers(tmp_path: Path, partition: Partition) -> None:
    joined = (
        "The harbour was deepened in 1998 so that larger ships could enter it. Since then traffic has doubled, "
        "and the port authority expects that it will double again."
    )
    pages = [
        [(72, 720, 20, f"Part {n}"), (72, 690, 14, "Depth"), *paragraph(660),
         (72, 590, -10, "Traffic"), *paragraph(570), (290, 30, 8, f"Page {n}")]
        for n in (1, 2, 3)
    ]  # fmt: skip
    rows, context = partition(make_pdf(tmp_path / "a.pdf", pages, info="/Title (Harbour report)"), PDF)
    assert summary(rows) == [
        row
        for n in (1, 2, 3)
        for row in [
            ("Title", f"Part {n}", n, 0),
            ("Title", "Depth", n, 1),
            ("NarrativeText", joined, n, None),
            ("Title", "Traffic", n, 2),
            ("NarrativeText", joined, n, None),
            ("Footer", f"Page {n}", n, None),
        ]
    ]
    assert [row.ordinal for row in rows] == list(range(18))
    assert (context.title, context.pages, context.warnings) == ("Harbour report", 3, [])
    box = rows[0].boxes[0]
    assert box.page == 1 and 0.1 < box.x0 < 0.13 and 0.06 < box.y0 < box.y1 < 0.1 and box.x1 < 0.3
    assert {row.origin for row in rows} == {"text-layer"}


def test_numeric_rows_keep_label_and_numbers_on_one_line(tmp_path: Path, partition: Partition) -> None:
    cells = [
        ("", "2023", "2022"),
        ("Net sales", "1,234", "1,100"),
        ("Cost of sales", "(800)", "(790)"),
        ("Profit", "434", "310"),
    ]
    page = [(72, 720, 10, "Amounts are in millions of euro and were not audited by anyone.")]
    for i, row in enumerate(cells):
        page += [(x, 680 - 13 * i, 10, text) for x, text in zip((72, 300, 400), row, strict=True) if text]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [page]), PDF)
    assert [row.text for row in rows] == [
        "Amounts are in millions of euro and were not audited by anyone.",
        "Net sales | 2023: 1,234 | 2022: 1,100\nCost of sales | 2023: (800) | 2022: (790)\n"
        "Profit | 2023: 434 | 2022: 310",
    ]
    assert rows[1].category == "Table" and rows[1].html is not None
    assert "<tr><td>Profit</td><td>434</td><td>310</td></tr>" in rows[1].html


def test_two_columns_are_read_one_after_the_other(tmp_path: Path, partition: Partition) -> None:
    left = [(72, 680 - 12 * i, 10, f"left column line {i} goes on and on here") for i in range(10)]
    right = [(320, 680 - 12 * i, 10, f"right column line {i} goes on and on here") for i in range(10)]
    mixed = [line for pair in zip(left, right, strict=True) for line in pair]
    page = [(72, 720, 18, "A title that spans both of the columns"), *mixed]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [page]), PDF)
    text = "\n".join(row.text for row in rows)
    assert rows[0].category == "Title"
    assert text.index("left column line 9") < text.index("right column line 0")


def test_a_table_across_both_columns_is_not_cut(tmp_path: Path, partition: Partition) -> None:
    columns = [(x, 500 - 12 * i, 10, f"{side} column line {i} goes on and on here") for i in range(10)
               for x, side in ((72, "left"), (320, "right"))]  # fmt: skip
    cells = [("Method", "2021", "2022", "2023"), ("Harbour", "1.0", "2.0", "3.0"), ("Railway", "4.0", "5.0", "6.0")]
    table = [
        (x, 600 - 13 * i, 10, text)
        for i, row in enumerate(cells)
        for x, text in zip((72, 250, 380, 480), row, strict=True)
    ]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [table + columns]), PDF)
    assert rows[0].text == "\n".join(
        ("Method", "Harbour | 2021: 1.0 | 2022: 2.0 | 2023: 3.0", "Railway | 2021: 4.0 | 2022: 5.0 | 2023: 6.0")
    )
    assert rows[1].text.startswith("left column line 0") and "right" not in rows[1].text


def test_turned_text_reads_upright_and_its_box_is_where_it_shows(tmp_path: Path, partition: Partition) -> None:
    upright = make_pdf(tmp_path / "a.pdf", [paragraph(600)])
    (expected,), _ = partition(upright, PDF)
    path = tmp_path / "turned.pdf"
    # The offsets in the xref are off now: pdfium repairs it, as it does for many real files.
    path.write_bytes(upright.read_bytes().replace(b"/MediaBox", b"/Rotate 90 /MediaBox"))
    (row,), _ = partition(path, PDF)
    before, after = expected.boxes[0], row.boxes[0]
    assert row.text == expected.text  # the reader sees it turned; it still reads as it was set
    assert (after.x0, after.y0) == (round(1 - before.y1, 5), before.x0)

    sideways = "".join(
        f"BT /F 10 Tf 0 1 -1 0 {200 + 12 * i} 100 Tm ({text}) Tj ET\n" for i, (_, _, _, text) in enumerate(paragraph(0))
    )
    (row,), _ = partition(make_pdf(tmp_path / "sideways.pdf", [[]], extra=sideways), PDF)
    box = row.boxes[0]
    assert row.text == expected.text
    assert 0.3 < box.x0 < box.x1 < 0.4 and box.y1 - box.y0 > 0.3 and 0.86 < box.y1 < 0.9


def test_page_numbers_are_told_by_counting(tmp_path: Path, partition: Partition) -> None:
    """They stand below the text, which ends at another height on each page; a number that does not count stays text."""
    pages = [
        [*paragraph(700 - 40 * n), (300, 600 - 60 * n, 9, str(n + 11)), *([] if n else [(300, 20, 9, "1998")])]
        for n in range(4)
    ]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", pages), PDF)
    assert [row.text for row in rows if row.category == "Footer"] == ["1998", "12", "13", "14"]
    pages = [[*paragraph(700), (300, 500, 9, number)] for number in ("7", "3", "40")]
    rows, _ = partition(make_pdf(tmp_path / "b.pdf", pages), PDF)
    assert [row.category for row in rows if row.text.isdigit()] == ["UncategorizedText"] * 3


def test_a_sum_at_the_foot_of_a_page_is_no_footer(tmp_path: Path, partition: Partition) -> None:
    letter = [*paragraph(700), (72.0, 50.0, 10.0, "Total amount due 1500")]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [letter]), PDF)
    assert [row.category for row in rows] == ["NarrativeText", "UncategorizedText"]
    chapters = [[*paragraph(700), (72.0, 50.0, 10.0, f"{name} {i + 7}")] for i, name in enumerate(("Docks", "Ships"))]
    rows, _ = partition(make_pdf(tmp_path / "b.pdf", [*chapters, letter]), PDF)
    assert [row.text for row in rows if row.category == "Footer"] == ["Docks 7", "Ships 8"]


def test_pictures_come_with_box_and_caption(tmp_path: Path, partition: Partition) -> None:
    path = make_pdf(tmp_path / "a.pdf", [[*paragraph(700), (150, 380, 9, "Figure 1: The harbour from above.")]])
    add_picture(path, picture(size=(300, 200)), (150, 400, 300, 200))
    add_picture(path, picture(size=(20, 20)), (20, 20, 20, 20))
    rows, context = partition(path, PDF)
    assert [(row.category, row.text[:33]) for row in rows] == [
        ("NarrativeText", "The harbour was deepened in 1998 "),
        ("Image", "Figure 1: The harbour from above."),
        ("FigureCaption", "Figure 1: The harbour from above."),
    ]
    image = rows[1]
    assert image.media_type == "image/jpeg" and image.media is not None
    assert context.storage.read(image.media).startswith(b"\xff\xd8")
    box = image.boxes[0]
    assert [round(edge, 2) for edge in (box.x0, box.y0, box.x1, box.y1)] == [0.25, 0.24, 0.74, 0.49]
    pictures = {name: count for name, count in context.counts.items() if name.startswith("pictures")}
    assert pictures == {"pictures_found": 2, "pictures_kept": 1, "pictures_dropped_small": 1}


def test_scanned_pages_are_read_by_ocr(tmp_path: Path, partition: Partition) -> None:
    path = make_scan(tmp_path / "a.pdf", ["The harbour is deep.\nShips may enter."])
    rows, context = partition(path, PDF)
    assert " ".join(row.text for row in rows if row.category != "Image").split() == [
        "The",
        "harbour",
        "is",
        "deep.",
        "Ships",
        "may",
        "enter.",
    ]
    assert {row.origin for row in rows} == {"ocr"}
    assert [row.category for row in rows].count("Image") == 1 and rows[-1].media_type == "image/jpeg"
    assert all(0 < row.boxes[0].x0 < row.boxes[0].x1 < 1 for row in rows[:-1])
    assert context.counts["pages_ocr"] == 1

    rows, context = partition(path, PDF, ocr=False)
    assert [row.category for row in rows] == ["Image"]
    assert context.warnings == ["page 1: no usable text layer, and OCR is off"]


def test_a_picture_without_text_is_said(tmp_path: Path, partition: Partition) -> None:
    picture(size=(600, 400)).save(tmp_path / "a.pdf", "PDF")
    rows, context = partition(tmp_path / "a.pdf", PDF)
    assert [row.category for row in rows] == ["Image"]
    assert context.warnings == ["page 1: no text layer, and OCR found no text in the picture"]


def test_blank_pages_are_counted(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(make_pdf(tmp_path / "a.pdf", [paragraph(700), [], paragraph(700)]), PDF)
    assert [row.page for row in rows] == [1, 3]
    assert (context.pages, context.counts["pages_blank"]) == (3, 1)


def test_a_page_of_which_nothing_is_recognised_is_kept_as_a_picture(
    tmp_path: Path, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "text_page", lambda *_: [])
    rows, context = partition(make_pdf(tmp_path / "a.pdf", [paragraph(700)]), PDF)
    assert [(row.category, row.media_type, row.page) for row in rows] == [("Image", "image/jpeg", 1)]
    assert context.warnings == ["page 1: nothing on it was recognised; it is kept as a picture"]
    assert context.counts["pages_pictured"] == context.counts["pictures_kept"] == 1


def test_a_logo_on_every_page_is_kept_once(tmp_path: Path, partition: Partition) -> None:
    pages = [picture(size=(600, 400)) for _ in range(4)]
    pages[0].save(tmp_path / "a.pdf", "PDF", save_all=True, append_images=pages[1:])
    rows, _ = partition(tmp_path / "a.pdf", PDF, ocr=False)
    assert [row.page for row in rows] == [1]


def write_on(path: Path, kind: str, text: str, looks: bool = True) -> Path:
    """The first page with an annotation that shows a text (at 72, 600), and says so by itself if it `looks`."""
    writer = PdfWriter(clone_from=path)
    note = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject(kind),
            NameObject("/Rect"): ArrayObject(map(NumberObject, (72, 600, 372, 620))),
            NameObject("/F"): NumberObject(4),
            NameObject("/Contents"): TextStringObject(text),
        }
    )
    if looks:
        drawn = StreamObject()
        drawn.set_data(f"BT /F 10 Tf 2 6 Td ({text}) Tj ET".encode())
        drawn |= {
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject(map(NumberObject, (0, 0, 300, 20))),
            NameObject("/Resources"): writer.pages[0]["/Resources"],
        }
        note[NameObject("/AP")] = DictionaryObject({NameObject("/N"): writer._add_object(drawn)})
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(note)])
    writer.write(path)
    return path


@pytest.mark.parametrize("kind", ["/Widget", "/FreeText", "/Stamp"])
def test_what_is_written_on_a_page_is_read(tmp_path: Path, partition: Partition, kind: str) -> None:
    path = write_on(make_pdf(tmp_path / "a.pdf", [paragraph(700, BODY[:1])]), kind, "Paid by the harbour master")
    rows, context = partition(path, PDF)
    assert [row.text for row in rows][1:] == ["Paid by the harbour master"]
    assert context.counts["characters_kept"] == context.counts["characters_layer"]


def test_a_note_without_looks_is_left_to_be_drawn(tmp_path: Path, partition: Partition) -> None:
    path = write_on(make_pdf(tmp_path / "a.pdf", [[]]), "/FreeText", "Paid by the harbour master", looks=False)
    rows, _ = partition(path, PDF, ocr=False)
    assert [row.category for row in rows] == ["Image"]


def test_a_crop_box_beside_the_paper_hides_nothing(tmp_path: Path, partition: Partition) -> None:
    path = make_pdf(tmp_path / "a.pdf", [paragraph(700)])
    known = partition(path, PDF)[0]
    writer = PdfWriter(clone_from=path)
    writer.pages[0].cropbox = RectangleObject((5000, 5000, 5600, 5700))
    writer.write(path)
    assert partition(path, PDF)[0] == known


def test_broken_files_are_named_errors(tmp_path: Path, partition: Partition) -> None:
    whole = make_pdf(tmp_path / "a.pdf", [paragraph(700)])
    cut = tmp_path / "cut.pdf"
    cut.write_bytes(whole.read_bytes()[:60])
    locked = encrypt_pdf(whole, tmp_path / "locked.pdf")
    for path, code in ((cut, "malformed"), (locked, "encrypted")):
        with pytest.raises(DocumentError) as caught:
            partition(path, PDF)
        assert caught.value.code == code


def test_equal_bytes_give_equal_rows(tmp_path: Path, partition: Partition) -> None:
    path = make_pdf(tmp_path / "a.pdf", [paragraph(700), paragraph(600)])
    assert partition(path, PDF)[0] == partition(path, PDF)[0]
