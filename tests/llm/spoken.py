"""A language of tones, so that a fake can hear: words to samples, and samples back to words with their times.

Each word is a tone of a pitch of its own; `hear` finds it wherever the sound was cut, resampled or mixed with silence.
What is left of a word that was cut through is heard as a wrong one, as people's words are by models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

WORDS = (
    "harbour", "crane", "buoy", "tide", "gauge", "vessel", "anchor", "quay", "dredge", "channel",
    "pilot", "lantern", "signal", "storm", "ballast", "mooring", "radar", "sonar", "cargo", "ledger",
    "invoice", "surge", "barge", "ferry", "berth", "lock", "sluice", "keel", "rudder", "mast",
)  # fmt: skip
MISHEARD = "hm"
SECONDS = 0.4  # of a word
_LOW, _STEP = 400.0, 60.0  # pitch of the first word, and between two
_FRAME = 0.02
_LEAST = 0.12  # seconds of a tone that are noticed at all
_WHOLE = 0.3  # and that are understood
_PAUSE = 0.5  # ends a segment
_LOUD = 0.02
_BINS = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: float
    end: float


def say(words: Sequence[str | float], rate: int = 16_000) -> np.ndarray:
    """Words one after the other; a number is so many seconds of silence. float32, one channel."""
    parts = [
        np.zeros(round(word * rate)) if isinstance(word, float | int)
        else 0.5 * np.sin(2 * np.pi * _pitch(word) * np.arange(round(SECONDS * rate)) / rate)
        for word in words
    ]  # fmt: skip
    return np.concatenate(parts).astype(np.float32)


def hear(samples: np.ndarray, rate: int) -> list[Word]:
    """The words of a sound, in order."""
    size = round(_FRAME * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), n=_BINS, axis=1))
    pitches = spectrum.argmax(axis=1) * rate / _BINS
    loud = np.sqrt((frames**2).mean(axis=1)) > _LOUD
    places = np.round((pitches - _LOW) / _STEP).astype(int)
    known = loud & (places >= 0) & (places < len(WORDS)) & (np.abs(pitches - _LOW - places * _STEP) < _STEP / 3)
    heard: list[Word] = []
    begin = 0
    marks = np.where(known, places, -1)
    for at in range(1, len(marks) + 1):
        if at == len(marks) or marks[at] != marks[begin]:
            heard += _word(int(marks[begin]), begin * _FRAME, at * _FRAME)
            begin = at
    return heard


def segments(words: Sequence[Word], most: int = 6) -> list[list[Word]]:
    """As models tell them: words between pauses, and not too many."""
    found: list[list[Word]] = []
    for word in words:
        if found and len(found[-1]) < most and word.start - found[-1][-1].end < _PAUSE:
            found[-1].append(word)
        else:
            found.append([word])
    return found


def _word(place: int, start: float, end: float) -> list[Word]:
    if place < 0 or end - start < _LEAST:
        return []
    count = max(1, round((end - start) / SECONDS))  # the same one again and again
    text = WORDS[place] if end - start >= _WHOLE else MISHEARD
    length = (end - start) / count
    return [Word(text, start + n * length, start + (n + 1) * length) for n in range(count)]


def _pitch(word: str) -> float:
    return _LOW + _STEP * WORDS.index(word)
