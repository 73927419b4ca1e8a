"""CLIP's byte-pair encoding by the Rust `tokenizers` library: texts in, lists of at most 77 token ids out.

NOTICE: `tasks/data/bpe_simple_vocab_16e6.txt.gz` holds the merges of OpenAI's CLIP (https://github.com/openai/CLIP, MIT
licence, Copyright (c) 2021 OpenAI), unchanged. The copy was taken from the wheel of open_clip_torch 3.3.0.

Equal to the reference but for one thing: "<|endoftext|>" and "<|startoftext|>" in a text are text. There they become
the special tokens, with which whoever wrote a document could end its text early.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import numpy as np

from tasks.embed.imagebind.config import TEXT_TOKENS, VOCABULARY
from tasks.errors import MissingCapabilityError

START, END = VOCABULARY - 2, VOCABULARY - 1
OVERLAP = 8  # tokens that neighbouring windows share
VOCABULARY_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
_FILE = "bpe_simple_vocab_16e6.txt.gz"
_ROOM = TEXT_TOKENS - 2
_MERGES = VOCABULARY - 2 * 256 - 2  # the file has more; the model was trained with these
_SUFFIX = "</w>"
# Without U+0345: of all characters the one that the reference's pattern, which ignores case, finds in no class.
_WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+"
_PLAIN = re.compile(r"[\t\n\r\f -%'-~]*")  # ASCII without "&": cleaning would change nothing but white space
_SLICE = re.compile(r"[\s\S]{1,4000}(?!\S)|[\s\S]{1,4000}")  # up to a word's end, if there is one
_BLANKS, _LINE_ENDS = re.compile(r"[^\S\n]+"), re.compile(r" ?\n[ \n]*")
_HEAD, _BLOCK = 16_000, 50_000  # characters
_SENTENCE_ENDS = "。！？；…"


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    """For each text its token ids between START and END, at most 77: what is longer is cut, and ends with END."""
    return [[START, *_encode(_head(text))[:_ROOM], END] for text in texts]


def pad(ids: Sequence[Sequence[int]], length: int | None = None) -> np.ndarray:
    """(n, length) int64, filled up with zeros; without a `length`, as long as the longest."""
    padded = np.zeros((len(ids), max(map(len, ids), default=0) if length is None else length), dtype=np.int64)
    for row, found in zip(padded, ids, strict=True):
        row[: len(found)] = found
    return padded


def windows(text: str) -> list[str]:
    """Pieces that the model reads whole, of about equal length, that overlap by about 8 tokens; none of a blank text.

    Each begins at a word, and ends where a sentence does if one ends near, else after a word; only within a word that
    is longer than a window it is cut anywhere. Together they hold every word. A text that fits is its own window; the
    others are pieces of the cleaned text.
    """
    cleaned, spans = _spans(text)
    if len(spans) == 1 and spans[0] == (0, len(cleaned)):
        return [text]
    return [cleaned[start:end] for start, end in spans]


def _spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The cleaned text, white space collapsed but for line ends, and where its windows begin and end."""
    cleaned = _LINE_ENDS.sub("\n", _BLANKS.sub(" ", _clean(text)))
    lowered = cleaned.lower()
    if len(lowered) != len(cleaned):  # some capitals have a small form of two characters; offsets must fit both
        cleaned = lowered
    spans: list[tuple[int, int]] = []
    at = 0
    while True:
        found = _spans_of(cleaned[at : at + _BLOCK])
        last = at + _BLOCK >= len(cleaned)
        kept = found if last or len(found) < 3 else found[:-2]  # the others would end elsewhere if the block did not
        spans.extend((at + start, at + end) for start, end in kept)
        if last:
            return cleaned, spans
        at += found[-2][0] if len(found) > len(kept) else _BLOCK


def _spans_of(text: str) -> list[tuple[int, int]]:
    encoding = _tokenizer().encode(text.lower())
    words, offsets, total = encoding.word_ids, encoding.offsets, len(encoding)
    if total <= _ROOM:
        return [(0, len(text))] if total else []
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        left = total - start - OVERLAP
        pieces = max(1, -(-left // (_ROOM - OVERLAP)))
        size = -(-left // pieces) + OVERLAP  # as many tokens in this window as in the rest
        end = total
        if pieces > 1:
            end = _cut(text, words, offsets, start + size * 3 // 4, start + min(_ROOM, size * 9 // 8))
        end = _shrunk(text, offsets, start, end)
        spans.append((offsets[start][0], offsets[end - 1][1]))
        if end == total:
            return spans
        shared = range(max(start + 1, end - OVERLAP), end)
        start = next((i for i in shared if offsets[i][0] > offsets[i - 1][1]), end)  # at a word, none if there is none


def _cut(text: str, words: Sequence[int | None], offsets: Sequence[tuple[int, int]], low: int, high: int) -> int:
    """The best end (exclusive) of a window in [low, high]: after the last sentence or line, else the last word."""
    whole = [i for i in range(high, low - 1, -1) if words[i] != words[i - 1]]
    for end in whole:
        last, gap = text[offsets[end - 1][1] - 1], text[offsets[end - 1][1] : offsets[end][0]]
        if last in _SENTENCE_ENDS or (last in ".!?" and gap) or "\n" in gap:
            return end
    return next((end for end in whole if offsets[end][0] > offsets[end - 1][1]), whole[0] if whole else high)


def _shrunk(text: str, offsets: Sequence[tuple[int, int]], start: int, end: int) -> int:
    """The window's end moved back until what is in it, read alone, fits: a part of a word can have more tokens than it
    had in the whole, and cleaning can find something else in a piece than in the text."""

    def within_character(end: int) -> bool:
        return end < len(offsets) and offsets[end][0] < offsets[end - 1][1]

    while True:
        while end > start + 1 and within_character(end):
            end -= 1
        while within_character(end):
            end += 1
        piece = text[offsets[start][0] : offsets[end - 1][1]]
        excess = len(_encode(piece)) - _ROOM
        if excess <= 0 or len(piece) == 1:
            return end
        end = max(start + 1, end - max(1, excess // 2))


def _encode(text: str) -> list[int]:
    found: list[int] = _tokenizer().encode(_clean(text).lower()).ids
    return found


def _head(text: str) -> str:
    """As much of a text as 77 tokens can be made of, and a good deal more."""
    return text if len(text) <= _HEAD else " ".join(text[: 64 * _HEAD].split())[:_HEAD]


def _clean(text: str) -> str:
    """What the reference does to a text before it lowers it: mends it, and resolves HTML's entities twice over."""
    if _PLAIN.fullmatch(text):
        return text.strip()
    import ftfy

    # In slices: a run of a million combining marks would take ftfy hours, and half of one takes it a quarter of that.
    mended = "".join(html.unescape(html.unescape(ftfy.fix_text(part))) for part in _SLICE.findall(text))
    return mended.strip()


@functools.cache
def _tokenizer() -> Any:
    """The tokenizer without special tokens, which are never looked for in texts."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    packed = resources.files("tasks").joinpath("data", _FILE).read_bytes()
    if hashlib.sha256(packed).hexdigest() != VOCABULARY_SHA256:
        raise MissingCapabilityError(f"tasks/data/{_FILE} is damaged (its sha256 differs)", "install bindery again")
    lines = gzip.decompress(packed).decode().split("\n")[1 : _MERGES + 1]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    symbols = list(_byte_symbols())
    tokens = [*symbols, *(symbol + _SUFFIX for symbol in symbols), *map("".join, merges)]
    model = models.BPE(
        vocab={token: number for number, token in enumerate(tokens)}, merges=merges, end_of_word_suffix=_SUFFIX
    )
    built = Tokenizer(model)
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False),
        ]
    )
    return built


def _byte_symbols() -> Iterator[str]:
    """A printable character for each byte, in the order of the vocabulary: printable bytes first, as themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    yield from map(chr, printable)
    yield from (chr(0x100 + number) for number in range(256 - len(printable)))
