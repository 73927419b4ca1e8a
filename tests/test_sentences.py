"""Sentence boundaries: what ends a sentence in English and Chinese, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sentences import join, sentences

ENGLISH = [
    "Sales in the U.S. rose by 3.5 percent.",
    "The firm Acme Inc. of New York (No. 5 in size) grew.",
    "See Fig. 3, Table 2, e.g. by year, or Sec. 4 of Vol. II.",
    "Dr. J. A. Smith et al. disagree!",
    "They paid $1.2 million at 5 p.m. on Jan. 3, 2022.",
    '"It works," he said.',
    'She said "It works."',
    "Does it (as we saw in 2021)?",
    "It may be so (see above.)",
    "Wait... what came then?",
    "So on…",
    "Item 7. Management's view.",
    "Nobody said no.",
    "We are in the U.K.",
    "It is sold by Acme Corp.",
]
CHINESE = [
    "公司营业收入同比增长12.5%。",
    "他说：“我们很高兴。”",
    "（详见下文。）",
    "真的吗？！",
    "净利润上升；",
    "后来呢……",
    "图3显示了A公司U.S.市场的销售额。",
    "「好。」",
    "见《年报。》",
]
# What may follow the dot of an abbreviation at the end: a word that few names begin with.
FOLLOWING = ["The rest is known.", "However, it is small.", "We agree."]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ENGLISH), max_size=6), st.sampled_from(FOLLOWING))
def test_english_sentences_are_told_apart(before: list[str], last: str) -> None:
    parts = [part for sentence in before for part in (sentence, last)]
    assert sentences(" ".join(parts)) == parts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(CHINESE), max_size=8))
def test_chinese_sentences_are_told_apart_without_blanks(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1. Scope. 2.1. Methods are here. (A) Other.", ["1. Scope.", "2.1. Methods are here.", "(A) Other."]),
        ("They said no. 5 people left.", ["They said no. 5 people left."]),  # the price of "No. 5"
        ("They said no. People left.", ["They said no.", "People left."]),
        ("The U.S. Congress met. U.S. GAAP applies.", ["The U.S. Congress met.", "U.S. GAAP applies."]),
        ("One\n\nTwo\n \nThree", ["One", "Two", "Three"]),
        ("One\nTwo", ["One\nTwo"]),
        ("In 2022. Then 中文。And more", ["In 2022.", "Then 中文。", "And more"]),
        ("First… then second… Third", ["First… then second…", "Third"]),
        ("“Quoted.” (Aside.) ‘More.’ End", ["“Quoted.”", "(Aside.)", "‘More.’", "End"]),
        ("  ", []),
    ],
)
def test_cases(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aB1 .!?\n…。；“”)(\"'中") | st.characters(), max_size=200))
def test_nothing_is_lost(text: str) -> None:
    parts = sentences(text)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in parts)


def test_sentences_join_as_they_stood() -> None:
    assert join("One.", "Two.") == "One. Two."
    assert join("一。", "二。") == "一。二。"


@pytest.mark.parametrize("unit", [".", "…", ". ", '."', "…”", "U.S. "])
def test_long_runs_of_stops_are_read(unit: str) -> None:
    """Each run is looked at once: were it looked at from each of its characters, this would take minutes."""
    text = unit * 300_000
    assert sentences(f"Begin {text}") == [f"Begin {text}".strip()]
