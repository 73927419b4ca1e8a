"""How each kind of question travels: its address, its body, what it takes of an endpoint, and how its reply is read.

    how = wire.of(request)
    outcome = await transport.send(how.path, *how.body(request, how.begin(base_url)))

The client sends, retries and keeps; what differs between the endpoint's services is here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tasks.llm import dialect, reply, speech
from tasks.llm.request import Request, parameters, to_openai
from tasks.llm.responses import Response
from tasks.llm.speech import Speech
from tasks.llm.transport import Files

Asked = Request | Speech
CHAT = "/chat/completions"


@dataclasses.dataclass(frozen=True, slots=True)
class Wire:
    """`begin` gives the dialect that is spoken first, whose `after` learns from refusals of these `parameters`. `stage`
    is what the cost is put down under, if not the account's own. `billed` tells seconds and tokens of sound of a reply
    (b"": unreadable).
    """

    path: str
    begin: Callable[[str], Any]
    parameters: Callable[[Any], Collection[str]]
    body: Callable[[Any, Any], tuple[Mapping[str, Any], Files | None]]
    read: Callable[[str, Any, bytes, int], Response]
    stage: str = ""
    wordless: bool = False  # whether an answer without words is one
    patience: Callable[[Any], float] = lambda request: 0.0  # seconds beyond the endpoint's own limit
    billed: Callable[[Any, bytes], tuple[float, int]] = lambda request, raw: (0.0, 0)


def of(request: Asked) -> Wire:
    return _SPEECH if isinstance(request, Speech) else _CHAT


def _chat_body(request: Request, spoken: dialect.Dialect) -> tuple[Mapping[str, Any], None]:
    return spoken.spoken(to_openai(request)), None


def _chat_read(key: str, request: Request, raw: bytes, prompt_tokens: int) -> Response:
    return reply.read(key, request.model, raw, prompt_tokens)


def _speech_body(request: Speech, spoken: speech.Spoken) -> tuple[Mapping[str, Any], Files]:
    file = ("speech.flac", request.sound.read_bytes(), "audio/flac")
    return speech.fields(request, spoken), {"file": file}


_CHAT = Wire(CHAT, dialect.of, parameters, _chat_body, _chat_read)
_SPEECH = Wire(
    "/audio/transcriptions",
    lambda base_url: speech.Spoken(),
    lambda request: ("response_format",),
    _speech_body,
    speech.read,
    stage="transcribe",
    wordless=True,
    patience=lambda request: request.seconds,  # an endpoint may work as slowly as people speak
    billed=speech.billed,
)
