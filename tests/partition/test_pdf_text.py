"""The text layer: words and spans with boxes, size, weight and angle, in reading order, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest

from benchmarks.pdf.made import KINDS, make
from benchmarks.pdf.recall import layer, recall
from benchmarks.pdf.text import distances, text_of
from tasks.partition.detect import PDF
from tasks.partition.pdf.content import Word
from tasks.partition.pdf.text import layer as pdf_text
from tasks.partition.pdf.text.fonts import Fonts
from tasks.partition.pdf.text.layer import PageText
from tasks.partition.pdf.text.spans import spans_of
from tests.files import make_pdf
from tests.partition.conftest import Partition

_DATA = Path(__file__).parents[3] / "shared"


def text_of_page(path: Path, fonts: Fonts | None = None) -> PageText:
    with pypdfium2.PdfDocument(path) as document:
        return pdf_text.page_text(document[0], fonts)


def show(tmp_path: Path, operators: str) -> PageText:
    return text_of_page(make_pdf(tmp_path / "a.pdf", [[]], extra=operators + "\n"))


@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_known_order_come_back_whole_and_in_order(tmp_path: Path, partition: Partition, kind: str) -> None:
    path = tmp_path / "a.pdf"
    texts = make(path, kind, seed=7, pages=2)
    rows, context = partition(path, PDF)
    for number, truth in enumerate(texts, 1):
        found = [row for row in rows if row.page == number]
        assert recall(truth, found).share == 1.0
        assert distances(truth, text_of(found))[1] <= 0.01
    assert context.warnings == []


def test_words_say_where_they_stand_and_how_they_are_set(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [[(100, 700, 20, "The harbour"), (100, 600, -10, "Depth 14.5")]])
    fonts = Fonts()
    found = text_of_page(path, fonts)
    assert [(w.text, w.size, w.bold, w.angle) for w in found.words] == [
        ("The", 20, False, 0), ("harbour", 20, False, 0), ("Depth", 10, True, 0), ("14.5", 10, True, 0),
    ]  # fmt: skip
    the, harbour, depth, _ = found.words
    assert the.font == harbour.font != depth.font and len(fonts.numbers) == 2
    assert the.x0 == pytest.approx(100, abs=1) and the.x1 < harbour.x0 < harbour.x1 < 230
    assert (
        the.y0 < 92 - 0.6 * 20 and 92 <= the.y1 < 92 + 0.4 * 20
    )  # the line's height around a baseline 92 from the top
    assert [span.text for span in found.spans] == ["The harbour", "Depth 14.5"]
    assert (found.characters, found.garbage, found.cut, found.usable) == (19, 0, False, True)


def test_hyphens_and_ligatures(tmp_path: Path, partition: Partition) -> None:
    lines = ["The port author-", "ity said that state-of-", "the-art cranes run."]
    path = make_pdf(tmp_path / "a.pdf", [[(72, 700 - 12 * i, 10, line) for i, line in enumerate(lines)]])
    rows, _ = partition(path, PDF)
    assert [row.text for row in rows] == ["The port authority said that state-of-the-art cranes run."]
    ligatures = [Word("e\ufb03cient", 0, 0, 40, 10, 10)]
    cleaned, _ = pdf_text._cleaned(ligatures, [True])
    assert cleaned[0].text == "efficient"


def test_a_jump_without_a_blank_parts_words(tmp_path: Path) -> None:
    kerned = show(tmp_path, "BT /F 10 Tf 100 700 Td [(Sales) -20000 (1,234)] TJ ET")
    assert [word.text for word in kerned.words] == ["Sales", "1,234"]
    assert kerned.words[0].x1 < 130 and kerned.words[1].x0 > 300
    assert [span.text for span in kerned.spans] == ["Sales", "1,234"]


def test_turned_words_have_their_angle(tmp_path: Path) -> None:
    main = "BT /F 10 Tf 100 700 Td (Most of the page reads like this line.) Tj ET\n"
    stamp = "BT /F 10 Tf 0 1 -1 0 40 300 Tm (Stamp in the margin) Tj ET\n"
    slanted = "BT /F 10 Tf 0.7 0.7 -0.7 0.7 300 300 Tm (Draft) Tj ET"
    found = show(tmp_path, main + stamp + slanted)
    angles = {word.text: word.angle for word in found.words}
    assert (angles["Most"], angles["Stamp"], angles["Draft"]) == (0, 90, 45)
    assert [span.text for span in found.spans if span.angle] == ["Stamp in the margin", "Draft"]
    assert found.turned == 0
    crooked = show(tmp_path, "BT /F 10 Tf 0.9986 0.0523 -0.0523 0.9986 100 300 Tm (Crooked by three degrees) Tj ET")
    assert {word.angle for word in crooked.words} == {0}


def test_a_negative_size_that_the_matrix_undoes_is_upright(tmp_path: Path) -> None:
    text = show(tmp_path, "BT /F -12 Tf -1 0 0 -1 72 700 Tm (ships in the harbour) Tj ET")
    assert [span.text for span in text.spans] == ["ships in the harbour"]
    assert {(word.size, word.angle) for word in text.words} == {(12.0, 0)} and text.turned == 0


def test_turned_text_is_no_part_of_the_columns(tmp_path: Path, partition: Partition) -> None:
    lines = [(72.0, 700.0 - 12 * i, 10.0, f"Line {i} of the page, which is read from top to bottom.") for i in range(8)]
    stamp = "BT /F 12 Tf 0 1 -1 0 40 500 Tm (Stamp in the margin) Tj ET\n"
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [lines], extra=stamp), PDF)
    assert rows[-1].text == "Stamp in the margin" and "Stamp" not in rows[0].text


def test_garbage_and_ciphers_are_not_trusted(tmp_path: Path) -> None:
    assert not show(tmp_path, "BT /F 10 Tf 100 700 Td (\\001\\003\\004\\005\\006 abc) Tj ET").usable
    cipher = " ".join(["xqzt", "wrpl", "kdfg", "bnmv"] * 25)
    assert not text_of_page(make_pdf(tmp_path / "b.pdf", [[(20, 700, 3, cipher)]])).usable
    plain = " ".join(["ships", "enter", "the", "harbour"] * 25)
    assert text_of_page(make_pdf(tmp_path / "c.pdf", [[(20, 700, 3, plain)]])).usable


def test_a_text_layer_larger_than_any_page_is_cut(
    tmp_path: Path, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_text, "_MAX_CHARACTERS", 30)
    path = make_pdf(tmp_path / "a.pdf", [[(72, 700 - 12 * i, 10, f"Ships enter {i}") for i in range(9)]])
    rows, context = partition(path, PDF)
    assert 0 < sum(len(row.text) for row in rows) <= 30
    assert context.warnings == ["page 1: the text layer is larger than any page; the rest of it was left out"]


def test_words_without_blanks_between_scripts_that_have_none() -> None:
    row = [Word("港口", 0, 0, 20, 10, 10), Word("加深", 22, 0, 42, 10, 10), Word("in", 46, 0, 54, 10, 10)]
    assert [span.text for span in spans_of(row, [True, False, False])] == ["港口加深 in"]


def test_a_justified_line_of_wide_blanks_is_one_span() -> None:
    loose = [Word(text, x, 0, x + 20, 10, 10) for text, x in (("ships", 0), ("enter", 35), ("often", 70))]
    assert [span.text for span in spans_of(loose, [True, False, False])] == ["ships enter often"]
    cells = [Word(text, x, 0, x + 20, 10, 10) for text, x in (("Sales", 0), ("1,234", 35), ("1,100", 70))]
    assert [span.text for span in spans_of(cells, [True, False, False])] == ["Sales", "1,234", "1,100"]


def test_a_bullet_does_not_make_a_bold_line_plain(tmp_path: Path, partition: Partition) -> None:
    item = [(72.0, 700.0, 10.0, "-"), (78.0, 700.0, -10.0, "Sales of instruments rose in every month of the year"),
            (78.0, 688.0, -10.0, "but in August")]  # fmt: skip
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [[*item, (72, 640, 10, "They fell in August.")]]), PDF)
    assert rows[0].text == "- Sales of instruments rose in every month of the year but in August"


def test_words_that_are_taken_leave_a_gap(tmp_path: Path) -> None:
    found = text_of_page(make_pdf(tmp_path / "a.pdf", [[(72, 700, 10, "one two three four")]]))
    rest = found.without({1})
    assert [word.text for word in rest.words] == ["one", "three", "four"]
    assert [span.text for span in rest.spans] == ["one", "three four"]


@pytest.mark.skipif(not _DATA.exists(), reason="the shared corpus is not on this machine")
def test_real_pages_lose_no_characters(partition: Partition) -> None:
    for name in ("multi-column-2p.pdf", "layout-parser-paper-with-table.pdf", "embedded-images-tables.pdf"):
        path = _DATA / "corpus" / "unstructured" / name
        rows, _ = partition(path, PDF, ocr=False)
        with pypdfium2.PdfDocument(path) as document:
            for number, page in enumerate(document, 1):
                found = [row for row in rows if any(box.page == number for box in row.boxes)]
                assert recall(layer(page), found).share >= 0.995, (name, number)
