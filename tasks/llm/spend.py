"""What the client asks of and tells whoever pays: room for a request before it is sent, and what its reply cost."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

from tasks.llm.request import Picture, Text
from tasks.llm.speech import Speech
from tasks.llm.wire import Asked

Share = tuple[str, int]  # whoever asked, and its part of the prompt


@dataclasses.dataclass(frozen=True, slots=True)
class Spend:
    """What one reply cost, whether or not it was any use. `owner` is whoever asked first.

    Where one request asks for several, `shares` says how much of it was for whom. `seconds` of sound, and tokens of it
    among the prompt's, where it was about sound; `stage` where the kind of question decides what it is put down under.
    """

    key: str
    owner: str
    model: str  # as it was asked for
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    shares: tuple[Share, ...] = ()
    seconds: float = 0.0
    audio_tokens: int = 0
    stage: str = ""


Settle = Callable[[Spend], None]
Reserve = Callable[[Asked, int], contextlib.AbstractAsyncContextManager[Settle]]


@contextlib.asynccontextmanager
async def unlimited(request: Asked, prompt_tokens: int) -> AsyncIterator[Settle]:
    yield lambda spend: None


def rough_tokens(request: Asked) -> int:
    """A cautious guess at the tokens of a prompt: a token per three bytes, and 1,100 per picture."""
    if isinstance(request, Speech):
        return request.tokens
    parts = [part for message in request.messages for part in message.parts]
    text = sum(len(part.text.encode("utf-8", "replace")) for part in parts if isinstance(part, Text))
    return text // 3 + 1100 * sum(isinstance(part, Picture) for part in parts) + 8 * len(request.messages)


def most_tokens(request: Asked) -> int:
    """Of an answer, at most."""
    return request.tokens if isinstance(request, Speech) else request.sampling.max_tokens
