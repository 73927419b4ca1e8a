"""The answer page shows untrusted text, tables and pictures without running or loading anything."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tasks.lake import Lake, put_blob
from tasks.report.answer import clean_table, picture_uri, render_answer
from tasks.result import Hit, SearchResult, Signal
from tasks.rows import ChunkRow
from tasks.synthesize import synthesize
from tests.lakes import chunk, new_lake

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)> tide gauge [9] {{ 7 * 7 }}"
EVIL_TABLE = (
    '<table onclick="a()" style="background:url(http://evil.example/x)"><tr><td colspan="2" onmouseover="b()">gauge'
    '<script>c()</script><img src="http://evil.example/y"><a href="javascript:d()">link</a></td></tr></table>'
    "<style>body{display:none}</style><iframe src=//evil.example></iframe><form action=/x><input></form>"
)


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return new_lake(tmp_path)


def page(lake: Lake, question: str, row: ChunkRow, source: str = "/data/a.pdf") -> str:
    hit = Hit(row, "", (source, "/data/copy.pdf"), 0.0328, (Signal("text", 1, 3.0), Signal("vector:minilm", 2, 0.61)))
    result = SearchResult(question, 3, (hit,))
    return render_answer(lake, synthesize(question, result), result)


def test_text_of_documents_cannot_become_markup(lake: Lake) -> None:
    html = page(lake, "<b>tide</b> gauge?", chunk("a", 0, EVIL), source="/data/<script>x</script>.pdf")
    tags = Tags(html).found
    assert {tag for tag, _ in tags}.isdisjoint({"script", "b", "iframe", "link", "object", "base"})
    assert not [tag for tag, _ in tags if tag == "img"]
    assert "&lt;script&gt;alert(" in html
    assert "{{ 7 * 7 }}" in html


def test_tables_keep_cells_and_nothing_else(lake: Lake) -> None:
    row = chunk("a", 0, "gauge", kind="table", html=EVIL_TABLE)
    html = page(lake, "gauge", row)
    assert "evil.example" not in html and "javascript:" not in html
    assert clean_table(EVIL_TABLE) == '<table><tbody><tr><td colspan="2">gaugelink</td></tr></tbody></table>'
    assert '<td colspan="2">gaugelink</td>' in html


def test_nothing_is_loaded_from_elsewhere(lake: Lake) -> None:
    html = page(lake, "tide gauge", chunk("a", 0, "A tide gauge at http://example.org/x.png stands here."))
    for tag, attributes in Tags(html).found:
        assert "style" not in attributes and not [name for name in attributes if name.startswith("on")]
        assert not re.match(r"(?:https?:)?//", attributes.get("href") or attributes.get("src") or ""), tag
    policy = next(a["content"] for t, a in Tags(html).found if t == "meta" and a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src" not in policy and "url(" not in html and "@import" not in html


def test_an_answer_links_its_marks_to_the_evidence(lake: Lake) -> None:
    html = page(lake, "Which tide gauge stands here?", chunk("a", 0, "The tide gauge HL-9 stands here.", page=4))
    assert '<a href="#c1">[1]</a>' in html and 'id="c1"' in html
    for shown in ("a.pdf", "page 4", "The tide gauge HL-9 stands here.", "also /data/copy.pdf", "rank 2, 0.61"):
        assert shown in html


def test_no_answer_shows_what_was_nearest(lake: Lake) -> None:
    html = page(lake, "What is the capital of Peru?", chunk("a", 0, "The tide gauge stands here."))
    assert "Not found in the corpus." in html and "Nearest passages" in html and "The tide gauge" in html


def _png(size: tuple[int, int], mode: str = "RGBA") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_are_bounded_and_encoded_anew(lake: Lake) -> None:
    path = put_blob(lake.storage, _png((3000, 1000)) + b"<script>trailing</script>", "png")
    html = page(lake, "tide gauge", chunk("a", 0, "tide gauge", kind="image", media=path))
    (uri,) = (a["src"] for t, a in Tags(html).found if t == "img")
    assert uri is not None and uri.startswith("data:image/jpeg;base64,")
    data = base64.b64decode(uri.partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (1280, 427)
    assert b"script" not in data


@pytest.mark.parametrize("data", [b"", b"not a picture", b"<svg onload='x()'/>", _png((8, 8))[:40]])
def test_a_picture_that_cannot_be_shown_is_left_out(lake: Lake, data: bytes) -> None:
    assert picture_uri(lake.storage, put_blob(lake.storage, data, "png")) is None


def test_missing_and_huge_pictures_are_left_out(lake: Lake) -> None:
    assert picture_uri(lake.storage, "blobs/aa/missing.png") is None
    assert picture_uri(lake.storage, put_blob(lake.storage, _png((12_000, 12_000), "1"), "png")) is None
