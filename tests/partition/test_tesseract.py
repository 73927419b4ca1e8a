"""OCR by the program `tesseract`: what it says as lines, what stops it, and what is said where it is not there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from pypdfium2 import PdfDocument

from tasks import partition
from tasks.errors import DocumentError, MissingCapabilityError
from tasks.partition import tesseract
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.context import PartContext
from tasks.partition.detect import PDF
from tasks.partition.document import FAMILIES
from tasks.partition.pdf.render import render
from tasks.settings import Limits, PartitionSettings, Settings
from tasks.storage import LocalStorage
from tests.files import make_pdf
from tests.partition import fake_tesseract

REAL = shutil.which("tesseract")
ASKED = PartitionSettings(ocr_engine="tesseract")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FakeTesseract is the only program of its name."""
    program = tmp_path / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_tesseract.__file__}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


@pytest.mark.usefixtures("fake")
def test_words_become_lines_parted_at_wide_gaps() -> None:
    found = tesseract.read(Image.new("RGB", (800, 600), "white"), "eng", 30)
    assert [(s.text, s.x0, s.y0, s.x1, s.y1, s.size) for s in found] == [
        ("Tide gauges", 100, 100, 400, 140, 32),
        ("2025", 100, 150, 220, 190, 32),
        ("1,234", 480, 150, 600, 190, 32),
    ]  # and the word that it is 12 % sure of is none
    small = tesseract.read(Image.new("L", (400, 300)), "eng", 30)  # enlarged before it is read
    assert [(s.text, s.x0, s.y0) for s in small] == [
        ("Tide gauges", 62.5, 62.5),
        ("2025", 62.5, 93.75),
        ("1,234", 300, 93.75),
    ]
    assert tesseract.read(Image.new("RGB", (900, 4)), "eng", 30) == []


@pytest.mark.usefixtures("fake")
def test_a_picture_is_read_by_the_engine_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (800, 600), "white").save(path)
    context = PartContext(LocalStorage(tmp_path / "lake"), ASKED, Limits(), "image/png")
    rows = FAMILIES["image/png"](path, context)
    assert [(row.category, row.text, row.origin) for row in rows] == [
        ("Image", "", "native"),
        ("UncategorizedText", "Tide gauges", "ocr"),
        ("UncategorizedText", "2025 1,234", "ocr"),
    ]


@pytest.mark.usefixtures("fake")
def test_what_stops_it_is_the_documents_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (800, 600), "white")
    monkeypatch.setenv("FAKE_TESSERACT", "fail")
    with pytest.raises(DocumentError) as caught:
        tesseract.read(picture, "eng", 30)
    assert (caught.value.code, caught.value.message) == (
        "ocr_failed",
        "tesseract failed (1): Error in pixReadStream: no pix returned",
    )
    monkeypatch.setenv("FAKE_TESSERACT", "hang")
    with pytest.raises(DocumentError) as caught:
        tesseract.read(picture, "eng", 0.3)
    assert caught.value.code == "timeout" and "limits.seconds_per_page" in caught.value.hint


@pytest.mark.usefixtures("fake")
def test_engine_version_and_languages_are_in_the_recipe_where_it_is_chosen() -> None:
    def ocr_of(settings: PartitionSettings) -> str | None:
        recipe = partition.recipe(Settings(partition=settings), resolve_capabilities(settings), PDF)
        assert "ocr_engine" not in recipe.settings and "ocr_languages" not in recipe.settings
        return recipe.capabilities.get("ocr")

    assert ocr_of(ASKED) == "tesseract 5.3.0 eng"
    assert ocr_of(ASKED.model_copy(update={"ocr_languages": "chi_sim+eng"})) == "tesseract 5.3.0 chi_sim+eng"
    default = ocr_of(PartitionSettings(ocr_languages="chi_sim"))
    assert default is not None and default.startswith("rapidocr ")


def test_a_missing_program_or_language_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingCapabilityError) as caught:
        resolve_capabilities(ASKED)
    assert "no program `tesseract`" in caught.value.message and "apt install tesseract-ocr" in caught.value.hint
    assert "ocr" in resolve_capabilities(ASKED.model_copy(update={"ocr": False}))  # which will not be asked
    (tmp_path / "tesseract").write_text("#!/no/such/interpreter\n")
    (tmp_path / "tesseract").chmod(0o755)
    with pytest.raises(MissingCapabilityError, match="cannot be run"):
        resolve_capabilities(ASKED)


@pytest.mark.usefixtures("fake")
def test_a_language_without_data_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TESSERACT", "old")
    with pytest.raises(MissingCapabilityError) as caught:
        resolve_capabilities(ASKED.model_copy(update={"ocr_languages": "eng+chi_sim"}))
    assert caught.value.message == "tesseract has no data for chi_sim, only for eng"
    assert "apt install tesseract-ocr-chi-sim" in caught.value.hint


@pytest.mark.parametrize("languages", ["", "-l", "eng+", "eng;rm", "--help"])
def test_languages_are_names_and_no_options(languages: str) -> None:
    with pytest.raises(ValueError, match="ocr_languages"):
        PartitionSettings(ocr_languages=languages)


@pytest.mark.skipif(REAL is None, reason="the program tesseract is not installed")
def test_the_real_program_reads_a_page(tmp_path: Path) -> None:
    lines = [(72.0, 700.0, 16.0, "Tide gauges of the northern harbours"), (72.0, 660.0, 12.0, "Shipped: 1,234")]
    path = make_pdf(tmp_path / "a.pdf", [[*lines, (400.0, 660.0, 12.0, "in 2025")]])
    picture = render(PdfDocument(path)[0], 200, 10_000_000)
    found = tesseract.read(picture, "eng", 60)
    assert [span.text for span in found] == ["Tide gauges of the northern harbours", "Shipped: 1,234", "in 2025"]
    assert abs(found[2].x0 - 400 * 200 / 72) < 5 and abs(found[0].x0 - 200) < 5
    assert tesseract.capability("eng").startswith("tesseract ")
