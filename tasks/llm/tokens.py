"""How many tokens a request costs: a `Request` in, its prompt tokens out, before it is sent.

Text is counted by tasks/tokens.py, which is exact for OpenAI's models and near for others. What a picture costs is the
endpoint's secret beyond the published formulas, kept here as a table; a model that is not in it is reckoned dear. The
endpoint's `usage` corrects both afterwards.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re

import orjson

from tasks import tokens
from tasks.llm.request import Picture, Request
from tasks.llm.speech import Speech
from tasks.llm.wire import Asked

_PER_MESSAGE, _PER_REPLY, _PER_SCHEMA = 4, 3, 16  # the chat format around messages, the answer's start and a schema


@dataclasses.dataclass(frozen=True, slots=True)
class Tiles:
    """A picture within 2048 x 2048, its short side at most 768, costs `base` and `tile` for each begun 512 x 512."""

    base: int
    tile: int

    def tokens(self, width: int, height: int) -> int:
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        across, down = (math.ceil(round(side * scale, 6) / 512) for side in (width, height))
        return self.base + self.tile * across * down


@dataclasses.dataclass(frozen=True, slots=True)
class Patches:
    """A picture costs `factor` for each begun square of `side` pixels, scaled down to at most `most` of them."""

    side: int
    factor: float
    most: int

    def tokens(self, width: int, height: int) -> int:
        count = math.ceil(width / self.side) * math.ceil(height / self.side)
        if count > self.most:
            scale = math.sqrt(self.most * self.side**2 / (width * height))
            across, down = width * scale / self.side, height * scale / self.side
            fit = min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
            count = math.ceil(round(across * fit, 6)) * math.ceil(round(down * fit, 6))
        return math.ceil(min(count, self.most) * self.factor)


# Published by OpenAI (guides/images-vision) and by the models' own processors; the first pattern that fits counts.
# Newer models are measured at less than their documented factor: what is reserved is the documented one.
_FORMULAS: tuple[tuple[re.Pattern[str], Tiles | Patches], ...] = tuple(
    (re.compile(pattern), formula)
    for pattern, formula in (
        (r"gpt-4o-mini", Tiles(2833, 5667)),
        (r"gpt-4\.1-mini|gpt-5-mini", Patches(32, 1.62, 1536)),
        (r"gpt-4\.1-nano|gpt-5-nano", Patches(32, 2.46, 1536)),
        (r"o4-mini", Patches(32, 1.72, 1536)),
        (r"gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo|gpt-4-vision|chatgpt-4o", Tiles(85, 170)),
        (r"gpt-\d+(\.\d+)?-mini", Patches(32, 1.62, 10_000)),
        (r"gpt-\d+(\.\d+)?-nano", Patches(32, 2.46, 10_000)),
        (r"gpt-5(?!\.\d)", Tiles(70, 140)),
        (r"gpt-\d", Patches(32, 1.0, 10_000)),
        (r"o\d", Tiles(75, 150)),
        (r"(.*/)?qwen-?[\d.]+-?vl", Patches(28, 1.0, 16_384)),
    )
)
_UNKNOWN = Patches(28, 1.2, 16_384)


def image_tokens(model: str, width: int, height: int) -> int:
    """What a picture of this size costs as it is sent, by the formula of the model's family."""
    name = model.lower().removeprefix("openai/")
    formula = next((formula for pattern, formula in _FORMULAS if pattern.match(name)), _UNKNOWN)
    return formula.tokens(max(1, width), max(1, height))


def prompt_tokens(request: Asked) -> int:
    """What is sent: messages, pictures, and the schema of the answer."""
    if isinstance(request, Speech):
        return request.tokens
    total = _PER_REPLY
    for message in request.messages:
        total += _PER_MESSAGE
        for part in message.parts:
            if isinstance(part, Picture):
                total += image_tokens(request.model, part.width, part.height)
            else:
                total += _constant(part.text) if message.role == "system" else tokens.count(part.text)
    if request.schema is not None:
        schema = orjson.dumps(request.schema.json_schema, option=orjson.OPT_SORT_KEYS).decode()
        total += _PER_SCHEMA + _constant(schema)
    return total


def reserved_tokens(request: Request) -> int:
    """What may be spent at most: what is sent and the longest answer, as the endpoints' own limiters reckon."""
    return prompt_tokens(request) + request.sampling.max_tokens


@functools.lru_cache(maxsize=256)
def _constant(text: str) -> int:
    """Prompts and schemas are the same in thousands of requests."""
    return tokens.count(text)
