"""Rules and shapes of a page: thin fills, frames, dashes, forms, clips, white paint, and the bound."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest

from tasks.partition.pdf import drawings as pdf_drawings
from tasks.partition.pdf.content import Drawings, Rule, View
from tests.files import make_pdf


def drawings(tmp_path: Path, operators: str, turns: int = 0) -> Drawings:
    path = make_pdf(tmp_path / "a.pdf", [[]], extra=operators + "\n")
    with pypdfium2.PdfDocument(path) as document:
        page = document[0]
        left, bottom, right, top = page.get_bbox()
        return pdf_drawings.page_drawings(page, View(left, bottom, right, top, turns))


def lines(found: Drawings) -> list[tuple[int, ...]]:
    return [tuple(round(v) for v in (r.x0, r.y0, r.x1, r.y1)) for r in found.rules]


def test_lines_thin_fills_and_frames_are_rules(tmp_path: Path) -> None:
    stroked = drawings(tmp_path, "2 w 100 700 m 300 700 l S")
    assert stroked.rules == [Rule(100, 92, 300, 92, 2)] and stroked.shapes == []
    filled = drawings(tmp_path, "0 g 100 699.5 200 1 re f 100 600 0.5 50 re f")
    assert lines(filled) == [(100, 92, 300, 92), (100, 142, 100, 192)] and filled.shapes == []
    frame = drawings(tmp_path, "100 600 200 50 re S")
    corners = [(100, 142, 300, 142), (100, 142, 100, 192), (100, 192, 300, 192), (300, 142, 300, 192)]
    assert sorted(lines(frame)) == sorted(corners)
    grid = drawings(tmp_path, "100 700 m 300 700 l 100 680 m 300 680 l 100 680 m 100 700 l S")
    assert lines(grid) == [(100, 92, 300, 92), (100, 112, 300, 112), (100, 92, 100, 112)]


def test_fills_and_curves_are_shapes(tmp_path: Path) -> None:
    found = drawings(
        tmp_path, "0.8 0.9 1 rg 100 600 200 50 re f\n1 0 0 RG 10 10 m 20 90 90 20 99 99 c S\n50 50 m 90 99 l S"
    )
    assert [(s.filled, s.stroked, s.color, s.curved, s.segments) for s in found.shapes] == [
        (True, False, (204, 230, 255), False, 5),
        (False, True, (255, 0, 0), True, 4),
        (False, True, (255, 0, 0), False, 2),
    ]
    assert (found.shapes[0].x0, found.shapes[0].y0, found.shapes[0].x1, found.shapes[0].y1) == (100, 142, 300, 192)
    assert found.rules == []


def test_pieces_and_dashes_are_one_rule(tmp_path: Path) -> None:
    pieces = drawings(tmp_path, "".join(f"{x} 700 m {x + 50} 700 l S " for x in (200, 100, 150)))
    assert lines(pieces) == [(100, 92, 250, 92)]
    dots = drawings(tmp_path, "".join(f"{x} 700 1 1 re f " for x in range(100, 200, 3)) + "400 700 m 500 700 l S")
    assert lines(dots) == [(100, 92, 200, 92), (400, 92, 500, 92)] and dots.shapes == []
    dashes = drawings(tmp_path, "".join(f"{x} 700 m {x + 4} 700 l S " for x in range(100, 200, 7)))
    assert lines(dashes) == [(100, 92, 202, 92)]
    cells = "".join(f"{x} 700 m {x + 30} 700 l S {x + 30} 700 m {x + 34} 700 l S " for x in range(100, 400, 40))
    assert lines(drawings(tmp_path, cells)) == [(x, 92, x + 34, 92) for x in range(100, 400, 40)]
    apart = drawings(tmp_path, "100 700 m 200 700 l S 210 700 m 300 700 l S")
    assert lines(apart) == [(100, 92, 200, 92), (210, 92, 300, 92)]


def test_what_nobody_sees_is_left_out(tmp_path: Path) -> None:
    assert drawings(tmp_path, "1 g 100 600 200 50 re f 1 G 100 500 m 300 500 l S n").rules == []
    assert drawings(tmp_path, "1 g 100 600 200 50 re f").shapes == []
    head = drawings(tmp_path, "0 0 0.5 rg 100 600 200 50 re f 1 G 200 600 m 200 650 l S")
    assert lines(head) == [(200, 142, 200, 192)] and len(head.shapes) == 1  # a white line in a dark head does show
    assert drawings(tmp_path, "100 900 m 300 900 l S").rules == []  # above the page


def test_clips_matrices_and_turns_apply(tmp_path: Path) -> None:
    assert lines(drawings(tmp_path, "q 100 600 50 150 re W n 0 700 m 500 700 l S Q")) == [(100, 92, 150, 92)]
    scaled = drawings(tmp_path, "q 2 0 0 2 10 20 cm 1 w 50 340 m 100 340 l S Q")
    assert scaled.rules == [Rule(110, 92, 210, 92, 2)]
    assert lines(drawings(tmp_path, "100 700 m 300 700 l S", turns=1)) == [(700, 100, 700, 300)]


def test_forms_are_looked_into(tmp_path: Path) -> None:
    plain = make_pdf(tmp_path / "inner.pdf", [[]], extra="100 700 m 300 700 l S\n")
    with pypdfium2.PdfDocument(plain) as inner, pypdfium2.PdfDocument.new() as document:
        page = document.new_page(612, 792)
        placed = inner.page_as_xobject(0, document).as_pageobject()
        placed.set_matrix(pypdfium2.PdfMatrix().scale(0.5, 0.5).translate(10, 20))
        page.insert_obj(placed)
        page.gen_content()
        found = pdf_drawings.page_drawings(page, View(*page.get_bbox()))
    assert lines(found) == [(60, 422, 160, 422)]


def test_a_map_of_paths_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_drawings, "_MAX_PATHS", 40)
    monkeypatch.setattr(pdf_drawings, "_MAX_SAMPLED", 10)
    many = "".join(f"{100 + i} 100 m {300 + i} {600 + i} l S " for i in range(200))
    found = drawings(tmp_path, many)
    assert found.cut and len(found.shapes) == 50
    assert max(shape.x1 for shape in found.shapes) == 499  # the last ones are among the sample
    monkeypatch.setattr(pdf_drawings, "_MAX_SEGMENTS", 30)
    assert drawings(tmp_path, many).cut and len(drawings(tmp_path, many).shapes) == 15
    assert not drawings(tmp_path, "100 700 m 300 700 l S").cut
