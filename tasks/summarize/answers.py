"""What a model answers about a chunk: its form as a schema, a response in, the checked answer or its flaw out.

Whatever a document talked a model into, nothing but these fields, cleaned and cut, gets any further.
"""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from tasks.llm.request import Schema, closed
from tasks.llm.responses import Response
from tasks.summarize.extractive import clip
from tasks.summarize.untrusted import plain

SCHEMA_SUFFIX = "_summary"
Flaw = Literal["cut by length", "refused", "empty", "not the JSON that was asked for"]
LlmKind = Literal["text", "table", "image"]
_MAX_ITEMS, _MAX_ITEM, _MAX_TEXT = 40, 160, 4000
_LINE_WORDS, _MAX_LINE = 25, 240  # of the English line: what a text tower of 77 tokens reads whole


def _text(value: object) -> object:
    return clip(plain(value), _MAX_TEXT) if isinstance(value, str) else value


def _line(value: object) -> object:
    """One line of English; empty where what came is none."""
    if not isinstance(value, str):
        return value
    words = plain(value).split()
    letters = [char for word in words for char in word if char.isalpha()]
    if 2 * sum(char.isascii() for char in letters) <= len(letters):
        return ""
    return clip(" ".join(words[:_LINE_WORDS]), _MAX_LINE)


def _terms(value: object) -> object:
    """Cleaned and cut; what is no list of texts is left for the check to refuse."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return value
    items = (clip(plain(item), _MAX_ITEM) for item in value)
    return [item for item in dict.fromkeys(items) if item][:_MAX_ITEMS]


_Text = Annotated[str, BeforeValidator(_text)]
_Line = Annotated[str, BeforeValidator(_line)]
_Terms = Annotated[tuple[str, ...], BeforeValidator(_terms)]


class TextAnswer(BaseModel):
    """Endpoints that do not enforce the form may leave lists out; the summary they may not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    summary: Annotated[str, StringConstraints(min_length=1), BeforeValidator(_text)]
    english: _Line = ""
    keywords: _Terms = ()
    entities: _Terms = ()


class TableAnswer(TextAnswer):
    periods: _Terms = ()
    units: _Terms = ()


class ImageAnswer(TextAnswer):
    kind: Literal["chart", "table", "diagram", "map", "screenshot", "photo", "logo", "decoration", "other"] = "other"
    readable_text: _Text = ""
    data_points: _Terms = ()


FORMS: dict[LlmKind, type[TextAnswer]] = {"text": TextAnswer, "table": TableAnswer, "image": ImageAnswer}


def schema(kind: LlmKind) -> Schema:
    form = closed(FORMS[kind].model_json_schema())
    form.pop("description", None)  # ours, of the class
    summary = form["properties"]["summary"]
    form["properties"]["summary"] = {"type": summary["type"]}  # some endpoints refuse a schema with lengths
    return Schema(f"{kind}{SCHEMA_SUFFIX}", form)


def read(kind: LlmKind, response: Response) -> TextAnswer | Flaw:
    """The answer, if there is one in the form that was asked for."""
    if response.refusal or response.finish == "content_filter":
        return "refused"
    text = response.text.rpartition("</think>")[2].strip()
    if not text:
        return "cut by length" if response.cut else "empty"
    try:
        return FORMS[kind].model_validate(orjson.loads(_object(text)))
    except (orjson.JSONDecodeError, ValidationError):
        return "cut by length" if response.cut else "not the JSON that was asked for"


def _object(text: str) -> str:
    """The JSON object in an answer that has a fence or words around it, as endpoints without enforced forms write."""
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else text


def written(answer: TextAnswer, context: str, limit: int) -> str:
    """The answer as the text that stands for the chunk: its context, the summary, then the words and figures that are
    not yet in it, at most `limit` characters."""
    head = clip(context, limit // 3)
    text = clip(answer.summary, limit - len(head) - 1)
    text = f"{head}\n{text}" if head else text
    for line in _lines(answer):
        held = text.casefold()
        fresh = [item for item in dict.fromkeys(line) if item.casefold() not in held]
        room = limit - len(text) - 1
        if fresh and room > _MAX_ITEM // 8:
            text = f"{text}\n{clip('; '.join(fresh), room)}"
    return text


def english(answer: TextAnswer) -> str:
    """The answer's English line; empty where it only repeats the summary, which then is English."""
    line = answer.english.rstrip("….")
    return "" if " ".join(answer.summary.split()).casefold().startswith(line.casefold()) else answer.english


def _lines(answer: TextAnswer) -> list[list[str]]:
    lines = [[*answer.keywords, *answer.entities]]
    if isinstance(answer, TableAnswer):
        lines[0] += [*answer.periods, *answer.units]
    if isinstance(answer, ImageAnswer):
        lines[0] = [answer.kind, *lines[0]] if answer.kind != "other" else lines[0]
        lines += [list(answer.data_points), [answer.readable_text] if answer.readable_text else []]
    return lines
