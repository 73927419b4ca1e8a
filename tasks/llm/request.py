"""One question to a model, as a value: its key names everything that shapes the answer, its body is what is sent.

Pictures travel as data: URIs only, so that no document can make an endpoint fetch anything.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

REQUEST_VERSION = 1

Role = Literal["system", "user", "assistant"]
MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture and its size in pixels, which is what it costs by.

    `pixels` is the sha256 of what it shows, decoded, where that is known: another version of an encoder then does not
    make it another question.
    """

    data: bytes = dataclasses.field(repr=False)
    media_type: str
    width: int
    height: int
    pixels: str = ""

    def __post_init__(self) -> None:
        if self.media_type not in MEDIA_TYPES:
            raise ValueError(f"a picture is one of {', '.join(sorted(MEDIA_TYPES))}, not {self.media_type!r}")


Part = Text | Picture


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Sampling:
    """None leaves it to the endpoint."""

    temperature: float | None = 0.0
    max_tokens: int = 1024
    seed: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Schema:
    """The form of the answer. Where an endpoint enforces it, objects must be closed: see `closed`."""

    name: str
    json_schema: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: Schema | None = None

    def key(self) -> str:
        """sha256 of all that shapes the answer, pictures by what they show. The endpoint's address is not in it."""
        value = {
            "version": REQUEST_VERSION,
            "model": self.model,
            "messages": [[message.role, [_named(part) for part in message.parts]] for message in self.messages],
            "sampling": dataclasses.asdict(self.sampling),
            "schema": None if self.schema is None else [self.schema.name, self.schema.json_schema],
        }
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def to_openai(request: Request) -> dict[str, Any]:
    """The body of POST /chat/completions."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": message.role, "content": _content(message.parts)} for message in request.messages if message.parts
        ],
        "max_tokens": request.sampling.max_tokens,
    }
    if request.sampling.temperature is not None:
        body["temperature"] = request.sampling.temperature
    if request.sampling.seed is not None:
        body["seed"] = request.sampling.seed
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": request.schema.name, "schema": request.schema.json_schema, "strict": True},
        }
    return body


def parameters(request: Request) -> frozenset[str]:
    """The names in that body which an endpoint may not understand."""
    sampling = request.sampling
    given = {"temperature": sampling.temperature, "seed": sampling.seed, "response_format": request.schema}
    return frozenset({"max_tokens", *(name for name, value in given.items() if value is not None)})


def closed(json_schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema (pydantic's, say) as endpoints that enforce it want it: every object closed and every property
    required; no defaults and titles, which are for forms."""
    result: dict[str, Any] = {}
    for name, value in json_schema.items():
        if name in ("default", "title"):
            continue
        if name in ("properties", "$defs", "definitions"):
            result[name] = {key: closed(schema) for key, schema in value.items()}
        elif name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            result[name] = [closed(schema) for schema in value]
        elif name in ("items", "not") and isinstance(value, Mapping):
            result[name] = closed(value)
        else:
            result[name] = value
    if "properties" in result:
        result["additionalProperties"] = False
        result["required"] = list(result["properties"])
    return result


def _named(part: Part) -> list[str | int]:
    if isinstance(part, Text):
        return ["text", part.text]
    if part.pixels:
        return ["pixels", part.width, part.height, part.pixels]
    return ["picture", part.media_type, hashlib.sha256(part.data).hexdigest()]


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return _encodable(parts[0].text)  # the plain form is what every endpoint understands
    return [_openai_part(part) for part in parts]


def _openai_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": _encodable(part.text)}
    data = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}}


def _encodable(text: str) -> str:
    """Half a surrogate pair, which broken documents hold, cannot be sent as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
