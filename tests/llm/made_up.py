"""What the fake endpoint answers: text, JSON that satisfies a schema, and embeddings, all from the prompt's own words.

Deterministic: equal requests get equal answers.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WORD = re.compile(r"[^\W\d_][\w'-]*")
_WORDS_OF_TEXT = 20
_ITEMS = 3
_DEPTH = 8  # a schema that refers to itself ends somewhere

ENGLISH = "Translated into one line"

Json = Any


def parts(body: Mapping[str, Json], role: str | None = None) -> Iterator[Mapping[str, Json]]:
    """The content parts of the messages (of one role), plain strings as text parts."""
    for message in body.get("messages", ()):
        if role is not None and message.get("role") != role:
            continue
        content = message.get("content")
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        else:
            yield from content or ()


def text_of(body: Mapping[str, Json], role: str | None = None) -> str:
    return "\n".join(part["text"] for part in parts(body, role) if part.get("type") == "text")


def image_urls(body: Mapping[str, Json]) -> list[str]:
    return [part["image_url"]["url"] for part in parts(body) if part.get("type") == "image_url"]


def schema_of(body: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """The schema asked for: in `response_format`, or written out in the instructions."""
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        schema: Mapping[str, Json] = response_format["json_schema"]["schema"]
        return schema
    text = text_of(body, "system")
    for found in re.finditer(r"\{", text):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, found.start())
        except ValueError:
            continue
        if isinstance(value, dict) and "properties" in value:
            return value
    return None


def answer(body: Mapping[str, Json]) -> str:
    """What a well-behaved model says to a chat request."""
    words = _WORD.findall(text_of(body, "user")) or ["nothing"]
    schema = schema_of(body)
    response_format = (body.get("response_format") or {}).get("type", "text")
    if schema is None:
        plain = " ".join(words[:_WORDS_OF_TEXT])
        return json.dumps({"answer": plain}, ensure_ascii=False) if response_format == "json_object" else plain
    text = json.dumps(_value(schema, schema, words, "", 0), ensure_ascii=False)
    return text if response_format != "text" else f"Here you are:\n```json\n{text}\n```"


def _value(schema: Mapping[str, Json], root: Mapping[str, Json], words: Sequence[str], name: str, depth: int) -> Json:
    if "$ref" in schema:
        target: Json = root
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[step]
        return _value(target, root, words, name, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][_hash(name, *words[:5]) % len(schema["enum"])]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            options = [option for option in schema[union] if option.get("type") != "null"]
            if not options or depth > _DEPTH:
                return None
            return _value(options[0], root, words, name, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match kind:
        case "object":
            fields = schema.get("properties", {})
            return {key: _value(field, root, words, key, depth + 1) for key, field in fields.items()}
        case "array":
            low = int(schema.get("minItems", 0))
            count = low if depth > _DEPTH else min(int(schema.get("maxItems", _ITEMS)), max(low, _ITEMS))
            return [
                _value(schema.get("items", {}), root, words[i % len(words) :], f"{name}[]", depth + 1)
                for i in range(count)
            ]
        case "integer" | "number":
            low = schema.get("minimum", 0)
            high = schema.get("maximum", low + 100)
            return int(low + _hash(name, *words[:5]) % max(1, int(high - low)))
        case "boolean":
            return bool(_hash(name, *words[:5]) % 2)
        case "null":
            return None
    if name == "english":  # a line for what is not
        return ENGLISH if any(char >= "\u3040" for word in words for char in word) else ""
    wanted = 1 if name.endswith("[]") else _WORDS_OF_TEXT
    text = " ".join(itertools.islice(itertools.cycle(words), min(wanted, max(1, len(words)))))
    while len(text) < int(schema.get("minLength", 0)):
        text += f" {words[0]}"
    return text[: int(schema.get("maxLength", len(text)))]


def embedding(text: str, dimension: int) -> list[float]:
    """A bag of hashed words, of length 1: texts that share words are near each other."""
    vector = [0.0] * dimension
    for word in _WORD.findall(text.casefold()) or [text]:
        vector[_hash(word) % dimension] += 1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def embedding_bytes(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def request_hash(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _hash(*words: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:6], "big")
