"""Prompts are counted as the models count them; pictures by the published examples, unknown models dear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import tokens
from tasks.llm.request import Message, Picture, Request, Sampling, Schema, Text
from tasks.llm.tokens import image_tokens, prompt_tokens, reserved_tokens

SYSTEM = Message("system", (Text("You describe things."),))


@pytest.mark.parametrize(
    ("model", "width", "height", "expected"),
    [
        ("gpt-4o", 1024, 1024, 765),
        ("gpt-4o", 2048, 4096, 1105),
        ("gpt-4o", 4096, 8192, 1105),  # fitted into 2048 first
        ("gpt-4o-2024-08-06", 512, 512, 255),
        ("openai/gpt-4o", 512, 512, 255),
        ("gpt-4o-mini", 512, 512, 2833 + 5667),
        ("gpt-4.1", 1024, 1024, 765),
        ("gpt-4.1-mini", 1024, 1024, 1659),  # 1024 patches x 1.62
        ("gpt-4.1-mini", 1800, 2400, 2353),  # 1452 patches x 1.62
        ("gpt-4.1-nano", 32, 32, 3),
        ("o4-mini", 1024, 1024, 1762),
        ("gpt-5", 1024, 1024, 70 + 4 * 140),
        ("gpt-5-mini", 5000, 1000, 2341),  # scaled down to 85 x 17 patches
        ("gpt-5.4", 1024, 1024, 1024),
        ("o3", 512, 512, 225),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 1024, 768, 37 * 28),
    ],
)
def test_pictures_by_the_formula_of_the_family(model: str, width: int, height: int, expected: int) -> None:
    assert image_tokens(model, width, height) == expected


def test_a_model_nobody_knows_is_reckoned_dear() -> None:
    known = max(image_tokens(model, 768, 1024) for model in ("gpt-4o", "gpt-5", "gpt-5.4", "o3", "qwen2.5-vl:7b"))
    assert image_tokens("my-deployment", 768, 1024) > known


@given(
    st.sampled_from(["gpt-4o", "gpt-4.1-mini", "gpt-5-nano", "o4-mini", "gpt-6-sol", "llava", "qwen2-vl"]),
    st.integers(0, 40_000),
    st.integers(0, 40_000),
)
def test_no_picture_is_free_or_endless(model: str, width: int, height: int) -> None:
    assert 0 < image_tokens(model, width, height) <= 25_000


def test_a_prompt_is_its_texts_its_pictures_its_schema_and_the_frame() -> None:
    text = "Net revenue grew by 8% in 2025. 营业收入增长。"
    plain = Request("gpt-4o", (SYSTEM, Message("user", (Text(text),))), Sampling(max_tokens=500))
    words = tokens.count("You describe things.") + tokens.count(text)
    assert words < prompt_tokens(plain) <= words + 12
    assert reserved_tokens(plain) == prompt_tokens(plain) + 500

    picture = Picture(b"bytes count for nothing" * 1000, "image/png", 1024, 1024)
    seen = Request("gpt-4o", (SYSTEM, Message("user", (Text(text), picture))))
    assert prompt_tokens(seen) == prompt_tokens(plain) + 765

    schema = Schema("s", {"type": "object", "properties": {"summary": {"type": "string"}}})
    formed = Request("gpt-4o", plain.messages, plain.sampling, schema)
    assert prompt_tokens(formed) > prompt_tokens(plain) + tokens.count('{"summary":{"type":"string"}}')


def test_special_tokens_of_a_document_are_plain_text() -> None:
    request = Request("gpt-4o", (Message("user", (Text("<|endoftext|>" * 50),)),))
    assert prompt_tokens(request) > 50 * 3
