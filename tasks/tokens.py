"""Counts o200k tokens: the unit of chunk sizes and of LLM prices. No network: the ranks are shipped with bindery.

NOTICE: `tasks/data/o200k_base.tiktoken.gz` holds the merge ranks of the o200k_base encoding, unchanged but for the
compression, from OpenAI's tiktoken (https://github.com/openai/tiktoken, MIT licence, Copyright (c) 2022 OpenAI,
Shantanu Jain); the pattern below is that of `tiktoken_ext.openai_public`. The copy was taken from the wheel of
llama-index-core 0.14.25 (MIT).
"""

from __future__ import annotations

import binascii
import functools
import gzip
import hashlib
from importlib import resources

import tiktoken
import tiktoken.registry

from tasks.errors import MissingCapabilityError

NAME = "o200k_base"
RANKS_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"  # of the file before compression
_RANKS = "o200k_base.tiktoken.gz"
_SPECIAL = {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_PATTERN = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SUFFIX}",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SUFFIX}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
_SLICE = 200_000  # tiktoken panics (a BaseException) on runs of a million blanks; a slice cannot hold one


@functools.cache
def encoding() -> tiktoken.Encoding:
    """o200k_base, also put where tiktoken looks, so that libraries find it by name without a download."""
    packed = resources.files("tasks").joinpath("data", _RANKS).read_bytes()
    plain = gzip.decompress(packed)
    if hashlib.sha256(plain).hexdigest() != RANKS_SHA256:
        raise MissingCapabilityError(f"tasks/data/{_RANKS} is damaged (its sha256 differs)", "install bindery again")
    ranks = {
        binascii.a2b_base64(token): int(rank)
        for token, _, rank in (line.partition(b" ") for line in plain.splitlines())
    }
    built = tiktoken.Encoding(NAME, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens=_SPECIAL)
    tiktoken.registry.ENCODINGS[NAME] = built
    return built


def count(text: str) -> int:
    """How many tokens `text` has; special tokens in it count as plain text. Beyond 200,000 characters the text is
    counted in slices, which can add a token per slice."""
    encode = encoding().encode_ordinary
    return sum(len(encode(text[start : start + _SLICE])) for start in range(0, len(text), _SLICE))
