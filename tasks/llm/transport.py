"""One exchange with an endpoint: a body, or a call of the openai package → the bytes of its reply, or a failure that
says what it is worth.

The openai package sends; it retries nothing, follows no redirect, and none of its exceptions leave this module, because
they hold the request with its key. openai is imported at the first request.
"""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from tasks.errors import UsageError
from tasks.llm.errors import (
    AuthenticationError,
    EndpointError,
    LlmError,
    NotFoundError,
    QuotaError,
    RefusedError,
    RejectedError,
)

if TYPE_CHECKING:
    import openai
    from openai._types import RequestOptions

_T = TypeVar("_T")
Files = Mapping[str, tuple[str, bytes, str]]  # of a form: field -> name, bytes, media type
OPENAI = "https://api.openai.com/v1"
LONGEST_WAIT_SECONDS = 900.0  # an endpoint that asks for more has no room for this run
_NO_KEY = "none"  # the openai package wants one; endpoints on one's own machine ask for none
_RETRIED = frozenset({408, 409, 425, 429})
_NO_MONEY = ("insufficient_quota", "billing_not_active", "billing_hard_limit_reached")
_FILTERED = ("content_filter", "content_policy", "content policy", "moderation", "flagged")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_SAID = 300  # characters of an endpoint's own words in our messages


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go and with which key, which no dump, message or log shows."""

    base_url: str = OPENAI
    api_key: SecretStr | None = None
    timeout_seconds: float = 120.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            # The address itself is not shown: what it holds may be the key, put in the wrong place.
            raise UsageError("llm.base_url is no http(s) address", f"give one such as {OPENAI}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError(
                "llm.base_url holds more than an address: a user, a password or a query",
                "give the key as llm.api_key or OPENAI_API_KEY",
            )
        key = self.api_key.get_secret_value() if self.api_key else ""
        if not (key.isascii() and key.isprintable() and " " not in key):
            # It would fail as a header, in words that show it.
            raise UsageError(
                "the endpoint's key has characters that no key has", "check it for quotes, blanks, a line end"
            )

    @property
    def of_openai(self) -> bool:
        """Whether the names of an account with OpenAI (OPENAI_ORG_ID, OPENAI_PROJECT_ID) concern this endpoint."""
        host = urlsplit(self.base_url).hostname or ""
        return host == "openai.com" or host.endswith(".openai.com")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """A 200."""

    raw: bytes
    headers: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `error` is what to raise where no further attempt is made."""

    error: LlmError
    retry: bool = False
    overloaded: bool = False  # a sign that the endpoint has too much to do
    limited: bool = False  # 429: the request was not looked at
    wait: float | None = None  # seconds that the endpoint asks everybody to wait
    status: int = 0
    said: str = ""  # its own words, for `Dialect.after`
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Transport:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: openai.AsyncOpenAI | None = None

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    async def send(
        self, path: str, body: Mapping[str, Any], files: Files | None = None, patience: float = 0.0
    ) -> Reply | Failure:
        """As JSON; with `files` as a form. `patience` are seconds to wait beyond the endpoint's time limit."""
        import httpx2

        seconds = self._endpoint.timeout_seconds + patience
        options: RequestOptions = {"timeout": seconds}
        if files is not None:
            options["headers"] = {"Content-Type": "multipart/form-data"}
        return await self.exchange(
            lambda client: client.post(path, body=body, files=files, options=options, cast_to=httpx2.Response), seconds
        )

    async def exchange(
        self, call: Callable[[openai.AsyncOpenAI], Awaitable[Any]], seconds: float | None = None
    ) -> Reply | Failure:
        """One call of the client, which gives a raw response; it may take `seconds`, or as long as a request may."""

        async def work() -> Reply:
            response = await call(self._opened())
            return Reply(self._clean(response.content), response.headers)

        # httpx's own time-out is per read, and a trickle passes.
        return await self._outcome(work, seconds or self._endpoint.timeout_seconds)

    async def lines(
        self, call: Callable[[openai.AsyncOpenAI], AbstractAsyncContextManager[Any]], take: Callable[[bytes], None]
    ) -> Failure | None:
        """Hand each line of a long reply on as it arrives; the reply is never in memory, and takes as long as it comes.

        None once all are handed on. Another attempt begins with the first line again.
        """

        async def work() -> None:
            async with call(self._opened()) as response:
                kept = bytearray()
                async for part in response.iter_bytes():
                    kept += part
                    *whole, rest = kept.split(b"\n")
                    for line in whole:
                        take(self._clean(bytes(line)))
                    kept = rest
                if kept:
                    take(self._clean(bytes(kept)))

        return await self._outcome(work, None)

    async def _outcome(self, work: Callable[[], Awaitable[_T]], seconds: float | None) -> _T | Failure:
        import httpx2
        import openai

        try:
            async with asyncio.timeout(seconds):
                return await work()
        except openai.APIStatusError as error:
            found = self.failure(
                error.response.status_code, error.response.headers, error.body, error.code, error.message
            )
        except (TimeoutError, openai.APITimeoutError):
            seconds = seconds or self._endpoint.timeout_seconds
            found = self._again(f"did not answer within {seconds:g} seconds", overloaded=True)
        except (openai.APIConnectionError, httpx2.TransportError) as error:
            found = self._again(f"cannot be reached: {error.__cause__ or error}", overloaded=True)
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            found = self._again(f"gave an answer that cannot be read ({type(error).__name__})")
        return found

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _opened(self) -> openai.AsyncOpenAI:
        if self._client is None:
            import httpx2
            import openai

            key = self._endpoint.api_key.get_secret_value() if self._endpoint.api_key else ""
            # A redirect would take a document to a host that nobody chose.
            http = openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30),
            )
            self._client = openai.AsyncOpenAI(
                api_key=key or _NO_KEY,
                base_url=self._endpoint.base_url,
                max_retries=0,
                timeout=self._endpoint.timeout_seconds,
                http_client=http,
            )
            if not self._endpoint.of_openai:  # the package reads them from the environment, for whatever host
                self._client.organization = self._client.project = None
        return self._client

    def failure(self, status: int, headers: Mapping[str, str], body: object, code: str | None, message: str) -> Failure:
        """What a status that is no 200 means for the request that got it; `body` is the error within the reply."""
        said = self.said(message)
        detail = body if isinstance(body, Mapping) else {}
        words = f"{code} {detail.get('type')} {detail.get('param')} {said}"

        def final(kind: type[LlmError], happened: str, hint: str = "") -> Failure:
            return Failure(kind(f"{self._endpoint.host} {happened}: {said}", hint), status=status, said=words)

        if status == 402 or any(each in words for each in _NO_MONEY):
            return final(QuotaError, "says that the account has nothing left to spend", "top it up, and run again")
        if status in (400, 403, 404, 422) and any(each in words.casefold() for each in _FILTERED):
            return final(RefusedError, "filtered the request")
        if status == 429 and "request too large" in said.casefold():  # more than a minute's limit: no waiting helps
            return final(RejectedError, "has no room for a request of this size, ever")
        if status in _RETRIED or status >= 500:
            wait = _retry_after(headers)
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                hint = "run again then: what is answered is kept"
                return final(QuotaError, f"asks to wait for {wait / 60:.0f} minutes", hint)
            return dataclasses.replace(
                self._again(f"answered {status}: {said}", overloaded=status != 409),
                limited=status == 429,
                wait=wait,
                status=status,
                headers=headers,
            )
        if status in (401, 403):
            return final(AuthenticationError, f"does not accept the key ({status})", "check llm.api_key")
        if status == 404:
            return final(NotFoundError, "does not know the model or the address (404)", "check llm.model, llm.base_url")
        if 300 <= status < 400:
            return final(NotFoundError, f"redirects elsewhere ({status})", "give the final address as llm.base_url")
        return final(RejectedError, f"rejects the request ({status})")

    def _again(self, happened: str, overloaded: bool = False) -> Failure:
        message = f"{self._endpoint.host} {self.said(happened)}"
        error = EndpointError(message, "run again later: what is answered is kept")
        return Failure(error, retry=True, overloaded=overloaded)

    def said(self, text: str) -> str:
        """An endpoint's words as they may be shown: short, one line, without the key."""
        return _CONTROL.sub(" ", self._clean(text.encode()).decode())[:_SAID]

    def _clean(self, raw: bytes) -> bytes:
        """Without the key, which some endpoints repeat."""
        key = self._endpoint.api_key.get_secret_value().encode() if self._endpoint.api_key else b""
        return raw.replace(key, b"[key]") if len(key) >= 8 and key in raw else raw


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds: `retry-after-ms`, `retry-after` as a number or as a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if seconds == seconds:  # not nan
            return max(0.0, seconds)
    return None
