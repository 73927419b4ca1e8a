"""Videos, and sound in the same containers: what they say of themselves, and what is no video."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import DocumentError
from tasks.rows import ElementRow
from tests.files import make_video
from tests.partition.conftest import Partition

HINT = "it may be damaged or cut off; fetch it again"


def test_a_video_says_what_it_is(tmp_path: Path, partition: Partition) -> None:
    path = make_video(tmp_path / "a.mp4", 2.0, sound="aac", title="Tour of the harbour")
    (row,), context = partition(path, "video/mp4")
    assert row == ElementRow(
        0,
        "Video",
        "Video, 2.0 s, 64 × 48, 10 fps, with sound. Title: Tour of the harbour",
        media=row.media,
        media_type="video/mp4",
        origin="metadata",
        time_start=0.0,
        time_end=2.0,
    )
    assert context.title == "Tour of the harbour" and context.warnings == []
    assert row.media is not None and row.media.endswith(".mp4")
    assert context.storage.read(row.media) == path.read_bytes()


@pytest.mark.parametrize(
    ("media_type", "form", "codec", "extension"),
    [
        ("video/quicktime", "mov", "mpeg4", "mov"),
        ("video/x-matroska", "matroska", "libx264", "mkv"),
        ("video/webm", "webm", "libvpx", "webm"),
        ("video/x-msvideo", "avi", "mpeg4", "avi"),
    ],
)
def test_every_container(
    tmp_path: Path, partition: Partition, media_type: str, form: str, codec: str, extension: str
) -> None:
    path = make_video(tmp_path / "a", 1.5, codec=codec, form=form)
    (row,), _ = partition(path, media_type)
    assert (row.text, row.time_end) == ("Video, 1.5 s, 64 × 48, 10 fps, without sound", 1.5)
    assert row.media_type == media_type and str(row.media).endswith(f".{extension}")


def test_fragments_that_begin_late_are_measured_from_their_beginning(tmp_path: Path, partition: Partition) -> None:
    import av

    source = make_video(tmp_path / "a.mp4", 3.0, codec="libx264")
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(source)) as old, av.open(str(tmp_path / "b.mp4"), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    (row,), _ = partition(tmp_path / "b.mp4", "video/mp4")
    assert (row.time_start, row.time_end) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("media_type", "form", "codec", "found", "extension"),
    [
        ("video/mp4", "mp4", "aac", "audio/mp4", "m4a"),
        ("audio/mp4", "ipod", "aac", "audio/mp4", "m4a"),
        ("video/webm", "webm", "libopus", "audio/webm", "webm"),
        ("video/x-matroska", "matroska", "libopus", "audio/x-matroska", "mka"),
        ("audio/ogg", "ogg", "libopus", "audio/ogg", "ogg"),
    ],
)
def test_a_container_without_pictures_is_a_recording(
    tmp_path: Path, partition: Partition, media_type: str, form: str, codec: str, found: str, extension: str
) -> None:
    path = make_video(tmp_path / "a", 1.5, codec=None, sound=codec, form=form)
    (row,), context = partition(path, media_type)
    assert (row.category, row.text) == ("Audio", "Recording, 1.5 s, 48 kHz, mono")
    assert row.media_type == found and str(row.media).endswith(f".{extension}")
    assert row.time_start == 0.0 and row.time_end == pytest.approx(1.5, abs=0.03)
    assert context.storage.read(str(row.media)) == path.read_bytes()


def test_a_cover_is_no_video(tmp_path: Path, partition: Partition) -> None:
    import av

    from tests.files import encoded, picture

    plain = make_video(tmp_path / "a.m4a", 1.0, codec=None, sound="aac", form="ipod")
    (tmp_path / "cover.jpg").write_bytes(encoded(picture(), "JPEG"))
    with (
        av.open(str(plain)) as sound,
        av.open(str(tmp_path / "cover.jpg")) as cover,
        av.open(str(tmp_path / "b.m4a"), "w", format="mp4") as new,
    ):
        streams = [new.add_stream_from_template(old.streams[0]) for old in (sound, cover)]
        streams[1].disposition = av.stream.Disposition.attached_pic
        for old, stream in ((sound, streams[0]), (cover, streams[1])):
            for packet in old.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
    with av.open(str(tmp_path / "b.m4a")) as made:
        assert len(made.streams.video) == 1
    (row,), _ = partition(tmp_path / "b.m4a", "audio/mp4")
    assert (row.category, row.media_type) == ("Audio", "audio/mp4")


def test_a_video_that_is_cut_off_ends_where_its_pictures_do(tmp_path: Path, partition: Partition) -> None:
    path = make_video(tmp_path / "a.mp4", 10.0, early_index=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    (row,), context = partition(path, "video/mp4")
    assert row.time_end is not None and 2 < row.time_end < 8
    assert context.warnings == [f"its pictures end after {row.time_end:.1f} of 10.0 s: it may be cut off"]


def test_what_is_no_video_is_refused(tmp_path: Path, partition: Partition) -> None:
    path = make_video(tmp_path / "a.mp4", 2.0)
    whole = path.read_bytes()

    def error(data: bytes, media_type: str, **options: object) -> tuple[str, str, str]:
        path.write_bytes(data)
        with pytest.raises(DocumentError) as caught:
            partition(path, media_type, **options)
        return caught.value.code, caught.value.message, caught.value.hint

    unreadable = "the video cannot be read: Invalid data found when processing input"
    assert error(whole[: len(whole) // 2], "video/mp4") == ("malformed", unreadable, HINT)
    assert error(b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 9, "video/x-matroska")[0] == "malformed"
    assert error(whole, "video/x-msvideo") == ("malformed", unreadable, HINT)  # only the demuxer that is named
    assert error(whole, "video/mp4", max_pixels=1000)[:2] == (
        "too_large",
        "the picture has 64 x 48 pixels, more than partition.max_pixels (1,000)",
    )
    pictures = whole.index(b"mdat") + 4
    index = whole.index(b"moov") - 4
    blank = whole[:pictures] + bytes(index - pictures) + whole[index:]
    assert error(blank, "video/mp4")[:2] == ("no_frames", "no picture of the video can be decoded")


def test_a_playlist_inside_a_video_is_not_followed(tmp_path: Path, partition: Partition) -> None:
    secret = make_video(tmp_path / "secret.mp4", 1.0)
    path = tmp_path / "a.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    for media_type in ("video/mp4", "video/x-matroska", "video/x-msvideo"):
        with pytest.raises(DocumentError) as caught:
            partition(path, media_type)
        assert caught.value.code == "malformed"
