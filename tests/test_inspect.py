"""`bindery inspect`: what is found on each page, drawn where it is, without a lake, and safe to open."""

from __future__ import annotations

import html as htmllib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows import cli
from tasks.errors import UsageError
from tasks.inspect import parse_pages
from tests.files import add_picture, make_docx, make_pdf, make_scan, make_zip, picture

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }}"
BODY = "The harbour was deepened in 1998 so that larger ships could enter it."
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Four pages; the first has a table, a picture with a caption, and text that would like to be markup."""
    rows = [("Region", "2022", "2023"), ("North", "1,234", "1,100"), ("South", "800", "790"), ("East", "434", "310")]
    table = [
        (x, 480.0 - 16 * i, 10.0, text)
        for i, row in enumerate(rows)
        for x, text in zip((72, 300, 400), row, strict=True)
    ]
    lines = "".join(f"72 {494 - 16 * i} m 460 {494 - 16 * i} l S\n" for i in range(5))
    lines += "".join(f"{x} 494 m {x} 430 l S\n" for x in (72, 280, 380, 460))
    first = [(72.0, 720.0, 18.0, "Harbour report"), (72.0, 690.0, 10.0, EVIL), (72.0, 660.0, 10.0, BODY), *table]
    first += [(150.0, 180.0, 9.0, "Figure 1: The harbour from above.")]
    others: list[list[tuple[float, float, float, str]]] = [
        [(72.0, 700.0, 10.0, f"{BODY} Part {n}.")] for n in (2, 3, 4)
    ]
    path = make_pdf(tmp_path / "report.pdf", [first, *others], extra=lines)
    return add_picture(path, picture(size=(300, 200)), (150, 200, 300, 200))


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert cli.run(["inspect", *arguments]) == code
    said = capsys.readouterr()
    return said.out, said.err


def test_ranges_of_pages() -> None:
    assert [parse_pages(text) for text in ("3", "2-5", "4-")] == [(3, 3), (2, 5), (4, None)]
    for text in ("", "0", "5-2", "a", "1-b", "-3", "1,2"):
        with pytest.raises(UsageError):
            parse_pages(text)


def test_what_it_finds(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, str(report), "--pages", "1-2", "--json")
    found = json.loads(out)
    assert (found["schema_version"], found["media_type"], found["total_pages"]) == (1, "application/pdf", 4)
    one, two = found["pages"]
    assert [page["page"] for page in found["pages"]] == [1, 2]
    kinds = [element["category"] for element in one["elements"]]
    assert kinds.count("Table") == 1 and kinds.count("Image") == 1 and "FigureCaption" in kinds
    table = next(element for element in one["elements"] if element["category"] == "Table")
    assert "<td>1,234</td>" in table["html"] and table["boxes"][0]["page"] == 1
    assert one["counts"]["pictures_kept"] == one["counts"]["pictures_found"] == 1
    assert two["characters_in_layer"] == two["characters"] == len("".join(f"{BODY} Part 2.".split()))
    assert "media" not in one["elements"][0] and two["counts"] == {"characters_kept": 63, "characters_layer": 63}


def test_a_line_for_each_page(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, str(report), "--pages", "1")
    assert out.startswith("report.pdf: Harbour report (application/pdf, 4 pages)\n")
    assert re.search(
        r"page 1  \d+ elements, (\d+) of \1 characters of the text layer; 1 Image; 1 Table; pictures 1 of 1 kept", out
    )
    assert "--html FILE" in err and "first" not in err


def test_it_says_where_it_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_pdf(tmp_path / "long.pdf", [[(72, 700, 10, f"{BODY} Page {n}.")] for n in range(22)])
    out, err = run(capsys, str(path))
    assert out.count("1 element") == 20 and "the first 20 of 22 pages; --pages 1- is all of them" in err


def test_the_page_draws_boxes_where_elements_are(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "seen.html"
    out, err = run(capsys, str(report), "--pages", "1", "--html", str(target), "--json")
    elements = json.loads(out)["pages"][0]["elements"]
    assert f"wrote {target}" in err
    tags = Tags(target.read_text(encoding="utf-8")).found
    rects = [attributes for tag, attributes in tags if tag == "rect"]
    ratio = 792 / 612
    for element, rect in zip(elements, rects, strict=True):
        box = element["boxes"][0]
        expected = (box["x0"] * 1000, box["y0"] * 1000 * ratio, (box["x1"] - box["x0"]) * 1000)
        assert [float(str(rect[name])) for name in ("x", "y", "width")] == pytest.approx(expected, abs=1.5)
    (path,) = [str(attributes["points"]) for tag, attributes in tags if tag == "polyline"]
    assert len(path.split()) == len(elements)
    pictures = [str(attributes["src"]) for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 3 and all(
        src.startswith("data:image/jpeg;base64,") for src in pictures
    )  # page, crop, image
    assert "table" in {tag for tag, _ in tags}


def test_text_of_documents_cannot_become_markup(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "seen.html"
    run(capsys, str(report), "--pages", "1", "--html", str(target))
    text = target.read_text(encoding="utf-8")
    assert {tag for tag, _ in Tags(text).found}.isdisjoint({"script", "iframe", "link", "object", "base", "form"})
    assert "alert(1)" in htmllib.unescape(text) and "{{ 7 * 7 }}" in text
    assert not [a for tag, a in Tags(text).found for name in a if name.startswith("on") or name == "href"]
    assert "default-src 'none'" in text and "http" not in re.sub(r"data:[^\"]*|http-equiv", "", text)


def test_long_documents_are_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_pdf(tmp_path / "long.pdf", [[(72.0, 700.0, 10.0, f"{BODY} {n}")] for n in range(24)])
    out, _ = run(capsys, str(path), "--json")
    found = json.loads(out)
    assert (found["total_pages"], len(found["pages"])) == (24, 20)
    out, _ = run(capsys, str(path), "--pages", "23-", "--json")
    assert [page["page"] for page in json.loads(out)["pages"]] == [23, 24]


def test_scans_say_that_they_were_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, str(make_scan(tmp_path / "scan.pdf", ["The harbour is deep."])), "--json")
    (page,) = json.loads(out)["pages"]
    assert (page["characters_in_layer"], page["counts"]["pages_ocr"]) == (None, 1)
    assert "harbour" in " ".join(element["text"] for element in page["elements"])


def test_formats_without_pages_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "seen.html"
    out, _ = run(capsys, str(make_docx(tmp_path / "a.docx")), "--html", str(target), "--json")
    (whole,) = json.loads(out)["pages"]
    assert whole["page"] is None and whole["elements"] and whole["characters_in_layer"] is None
    assert "rect" not in {tag for tag, _ in Tags(target.read_text(encoding="utf-8")).found}


def test_what_cannot_be_inspected_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4\nnothing else")
    unknown = tmp_path / "a.xyz"
    unknown.write_bytes(b"\0\1\2" * 50)
    archive = make_zip(tmp_path / "a.zip", {"b.txt": b"The harbour is deep and wide."})
    one = make_pdf(tmp_path / "one.pdf", [[(72.0, 700.0, 10.0, BODY)]])
    cases = [
        ([str(broken)], 1, "malformed"),
        ([str(unknown)], 2, "usage"),
        ([str(tmp_path)], 2, "usage"),
        ([str(tmp_path / "none.pdf")], 2, "usage"),
        ([str(archive)], 2, "usage"),
        ([str(one), "--pages", "9"], 2, "usage"),
        ([str(one), "--pages", "x"], 2, "usage"),
        ([str(one), "--html", str(tmp_path)], 2, "usage"),
    ]
    for arguments, code, name in cases:
        out, err = run(capsys, *arguments, "--json", code=code)
        assert json.loads(out)["error"]["code"] == name, arguments
        assert err.startswith("bindery: ") and "Traceback" not in err
    out, _ = run(capsys, f"{archive}!/1/b.txt", "--json")
    assert "harbour" in json.loads(out)["pages"][0]["elements"][0]["text"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "seen.html"
    run(capsys, str(report), "--pages", "1", "--html", str(target))
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--window-size=1400,1800", f"--screenshot={tmp_path / 'seen.png'}", target.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    with Image.open(tmp_path / "seen.png") as shown:
        pixels = np.asarray(shown.convert("RGB"), np.int16)
    for color in ((0x15, 0x80, 0x3D), (0x7C, 0x3A, 0xED)):  # the boxes of the table and the picture
        assert (np.abs(pixels - np.array(color, np.int16)).sum(axis=2) < 12).any()
