"""Text, Markdown, HTML, CSV and mail as elements, whatever their encoding."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.detect import EML
from tasks.partition.tables import ROWS_PER_GROUP
from tasks.partition.text import decode
from tasks.rows import ElementRow
from tests.files import encoded, make_eml, picture
from tests.partition.conftest import Partition


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_encodings(encoding: str) -> None:
    text = "Die Größe des Hafens wächst, und die Schiffe fahren weiter hinaus. " * 5
    assert decode(text.encode(encoding)).lstrip("\ufeff") == text


def test_chinese_encodings() -> None:
    text = "港口在一九九八年加深，较大的船只可以进入。此后交通量翻了一番。" * 10
    assert decode(text.encode("gb18030")) == text


def test_clean_drops_what_nobody_may_see() -> None:
    assert clean("a\0b\ud800c\u202e  d\t\r\n\n\n\n e\x07 e\u0301\ufeff\uf0b7") == "abc d\n\ne é•"


def test_plain_text(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "Annual Report\n\nThe harbour was deepened in 1998.\nIt grew.\n\n- first point\n\n"
        "他住在北京，他在那里工作了很多年。\n"
    )
    rows, _ = partition(path, "text/plain")
    assert rows == [
        ElementRow(0, "Title", "Annual Report", level=0),
        ElementRow(1, "NarrativeText", "The harbour was deepened in 1998. It grew."),
        ElementRow(2, "ListItem", "first point"),
        ElementRow(3, "NarrativeText", "他住在北京，他在那里工作了很多年。"),
    ]


def test_markdown_levels_and_tables(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.md"
    path.write_text("# Top\n\nSome words are here.\n\n## Below\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    rows, _ = partition(path, "text/markdown")
    assert [(row.category, row.text, row.level) for row in rows] == [
        ("Title", "Top", 0),
        ("NarrativeText", "Some words are here.", None),
        ("Title", "Below", 1),
        ("Table", "a | b\n1 | 2", None),
    ]
    assert rows[3].html is not None and rows[3].html.startswith("<table>") and "<td>2</td>" in rows[3].html


def test_html_with_title_picture_and_script(tmp_path: Path, partition: Partition) -> None:
    data = base64.b64encode(encoded(picture())).decode()
    path = tmp_path / "a.html"
    path.write_text(
        "<?xml version='1.0' encoding='utf-8'?><html><head><title>A &amp; B</title><script>alert(1)</script></head>"
        "<body><h2>Depth</h2><p>The harbour is deep.</p>"
        f"<img alt='The harbour' src='data:image/png;base64,{data}'></body></html>"
    )
    rows, context = partition(path, "text/html")
    assert [(row.category, row.text, row.media_type) for row in rows] == [
        ("Title", "Depth", None),
        ("NarrativeText", "The harbour is deep.", None),
        ("Image", "The harbour", "image/png"),
    ]
    assert rows[2].media is not None and context.storage.read(rows[2].media) == encoded(picture())
    assert context.title == "A & B"


def test_html_tables_carry_no_markup_of_the_author(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<table onclick=x><tr><td><script>alert(1)</script>5 &lt; 6<img src=x onerror=y></td><td>b</td></tr></table>"
    )
    rows, _ = partition(path, "text/html")
    html = rows[0].html or ""
    assert "script" not in html and "onclick" not in html and "onerror" not in html and "5 &lt; 6" in html


def test_csv_groups_repeat_the_header(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name;value\n" + "".join(f'"item; {i}";{i}\n' for i in range(ROWS_PER_GROUP + 1)))
    rows, _ = partition(path, "text/csv")
    assert [row.category for row in rows] == ["Table", "Table"]
    assert rows[1] == ElementRow(
        1,
        "Table",
        f"name | value\nitem; {ROWS_PER_GROUP} | {ROWS_PER_GROUP}",
        html="<table><thead><tr><th>name</th><th>value</th></tr></thead>"
        f"<tbody><tr><td>item; {ROWS_PER_GROUP}</td><td>{ROWS_PER_GROUP}</td></tr></tbody></table>",
    )


def test_tsv_in_utf16_with_markup(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("a\tb\n<b>1</b>\té\n".encode("utf-16"))
    (row,), _ = partition(path, "text/tab-separated-values")
    assert row.text == "a | b\n<b>1</b> | é"
    assert row.html is not None and "<td>&lt;b&gt;1&lt;/b&gt;</td>" in row.html


def test_mail(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(make_eml(tmp_path / "a.eml"), EML)
    assert [(row.category, row.text, row.origin) for row in rows] == [
        ("Title", "Größe of the harbour", "native"),
        (
            "EmailHeader",
            "Subject: Größe of the harbour\nFrom: Ann <ann@example.org>\nTo: Bob <bob@example.org>\n"
            "Date: Mon, 01 Jan 2024 10:00:00 +0000",
            "metadata",
        ),
        ("NarrativeText", "The harbour was opened on Monday.", "native"),
    ]
    assert context.title == "Größe of the harbour"
    rows, _ = partition(make_eml(tmp_path / "b.eml", html=False), EML)
    assert rows[-1].text == "Plain words about the harbour."


def test_mail_with_broken_encodings(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(
        b"Subject: =?bogus?Q?x=ZZ?= caf\xe9\nFrom: <<>\nDate: yesterday\n"
        b"Content-Type: text/plain; charset=nonsense\n\nWords caf\xe9 here.\n"
    )
    rows, _ = partition(path, EML)
    assert rows[-1].text == "Words café here."
    (tmp_path / "b.eml").write_bytes(b"\n\n")
    with pytest.raises(DocumentError):
        partition(tmp_path / "b.eml", EML)
