"""Films as the model sees them: equal to the reference, parts by seeking, and films that are short or damaged."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import worker
from tasks.embed.imagebind import containers, video
from tasks.embed.imagebind.video import VideoInfo
from tasks.errors import DocumentError
from tests.embed.imagebind.fixtures import EXPECTED, PRE, SHARED, VIDEO, cut, expected_arrays
from tests.files import make_video, make_wav

MEAN = np.array((0.48145466, 0.4578275, 0.40821073))
STD = np.array((0.26862954, 0.26130258, 0.27577711))
CONTAINERS = {
    "film.mp4": "libx264",
    "film.mkv": "libx264",
    "film.avi": "mpeg4",
    "film.webm": "libvpx-vp9",
    "film.ts": "libx264",
}


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return video.load(PRE / VIDEO)


def test_equal_to_the_reference(crops: np.ndarray) -> None:
    expected = expected_arrays()
    assert crops.shape == (15, 3, 2, 224, 224) and crops.dtype == np.float32 and crops.flags.c_contiguous
    np.testing.assert_allclose(crops[..., ::8, ::8][..., 1::2, ::2], expected["video"], atol=1e-4)
    np.testing.assert_allclose(crops.mean(axis=(1, 2, 3, 4)), expected["video_mean"], atol=1e-5)
    np.testing.assert_allclose(crops.std(axis=(1, 2, 3, 4)), expected["video_std"], atol=1e-5)


def test_the_frames_of_the_reference() -> None:
    assert [list(pair) for pair in video.frame_indices(93, 25.0)] == EXPECTED["video_frames"]
    hashes = {int(index): sha256 for index, sha256 in EXPECTED["video_frame_sha256"].items()}
    assert len(hashes) == 10
    assert decoded(PRE / VIDEO, sorted(hashes), lambda frame: hashlib.sha256(frame.tobytes()).hexdigest()) == hashes


@pytest.mark.skipif(not SHARED.exists(), reason="the golden fixtures are not here")
def test_equal_to_all_of_the_reference(crops: np.ndarray) -> None:
    with np.load(SHARED / "pre_video.npz") as expected:
        np.testing.assert_allclose(crops[[0, 1, 2, 14]], expected["crops_full"], atol=1e-4)
        np.testing.assert_allclose(crops[..., ::8, ::8], expected["crops_strided"], atol=1e-4)


def decoded(path: Path, indexes: list[int], look: object) -> dict[int, object]:
    """What `look` sees in the frames with these indexes, found by seeking."""
    with containers.opened(path) as container:
        stream = video._stream(container, path)
        found = video._frames(container, stream, None, None)
        frames = video._decoded(container, stream, found, indexes)
        return {index: look(frame.to_ndarray(format="rgb24")) for index, frame in frames}  # type: ignore[operator]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS.items())
def test_frames_are_found_by_seeking_in_any_container(name: str, codec: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / name, 6.0, codec=codec)
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(every) == 60
    for indexes in ([0, 59], [7, 8, 31, 32, 58], [45], list(range(60))):
        for index, frame in decoded(path, indexes, lambda frame: frame).items():
            np.testing.assert_array_equal(frame, every[index])
    info = video.describe(path)
    assert info == VideoInfo(pytest.approx(6.0, abs=0.11), 10.0, 64, 48, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS.items())
def test_a_part_is_sampled_like_a_film_of_its_own(name: str, codec: str, tmp_path: Path) -> None:
    """A bar grows by a pixel per frame: its length tells the frames that were taken."""
    path = make_video(tmp_path / name, 12.0, codec=codec, size=(240, 240))
    first = 4 + np.array(video.frame_indices(30, 10.0))
    lengths = bar_lengths(video.load(path, 5.0, 8.0))
    np.testing.assert_allclose(lengths, first + 50, atol=2)
    np.testing.assert_allclose(bar_lengths(video.load(path, None, 3.0)), first, atol=2)
    np.testing.assert_allclose(bar_lengths(video.load(path, 9.0, None)), first + 90, atol=2)


def bar_lengths(crops: np.ndarray) -> np.ndarray:
    """(5, 2): of each clip's first crop, which is all of a square film, the columns with more red than blue."""
    colours = crops.transpose(0, 2, 3, 4, 1) * STD + MEAN
    middle = colours[::3, :, 112]
    found: np.ndarray = ((middle[..., 0] - middle[..., 2]) > 0.3).sum(axis=-1) * 240 / 224
    return found


def test_a_late_part_is_not_decoded_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "film.mp4", 60.0)
    shown: list[float] = []

    def watched(frame: av.VideoFrame) -> float:
        shown.append(frame.time or 0.0)
        return float(frame.pts or 0)

    monkeypatch.setattr(video, "_shown", watched)
    video.load(path, 50.0, 52.0)
    assert shown and min(shown) > 47 and len(shown) < 60


@pytest.mark.parametrize(("seconds", "frames"), [(0.1, 1), (0.2, 2), (1.5, 15)])
def test_a_short_film(seconds: float, frames: int, tmp_path: Path) -> None:
    found = video.load(make_video(tmp_path / "short.mp4", seconds))
    assert found.shape == (15, 3, 2, 224, 224) and np.isfinite(found).all()
    for clip in range(3, 15, 3):
        np.testing.assert_array_equal(found[:3], found[clip : clip + 3])
    assert (frames == 1) == bool((found[:, :, 0] == found[:, :, 1]).all())


def test_a_moment_between_two_frames_shows_the_first(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mp4", 3.0)
    found = video.load(path, 1.01, 1.09)
    np.testing.assert_array_equal(found, video.load(path, 1.0, 1.05))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.floats(0, 120))
def test_frame_indices_lie_within_the_film(frames: int, fps: float) -> None:
    pairs = video.frame_indices(frames, fps)
    assert len(pairs) == 5 and pairs == sorted(pairs)
    assert all(0 <= first <= last < frames for first, last in pairs)
    assert pairs[0][0] == 0 and (pairs[-1][1] == frames - 1 or fps <= 0 or frames / fps < 2 or fps < 1)


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (64, 64), (1280, 16), (16, 1280), (500, 330)])
def test_crops_are_torchs_bilinear_scaling(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    width, height = size
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short = (224, int(width / height * 224)) if height <= width else (int(height / width * 224), 224)
    pixels = torch.tensor(frame).permute(2, 0, 1)[None].float() / 255
    scaled = torch.nn.functional.interpolate(pixels, short, mode="bilinear", align_corners=False)[0].numpy()
    scaled = (scaled - MEAN[:, None, None]) / STD[:, None, None]
    found = video._crops(frame)
    spare = max(short) - 224
    for crop, offset in zip(found, (0, -(-spare // 2), spare), strict=True):
        part = scaled[:, :, offset : offset + 224] if height <= width else scaled[:, offset : offset + 224]
        np.testing.assert_allclose(crop, part, atol=1e-4 if max(size) < 1000 else 2e-3)


def test_a_film_is_upright(tmp_path: Path) -> None:
    """Telephones store films lying and say how to turn them; the reference's reader turns them, too."""
    lying = make_video(tmp_path / "lying.mp4", 3.0, size=(96, 64))
    turned = tmp_path / "turned.mp4"
    with av.open(str(lying)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    found, plain = video.load(turned), video.load(lying)
    for crop in range(3):  # left to right becomes bottom to top
        np.testing.assert_allclose(found[2 - crop], np.rot90(plain[crop], axes=(2, 3)), atol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_film_without_its_index_is_malformed(share: float, tmp_path: Path) -> None:
    path = cut(PRE / VIDEO, tmp_path / "cut.mp4", share)
    for call in (video.load, video.describe):
        with pytest.raises(DocumentError, match=r"cut\.mp4") as caught:
            call(path)
        assert caught.value.code == "malformed"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_of_a_truncated_film_there_is_what_there_is_or_an_error(share: float, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", 6.0, early_index=True)
    path = cut(whole, tmp_path / "cut.mp4", share)
    try:
        found = video.load(path)
    except DocumentError as error:
        assert error.code in ("malformed", "no_frames") and "cut.mp4" in error.message
    else:
        assert found.shape == (15, 3, 2, 224, 224) and np.isfinite(found).all()


def test_what_holds_no_film(tmp_path: Path) -> None:
    make_video(tmp_path / "sound.m4a", 1.0, codec=None, sound="aac", form="mp4")
    make_wav(tmp_path / "sound.wav")
    film = make_video(tmp_path / "film.mp4", 1.0)
    for path, start in ((tmp_path / "sound.m4a", None), (tmp_path / "sound.wav", None), (film, 5.0)):
        with pytest.raises(DocumentError, match=path.name) as caught:
            video.load(path, start)
        assert caught.value.code == "no_frames"
    (tmp_path / "text.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(DocumentError, match=r"text\.mp4") as caught:
        video.load(tmp_path / "text.mp4")
    assert caught.value.code == "malformed"


def test_a_film_with_sound_says_so(tmp_path: Path) -> None:
    assert video.describe(make_video(tmp_path / "film.mp4", 1.0, sound="aac")).has_audio


def test_of_a_film_that_is_cut_off_there_is_what_came_before(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", 20.0, codec="libx264", early_index=True)
    path = cut(whole, tmp_path / "cut.mp4", 0.8)  # a second packet of the last frame is gone
    found, expected = video.load(path, 0.0, 10.0), video.load(whole, 0.0, 10.0)
    np.testing.assert_array_equal(found, expected)
    last = video.load(path, 10.0)
    assert last.shape == expected.shape and np.isfinite(last).all()
    np.testing.assert_array_equal(last[0], video.load(whole, 10.0)[0])


@pytest.mark.parametrize(("inside", "threads"), [(True, 1), (False, 0)])
def test_a_worker_decodes_in_one_thread(inside: bool, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_inside", inside)
    with containers.opened(PRE / VIDEO) as container:
        assert video._stream(container, PRE / VIDEO).codec_context.thread_count == threads
