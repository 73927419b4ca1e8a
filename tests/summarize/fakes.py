"""Chunks, settings, and a fake model: what it is asked is kept, what it answers is the test's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import orjson

from tasks.llm.errors import LlmError
from tasks.llm.request import Picture, Request, Text
from tasks.llm.responses import Response
from tasks.rows import ChunkRow
from tasks.settings import LlmSettings, Settings, SummarizeSettings

KINDS = SummarizeSettings(kinds=("text", *SummarizeSettings().kinds))
SETTINGS = Settings(
    profile="openai", summarize=KINDS, llm=LlmSettings(model="small", vision_model="seer", base_url="http://127.0.0.1")
)
CHUNK = ChunkRow(
    chunk_id="c",
    doc_id="d",
    ordinal=0,
    kind="text",
    text="",
    html=None,
    media=None,
    media_type=None,
    context="",
    tokens=0,
    pages=(),
    boxes=(),
    origin="native",
)
PROSE = (
    "Net revenue of the Consumer segment grew by 8% to $12.4 billion in fiscal 2025, because members spent more on "
    "travel and dining, and because the average fee per card rose for the third year."
)
TABLE = "<table><tr><th>Segment</th><th>2025</th><th>2024</th></tr><tr><td>Consumer</td><td>12.4</td><td>11.5</td></tr></table>"  # noqa: E501
GOOD = {"summary": "Net revenue grew.", "keywords": ["revenue"], "entities": ["Consumer"]}


def chunk(chunk_id: str, **fields: object) -> ChunkRow:
    return dataclasses.replace(CHUNK, chunk_id=chunk_id, **fields)  # type: ignore[arg-type]


def response(request: Request, text: str | object, finish: str = "stop", refusal: str | None = None) -> Response:
    """A response whose text is given, or JSON of what is given."""
    said = text if isinstance(text, str) else orjson.dumps(text).decode()
    return Response(request.key(), f"{request.model}-2026", said, refusal, finish, 100, 20, 0, 0.0, b"{}")


class FakeModel:
    """`answer` for the tests: `says(request, n)` is a response, its text, or an error, for the n-th request of all."""

    def __init__(self, says: Callable[[Request, int], object]) -> None:
        self._says = says
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        said = self._says(request, len(self.asked))
        if isinstance(said, LlmError | Exception):
            raise said
        return said if isinstance(said, Response) else response(request, said)


def texts(request: Request, role: str) -> str:
    """What a request says in one role."""
    return "\n".join(_texts(request, role))


def _texts(request: Request, role: str) -> Iterator[str]:
    for message in request.messages:
        if message.role == role:
            yield from (part.text for part in message.parts if isinstance(part, Text))


def pictures(request: Request) -> list[Picture]:
    return [part for message in request.messages for part in message.parts if isinstance(part, Picture)]
