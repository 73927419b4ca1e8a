"""The stage: found if done, in parts that survive a kill, the same rows however it was cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import partition, stage
from tasks.errors import DocumentError
from tasks.isolation import Workers
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.detect import AUDIO, DEPTH, DOCX, EML, IMAGES, IMU, OFFICE, PDF, THERMAL, VIDEO
from tasks.partition.document import FAMILIES, PART
from tasks.rows import ElementRow, from_table
from tasks.settings import Limits, PartitionSettings, Settings
from tasks.stage import StageRef
from tasks.storage import LocalStorage
from tasks.work import DocumentWork
from tests.files import make_docx, make_pdf


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(Limits(workers=1)) as pool:
        yield pool


def work_for(path: Path, media_type: str) -> DocumentWork:
    return DocumentWork(hashlib.sha256(path.read_bytes()).hexdigest(), media_type, str(path), path.stat().st_size)


def run(
    storage: LocalStorage, work: DocumentWork, workers: Workers, part_pages: int = 16, pages: list[int] | None = None
) -> StageRef:
    settings = Settings(limits=Limits(workers=1, part_pages=part_pages))
    recipe = partition.recipe(settings, resolve_capabilities(), work.media_type)
    return partition.partition_document(
        storage, work, settings, recipe, workers, pages.append if pages is not None else None
    )


def make_book(path: Path, pages: int = 5) -> Path:
    return make_pdf(
        path,
        [
            [(72, 720, 18, f"Chapter {n}"), (72, 690, 10, f"Words of chapter {n} are here.")]
            for n in range(1, pages + 1)
        ],
    )


def make_long_table(path: Path) -> Path:
    """A table over three pages that repeats its header, below a heading."""
    rows = [(f"Harbour {i}", f"{1000 + i}", f"{900 + i}") for i in range(100)]
    pages = []
    for start, end, top in ((0, 38, 680), (38, 78, 720), (78, 100, 720)):
        placed = [(72.0, 730.0, 18.0, "Ports")] if start == 0 else []
        for i, row in enumerate([("Port", "2023", "2022"), *rows[start:end]]):
            placed += [(x, top - 16 * i, 9.0, text) for x, text in zip((72.0, 300.0, 420.0), row, strict=True)]
        pages.append(placed)
    return make_pdf(path, pages)


def test_a_table_is_one_however_its_pages_are_parted(tmp_path: Path, workers: Workers) -> None:
    work = work_for(make_long_table(tmp_path / "a.pdf"), PDF)
    whole, parts = LocalStorage(tmp_path / "whole"), LocalStorage(tmp_path / "parts")
    one, two = run(whole, work, workers), run(parts, work, workers, part_pages=1)
    assert (two.digest, two.info) == (one.digest, one.info)
    tables = [row for row in from_table(stage.load(whole, one), ElementRow) if row.category == "Table"]
    assert {tuple(box.page for box in row.boxes) for row in tables} == {(1, 2, 3)}
    assert sum(row.text.count("Harbour") for row in tables) == 100


def test_parts_give_the_rows_of_the_whole(tmp_path: Path, workers: Workers) -> None:
    work = work_for(make_book(tmp_path / "a.pdf"), PDF)
    whole, parts = LocalStorage(tmp_path / "whole"), LocalStorage(tmp_path / "parts")
    seen: list[int] = []
    one, two = run(whole, work, workers), run(parts, work, workers, part_pages=2, pages=seen)
    assert (two.digest, two.info, sorted(seen)) == (one.digest, one.info, [1, 2, 2])
    assert (one.info.pages, one.info.title) == (5, "Chapter 1")
    assert {**one.info.counts, "characters_kept": 155} == {
        "NarrativeText": 5, "Title": 5, "pages_out": 5, "characters_layer": 155, "characters_kept": 155
    }  # fmt: skip
    assert one.cost.peak_mb > 10 and two.cost.seconds > 0
    assert stage.find(whole, "partition", one.key) == one
    rows = from_table(stage.load(parts, two), ElementRow)
    assert [(row.ordinal, row.page) for row in rows] == [(i, i // 2 + 1) for i in range(10)]
    assert parts.list(f"stages/{PART}") == []


def test_finished_parts_are_not_done_again(tmp_path: Path, workers: Workers) -> None:
    path = make_book(tmp_path / "a.pdf")
    work, storage = work_for(path, PDF), LocalStorage(tmp_path / "lake")
    settings = Settings(limits=Limits(workers=1, part_pages=2))
    recipe = partition.recipe(settings, resolve_capabilities(), PDF)
    key = recipe.key(work.doc_id, PDF)

    def stop(pages: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        partition.partition_document(storage, work, settings, recipe, workers, stop)
    assert f"{key}-1-2.parquet" in storage.list(f"stages/{PART}")
    before = storage.local(f"stages/{PART}/{key}-1-2.parquet").stat().st_mtime_ns

    def check(pages: int) -> None:
        assert storage.local(f"stages/{PART}/{key}-1-2.parquet").stat().st_mtime_ns == before

    ref = partition.partition_document(storage, work, settings, recipe, workers, check)
    assert ref.key == key and ref.rows == 10
    path.unlink()  # what is done needs no source
    assert partition.partition_document(storage, work, settings, recipe, workers) == ref


def test_changed_bytes_are_noticed(tmp_path: Path, workers: Workers) -> None:
    path = make_docx(tmp_path / "a.docx")
    work = work_for(path, DOCX)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DocumentError) as caught:
        run(LocalStorage(tmp_path / "lake"), work, workers)
    assert caught.value.code == "changed_while_reading"


def test_a_document_without_content_is_an_error(tmp_path: Path, workers: Workers) -> None:
    for name, content, media_type in (("a.txt", b"  \n", "text/plain"), ("a.csv", b"\n\n", "text/csv")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DocumentError) as caught:
            run(LocalStorage(tmp_path / "lake"), work_for(path, media_type), workers)
        assert caught.value.code == "no_text"
    with pytest.raises(DocumentError) as caught:
        run(LocalStorage(tmp_path / "lake"), work_for(make_pdf(tmp_path / "a.pdf", [[], []]), PDF), workers)
    assert (caught.value.code, caught.value.message) == ("no_text", "all of its 2 pages are blank")


def test_a_recipe_holds_what_its_type_needs_and_no_more() -> None:
    capabilities = resolve_capabilities()
    settings = Settings(partition=PartitionSettings(ocr_dpi=200, max_pixels=1000))
    pdf = partition.recipe(settings, capabilities, PDF)
    pictures = {"min_picture_px": 48, "max_pixels": 1000, "figure_dpi": 150, "figure_pixels": 4_000_000}
    assert (dict(pdf.settings), set(pdf.capabilities)) == (
        {"ocr": True, "ocr_dpi": 200, **pictures},
        {"pdf", "ocr", "pictures"},
    )
    text = partition.recipe(settings, capabilities, "text/plain")
    parsers = {"unstructured", "sentences", "encodings", "html", "markdown"}
    assert (dict(text.settings), set(text.capabilities)) == ({}, parsers)
    off = partition.recipe(Settings(partition=PartitionSettings(ocr=False)), capabilities, PDF)
    assert dict(off.settings).keys() == {"ocr", *pictures}
    assert set(off.capabilities) == {"pdf", "pictures"}
    assert dict(partition.recipe(settings, capabilities, "video/mp4").capabilities).keys() == {"video"}
    for media_type in (EML, *OFFICE, *IMAGES, *AUDIO, *VIDEO, DEPTH, THERMAL, IMU):
        assert partition.recipe(settings, capabilities, media_type).settings or media_type in (AUDIO - {"audio/mp4"})
    assert set(FAMILIES) == set(partition._NEEDS)
