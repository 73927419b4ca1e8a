"""Texts cut for models that we know only the length of: all of it, in order, and no more than fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.embed.windows import windows

_TEXT = st.text(alphabet="ab 。.\n北京é𝔘", max_size=300)


@given(_TEXT, st.integers(1, 40))
def test_pieces_fit_and_hold_all(text: str, most: int) -> None:
    pieces = windows(text, lambda piece: len(piece) <= most)
    assert all(0 < len(piece) <= most for piece in pieces)
    kept = 0
    for piece in pieces:  # a piece begins where the last one ended, or shares some of it; blanks alone may be left out
        begin = text.find(piece, max(0, kept - len(piece)))
        assert begin >= 0
        kept = max(kept, begin + len(piece))
    left = "".join(pieces)
    assert all(left.count(letter) >= text.count(letter) for letter in set(text) if not letter.isspace())


def test_it_cuts_where_a_line_or_sentence_ends() -> None:
    line, sentence = "word " * 9 + "end.\n", "one two three. "
    assert windows(line * 2, lambda piece: len(piece) <= 60) == [line, line]
    assert windows(sentence * 4, lambda piece: len(piece) <= 30) == [sentence * 2, sentence * 2]
    assert windows("北京市的价格。" * 2, lambda piece: len(piece) <= 7) == ["北京市的价格。"] * 2
    assert windows("x" * 10, lambda piece: len(piece) <= 5) == ["x" * 5] * 2


def test_neighbours_share_some_words() -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    first, second = windows(text, lambda piece: len(piece) < 0.6 * len(text))
    shared = len(first) + len(second) - len(text)
    assert 0 < shared <= 100 and first[-shared:] == second[:shared]


def test_nothing_to_read() -> None:
    assert windows("", len) == windows(" \n ", lambda piece: False) == []  # type: ignore[arg-type]
    assert windows("x", lambda piece: False) == ["x"]
