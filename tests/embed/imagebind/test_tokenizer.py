"""CLIP's tokens by the Rust library: equal to the reference and to a plain implementation; windows hold all text."""

from __future__ import annotations

import gzip
import html
import itertools
import json
import subprocess
import sys
from importlib import resources

import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.embed.imagebind import tokenizer
from tasks.embed.imagebind.config import TEXT_TOKENS
from tasks.embed.imagebind.tokenizer import END, START, tokenize, windows
from tasks.errors import MissingCapabilityError
from tests.embed.imagebind.fixtures import EXPECTED, SHARED

SPECIAL = "<|startoftext|>", "<|endoftext|>"
SPECIAL_IDS = {"<|startoftext|>": [27, 347, 993, 6659, 4160, 91, 285], "<|endoftext|>": [27, 347, 40786, 4160, 91, 285]}
PIECES = [
    "word ", "Antidisestablishmentarianism", "3.14 ", "公司", "。", "\n", "x" * 150, "é\u0301", "😀", "&amp;",
    "&lt;b&gt;", "cafÃ©", "İ", "ΣΑΣ", "it's", "'ſ", "\u00a0", "\u2028", "\x1c", "\x85", "ﬁ", "--", "\u0345",
    "<|endoftext|>", "Ended. ",
]  # fmt: skip
# White space, and the one character that the pattern of words leaves out.
UNSEEN = "\t\n\x0b\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\u0345" + "".join(map(chr, range(0x2000, 0x200B)))
# Characters that are not assigned yet are letters to one of the two libraries as soon as it knows them.
ASSIGNED = st.text(st.characters(exclude_categories=["Cn", "Co"]), max_size=20)
TEXT = st.lists(st.sampled_from(PIECES) | ASSIGNED, max_size=120).map("".join)


class PlainTokenizer:
    """Byte-pair encoding in plain Python, as the paper of CLIP describes it: the peer to compare with."""

    def __init__(self) -> None:
        self.words = pytest.importorskip("regex").compile(
            r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", pytest.importorskip("regex").IGNORECASE
        )
        packed = resources.files("tasks").joinpath("data", "bpe_simple_vocab_16e6.txt.gz").read_bytes()
        merges = [tuple(line.split()) for line in gzip.decompress(packed).decode().split("\n")[1:48895]]
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        self.bytes = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
        symbols = [self.bytes[byte] for byte in [*printable, *others]]
        tokens = [*symbols, *(symbol + "</w>" for symbol in symbols), *map("".join, merges)]
        self.ids = {token: number for number, token in enumerate(tokens)}
        self.ranks = {merge: rank for rank, merge in enumerate(merges)}

    def encode(self, text: str) -> list[int]:
        cleaned = html.unescape(html.unescape(ftfy.fix_text(text))).strip().lower()
        return [self.ids[token] for word in self.words.findall(cleaned) for token in self.merged(word)]

    def merged(self, word: str) -> list[str]:
        parts = [self.bytes[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            joined, at = [], 0
            while at < len(parts):
                both = tuple(parts[at : at + 2]) == best
                joined.append("".join(best) if both else parts[at])
                at += 2 if both else 1
            parts = joined
        return parts


@pytest.fixture(scope="module")
def plain() -> PlainTokenizer:
    return PlainTokenizer()


@pytest.mark.parametrize(("text", "ids"), EXPECTED["tokens"], ids=lambda value: repr(value)[:40])
def test_equal_to_the_reference(text: str, ids: list[int]) -> None:
    if not any(special in text for special in SPECIAL):
        assert tokenize([text]) == [ids]


@pytest.mark.skipif(not SHARED.exists(), reason="the golden fixtures are not here")
def test_equal_to_all_of_the_reference() -> None:
    rows = json.loads((SHARED / "pre_text_tokens.json").read_text())
    rows = [row for row in rows if not any(special in row["text"] for special in SPECIAL)]
    ids = tokenize([row["text"] for row in rows])
    assert len(rows) > 20
    assert tokenizer.pad(ids, TEXT_TOKENS).tolist() == [row["tokens"] for row in rows]


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("disguise", [str, str.upper, html.escape, lambda text: html.escape(html.escape(text))])
def test_special_tokens_in_a_text_are_text(special: str, disguise: object) -> None:
    (ids,) = tokenize([f"before {disguise(special)} after"])  # type: ignore[operator]
    assert ids == [START, 1348, *SPECIAL_IDS[special], 953, END]


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_equal_to_a_plain_implementation(plain: PlainTokenizer, text: str) -> None:
    (ids,) = tokenize([text])
    assert ids == [START, *plain.encode(text)[: TEXT_TOKENS - 2], END]


def test_half_a_character_is_replaced() -> None:
    assert tokenize(["\ud800 dog"]) == tokenize(["\ufffd dog"])
    assert windows("\ud800 dog " * 80)


def test_padding() -> None:
    assert tokenizer.pad([[1, 2], [3]]).tolist() == [[1, 2], [3, 0]]
    assert tokenizer.pad([[1]], 3).tolist() == [[1, 0, 0]]
    assert tokenizer.pad([]).shape == (0, 0) and tokenizer.pad([]).dtype == "int64"


def test_no_windows_for_nothing_and_one_for_little() -> None:
    assert windows("") == windows(" \n\t\u2003") == []
    assert windows("  A  short\ntext &amp; more ") == ["  A  short\ntext &amp; more "]
    assert windows("cat " * 75) == ["cat " * 75]


def test_windows_end_at_sentences_and_overlap() -> None:
    text = "".join(f"Sentence number {i} says something else. " for i in range(40))
    found = windows(text)
    assert 4 <= len(found) <= 7
    assert all(window.endswith(".") for window in found)
    for left, right in itertools.pairwise(found):
        assert right.split(".")[0] + "." in left and right.startswith(("says", "Sentence", "number"))


def test_a_long_string_is_cut_anywhere() -> None:
    text = "x" * 5000
    found = windows(text)
    assert "".join(found) == text
    assert len(found) > 10 and max(map(len, tokenize(found))) == TEXT_TOKENS


@settings(max_examples=150, deadline=None)
@given(TEXT, st.integers(1, 8))
def test_windows_fit_and_hold_all_of_the_text(text: str, times: int) -> None:
    cleaned, spans = tokenizer._spans(text * times)
    found = windows(text * times)
    assert found == [text * times] or found == [cleaned[start:end] for start, end in spans]
    assert all(len(tokenizer._encode(window)) <= TEXT_TOKENS - 2 for window in found)
    assert all(ids[0] == START and ids[-1] == END and len(ids) <= TEXT_TOKENS for ids in tokenize(found))
    assert_all_is_held(cleaned, spans)


def assert_all_is_held(cleaned: str, spans: list[tuple[int, int]]) -> None:
    reached = 0
    for start, end in spans:
        assert not cleaned[reached:start].strip(UNSEEN) and start < end and end > reached
        reached = end
    assert not cleaned[reached:].strip(UNSEEN)
    assert sorted(spans) == spans


MEGABYTES = {  # or so much that what takes more than linear time would take minutes
    "words": "lorem ipsum dolor. " * 55_000,
    "one word": "a" * 1_000_000,
    "chinese": "中文测试。" * 30_000,
    "combining marks": "e" + "\u0301\u0327" * 60_000,
    "an entity of digits": "&#" + "1" * 300_000 + ";",
}


@pytest.mark.parametrize("text", MEGABYTES.values(), ids=MEGABYTES)
def test_a_text_of_a_megabyte(text: str) -> None:
    assert len(tokenize([text])[0]) == TEXT_TOKENS
    found = windows(text)
    assert len(found) > 500
    sample = found[:: max(1, len(found) // 100)]
    assert max(map(len, tokenize(sample))) <= TEXT_TOKENS
    cleaned, spans = tokenizer._spans(text)
    assert [cleaned[start:end] for start, end in spans] == found
    assert_all_is_held(cleaned, spans)


def test_what_has_no_tokens_is_passed_over() -> None:
    unseen = "\u0345" * 120_000
    assert windows(unseen) == []
    found = windows(f"A dog {unseen} sleeps. " + "Cats do. " * 50)
    assert "A dog" in found[0] and found[-1].endswith("Cats do.") and any("sleeps." in window for window in found)


def test_a_damaged_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "VOCABULARY_SHA256", "0" * 64)
    tokenizer._tokenizer.cache_clear()
    with pytest.raises(MissingCapabilityError, match=r"bpe_simple_vocab.*damaged"):
        tokenize(["a dog"])


def test_a_fork_after_use_says_nothing() -> None:
    code = (
        "import os, sys; from tasks.embed.imagebind.tokenizer import tokenize\n"
        "ids = tokenize(['a dog'] * 50); child = os.fork()\n"
        "assert tokenize(['a dog'] * 50) == ids\n"
        "if child: sys.exit(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
