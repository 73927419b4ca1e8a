"""Requests: the key names what shapes the answer and nothing else; the body is what endpoints take."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.llm.request import Message, Picture, Request, Sampling, Schema, Text, closed, to_openai

PNG = b"\x89PNG fake"
SCHEMA = Schema("summary", {"type": "object", "properties": {"summary": {"type": "string"}}})
REQUEST = Request(
    "gpt-4o",
    (
        Message("system", (Text("Summarize."),)),
        Message("user", (Text("A table:"), Picture(PNG, "image/png", 640, 480))),
    ),
    Sampling(0.0, 300, 7),
    SCHEMA,
)
PLAIN = Request("m", (Message("user", (Text("Hello"),)),), Sampling(None, 10))


def test_golden_key() -> None:
    """Answers are kept for years under these keys: who changes one changes REQUEST_VERSION."""
    assert REQUEST.key() == "2e9319ec807152847cb93d92ce8855d729e5a1c97094abc4ce59f6db5da5a864"
    assert PLAIN.key() == "9eec8bae4b378d055b7ed7a34d83c7d276e5c0f2effcf39875cb85163466c214"


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(REQUEST, model="gpt-4o-mini"),
        dataclasses.replace(REQUEST, sampling=Sampling(0.1, 300, 7)),
        dataclasses.replace(REQUEST, sampling=Sampling(0.0, 301, 7)),
        dataclasses.replace(REQUEST, sampling=Sampling(0.0, 300, 8)),
        dataclasses.replace(REQUEST, schema=None),
        dataclasses.replace(REQUEST, schema=dataclasses.replace(SCHEMA, name="other")),
        dataclasses.replace(REQUEST, schema=Schema("summary", {"type": "object", "properties": {}})),
        dataclasses.replace(REQUEST, messages=REQUEST.messages[::-1]),
        dataclasses.replace(REQUEST, messages=REQUEST.messages[:1]),
        dataclasses.replace(
            REQUEST,
            messages=(
                REQUEST.messages[0],
                Message("user", (Text("A table:"), Picture(PNG + b"!", "image/png", 640, 480))),
            ),
        ),
        dataclasses.replace(REQUEST, messages=(Message("user", REQUEST.messages[0].parts), *REQUEST.messages[1:])),
    ],
)
def test_whatever_shapes_the_answer_changes_the_key(other: Request) -> None:
    assert other.key() != REQUEST.key()


def test_a_picture_is_named_by_what_it_shows_where_that_is_known() -> None:
    def key(picture: Picture) -> str:
        return Request("m", (Message("user", (picture,)),)).key()

    shown = Picture(PNG, "image/png", 4, 3, "a" * 64)
    assert key(dataclasses.replace(shown, data=b"encoded otherwise", media_type="image/jpeg")) == key(shown)
    others = ({"pixels": "b" * 64}, {"width": 3, "height": 4}, {"pixels": ""})
    assert len({key(shown), *(key(dataclasses.replace(shown, **one)) for one in others)}) == 4
    assert key(dataclasses.replace(shown, pixels="")) != key(Picture(PNG + b"!", "image/png", 4, 3))


def test_the_order_of_a_schemas_keys_does_not_change_the_key() -> None:
    turned = Schema("summary", dict(reversed(list(SCHEMA.json_schema.items()))))
    assert dataclasses.replace(REQUEST, schema=turned).key() == REQUEST.key()


def test_text_cannot_pass_for_another_structure() -> None:
    """Two parts are not their concatenation, and a text that holds a picture's hash is no picture."""
    joined = Request("m", (Message("user", (Text("ab"),)),))
    parted = Request("m", (Message("user", (Text("a"), Text("b"))),))
    assert joined.key() != parted.key()
    picture = Request("m", (Message("user", (Picture(PNG, "image/png", 1, 1),)),))
    text = Request("m", (Message("user", (Text(hashlib.sha256(PNG).hexdigest()),)),))
    assert picture.key() != text.key()


def test_body() -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert to_openai(REQUEST) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Summarize."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "A table:"}, {"type": "image_url", "image_url": {"url": url}}],
            },
        ],
        "max_tokens": 300,
        "temperature": 0.0,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "summary", "schema": SCHEMA.json_schema, "strict": True},
        },
    }
    assert to_openai(PLAIN) == {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_named_and_sent(text: str) -> None:
    request = Request("m", (Message("user", (Text(text),)),))
    sent = json.dumps(to_openai(request), ensure_ascii=False).encode("utf-8")
    back = json.loads(sent)["messages"][0]["content"]
    assert back == "".join("?" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert len(request.key()) == 64


def test_pictures_are_of_known_types_and_not_in_a_repr() -> None:
    assert "PNG fake" not in repr(REQUEST)
    with pytest.raises(ValueError, match="image/svg"):
        Picture(b"<svg/>", "image/svg+xml", 1, 1)


def test_closed_schema() -> None:
    given = {
        "title": "Answer",
        "type": "object",
        "$defs": {"Item": {"title": "Item", "type": "object", "properties": {"title": {"type": "string"}}}},
        "properties": {
            "title": {"title": "Title", "type": "string", "default": ""},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["title"],
    }
    assert closed(given) == {
        "type": "object",
        "$defs": {
            "Item": {
                "type": "object",
                "properties": {"title": {"type": "string"}},
                "additionalProperties": False,
                "required": ["title"],
            }
        },
        "properties": {
            "title": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "additionalProperties": False,
        "required": ["title", "items", "note"],
    }
