"""Sounds as the model hears them: equal to the reference within rounding; short, silent and damaged ones."""

from __future__ import annotations

import itertools
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import worker
from tasks.embed.imagebind import audio
from tasks.embed.imagebind.fbank import fbank
from tasks.embed.imagebind.resample import resample
from tasks.errors import DocumentError
from tests.embed.imagebind.fixtures import PRE, SHARED, cut, expected_arrays
from tests.files import make_video

FLOOR = (math.log(np.finfo(np.float32).eps) + 4.268) / 9.138  # of a mel bin without energy
PADDED = np.float32(4.268) / np.float32(9.138)  # of a frame that is not there
NAMES = ["syn_2.0s_16k_dc.wav", "syn_2.7s_48k_stereo.flac", "syn_3.1s_8k.wav", "syn_short_0.5s_16k.wav"]


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (channels, samples)).astype(np.float32)


def assert_close(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    """The tolerances of the golden fixtures."""
    difference = np.abs(found - expected)
    assert difference.max() <= (2e-4 if "16k" in name else 1e-3)
    assert difference.mean() <= 5e-6


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_reference(name: str) -> None:
    found = audio.clips(*audio.load(PRE / name))
    assert found.shape == (3, 1, 128, 204) and found.dtype == np.float32
    assert_close(found[:, 0, ::3, ::4], expected_arrays()[f"audio:{name}"], name)


def test_the_empty_filter_gives_the_floor() -> None:
    found = audio.clips(*audio.load(PRE / "syn_3.1s_8k.wav"))
    np.testing.assert_allclose(found[:, 0, 3, :198], FLOOR, atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 3, :4], expected_arrays()["audio_bin3"], atol=1e-6)


@pytest.mark.skipif(not SHARED.exists(), reason="the golden fixtures are not here")
def test_equal_to_all_of_the_reference() -> None:
    described = json.loads((SHARED / "pre_audio_meta.json").read_text())
    assert len(described) == 8
    with np.load(SHARED / "pre_audio.npz") as expected:
        for name, about in described.items():
            sound, rate = audio.load(SHARED / "assets" / name)
            assert (rate, *sound.shape) == (about["sample_rate"], about["channels"], about["frames"])
            resampled = resample(sound, rate, 16_000)
            if f"resampled16k:{name}" in expected:
                np.testing.assert_allclose(resampled, expected[f"resampled16k:{name}"], atol=3e-7)
            ranges = [list(pair) for pair in audio.clip_ranges(resampled.shape[1], 3)]
            assert ranges == about["clip_sample_ranges_16k"]
            assert_close(audio.clips(sound, rate), expected[name], name)


def test_clips_that_overlap_see_samples_that_are_shifted_already() -> None:
    sound, rate = audio.load(PRE / "syn_2.7s_48k_stereo.flac")
    at_16k = resample(sound, rate, 16_000)
    fresh = [audio.clips(at_16k[:, start:end], 16_000, 1)[0] for start, end in audio.clip_ranges(at_16k.shape[1], 3)]
    found = audio.clips(sound, rate)
    np.testing.assert_allclose(found[0], fresh[0], atol=1e-6)
    assert np.abs(found[1] - fresh[1]).max() > 0.01


def test_the_caller_keeps_its_samples() -> None:
    sound = noise(40_000) + 0.3
    before = sound.copy()
    audio.clips(sound, 16_000)
    np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 22_050, 44_100, 44_101, 48_000, 96_000, 1_000_000, 7])
def test_a_tone_is_the_same_tone_at_any_rate(rate: int) -> None:
    tone = min(440.0, rate / 5)
    frames = max(20, rate // 4)
    sound = np.sin(2 * np.pi * tone * np.arange(frames) / rate).astype(np.float32)[None]
    found = resample(sound, rate, 16_000)
    count = -(-frames * 16_000 // rate)
    assert found.shape == (1, count) and found.dtype == np.float32
    expected = np.sin(2 * np.pi * tone * np.arange(count) / 16_000)
    edge = math.ceil(10 * 16_000 / min(rate, 16_000))
    np.testing.assert_allclose(found[0, edge:-edge], expected[edge:-edge], atol=0.02)


def test_resampling_treats_channels_alike() -> None:
    sound = noise(5_000, channels=2)
    both = resample(sound, 44_100, 16_000)
    np.testing.assert_allclose(both[1], resample(sound[1:], 44_100, 16_000)[0], atol=1e-6)
    assert resample(sound, 16_000, 16_000) is sound


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_clips_lie_within_the_sound(frames: int, count: int) -> None:
    ranges = audio.clip_ranges(frames, count)
    assert len(ranges) == count and ranges == sorted(ranges)
    assert all(0 <= start <= end <= frames and end - start == min(frames, 32_000) for start, end in ranges)
    assert count == 1 or ranges[-1][1] >= frames - 1


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 300))
def test_enough_clips_leave_nothing_out(seconds: float) -> None:
    frames = max(1, int(seconds * 16_000))
    ranges = audio.clip_ranges(frames, audio.clip_count(frames / 16_000))
    assert len(ranges) >= 3
    assert all(right[0] <= left[1] + 1 for left, right in itertools.pairwise(ranges))


def test_a_clip_does_not_depend_on_how_many_are_computed_together() -> None:
    sound = noise(16_000 * 80)  # 40 clips without overlap
    together = audio.clips(sound, 16_000, 40)
    for number in (0, 31, 32, 39):
        alone = audio.clips(sound[:, number * 32_000 : (number + 1) * 32_000], 16_000, 1)
        np.testing.assert_allclose(together[number], alone[0], atol=1e-5)


def test_silence_is_finite() -> None:
    found = audio.clips(np.zeros((2, 48_000), np.float32), 16_000)
    np.testing.assert_allclose(found[:, :, :, :198], FLOOR, atol=1e-6)
    np.testing.assert_allclose(found[:, :, :, 198:], PADDED, atol=1e-6)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (399, 1), (400, 1), (560, 2), (1_600, 8), (31_999, 198)])
def test_a_short_sound_is_padded(samples: int, frames: int) -> None:
    sound = noise(samples)
    found = audio.clips(sound, 16_000)
    assert found.shape == (3, 1, 128, 204) and np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, :, :, frames:], PADDED)
    assert (found[:, :, :, :frames] != PADDED).all()
    padded = np.pad(sound - sound.mean(), ((0, 0), (0, max(0, 400 - samples))))
    np.testing.assert_allclose(found[0, 0, :, :frames], (fbank(padded)[0].T + 4.268) / 9.138, atol=1e-4)


def test_no_samples_and_no_numbers_are_refused() -> None:
    for sound, rate, code in (
        (np.zeros((1, 0), np.float32), 16_000, "no_samples"),
        (np.full((1, 100), np.nan, np.float32), 16_000, "malformed"),
        (noise(100), 0, "malformed"),
        (noise(100), 2**31 - 1, "malformed"),
    ):
        with pytest.raises(DocumentError) as caught:
            audio.clips(sound, rate)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "name", ["sound.wav", "sound.flac", "sound.ogg", "sound.mp3", "sound.m4a", "film.mp4", "film.mkv"]
)
def test_loading_a_part(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix in (".m4a", ".mp4", ".mkv"):
        make_video(
            path,
            3.0,
            codec=None if name == "sound.m4a" else "mpeg4",
            sound="aac",
            form="mp4" if name == "sound.m4a" else None,
        )
    else:
        tones = np.sin(np.arange(144_000)[:, None] / np.array([20, 25])) / 3
        soundfile.write(path, tones, 48_000)
    whole, rate = audio.load(path)
    assert rate == 48_000 and whole.dtype == np.float32 and whole.shape[1] == pytest.approx(144_000, abs=2_500)
    assert whole.shape[0] == (2 if name.startswith("sound.") and name != "sound.m4a" else 1)
    assert audio.duration(path) == pytest.approx(3.0, abs=0.06)
    part, _ = audio.load(path, 1.0, 2.0)
    assert part.shape == (len(whole), 48_000)
    # Matroska's times are whole milliseconds, and what AAC puts for noise is not the same twice.
    assert shift_of(part, whole, 48_000) <= (48 if name == "film.mkv" else 0)
    rest, _ = audio.load(path, 2.0)
    assert shift_of(rest[:, :40_000], whole, 96_000) <= (48 if name == "film.mkv" else 0)


def shift_of(part: np.ndarray, whole: np.ndarray, at: int) -> int:
    """By how many samples a part is not where it should be; fails where it is not near."""
    for shift in sorted(range(-48, 49), key=abs):
        there = whole[:, at + shift : at + shift + part.shape[1]]
        if there.shape == part.shape and np.abs(there - part).max() < 5e-3:
            return abs(shift)
    raise AssertionError("the part is not in the whole")


@pytest.mark.parametrize(("name", "share"), [("syn_3.1s_8k.wav", 0.0005), ("syn_2.7s_48k_stereo.flac", 0.01)])
def test_a_recording_without_samples_is_malformed(name: str, share: float, tmp_path: Path) -> None:
    path = cut(PRE / name, tmp_path / name, share)
    with pytest.raises(DocumentError, match=name) as caught:
        audio.load(path)
    assert caught.value.code == "malformed"


def test_of_a_truncated_wav_there_is_what_there_is(tmp_path: Path) -> None:
    whole, rate = audio.load(PRE / "syn_3.1s_8k.wav")
    found, found_rate = audio.load(cut(PRE / "syn_3.1s_8k.wav", tmp_path / "cut.wav", 0.5))
    assert found_rate == rate and 0.4 < found.shape[1] / whole.shape[1] < 0.6
    np.testing.assert_array_equal(found, whole[:, : found.shape[1]])


@pytest.mark.parametrize("name", ["long.flac", "long.mp3", "long.m4a", "long.mka"])
def test_of_a_truncated_recording_there_is_all_that_decodes(name: str, tmp_path: Path) -> None:
    """The same whether it is read at once or in parts, and to the length that it is said to have."""
    whole = tmp_path / name
    if whole.suffix in (".flac", ".mp3"):
        soundfile.write(whole, noise(20 * 48_000)[0] / 9, 48_000)
    else:
        form, codec = {".m4a": ("mp4", "aac"), ".mka": ("matroska", "libopus")}[whole.suffix]
        make_video(whole, 20.0, codec=None, sound=codec, form=form, early_index=form == "mp4")
    path = cut(whole, tmp_path / f"cut{whole.suffix}", 0.6)
    found, rate = audio.load(path)
    seconds = found.shape[1] / rate
    assert 11 < seconds < 13
    first, rest = audio.load(path, 0.0, 10.0)[0], audio.load(path, 10.0, 13.0)[0]
    assert first.shape[1] / rate == pytest.approx(10.0, abs=0.03)
    assert rest.shape[1] / rate == pytest.approx(seconds - 10, abs=0.03)
    if whole.suffix == ".flac":
        np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), found)
        np.testing.assert_array_equal(found, audio.load(whole)[0][:, : found.shape[1]])
    if whole.suffix in (".flac", ".mp3"):
        assert audio.duration(path) == pytest.approx(seconds)
    with pytest.raises(DocumentError, match=path.name):
        audio.load(path, 15.0, 20.0)


@pytest.mark.parametrize("inside", [True, False])
def test_in_workers_the_library_is_silent(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of an MP3 that is cut off it has something to say at each seek."""
    monkeypatch.setattr(worker, "_inside", inside)
    soundfile.write(tmp_path / "a.mp3", noise(20 * 16_000)[0] / 9, 16_000)
    audio.load(cut(tmp_path / "a.mp3", tmp_path / "cut.mp3", 0.6), 5.0, 8.0)
    print("the test's own", file=sys.stderr)
    said = capfd.readouterr().err
    assert said.endswith("the test's own\n") and ("Warning: Xing" in said) is not inside


def test_what_holds_no_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    make_video(tmp_path / "silent.mp4", 1.0)
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16_000)
    for name, start in (("empty.wav", None), ("silent.mp4", None), ("short.wav", 5.0)):
        with pytest.raises(DocumentError, match=name) as caught:
            audio.load(tmp_path / name, start)
        assert caught.value.code == "no_samples"
    (tmp_path / "text.wav").write_bytes(b"no sound" * 100)
    with pytest.raises(DocumentError, match=r"text\.wav") as caught:
        audio.load(tmp_path / "text.wav")
    assert caught.value.code == "malformed"


def test_a_rate_that_cannot_be_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "fast.wav"
    soundfile.write(path, np.zeros(100), 16_000)
    data = path.read_bytes()
    path.write_bytes(data[:24] + struct.pack("<I", 2**31 - 1) + data[28:])
    with pytest.raises(DocumentError, match=r"fast\.wav.*2147483647") as caught:
        audio.load(path)
    assert caught.value.code == "malformed"


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    make_video(tmp_path / "film.mp4", 1.0, sound="aac")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path / 'film.mp4'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(DocumentError, match=r"list\.m3u8") as caught:
        audio.load(playlist)
    assert caught.value.code == "malformed"
