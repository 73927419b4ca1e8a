"""An endpoint's files and batches, with our own retries: what it says as a `Remote`, or an LlmError.

Creating a batch is never simply tried again: an attempt whose reply was lost may have made one, which is looked for
first.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from tasks.llm.errors import BatchError, EndpointError, NotFoundError
from tasks.llm.transport import Failure, Reply, Transport

if TYPE_CHECKING:
    import openai

Call = Callable[["openai.AsyncOpenAI"], Awaitable[Any]]
Sleep = Callable[[float], Awaitable[None]]
_ATTEMPTS = 6
_BASE_SECONDS, _MOST_SECONDS = 0.5, 30.0
_SLOWEST_UPLOAD = 100_000  # bytes a second
_MARK = "bindery"  # the name in a batch's metadata under which our own id stands
_NO_API = (404, 405, 501)
_CLOCKS_SECONDS = 86_400.0  # the endpoint's clock and ours differ by less
_PAGE = 100
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
_NOT_THERE_YET = ("cannot find", "not found", "does not have access", "pending", "not ready", "being processed")


@dataclasses.dataclass(frozen=True, slots=True)
class Remote:
    """A batch as the endpoint tells of it. `errors` are why it was refused as a whole: code and words."""

    id: str
    status: str
    created: float
    file: str
    mark: str
    settled: int  # requests that have succeeded or failed
    output: str | None
    failures: str | None
    errors: tuple[tuple[str, str], ...]

    @property
    def over(self) -> bool:
        return self.status in _OVER


class BatchApi:
    def __init__(self, transport: Transport, sleep: Sleep = asyncio.sleep) -> None:
        self._transport = transport
        self._sleep = sleep
        host = urlsplit(transport.endpoint.base_url).hostname or ""
        self.url = "/chat/completions" if host.endswith(".azure.com") else "/v1/chat/completions"

    async def upload(self, path: Path) -> str:
        """The name that the endpoint gives the file. What an attempt with a lost reply has left there is deleted."""
        seconds = self._transport.endpoint.timeout_seconds + path.stat().st_size / _SLOWEST_UPLOAD
        patience = self._patience()
        while True:
            with open(path, "rb") as file:  # read in blocks as they are sent
                given = (path.name, file, "application/jsonl")
                outcome = await self._transport.exchange(_uploading(given), seconds)
            self._require_api(outcome)
            name = _text(_object(outcome).get("id"))
            if name:
                if patience.attempts:
                    await self.tidy(path.name, keep=name)
                return name
            await patience.after(outcome)

    async def create(self, file: str, mark: str, since: float) -> Remote:
        """The batch of an uploaded file, under our own id `mark`."""
        patience = self._patience()
        while True:
            outcome = await self._transport.exchange(
                lambda client: client.batches.with_raw_response.create(
                    input_file_id=file,
                    endpoint=self.url,  # type: ignore[arg-type]  # Azure's is another
                    completion_window="24h",
                    metadata={_MARK: mark},
                )
            )
            self._require_api(outcome)
            made = _remote(_object(outcome))
            if made is not None:
                return made
            if isinstance(outcome, Failure) and outcome.status == 400 and _not_there_yet(outcome.said):
                outcome = dataclasses.replace(outcome, retry=True)
            await patience.after(outcome)
            made = await self.find(mark, file, since)
            if made is not None:
                return made

    async def find(self, mark: str, file: str | None, since: float) -> Remote | None:
        """The batch that has this mark, or this file where an endpoint keeps no marks; not one that was refused."""
        after = ""
        while True:
            try:
                page = await self._read(_listing(after))
            except NotFoundError:  # an endpoint without batches
                return None
            found = [remote for each in _data(page) if (remote := _remote(each))]
            for remote in found:
                if remote.status != "failed" and (remote.mark == mark or (file is not None and remote.file == file)):
                    return remote
            # The newest come first.
            if not page.get("has_more") or not found or found[-1].created < since - _CLOCKS_SECONDS:
                return None
            after = found[-1].id

    async def retrieve(self, remote: str) -> Remote | None:
        """None where the endpoint does not know it."""
        try:
            return _remote(await self._read(lambda client: client.batches.with_raw_response.retrieve(remote)))
        except NotFoundError:
            return None

    async def lines(self, file: str, take: Callable[[bytes], None]) -> bool:
        """Hand on each line of a file, again from the first where the connection broke; False where it is not there."""
        patience = self._patience()
        while True:
            failure = await self._transport.lines(
                lambda client: client.files.with_streaming_response.content(file), take
            )
            if failure is None:
                return True
            if failure.status in (404, 410):
                return False
            await patience.after(failure)

    async def delete(self, file: str) -> None:
        """Best effort: endpoints delete files by themselves, weeks later."""
        await self._transport.exchange(lambda client: client.files.with_raw_response.delete(file))

    async def tidy(self, name: str, keep: str = "") -> None:
        """Delete the uploaded files of this name but one, likewise."""
        outcome = await self._transport.exchange(
            lambda client: client.files.with_raw_response.list(purpose="batch", order="desc")
        )
        for file in _data(_object(outcome)):
            found = _text(file.get("id"))
            if found and file.get("filename") == name and found != keep:
                await self.delete(found)

    async def _read(self, call: Call) -> Mapping[str, Any]:
        """The JSON object that a call gives which changes nothing."""
        patience = self._patience()
        while True:
            outcome = await self._transport.exchange(call)
            found = _object(outcome)
            if found:
                return found
            await patience.after(outcome)

    def _require_api(self, outcome: Reply | Failure) -> None:
        if isinstance(outcome, Failure) and outcome.status in _NO_API:
            host = self._transport.endpoint.host
            raise BatchError(
                f"{host} has no Batch API ({outcome.status})", "run it with --lane live, or check llm.base_url"
            )

    def _patience(self) -> _Patience:
        return _Patience(self._transport.endpoint.host, self._sleep)


class _Patience:
    """Waits between attempts, until there have been enough."""

    def __init__(self, host: str, sleep: Sleep) -> None:
        self._host, self._sleep = host, sleep
        self.attempts = 0

    async def after(self, outcome: Reply | Failure) -> None:
        """Wait before the next attempt; raises what makes another one pointless."""
        self.attempts += 1
        wait: float | None = None
        if isinstance(outcome, Failure):
            if not outcome.retry or self.attempts >= _ATTEMPTS:
                raise outcome.error
            wait = outcome.wait
        elif self.attempts >= _ATTEMPTS:
            raise EndpointError(f"{self._host} gave an answer that cannot be read", "check llm.base_url")
        ours = min(_MOST_SECONDS, _BASE_SECONDS * 2.0 ** (self.attempts - 1)) * random.uniform(0.5, 1.0)
        await self._sleep(max(ours, wait or 0.0))


def _uploading(file: tuple[str, IO[bytes], str]) -> Call:
    return lambda client: client.files.with_raw_response.create(file=file, purpose="batch")


def _listing(after: str) -> Call:
    where = {"after": after} if after else {}
    return lambda client: client.batches.with_raw_response.list(limit=_PAGE, **where)  # type: ignore[arg-type]


def _not_there_yet(said: str) -> bool:
    """Endpoints take a moment to find a file that they have just been given."""
    words = said.casefold()
    return "file" in words and any(each in words for each in _NOT_THERE_YET)


def _object(outcome: Reply | Failure) -> Mapping[str, Any]:
    """Empty where there is none."""
    if isinstance(outcome, Failure):
        return {}
    try:
        found = orjson.loads(outcome.raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _data(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = page.get("data")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _remote(found: Mapping[str, Any]) -> Remote | None:
    name, status = _text(found.get("id")), _text(found.get("status"))
    if not name or not status:
        return None
    counts, marks, errors = found.get("request_counts"), found.get("metadata"), found.get("errors")
    counts = counts if isinstance(counts, dict) else {}
    settled = [counts.get(each) for each in ("completed", "failed")]
    created = found.get("created_at")
    return Remote(
        id=name,
        status=status,
        created=float(created) if isinstance(created, (int, float)) else 0.0,
        file=_text(found.get("input_file_id")),
        mark=_text(marks.get(_MARK)) if isinstance(marks, dict) else "",
        settled=sum(each for each in settled if isinstance(each, int)),
        output=_text(found.get("output_file_id")) or None,
        failures=_text(found.get("error_file_id")) or None,
        errors=tuple(
            (_text(each.get("code")), _text(each.get("message")))
            for each in (_data(errors) if isinstance(errors, dict) else [])
        ),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
