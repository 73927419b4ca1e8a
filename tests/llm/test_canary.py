"""The key of the endpoint is nowhere but on the wire: not on disk, in logs, errors, reprs, pickles or kept answers."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.llm.client import Client, Endpoint, Retries
from tasks.llm.errors import LlmError
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.request import Message, Request, Text
from tasks.llm.responses import Response, SqliteResponses
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault

CANARY = "sk-canary-5f1b7c93d2"
_PATH = "responses/responses.sqlite"


def _ask(text: str) -> Request:
    return Request("m", (Message("user", (Text(text),)),))


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def _answers(endpoint: FakeEndpoint, lake: Path, *requests: Request) -> tuple[list[Any], list[str]]:
    """Answers or errors, and the reprs of all that was involved."""

    async def main() -> tuple[list[Any], list[str]]:
        where = Endpoint(endpoint.base_url, SecretStr(CANARY), timeout_seconds=0.5)
        responses, pacer = SqliteResponses(lake / _PATH), Pacer(RateLimits(max_in_flight=4))
        client = Client(where, responses, pacer, spent.append, retries=Retries(attempts=2), sleep=_at_once)
        found = await asyncio.gather(*map(client.answer, requests), return_exceptions=True)
        assert _on_disk(lake)  # with the write-ahead file still there
        await client.close()
        return found, [repr(one) for one in (where, responses, pacer, client, client._transport, *spent, *found)]

    spent: list[object] = []
    return asyncio.run(main())


def _on_disk(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    return files


@pytest.mark.parametrize("fault", [None, *Fault])
def test_canary(
    fault: Fault | None, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    behaviour = Behaviour(api_key=CANARY, redirect_to="http://127.0.0.1:9/v1")
    with FakeEndpoint(behaviour) as endpoint:
        endpoint.script(fault, fault)
        found, reprs = _answers(endpoint, tmp_path, _ask("What is it?"))
        endpoint.script()
        # This question makes the endpoint repeat the key in its answer.
        again, more = _answers(endpoint, tmp_path, _ask(f"Bearer {CANARY} sk-canary"))
    assert {call.status for call in endpoint.calls} - {0}  # it was reached, with the key
    errors = [one for one in found + again if isinstance(one, LlmError)]
    fine = fault in (None, Fault.RATE_LIMITED, Fault.LENGTH, Fault.REFUSAL, Fault.NOT_JSON)
    assert [one for one in found if isinstance(one, Exception)] == errors and bool(errors) != fine
    for error in errors:
        assert error.__cause__ is None and error.__context__ is None  # nothing that holds the request
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert CANARY not in "".join(told.format())
        assert CANARY.encode() not in pickle.dumps(error)
        assert CANARY not in f"{error} {error.message} {error.hint} {vars(error)}"
    assert CANARY not in "".join(reprs + more)
    [repeated] = again
    assert isinstance(repeated, Response) and CANARY not in repeated.text
    assert CANARY.encode() not in repeated.raw and b"[key]" in repeated.raw
    assert _on_disk(tmp_path)
    logged = [record.getMessage() + repr(vars(record)) for record in caplog.records]
    assert {record.name.split(".")[0] for record in caplog.records} >= {"openai", "httpx2", "httpcore2"}
    assert [one for one in logged if CANARY in one] == []
    output = capfd.readouterr()
    assert CANARY not in output.out + output.err
