"""Recordings as windows of sound: cut in pauses, overlapping elsewhere, silence told, damage survived."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.errors import DocumentError
from tasks.isolation import Workers
from tasks.settings import Limits
from tasks.transcribe import sound
from tasks.transcribe.sound import OVERLAP_SECONDS, RATE, Sound, cut, pause
from tests.files import make_video
from tests.llm import spoken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "windows"
    folder.mkdir()
    return folder


def record(path: Path, words: Sequence[str | float], rate: int = RATE) -> float:
    samples = spoken.say(words, rate)
    soundfile.write(path, samples, rate)
    return len(samples) / rate


def heard(window: sound.Window) -> list[str]:
    samples, rate = soundfile.read(window.file, dtype="float32")
    assert (rate, len(samples)) == (RATE, round(window.seconds * RATE))
    raw, _ = soundfile.read(window.file, dtype="int16")
    assert hashlib.sha256(raw.astype("<i2").tobytes()).hexdigest() == window.digest
    return [word.text for word in spoken.hear(samples, rate)]


def test_a_short_recording_is_one_window(tmp_path: Path, folder: Path) -> None:
    seconds = record(tmp_path / "a.wav", ["tide", "gauge", 0.5, "crane"], 44_100)
    [window] = cut(str(tmp_path / "a.wav"), str(folder), 600.0, seconds).windows
    assert (window.start, window.lead) == (0.0, 0.0) and window.end == pytest.approx(seconds, abs=0.001)
    assert heard(window) == ["tide", "gauge", "crane"]


def test_windows_meet_in_a_pause(tmp_path: Path, folder: Path) -> None:
    said: list[str | float] = []
    for number in range(30):
        said += [spoken.WORDS[number], spoken.WORDS[-number - 1], 0.6]
    seconds = record(tmp_path / "a.flac", said)
    found = cut(str(tmp_path / "a.flac"), str(folder), 12.0, seconds)
    assert len(found.windows) > 3 and all(window.lead == 0.0 for window in found.windows)
    assert all(one.end == two.start for one, two in itertools.pairwise(found.windows))
    assert all(9.0 <= window.seconds <= 12.0 for window in found.windows[:-1])
    assert [word for window in found.windows for word in heard(window)] == [w for w in said if isinstance(w, str)]


def test_without_a_pause_windows_overlap(tmp_path: Path, folder: Path) -> None:
    said = [spoken.WORDS[number * 7 % 30] for number in range(90)]
    seconds = record(tmp_path / "a.ogg", said)
    found = cut(str(tmp_path / "a.ogg"), str(folder), 12.0, seconds)
    first, *others = found.windows
    assert first.lead == 0.0 and {window.lead for window in others} == {OVERLAP_SECONDS} and len(others) == 3
    assert all(one.end - two.start == OVERLAP_SECONDS for one, two in itertools.pairwise(found.windows))
    assert found.windows[-1].end == pytest.approx(seconds, abs=0.01)


def test_a_pause_is_quiet_beside_what_is_loud() -> None:
    noise = np.random.default_rng(3).normal(0, 1, RATE * 4)
    quiet = (noise * 60).astype(np.int16)  # a room's hum, above digital silence
    loud = quiet.copy()
    loud[:] = (noise * 3000).astype(np.int16)
    mixed = loud.copy()
    mixed[int(3.2 * RATE) : int(3.6 * RATE)] = quiet[: int(0.4 * RATE)]
    at = pause(mixed)
    assert at is not None and 3.2 * RATE < at < 3.6 * RATE
    assert pause(loud) is None
    early = loud.copy()
    early[: RATE * 2] = 0  # not near the end
    assert pause(early) is None


def test_silence_has_no_file(tmp_path: Path, folder: Path) -> None:
    seconds = record(tmp_path / "a.wav", ["tide", 27.0, "crane"])
    found = cut(str(tmp_path / "a.wav"), str(folder), 10.0, seconds)
    assert [bool(window.file) for window in found.windows] == [True, False, True]
    assert len(list(folder.iterdir())) == 2
    assert heard(found.windows[0]) == ["tide"] and heard(found.windows[2]) == ["crane"]


def test_the_longest_window_of_noise_is_small_enough(tmp_path: Path, folder: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, 730 * RATE, dtype=np.int16, endpoint=True)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    windows = cut(str(tmp_path / "a.wav"), str(folder), 720.0, 730.0).windows
    assert len(windows) == 2 and Path(windows[0].file).stat().st_size < 25_000_000


def test_the_sound_of_a_film(tmp_path: Path, folder: Path) -> None:
    said = spoken.say([0.5, "tide", "gauge"], 48_000)
    path = make_video(tmp_path / "a.mp4", 2.0, sound="aac", said=said)
    found = cut(str(path), str(folder), 600.0, 2.0)
    [window] = found.windows
    assert heard(window) == ["tide", "gauge"]
    words = spoken.hear(soundfile.read(window.file, dtype="float32")[0], RATE)
    assert found.moment(words[0].start) == pytest.approx(0.5, abs=0.06)
    assert cut(str(make_video(tmp_path / "b.mp4")), str(folder), 600.0, 2.0) == Sound(())


def test_what_is_missing_within_shifts_what_follows(tmp_path: Path, folder: Path) -> None:
    """Two stretches of sound with 20 s between them, as recorders leave where they paused."""
    import av

    samples = spoken.say(["tide", "gauge", 0.4, "crane", "keel"], 48_000)
    half = len(samples) // 2
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=48_000, layout="mono")
        for part, begin in ((samples[:half], 0), (samples[half:], 20 * 48_000)):
            for start in range(0, len(part), 4096):
                whole = (part[None, start : start + 4096] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48_000, begin + start
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = cut(str(path), str(folder), 600.0, 21.0)
    [window] = found.windows
    words = spoken.hear(soundfile.read(window.file, dtype="float32")[0], RATE)
    assert [word.text for word in words] == ["tide", "gauge", "crane", "keel"]
    times = [found.moment(word.start) for word in words]
    assert times == [pytest.approx(at, abs=0.1) for at in (0.0, 0.4, 20.2, 20.6)]


def test_of_what_is_cut_off_the_beginning_counts(tmp_path: Path, folder: Path) -> None:
    record(tmp_path / "a.flac", [spoken.WORDS[number * 7 % 30] for number in range(60)])
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(whole[: len(whole) // 2])
    found = cut(str(tmp_path / "b.flac"), str(folder), 600.0, 12.0)
    [window] = found.windows
    assert 8 < window.end < 16 and len(heard(window)) > 15


def test_damage_is_told_and_leaves_no_file(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF" + bytes(200))
    with Workers(Limits(workers=1)) as workers, pytest.raises(DocumentError) as caught:
        workers.call(cut, str(tmp_path / "a.wav"), str(folder), 600.0, 1.0, seconds=60, name="a.wav")
    assert caught.value.code == "malformed" and list(folder.iterdir()) == []


def test_sound_far_beyond_the_measured_end_is_left(tmp_path: Path, folder: Path) -> None:
    seconds = record(tmp_path / "a.wav", ["tide", 140.0, "crane"])
    found = cut(str(tmp_path / "a.wav"), str(folder), 600.0, 10.0)
    assert found.windows[-1].end < 75 < seconds
