"""A fake OpenAI-compatible HTTP server on loopback: chat, embeddings, speech, batches, limits, faults and its bill.

    with FakeEndpoint(Behaviour(requests_per_minute=600)) as endpoint:
        ... base_url=endpoint.base_url, api_key=endpoint.behaviour.api_key ...
        assert endpoint.billed_twice() == 0

It runs on a thread and a loop of its own. What it answers, how long it takes and which requests fail depends on the
seed, the request and how often that came before, never on the order of arrival.
`python -m tests.llm.endpoint '{"requests_per_minute": 600}'` runs it alone, with GET /fake/bill.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import enum
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from tests.llm import made_up, transcripts
from tests.llm.batches import CHAT, FakeBatches


class Fault(enum.StrEnum):
    """What can go wrong with one request. The reply is billed where a real endpoint has worked for it."""

    RATE_LIMITED = "rate_limited"  # 429, whatever the buckets say
    QUOTA = "quota"  # 429 insufficient_quota
    SERVER_ERROR = "server_error"  # 500
    UNAVAILABLE = "unavailable"  # 503
    TIMEOUT = "timeout"  # 408
    CONFLICT = "conflict"  # 409
    BAD_REQUEST = "bad_request"  # 400
    UNAUTHORIZED = "unauthorized"  # 401, with the key in its message
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not_found"  # 404
    FILTERED = "filtered"  # 400 content_filter
    REDIRECT = "redirect"  # 307 to `redirect_to`
    HANG = "hang"  # no reply until the client gives up
    DROP = "drop"  # the connection ends before a reply
    CUT = "cut"  # the connection ends in the middle of a reply; billed
    GARBAGE = "garbage"  # 200 with a body that is no JSON; billed
    ODD = "odd"  # 200 with JSON that is no completion; billed
    EMPTY = "empty"  # 200 with empty content; billed
    LENGTH = "length"  # 200, cut at max_tokens; billed
    REFUSAL = "refusal"  # 200 with a refusal; billed
    NOT_JSON = "not_json"  # 200 with prose where JSON was asked for; billed


_ERRORS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.RATE_LIMITED: (429, "rate_limit_exceeded", "Rate limit reached"),
    Fault.QUOTA: (429, "insufficient_quota", "You exceeded your current quota"),
    Fault.SERVER_ERROR: (500, "server_error", "The server had an error"),
    Fault.UNAVAILABLE: (503, "overloaded", "The engine is currently overloaded"),
    Fault.TIMEOUT: (408, "timeout", "Request timeout"),
    Fault.CONFLICT: (409, "conflict", "Conflict"),
    Fault.BAD_REQUEST: (400, "invalid_request_error", "Invalid request"),
    Fault.FORBIDDEN: (403, "forbidden", "Country, region, or territory not supported"),
    Fault.NOT_FOUND: (404, "model_not_found", "The model does not exist"),
    Fault.FILTERED: (400, "content_filter", "The response was filtered"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Behaviour:
    """How the endpoint behaves; can be replaced while it runs (`endpoint.behaviour = ...`)."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst_seconds: float = 1.0  # what a bucket holds when it is full, as seconds of its rate
    latency: tuple[float, float] = (0.0, 0.0)  # median seconds and sigma of a log-normal distribution
    faults: Mapping[Fault, float] = dataclasses.field(default_factory=dict)  # share of the requests
    retry_after: bool = True  # a 429 says when to come back
    limit_headers: bool = True
    hang_seconds: float = 600.0
    formats: tuple[str, ...] = ("json_schema", "json_object")  # other response formats get 400
    refused_parameters: tuple[str, ...] = ()  # of the body: they get 400 (max_tokens, temperature, ...)
    api_key: str = "sk-fake"
    redirect_to: str = ""
    image_tokens: int = 765
    audio_formats: tuple[str, ...] = ("json", "verbose_json")  # others get 400
    audio_by_tokens: bool = False  # how sound is billed: else by the second
    dimension: int = 64
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request as the endpoint saw it."""

    hash: str
    path: str
    status: int  # 0 where no reply was begun
    fault: str
    billed: bool
    prompt_tokens: int
    completion_tokens: int
    arrived: float  # time.monotonic()
    body: Mapping[str, Any]  # of a form its fields, and what is true of its file
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: int = 0  # of sound, as they are billed


class FakeEndpoint:
    def __init__(
        self, behaviour: Behaviour | None = None, count: Callable[[str], int] | None = None, port: int = 0
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.calls: list[Call] = []
        self.connections = 0
        self.open = 0  # requests that have arrived and are not answered
        self.most_open = 0
        self.batches = FakeBatches(self)
        self._count = count or (lambda text: -(-len(text.encode()) // 4))
        self._script: collections.deque[Fault | None] = collections.deque()
        self._seen: collections.Counter[str] = collections.Counter()
        self._buckets: dict[str, tuple[float, float]] = {}  # name -> (level, at)
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-endpoint", daemon=True)

    # --- what tests ask

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def connected(self) -> int:
        """Connections that are open, or hold requests that are not answered."""
        return len(self._tasks)

    def script(self, *faults: Fault | None) -> None:
        """What happens to the next requests, in order of arrival; None is a good reply. It replaces an earlier one."""
        self._script = collections.deque(faults)

    def bodies(self) -> list[Mapping[str, Any]]:
        return [call.body for call in self.calls]

    def billed(self) -> collections.Counter[str]:
        """How often each request, by hash, was billed, live or in a batch."""
        calls = [*self.calls, *self.batches.calls]
        return collections.Counter(call.hash for call in calls if call.billed)

    def billed_twice(self) -> int:
        """Bills beyond the first of each request."""
        return sum(times - 1 for times in self.billed().values())

    def bill(self) -> dict[str, int]:
        """Of what was asked live; `batches` has a bill of its own."""
        calls = [call for call in list(self.calls) if call.billed]
        return {
            "calls": len(calls),
            "prompt_tokens": sum(call.prompt_tokens for call in calls),
            "completion_tokens": sum(call.completion_tokens for call in calls),
        }

    def billed_seconds(self) -> int:
        """Of sound."""
        return sum(call.seconds for call in list(self.calls) if call.billed)

    def statuses(self) -> collections.Counter[int]:
        return collections.Counter(call.status for call in list(self.calls))

    # --- its life

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(30):
            raise TimeoutError("the fake endpoint did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self._port, backlog=2048, limit=1 << 20)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    if not await self._exchange(method, path, headers, body, writer):
                        writer.transport.abort()
                        return
                finally:
                    self.open -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the endpoint ends
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    # --- one request

    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False to end the connection without more."""
        if path == "/fake/bill":
            bills = {**self.bill(), "batches": self.batches.bill(), "billed_twice": self.billed_twice()}
            _reply(writer, 200, {**bills, "statuses": self.statuses()})
            return True
        if self.batches.speaks(path):
            return await self._batch_exchange(method, path, headers, raw, writer)
        now = time.monotonic()
        body = _body(headers, raw)
        name = made_up.request_hash([path, body])
        behaviour = self.behaviour
        dice = random.Random(f"{behaviour.seed} {name} {self._seen[name]}")
        self._seen[name] += 1
        fault = self._fault(dice)
        latency = behaviour.latency[0] * dice.lognormvariate(0.0, behaviour.latency[1])

        def note(status: int, billed: bool = False, prompt: int = 0, completion: int = 0, seconds: int = 0) -> None:
            call = Call(name, path, status, fault or "", billed, prompt, completion, now, body, headers, seconds)
            self.calls.append(call)

        if fault is Fault.UNAUTHORIZED or headers.get("authorization") != f"Bearer {behaviour.api_key}":
            note(401)
            message = f"Incorrect API key provided: {headers.get('authorization', '')}"
            _reply(writer, 401, _error("invalid_api_key", message))
            return True
        problem = _unsupported(body, behaviour)
        if problem is not None:
            note(400)
            _reply(writer, 400, problem)
            return True
        if fault is Fault.REDIRECT:
            note(307)
            _reply(writer, 307, {}, {"location": behaviour.redirect_to})
            return True
        seconds = 0
        if path == "/v1/chat/completions":
            reply, prompt, completion = self._chat(name, body, fault)
        elif path == "/v1/embeddings":
            reply, prompt, completion = self._embeddings(body)
        elif path == "/v1/audio/transcriptions":
            refused = transcripts.problem(body, behaviour.audio_formats)
            if refused is not None:
                note(refused.status)
                _reply(writer, refused.status, _error(refused.code, refused.message, refused.param))
                return True
            heard = transcripts.answer(body, behaviour.audio_by_tokens)
            reply, prompt, completion, seconds = heard.reply, heard.prompt, heard.completion, heard.seconds
            reply = {"segments": "none"} if fault is Fault.ODD else reply
        else:
            note(404)
            _reply(writer, 404, _error("not_found", f"Unknown request URL: {method} {path}"))
            return True

        wait, limits = self._admit(now, prompt + completion)
        if wait > 0 or fault in (Fault.RATE_LIMITED, Fault.UNAVAILABLE, Fault.QUOTA):
            code, kind, message = _ERRORS[fault or Fault.RATE_LIMITED] if wait <= 0 else _ERRORS[Fault.RATE_LIMITED]
            if behaviour.retry_after and kind != "insufficient_quota":
                limits |= {"retry-after-ms": f"{max(wait, 0.02) * 1000:.0f}", "retry-after": f"{max(wait, 0.02):.3f}"}
            note(code)
            _reply(writer, code, _error(kind, message), limits)
            return True
        if fault is not None and fault in _ERRORS:
            code, kind, message = _ERRORS[fault]
            await asyncio.sleep(latency)
            note(code)
            _reply(writer, code, _error(kind, message), limits)
            return True
        if fault in (Fault.HANG, Fault.DROP):
            note(0)
            await asyncio.sleep(behaviour.hang_seconds if fault is Fault.HANG else latency)
            return False
        # Billed once it is accepted, whether or not the client stays to listen.
        note(200, True, prompt, completion, seconds)
        await asyncio.sleep(latency)
        if fault is Fault.CUT:
            _reply(writer, 200, reply, limits, cut=True)
            await writer.drain()
            return False
        _reply(writer, 200, b"<html>502 Bad Gateway</html>" if fault is Fault.GARBAGE else reply, limits)
        await writer.drain()
        return True

    async def _batch_exchange(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Of files and batches: they are not billed, and no limits hold for them."""
        if headers.get("authorization") != f"Bearer {self.behaviour.api_key}":
            message = f"Incorrect API key provided: {headers.get('authorization', '')}"
            _reply(writer, 401, _error("invalid_api_key", message))
            return True
        operation = self.batches.operation(method, path)
        fault = self.batches.fault(operation)
        if fault is not None and fault in _ERRORS:
            status, kind, message = _ERRORS[fault]
            _reply(writer, status, _error(kind, message), {"retry-after-ms": "1"} if status == 429 else None)
            return True
        if fault is Fault.REDIRECT:
            _reply(writer, 307, {}, {"location": self.behaviour.redirect_to})
            return True
        if fault in (Fault.DROP, Fault.HANG):
            await asyncio.sleep(self.behaviour.hang_seconds if fault is Fault.HANG else 0)
            return False
        status, body = self.batches.answer(operation, path, headers, raw)
        body = b"<html>" if fault is Fault.GARBAGE else body
        in_parts = operation == "content" and isinstance(body, bytes)
        _reply(writer, status, body, cut=fault is Fault.CUT or in_parts)
        await writer.drain()
        if in_parts and fault is not Fault.CUT:
            self.batches.middle()
            writer.write(body[len(body) // 2 :])
            await writer.drain()
        return fault is not Fault.CUT

    def batched(self, body: Mapping[str, Any], fault: Fault | None) -> tuple[int, Any]:
        """The status and body of one request of a batch, on the batches' bill."""
        name = made_up.request_hash([CHAT, body])
        now = time.monotonic()
        problem = _unsupported(body, self.behaviour)
        if problem is not None or (fault is not None and fault in _ERRORS):
            status, kind, message = (400, "", "") if fault is None or problem else _ERRORS[fault]
            self.batches.calls.append(Call(name, CHAT, status, fault or "", False, 0, 0, now, body))
            return status, problem or _error(kind, message)
        reply, prompt, completion = self._chat(name, body, fault)
        self.batches.calls.append(Call(name, CHAT, 200, fault or "", True, prompt, completion, now, body))
        return 200, "<html>502 Bad Gateway</html>" if fault is Fault.GARBAGE else reply

    def _fault(self, dice: random.Random) -> Fault | None:
        if self._script:
            return self._script.popleft()
        at = dice.random()
        for name, share in self.behaviour.faults.items():
            if (at := at - share) < 0:
                return Fault(name)
        return None

    def _chat(self, name: str, body: Mapping[str, Any], fault: Fault | None) -> tuple[dict[str, Any], int, int]:
        images = made_up.image_urls(body)
        prompt = self._count(made_up.text_of(body)) + 4 * len(body["messages"])
        prompt += self.behaviour.image_tokens * len(images)
        text, finish, refusal = made_up.answer(body), "stop", None
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        if fault is Fault.LENGTH or (limit is not None and self._count(text) > limit):
            text, finish = text[: max(1, min(len(text) // 2, 4 * limit if limit else len(text)))], "length"
        if fault is Fault.EMPTY:
            text = ""
        if fault is Fault.NOT_JSON:
            text = "I would rather tell you a story."
        if fault is Fault.REFUSAL:
            text, refusal = "", "I'm sorry, I can't help with that."
        completion = self._count(text or refusal or "")
        if limit is not None:
            completion = min(completion, limit)
        reply: dict[str, Any] = {
            "id": f"chatcmpl-{name[:12]}",
            "object": "chat.completion",
            "created": 1700000000,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text or None, "refusal": refusal},
                    "finish_reason": finish,
                }
            ],
            "usage": _usage(prompt, completion) | {"prompt_tokens_details": {"cached_tokens": 0}},
        }
        return ({"choices": "none"} if fault is Fault.ODD else reply), prompt, completion

    def _embeddings(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        texts = [one if isinstance(one, str) else " ".join(map(str, one)) for one in given]
        dimension = body.get("dimensions", self.behaviour.dimension)
        vectors = [made_up.embedding(text, dimension) for text in texts]
        packed = body.get("encoding_format") == "base64"
        prompt = sum(self._count(text) for text in texts)
        data = [
            {"object": "embedding", "index": i, "embedding": made_up.embedding_bytes(vector) if packed else vector}
            for i, vector in enumerate(vectors)
        ]
        return {"object": "list", "data": data, "model": body["model"], "usage": _usage(prompt, 0)}, prompt, 0

    def _admit(self, now: float, tokens: int) -> tuple[float, dict[str, str]]:
        """Take one request and its tokens from the buckets if both have room. -> (seconds to wait or 0, headers)"""
        behaviour = self.behaviour
        rates = {"requests": (behaviour.requests_per_minute, 1.0), "tokens": (behaviour.tokens_per_minute, tokens)}
        levels: dict[str, tuple[float, float, float]] = {}  # name -> (level, rate, need)
        wait = 0.0
        for name, (per_minute, need) in rates.items():
            if per_minute is None:
                continue
            rate = per_minute / 60
            size = max(1.0, rate * behaviour.burst_seconds)
            level, at = self._buckets.get(name, (size, now))
            level = min(size, level + (now - at) * rate)
            levels[name] = level, rate, need
            wait = max(wait, (min(need, size) - level - 1e-9) / rate)  # a request larger than the bucket takes it full
        headers = {}
        for name, (level, rate, need) in levels.items():
            level = level if wait > 0 else level - need
            self._buckets[name] = level, now
            if behaviour.limit_headers:
                headers[f"x-ratelimit-limit-{name}"] = f"{rate * 60:.0f}"
                headers[f"x-ratelimit-remaining-{name}"] = f"{max(0.0, level):.0f}"
                headers[f"x-ratelimit-reset-{name}"] = f"{max(0.0, 1 - level) / rate * 1000:.0f}ms"
        return max(0.0, wait), headers


def _body(headers: Mapping[str, str], raw: bytes) -> Mapping[str, Any]:
    if headers.get("content-type", "").startswith("multipart/form-data"):
        return transcripts.form(headers["content-type"], raw)
    body: Mapping[str, Any] = json.loads(raw) if raw else {}
    return body


def _unsupported(body: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any] | None:
    wanted = body.get("response_format") or {}
    kind = wanted.get("type", "text") if isinstance(wanted, Mapping) else "text"
    if kind != "text" and kind not in behaviour.formats:
        return _error("unsupported_value", f"response_format: type {kind!r} is not supported", "response_format")
    for name in behaviour.refused_parameters:
        if name in body:
            return _error("unsupported_parameter", f"Unsupported parameter: '{name}' is not supported here.", name)
    return None


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _error(code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": param, "code": code}}


def _reply(
    writer: asyncio.StreamWriter,
    status: int,
    body: Any,
    headers: Mapping[str, str] | None = None,
    cut: bool = False,
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {status} Fake", "content-type: application/json", f"content-length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (raw[: len(raw) // 2] if cut else raw))


def main() -> None:
    """Serve until standard input ends; the first line on standard output is the base URL."""
    given = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    given["faults"] = {Fault(name): share for name, share in given.get("faults", {}).items()}
    given["latency"] = tuple(given.get("latency", (0.0, 0.0)))
    with FakeEndpoint(Behaviour(**given)) as endpoint:
        print(endpoint.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
