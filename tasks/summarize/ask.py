"""Chunks as requests: a chunk with what stands around it in, the question to the model out.

The prompt is the system's message; everything from the document is in the user's, between marks, and is text or the
pixels of a picture. Equal chunks in equal surroundings make equal requests, whose answers are paid for once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.llm.request import Message, Picture, Request, Sampling, Text
from tasks.rows import ChunkRow
from tasks.settings import LlmSettings
from tasks.summarize import prompt
from tasks.summarize.answers import SCHEMA_SUFFIX, Flaw, LlmKind, schema
from tasks.summarize.untrusted import fenced, plain, table

LLM_VERSION = 2  # raise it when requests, routes or the text made of an answer change without a prompt or setting
_REPAIR_FACTOR = 2  # of the longest answer, for one that was cut


def kind_of(chunk: ChunkRow) -> LlmKind | None:
    """As what the chunk is asked about, None where the model cannot see it."""
    return chunk.kind if chunk.kind in ("text", "table", "image") else None


def models(settings: LlmSettings, kinds: Sequence[str]) -> dict[LlmKind, str]:
    """The model that is asked about each of these kinds that one can be asked about."""
    asked: list[LlmKind] = [kind for kind in ("text", "table", "image") if kind in kinds]
    return {kind: settings.model_of(kind) for kind in asked}


def recipe_settings(settings: LlmSettings, kinds: Sequence[str]) -> Mapping[str, Any]:
    """All that decides what is asked, and what becomes of the answer: only of the kinds that are asked about."""
    asked = models(settings, kinds)
    found: dict[str, Any] = {
        "version": LLM_VERSION,
        "models": asked,
        "prompts": {name: [prompt.load(name).version, prompt.load(name).digest] for name in (*asked, "repair")},
        "sampling": dataclasses.asdict(_sampling(settings)),
        "max_characters": settings.max_characters,
    }
    if "image" in asked:
        found |= {"image_px": settings.image_px, "skip_tags": list(settings.skip_tags)}
    return found


def request(
    kind: LlmKind,
    chunk: ChunkRow,
    picture: Picture | None,
    settings: LlmSettings,
    flaw: Flaw | None = None,
) -> Request:
    """The question about a chunk; with a `flaw`, the question anew after an answer that had it."""
    begin, end, material = fenced(_material(kind, chunk))
    system = prompt.load(kind).fill(begin=begin, end=end)
    sampling = _sampling(settings)
    if flaw is not None:
        system = f"{system}\n\n{prompt.load('repair').fill(reason=flaw)}"
        if flaw == "cut by length":
            sampling = dataclasses.replace(sampling, max_tokens=_REPAIR_FACTOR * sampling.max_tokens)
    said = (Text(material), picture) if picture else (Text(material),)
    messages = (Message("system", (Text(system),)), Message("user", said))
    return Request(settings.model_of(kind), messages, sampling, schema(kind))


def kind_asked(request: Request) -> str:
    """What kind of chunk a request is about."""
    return request.schema.name.removesuffix(SCHEMA_SUFFIX) if request.schema else ""


def _sampling(settings: LlmSettings) -> Sampling:
    return Sampling(settings.temperature, settings.max_output_tokens)


def _material(kind: LlmKind, chunk: ChunkRow) -> list[tuple[str, str]]:
    headings = ("Headings", plain(chunk.context))
    before, after = plain(chunk.before), plain(chunk.after)
    if kind == "text":
        return [headings, ("Passage", plain(chunk.text))]
    if kind == "table":
        markup = table(chunk.html) if chunk.html else ""
        caption = "" if not markup else _beyond(chunk.text, markup)
        cells = plain(markup) or plain(chunk.text)
        return [headings, ("Before the table", before), ("Caption", caption), ("Table", cells), ("After it", after)]
    caption = plain(chunk.text)
    return [headings, ("Before the picture", before), ("With the picture", caption), ("After it", after)]


def _beyond(text: str, markup: str) -> str:
    """The lines of a table's text that are in none of its cells: the caption, which comes first."""
    known = " ".join(markup.split())
    first = next(iter(text.splitlines()), "")
    return plain(first) if first and " | " not in first and first not in known else ""
