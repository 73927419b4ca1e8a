"""Pictures and recordings: the raw bytes in the lake, what OCR reads, and what is refused."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.errors import DocumentError
from tasks.lake import put_blob, put_file
from tasks.rows import Box, ElementRow
from tasks.storage import LocalStorage
from tests.files import encoded, make_video, make_wav, picture
from tests.partition.conftest import Partition

if TYPE_CHECKING:
    import numpy as np
    from soundfile import SoundFile


def test_a_picture_keeps_its_bytes_and_its_text(tmp_path: Path, partition: Partition) -> None:
    data = encoded(picture("The harbour is deep.\nShips may enter.", (700, 300), type_size=40))
    (tmp_path / "a.png").write_bytes(data)
    rows, context = partition(tmp_path / "a.png", "image/png")
    assert rows[0].media is not None
    assert rows[0] == ElementRow(0, "Image", "", 1, (Box(1, 0, 0, 1, 1),), media=rows[0].media, media_type="image/png")
    assert context.storage.read(rows[0].media) == data
    assert " ".join(row.text for row in rows[1:]) == "The harbour is deep. Ships may enter."
    assert {row.origin for row in rows[1:]} == {"ocr"} and all(row.boxes for row in rows[1:])


def test_chinese_text_is_read(tmp_path: Path, partition: Partition) -> None:
    from PIL import Image, ImageDraw, ImageFont

    fonts = [
        path
        for folder in ("/usr/share/fonts", "/System/Library/Fonts")
        for path in Path(folder).rglob("*CJK*")
        if path.is_file()
    ]
    if not fonts:
        pytest.skip("no Chinese font on this machine")
    image = Image.new("RGB", (600, 120), "white")
    ImageDraw.Draw(image).text((30, 30), "港口很深", fill="black", font=ImageFont.truetype(str(fonts[0]), 48))
    image.save(tmp_path / "a.png")
    rows, _ = partition(tmp_path / "a.png", "image/png")
    assert rows[1].text == "港口很深"


def test_frames_are_pages_and_become_png(tmp_path: Path, partition: Partition) -> None:
    frames = [picture(color=color) for color in ("red", "green")]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    rows, context = partition(tmp_path / "a.tiff", "image/tiff", ocr=False)
    assert [(row.category, row.page, row.media_type) for row in rows] == [
        ("Image", 1, "image/png"),
        ("Image", 2, "image/png"),
    ]
    assert context.pages == 2 and rows[0].media != rows[1].media
    (tmp_path / "a.bmp").write_bytes(encoded(picture(), "BMP"))
    (row,), _ = partition(tmp_path / "a.bmp", "image/bmp", ocr=False)
    assert row.media_type == "image/png"


def test_large_and_broken_pictures_are_refused(tmp_path: Path, partition: Partition) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture(size=(200, 100))))
    with pytest.raises(DocumentError) as caught:
        partition(path, "image/png", max_pixels=19_999)
    assert caught.value.code == "too_large" and "200 x 100" in caught.value.message
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DocumentError) as caught:
        partition(path, "image/png")
    assert caught.value.code == "malformed"


def test_a_recording_says_what_it_is(tmp_path: Path, partition: Partition) -> None:
    path = make_wav(tmp_path / "a.wav", seconds=2.5)
    (row,), context = partition(path, "audio/wav")
    assert row == ElementRow(
        0,
        "Audio",
        "Recording, 2.5 s, 16 kHz, mono",
        media=row.media,
        media_type="audio/wav",
        origin="metadata",
        time_start=0.0,
        time_end=2.5,
    )
    assert row.media is not None and context.storage.read(row.media) == path.read_bytes()


def test_tags_of_a_recording(tmp_path: Path, partition: Partition) -> None:
    import numpy as np
    import soundfile

    path = tmp_path / "a.flac"
    with soundfile.SoundFile(str(path), "w", samplerate=8000, channels=2) as file:
        file.title, file.artist = "Foghorn", "The Harbour"
        file.write(np.zeros((8000, 2)))
    (row,), context = partition(path, "audio/flac")
    assert row.text == "Recording, 1.0 s, 8 kHz, stereo. Title: Foghorn. Artist: The Harbour"
    assert context.title == "Foghorn"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DocumentError):
        partition(path, "audio/flac")


def test_a_short_recording_and_one_of_a_codec_that_only_some_read(tmp_path: Path, partition: Partition) -> None:
    (row,), _ = partition(make_wav(tmp_path / "a.wav", seconds=0.1), "audio/wav")
    assert (row.text, row.time_end) == ("Recording, 0.1 s, 16 kHz, mono", 0.1)
    speech = make_video(tmp_path / "a.ogg", 1.0, codec=None, sound="flac", form="ogg")  # FLAC in Ogg
    (row,), _ = partition(speech, "audio/ogg")
    assert (row.category, row.text, row.media_type) == ("Audio", "Recording, 1.0 s, 48 kHz, mono", "audio/ogg")


@pytest.mark.parametrize(("form", "rate"), [("flac", 44_100), ("mp3", 44_100), ("flac", 8_000), ("ogg", 16_000)])
def test_a_recording_that_is_cut_off_ends_where_its_samples_do(
    tmp_path: Path, partition: Partition, form: str, rate: int
) -> None:
    """Its header promises all of it; a window of what is promised and not there would fail at embedding."""
    import numpy as np
    import soundfile

    path = tmp_path / f"a.{form}"
    tone = np.random.default_rng(0).normal(0, 0.1, 25 * rate)
    soundfile.write(path, tone, rate)
    media_type = {"flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg"}[form]
    (row,), context = partition(path, media_type)
    assert row.time_end == pytest.approx(25.0, abs=0.1) and context.warnings == []
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    (row,), context = partition(path, media_type)
    with soundfile.SoundFile(str(path)) as file:
        samples = sum(len(block) for block in readable(file))
    assert row.time_end is not None and 11 < row.time_end < 14
    assert samples / rate - 0.001 < row.time_end < (samples + 256) / rate + 0.001
    assert row.text.startswith(f"Recording, {row.time_end:.1f} s")
    if form != "ogg":  # which declares no length
        assert context.warnings == [f"its sound ends after {row.time_end:.1f} of {25.0:.1f} s: it may be cut off"]


def readable(file: SoundFile) -> Iterator[np.ndarray]:
    """What the library itself decodes, a little at a time."""
    import soundfile

    with contextlib.suppress(soundfile.LibsndfileError):
        while len(block := file.read(256)):
            yield block


def test_sound_of_a_container_that_is_cut_off(tmp_path: Path, partition: Partition) -> None:
    path = make_video(tmp_path / "a.m4a", 20.0, codec=None, sound="aac", form="mp4", early_index=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (row,), context = partition(path, "audio/mp4")
    assert row.time_end is not None and 8 < row.time_end < 12
    assert context.warnings == [f"its sound ends after {row.time_end:.1f} of 20.0 s: it may be cut off"]


@pytest.mark.parametrize(("samples", "end"), [(1, 0.001), (4, 0.001), (24, 0.002)])
def test_the_shortest_recording_has_an_end(tmp_path: Path, partition: Partition, samples: int, end: float) -> None:
    (row,), _ = partition(make_wav(tmp_path / "a.wav", samples / 16_000), "audio/wav")
    assert (row.time_start, row.time_end) == (0.0, end)


def test_a_file_is_kept_whole_or_not_at_all(tmp_path: Path, storage: LocalStorage) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "a").write_bytes(data)
    path = put_file(storage, tmp_path / "a", "mp4")
    assert path == put_blob(storage, data, "mp4") and storage.read(path) == data

    def changing() -> Iterator[bytes]:
        yield b"the beginning"
        raise DocumentError("changed_while_reading", "the file changed", "run again")

    with pytest.raises(DocumentError):
        storage.write("blobs/x", changing())
    folder = storage.local("blobs")
    assert sorted(file.name for file in folder.rglob("*") if file.is_file()) == [path.rsplit("/", 1)[-1]]


def test_a_file_that_changes_while_it_is_kept_is_noticed(
    tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"as it is now")
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: hashlib.sha256(b"as it was"))
    with pytest.raises(DocumentError) as caught:
        put_file(storage, tmp_path / "a", "mp4")
    assert caught.value.code == "changed_while_reading"
    assert not [file for file in storage.local("blobs").rglob("*") if file.is_file()]
