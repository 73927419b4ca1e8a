"""Windows as one text: words at the borders are there once, whatever each window made of them."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.transcribe.join import Heard, Segment, joined

WORDS = ("tide", "gauge", "harbour", "crane", "vessel", "pilot", "storm", "buoy", "ledger", "quay", "radar", "keel")


def window(start: float, end: float, lead: float, *said: tuple[str, float, float], exact: bool = True) -> Heard:
    return Heard(start, end, lead, tuple(Segment(text, begin, stop, exact=exact) for text, begin, stop in said))


def told(*windows: Heard) -> list[tuple[str, float, float]]:
    return [(each.text, each.start, each.end) for each in joined(windows)]


def test_windows_that_meet_in_a_pause_are_set_side_by_side() -> None:
    assert joined([]) == []
    one = window(0, 20, 0, ("The tide is", 0, 2), ("high.", 3, 19.5))
    two = window(20, 40, 0, ("high.", 20.5, 22), ("Go.", 21.8, 24))
    assert told(one, two) == [("The tide is", 0, 2), ("high.", 3, 19.5), ("high.", 20.5, 22), ("Go.", 22, 24)]


def test_words_that_both_have_heard_are_kept_once() -> None:
    one = window(0, 20, 0, ("The tide is high.", 0, 5), ("The crane will stand at the har.", 12, 20))
    two = window(17, 37, 3, ("And at the harbour we wait.", 17, 22), ("Over.", 23, 24))
    assert told(one, two) == [
        ("The tide is high.", 0, 5),
        ("The crane will stand at the", 12, 20),
        ("harbour we wait.", 20, 22),
        ("Over.", 23, 24),
    ]


def test_a_segment_that_the_window_before_has_whole_is_dropped() -> None:
    one = window(0, 20, 0, ("The tide is high,", 14, 17.5), ("said the pilot.", 17.6, 19.8))
    two = window(17, 37, 3, ("Hide is high,", 17, 17.5), ("said the pilot.", 17.6, 19.8), ("Go on.", 20.5, 22))
    assert told(one, two) == [("The tide is high,", 14, 17.5), ("said the pilot.", 17.6, 19.8), ("Go on.", 20.5, 22)]


def test_where_both_agree_on_nothing_the_middle_decides() -> None:
    one = window(0, 20, 0, ("Tide.", 1, 2), ("Gauge.", 17.1, 18), ("Uh.", 19.5, 20))
    two = window(17, 37, 3, ("Hm.", 17, 17.2), ("Vessel.", 19.2, 19.9), ("Keel.", 25, 26))
    assert [text for text, *_ in told(one, two)] == ["Tide.", "Gauge.", "Vessel.", "Keel."]
    one = window(0, 20, 0, ("Tide gauge", 0, 20), exact=False)
    two = window(17, 37, 3, ("vessel keel", 17, 37), exact=False)
    assert told(one, two) == [("Tide gauge", 0, 18.5), ("vessel keel", 18.5, 37)]


def test_a_window_without_words_changes_nothing() -> None:
    one, two, three = window(0, 20, 0, ("Tide.", 18, 19)), window(17, 37, 3), window(34, 50, 3, ("Keel.", 34.5, 35))
    assert told(one, two, three) == [("Tide.", 18, 19), ("Keel.", 34.5, 35)]


def test_chinese_words_are_characters() -> None:
    one = window(0, 20, 0, ("今天潮汐很高，引航", 0, 20), exact=False)
    two = window(17, 37, 3, ("汐很高，引航船已离港。", 17, 37), exact=False)
    assert "".join(text for text, *_ in told(one, two)) == "今天潮汐很高，引航船已离港。"


@settings(deadline=None)
@given(st.lists(st.integers(0, len(WORDS) - 1), min_size=30, max_size=200), st.booleans())
def test_any_text_comes_through_its_windows(places: list[int], exact: bool) -> None:
    """Two words a second, never one word twice running; windows of 20 s with 3 s in common; half words are misheard."""
    words = [WORDS[place] for place, before in zip(places, [-1, *places], strict=False) if place != before]
    end = len(words) / 2
    windows = []
    start, lead = 0.0, 0.0
    while True:
        stop = min(start + 20.25, end)  # in the middle of a word
        inside = [
            (word if at / 2 >= start and (at + 1) / 2 <= stop else "hm", max(start, at / 2), min(stop, (at + 1) / 2))
            for at, word in enumerate(words)
            if at / 2 < stop and (at + 1) / 2 > start
        ]
        groups = [inside[at : at + 5] for at in range(0, len(inside), 5)] if exact else [inside]
        texts = [(" ".join(w for w, _, _ in group), group[0][1], group[-1][2]) for group in groups]
        spans = texts if exact else [(text, start, stop) for text, _, _ in texts]
        windows.append(window(start, stop, lead, *spans, exact=exact))
        if stop >= end:
            break
        start, lead = stop - 3, 3.0
    found = joined(windows)
    assert " ".join(each.text for each in found).split() == words
    assert all(one.start <= one.end <= two.start <= two.end for one, two in itertools.pairwise(found))
