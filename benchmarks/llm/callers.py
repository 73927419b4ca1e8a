"""One system making all the calls, in a process of its own: `python -m benchmarks.llm.callers NAME WORK` → JSON.

Processor time is counted from the first call to the last answer, without the start of Python and imports.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from benchmarks.llm.work import INSTRUCTION, MAX_TOKENS, MODEL, Work, prompt

_LANGCHAIN_CONCURRENCY = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, from the caller's side."""

    seconds: float
    cpu_seconds: float
    answered: int
    errors: Mapping[str, int]  # of the calls without an answer
    version: str


async def ours(work: Work) -> Outcome:
    import openai
    from pydantic import SecretStr

    from tasks import tokens
    from tasks.llm.client import Client, Endpoint
    from tasks.llm.errors import LlmError
    from tasks.llm.pacer import Pacer, RateLimits
    from tasks.llm.request import Message, Request, Sampling, Text
    from tasks.llm.responses import SqliteResponses
    from tasks.llm.tokens import prompt_tokens

    tokens.count("the ranks are read at the first use")

    def request(number: int) -> Request:
        messages = Message("system", (Text(INSTRUCTION),)), Message("user", (Text(prompt(work, number)),))
        return Request(MODEL, messages, Sampling(0.0, MAX_TOKENS))

    with (
        tempfile.TemporaryDirectory(prefix="bindery-llm-") as folder,
        SqliteResponses(Path(folder) / "r.sqlite") as kept,
    ):
        limits = RateLimits(work.requests_per_minute, work.tokens_per_minute, work.in_flight)
        endpoint = Endpoint(work.base_url, SecretStr(work.api_key), work.timeout_seconds)
        client = Client(endpoint, kept, Pacer(limits), lambda spend: None, tokens=prompt_tokens)

        async def call(number: int) -> str:
            try:
                return (await client.answer(request(number))).text
            except LlmError as error:
                raise _LostError(type(error).__name__) from None

        outcome = await _all(work, call, f"openai {openai.__version__}")
        await client.close()
    return outcome


async def semaphore(work: Work) -> Outcome:
    """What most people write: the SDK's own retries, and as many at once as ours may have."""
    import openai

    places = asyncio.Semaphore(work.in_flight)
    client = openai.AsyncOpenAI(base_url=work.base_url, api_key=work.api_key, timeout=work.timeout_seconds)

    async def call(number: int) -> str:
        async with places:
            try:
                reply = await client.chat.completions.create(
                    model=MODEL,
                    messages=[
                        {"role": "system", "content": INSTRUCTION},
                        {"role": "user", "content": prompt(work, number)},
                    ],
                    max_tokens=MAX_TOKENS,
                    temperature=0.0,
                )
                return reply.choices[0].message.content or ""
            except (openai.OpenAIError, ValueError, AttributeError) as error:  # a body that is no JSON is a ValueError
                raise _LostError(type(error).__name__) from None

    async with client:
        return await _all(work, call, f"openai {openai.__version__}")


async def langchain(work: Work) -> Outcome:
    """`batch` with the concurrency of its documentation; it runs calls in threads."""
    langchain_openai = importlib.import_module("langchain_openai")  # where it is installed
    version = getattr(langchain_openai, "__version__", "")
    model = langchain_openai.ChatOpenAI(
        model=MODEL,
        base_url=work.base_url,
        api_key=work.api_key,
        timeout=work.timeout_seconds,
        max_tokens=MAX_TOKENS,
        temperature=0.0,
    )
    messages = [[("system", INSTRUCTION), ("user", prompt(work, number))] for number in range(work.calls)]
    found: list[Any] = []

    def batch() -> None:
        config = {"max_concurrency": _LANGCHAIN_CONCURRENCY}
        found.extend(model.batch(messages, config=config, return_exceptions=True))

    async def call(number: int) -> str:
        if isinstance(found[number], Exception):
            raise _LostError(type(found[number]).__name__)
        return str(found[number].content)

    return await _all(work, call, f"langchain-openai {version}", before=lambda: asyncio.to_thread(batch))


SYSTEMS: Mapping[str, Callable[[Work], Coroutine[Any, Any, Outcome]]] = {
    "ours": ours,
    "semaphore": semaphore,
    "langchain": langchain,
}


class _LostError(Exception):
    """A call without an answer; says why in one word."""


async def _all(
    work: Work,
    call: Callable[[int], Awaitable[str]],
    version: str,
    before: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    errors: dict[str, int] = {}

    async def one(number: int) -> bool:
        try:
            text = await call(number)
        except _LostError as error:
            errors[str(error)] = errors.get(str(error), 0) + 1
            return False
        if not text.strip():
            errors["empty"] = errors.get("empty", 0) + 1
        return bool(text.strip())

    wall, cpu = time.perf_counter(), time.process_time()
    if before is not None:
        await before()
    answered = sum(await asyncio.gather(*(one(number) for number in range(work.calls))))
    return Outcome(time.perf_counter() - wall, time.process_time() - cpu, answered, errors, version)


def main() -> None:
    logging.disable(logging.CRITICAL)
    outcome = asyncio.run(SYSTEMS[sys.argv[1]](Work(**json.loads(sys.argv[2]))))
    print(json.dumps(dataclasses.asdict(outcome)))


if __name__ == "__main__":
    main()
