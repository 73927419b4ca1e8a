"""Content decides what a file is; names only where content cannot tell."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tasks.errors import DocumentError
from tasks.partition.detect import DEPTH, DOCX, EML, IMU, PDF, PPTX, THERMAL, XLSX, ZIP, Detected, detect
from tests.files import (
    depth_map,
    encoded,
    make_array,
    make_docx,
    make_eml,
    make_pdf,
    make_pptx,
    make_video,
    make_wav,
    make_xlsx,
    make_zip,
    motion,
    picture,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("detect")
    made = {
        PDF: make_pdf(folder / "pdf", [[(72, 700, 12, "hello")]]),
        DOCX: make_docx(folder / "docx"),
        PPTX: make_pptx(folder / "pptx"),
        XLSX: make_xlsx(folder / "xlsx"),
        EML: make_eml(folder / "eml"),
        ZIP: make_zip(folder / "zip", {"a.txt": b"hello"}),
        "audio/wav": make_wav(folder / "wav"),
        "audio/mp4": make_video(folder / "m4a", codec=None, sound="aac", form="ipod"),
        "audio/ogg": make_video(folder / "ogg", codec=None, sound="libopus", form="ogg"),
        "video/mp4": make_video(folder / "mp4", form="mp4"),
        "video/quicktime": make_video(folder / "mov", form="mov"),
        "video/x-matroska": make_video(folder / "mkv", form="matroska"),
        "video/webm": make_video(folder / "webm", form="webm", codec="libvpx"),
        "video/x-msvideo": make_video(folder / "avi", form="avi"),
    }
    for kind in ("png", "jpeg", "tiff", "webp", "bmp"):
        (folder / kind).write_bytes(encoded(picture(), kind))
        made[f"image/{kind}"] = folder / kind
    return made


def test_signatures_win_over_names(files: dict[str, Path]) -> None:
    found = {kind: detect("wrong.txt", path) for kind, path in files.items() if kind != EML}
    assert found == {kind: Detected(kind) for kind in files if kind != EML}
    assert detect("a.eml", files[EML]) == Detected(EML)
    assert detect("no-extension", files[PDF]) == Detected(PDF)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"hello", "text/plain"),
        ("a.TXT", "größe".encode("utf-16"), "text/plain"),
        ("a.txt", "plain words".encode("utf-16-le"), "text/plain"),
        ("a.md", b"# Title", "text/markdown"),
        ("a.html", b"<p>x", "text/html"),
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("a.tsv", b"a\tb\n", "text/tab-separated-values"),
        ("a.txt", b"PDF files begin with %PDF-1.4", "text/plain"),
        ("a.mp3", b"\xff\xfb\x90\x00" + b"\0" * 500, "audio/mpeg"),
        ("a.bin", b"fLaC\0\0\0\x22", "audio/flac"),
        ("a.pdf", b"junk before\n%PDF-1.7\n", PDF),
        ("a.m4a", b"\0\0\0\x18ftypisom", "audio/mp4"),
        ("a.mp4", b"\0\0\0\x18ftypnew!", "video/mp4"),
        ("a.mov", b"\0\0\0\x08wide", "video/quicktime"),
    ],
)
def test_text_family_goes_by_extension(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert detect(name, path) == Detected(expected)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "unsupported type .doc"),
        ("a.xml", b"<a/>", "unsupported type .xml"),
        ("a.rtf", rb"{\rtf1}", "unsupported type .rtf"),
        ("LICENSE", b"words", "unsupported type (no extension)"),
        ("a.heic", b"\0\0\0\x18ftypheic", "unsupported type .heic"),
        ("a.avif", b"\0\0\0\x1cftypavif", "unsupported type .avif"),
        ("a.cr3", b"\0\0\0\x18ftypcrx ", "unsupported type .cr3"),
        ("a.ogv", b"OggS" + b"\0" * 24 + b"\x80theora", "unsupported type .ogv"),
    ],
)
def test_other_types_are_skipped_with_a_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert detect(name, path) == Detected(None, reason)


def test_zip_formats_that_are_not_office_are_skipped(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x", {"mimetype": b"application/epub+zip"})
    assert detect("a.epub", path) == Detected(None, "unsupported type .epub")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", b"", "empty_file"),
        ("a.pdf", b"hello", "wrong_content"),
        ("a.png", b"hello", "wrong_content"),
        ("a.docx", b"hello", "wrong_content"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "encrypted"),
        ("a.txt", b"\x7fELF\x02\x01\x01\x00" * 40, "wrong_content"),
        ("a.docx", b"PK\x03\x04 cut off", "malformed"),
        ("a.mp4", b"", "empty_file"),
        ("a.mp4", b"\0\0\0\x18ftypheic", "wrong_content"),
        ("a.mkv", b"hello", "wrong_content"),
        ("a.ogg", b"hello", "wrong_content"),
    ],
)
def test_content_that_contradicts_its_name_is_an_error(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        detect(name, path)
    assert caught.value.code == code
    assert caught.value.message


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("measured")
    files = {
        "png": encoded(depth_map()),
        "tiff": encoded(depth_map(), "TIFF"),
        "jpg": encoded(picture(), "JPEG"),
        "csv": b"1,2,3,4,5,6\n",
        "binary": bytes(range(256)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {"npy": make_array(folder / "npy", motion()), **{name: folder / name for name in files}}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("quay.depth.png", "png", DEPTH),
        ("Quay.DEPTH.TIF", "tiff", DEPTH),
        ("quay.depth.tiff", "png", DEPTH),
        ("quay.depth.npy", "npy", DEPTH),
        ("pump.thermal.jpg", "jpg", THERMAL),
        ("pump.2.thermal.png", "png", THERMAL),
        ("buoy.imu.npy", "npy", IMU),
        ("buoy.imu.csv", "csv", IMU),
        # Names that only resemble the convention.
        ("depth.png", "png", "image/png"),
        (".depth.png", "png", "image/png"),
        ("quay.depth.jpg", "jpg", "image/jpeg"),
        ("quay-depth.png", "png", "image/png"),
        ("buoy.imu.txt", "csv", "text/plain"),
    ],
)
def test_a_name_says_what_a_sensor_measured(name: str, content: str, expected: str, measured: dict[str, Path]) -> None:
    assert detect(name, measured[content]) == Detected(expected)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("quay.depth.png", "jpg", "named .depth.png but its content is not PNG, TIFF or NPY"),
        ("quay.depth.npy", "csv", "named .depth.npy but its content is not PNG, TIFF or NPY"),
        ("pump.thermal.jpg", "csv", "named .thermal.jpg but its content is not PNG, JPEG, TIFF or NPY"),
        ("buoy.imu.npy", "csv", "named .imu.npy but its content is not NPY or CSV"),
        ("buoy.imu.csv", "png", "named .imu.csv but its content is not NPY or CSV"),
        ("buoy.imu.csv", "binary", "named .csv but its content is binary, not text"),
    ],
)
def test_what_a_sensor_measured_has_the_content_it_promises(
    name: str, content: str, found: str, measured: dict[str, Path]
) -> None:
    with pytest.raises(DocumentError) as caught:
        detect(name, measured[content])
    assert (caught.value.code, caught.value.message) == ("wrong_content", found)


def test_an_array_without_such_a_name_is_skipped(tmp_path: Path, measured: dict[str, Path]) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for path in (measured["npy"], tmp_path / "empty"):
        found = detect("a.npy", path)
        assert found.media_type is None and found.reason.startswith("unsupported type .npy unless its name says")
    with pytest.raises(DocumentError) as caught:
        detect("a.imu.npy", tmp_path / "empty")
    assert caught.value.code == "empty_file"
    assert detect("a.bin", measured["npy"]) == Detected(None, "unsupported type .bin")


def test_a_zip_named_docx_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        detect("a.docx", make_zip(tmp_path / "x", {"a.txt": b"x"}))
    assert (caught.value.code, caught.value.message) == (
        "wrong_content",
        "named .docx but its content is not a Word document",
    )


def _directory(path: Path, entries: int, name: bytes = b"", declared: int | None = None) -> Path:
    """A zip of nothing but its directory, which may declare a false number of entries."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name
    count = min(entries if declared is None else declared, 0xFFFF)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, entries * len(entry), 4, 0)
    path.write_bytes(b"PK\x03\x04" + entry * entries + end)
    return path


@pytest.mark.parametrize(("entries", "name", "declared"), [(100_001, b"", 1), (200_000, b"n" * 200, None)])
def test_a_zip_directory_that_is_too_large_is_not_read(
    tmp_path: Path, entries: int, name: bytes, declared: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _directory(tmp_path / "x", entries, name, declared)
    monkeypatch.setattr("zipfile.ZipFile", None)
    for named in ("a.zip", "a.docx", "a"):
        with pytest.raises(DocumentError) as caught:
            detect(named, path)
        assert caught.value.code == "too_many_members"
    assert detect("a.jar", path) == Detected(None, "unsupported type .jar")


def test_a_large_zip_directory_within_bounds_is_read(tmp_path: Path) -> None:
    assert detect("a.zip", _directory(tmp_path / "x", 100_000, b"n")) == Detected(ZIP)
