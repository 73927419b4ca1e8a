"""Passages of speech: packed under the limit, cut where people pause, nothing lost, each with its time."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tasks import tokens
from tasks.chunk import chunk_elements, cut_text
from tasks.rows import ElementRow, SegmentRow
from tasks.settings import ChunkSettings
from tasks.speech import Passage, passages
from tasks.stage import StageInfo

SMALL = ChunkSettings(max_tokens=32, soft_tokens=16, combine_under_tokens=8)


def segment(text: str, start: float, end: float) -> SegmentRow:
    return SegmentRow(0, text, start, end, "english")


def passages_of(*segments: SegmentRow) -> list[Passage]:
    return passages(segments, SMALL, cut_text)


def test_segments_are_packed_and_cut_at_pauses() -> None:
    assert passages_of() == []
    said = [
        segment("Good morning.", 0.0, 1.0),
        segment("The tide is high.", 1.1, 2.0),  # no pause
        segment("It will rise.", 4.5, 6.0),  # a long one: what came before can stand alone
        segment("Over.", 15.9, 17.0),  # a longer one: nothing is too short for it
        segment("Yes.", 27.0, 28.0),
    ]
    assert passages_of(*said) == [
        Passage("Good morning. The tide is high.", 0.0, 2.0),
        Passage("It will rise. Over.", 4.5, 17.0),
        Passage("Yes.", 27.0, 28.0),
    ]
    assert passages_of(*said)[1].context == "Speech, 0:04–0:17"


def test_long_passages_end_at_the_first_pause() -> None:
    one = "The pilot boat left the northern quay at six."
    said = [segment(one, 0.0, 3.0), segment(one, 3.0, 6.0), segment(one, 6.6, 9.0)]
    assert [(each.start, each.end) for each in passages_of(*said)] == [(0.0, 6.0), (6.6, 9.0)]


def test_one_segment_can_be_too_long() -> None:
    text = " ".join(f"Ship number {number} has left the harbour." for number in range(20))
    found = passages_of(segment("Listen.", 0.0, 1.0), segment(text, 1.0, 61.0))
    assert len(found) > 5 and {(each.start, each.end) for each in found[1:]} == {(1.0, 61.0)}
    assert " ".join(each.text for each in found) == f"Listen. {text}"


def test_chinese_is_joined_without_blanks() -> None:
    [found] = passages_of(segment("潮汐很高。", 0.0, 1.0), segment("船已离港。", 1.0, 2.0), segment("OK.", 2.0, 3.0))
    assert found.text == "潮汐很高。船已离港。 OK."


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(("tide", "vessel", "港口")), min_size=1, max_size=60), st.floats(0.0, 12.0)),
        max_size=20,
    )
)
def test_nothing_is_lost_and_times_go_on(given_: list[tuple[list[str], float]]) -> None:
    said, at = [], 0.0
    for words, gap in given_:
        said.append(segment(" ".join(words), at + gap, at + gap + 1))
        at += gap + 1
    found = passages_of(*said)
    assert "".join(each.text for each in found).replace(" ", "") == "".join("".join(w) for w, _ in given_)
    assert all(tokens.count(each.text) <= SMALL.max_tokens for each in found)
    assert all(one.start <= two.start and one.end <= two.end for one, two in itertools.pairwise(found))


def test_what_is_said_is_in_the_loss_ledger() -> None:
    recording = ElementRow(0, "Audio", "Call", media="m.wav", media_type="audio/wav", time_end=9.0)
    said = [segment("Good morning.", 0.0, 1.0), segment("The tide is high.", 1.1, 2.0)]
    silent, heard = (chunk_elements("d", [recording], StageInfo(), SMALL, words).info.counts for words in ([], said))
    assert silent["characters_elements"] == silent["characters_chunks"] == len("Call")
    whole = len("Call") + sum(len(row.text.replace(" ", "")) for row in said)
    assert heard["characters_elements"] == heard["characters_chunks"] == whole
