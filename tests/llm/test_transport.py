"""What a failure is worth, and that nothing is imported before the first request."""

from __future__ import annotations

import asyncio
import email.utils
import json
import subprocess
import sys
import time

import httpx2
import pytest
from pydantic import SecretStr

from tasks.llm.errors import EndpointError, QuotaError, RejectedError
from tasks.llm.transport import Endpoint, Failure, Reply, Transport, _retry_after
from tests.llm.endpoint import FakeEndpoint


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "in a while"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert _retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = _retry_after({"retry-after": email.utils.formatdate(time.time() + 1000, usegmt=True)})
    assert seconds is not None and 900 < seconds <= 1000


def _failure(status: int, body: object, headers: dict[str, str] | None = None) -> Failure:
    transport = Transport(Endpoint("http://endpoint:8000/v1", SecretStr("sk-secret-key")))
    error = body if isinstance(body, dict) else None
    code = error.get("code") if error else None
    message = str(error.get("message")) if error else str(body)
    return transport.failure(status, httpx2.Headers(headers or {}), error, code, message)


def test_what_an_endpoint_says_about_waiting() -> None:
    soon = _failure(429, {"message": "slow down"}, {"retry-after": "20"})
    assert (soon.retry, soon.limited, soon.overloaded, soon.wait) == (True, True, True, 20.0)
    assert isinstance(soon.error, EndpointError)
    later = _failure(429, {"message": "daily limit"}, {"retry-after": "7200"})
    assert not later.retry and isinstance(later.error, QuotaError) and "120 minutes" in later.error.message
    spent = _failure(429, {"code": "insufficient_quota", "message": "no money"}, {"retry-after": "1"})
    assert not spent.retry and isinstance(spent.error, QuotaError)


def test_an_endpoints_words_are_shown_short_on_one_line_without_the_key() -> None:
    found = _failure(400, {"message": "bad\nkey sk-secret-key \x1b[31m" + "x" * 10_000})
    assert isinstance(found.error, RejectedError)
    assert found.error.message.startswith("endpoint:8000 rejects the request (400): bad key [key]  [31mxxx")
    assert len(found.error.message) < 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b"\xff\xfe",
        b'{"choices": [{}]}',
    ],
)
def test_what_is_no_completion(body: bytes) -> None:
    from tasks.llm import reply

    with pytest.raises(ValueError, match="no chat completion"):
        reply.read("k", "m", body, 10)


def test_lenient_reading() -> None:
    from tasks.llm import reply

    parts = [{"type": "text", "text": "An "}, {"type": "text", "text": "answer"}]
    body = json.dumps({"choices": [{"message": {"content": parts}}], "usage": None}).encode()
    found = reply.read("k", "m", body, 10)
    assert (found.text, found.model, found.finish, found.refusal) == ("An answer", "m", "stop", None)
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (10, 3, 0)


def test_a_trickle_ends_at_the_timeout() -> None:
    """Each read is in time, and the whole is not."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def main() -> Reply | Failure:
        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        transport = Transport(Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", None, 0.4))
        found = await transport.send("/chat/completions", {})
        await transport.close()
        server.close()
        return found

    found = asyncio.run(main())
    assert isinstance(found, Failure) and found.retry and "within 0.4 seconds" in found.error.message


def test_an_endpoint_without_a_key() -> None:
    async def main(url: str) -> Reply | Failure:
        transport = Transport(Endpoint(url))
        found = await transport.send("/chat/completions", {"model": "m", "messages": []})
        await transport.close()
        return found

    with FakeEndpoint() as endpoint:
        endpoint.behaviour = type(endpoint.behaviour)(api_key="none")
        assert isinstance(asyncio.run(main(endpoint.base_url)), Reply)


def test_importing_imports_no_client() -> None:
    """Commands that only read import these modules."""
    code = (
        "import sys; import tasks.llm.service, tasks.llm.errors;"
        "print([name for name in sys.modules if name.split('.')[0] in ('openai', 'httpx', 'httpx2', 'prefect')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize(
    ("base_url", "told"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://name.openai.azure.com/openai/v1", False),
        ("https://openai.com.example.org/v1", False),
        ("https://notopenai.com/v1", False),
    ],
)
def test_the_names_of_an_account_go_to_openai_only(base_url: str, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")
    headers = Transport(Endpoint(base_url, SecretStr("sk")))._opened().default_headers
    assert ("org-canary" in headers.values(), "proj-canary" in headers.values()) == (told, told)


def test_no_name_of_an_account_is_on_the_wire_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")

    async def main() -> None:
        transport = Transport(Endpoint(endpoint.base_url, SecretStr(endpoint.behaviour.api_key)))
        body = {"model": "m", "messages": [{"role": "user", "content": "What is it?"}]}
        assert isinstance(await transport.send("/chat/completions", body), Reply)
        await transport.close()

    with FakeEndpoint() as endpoint:
        asyncio.run(main())
    (sent,) = endpoint.calls
    assert sent.headers["authorization"] and "canary" not in str(sent.headers)
