"""The shipped o200k encoding is OpenAI's, needs no network, and survives hostile text."""

from __future__ import annotations

import pytest
import tiktoken
import tiktoken_ext.openai_public
from hypothesis import given
from hypothesis import strategies as st

from tasks import tokens


def test_same_definition_as_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(url: str, expected_hash: str) -> dict[str, str]:
        return {"sha256": expected_hash}

    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", load)
    theirs = tiktoken_ext.openai_public.o200k_base()
    assert theirs == {
        "name": tokens.NAME,
        "pat_str": tokens._PATTERN,
        "mergeable_ranks": {"sha256": tokens.RANKS_SHA256},
        "special_tokens": tokens._SPECIAL,
    }


def test_known_ids() -> None:
    ids = tokens.encoding().encode_ordinary("hello world")
    assert ids == [24912, 2375]
    assert tokens.encoding().decode(ids) == "hello world"
    assert tokens.encoding().n_vocab == 200_019


def test_found_by_name_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    ours = tokens.encoding()
    assert tiktoken.get_encoding("o200k_base") is ours


def test_special_tokens_in_text_are_text() -> None:
    assert tokens.count("<|endoftext|>") > 1


def test_runs_of_millions_of_blanks() -> None:
    assert 0 < tokens.count("a" + " " * 3_000_000 + "b") < 300_000
    assert tokens.count("\ud800 broken surrogate") > 0


@given(st.text(max_size=300))
def test_count_is_the_length_of_the_encoding(text: str) -> None:
    assert tokens.count(text) == len(tokens.encoding().encode_ordinary(text))
