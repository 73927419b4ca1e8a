"""The fake endpoint's files and batches: what is uploaded is checked, worked on as it is polled, and billed by itself.

A batch is over after so many looks at it (`BatchBehaviour.polls`), and has done its share of the work at each. What it
answers are the chat handler's answers. Its bill is separate, since a batch costs half.
"""

from __future__ import annotations

import collections
import dataclasses
import email.parser
import email.policy
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

from tests.llm import made_up

if TYPE_CHECKING:
    from tests.llm.endpoint import Call, FakeEndpoint, Fault

CHAT = "/v1/chat/completions"
Reply = tuple[int, Any]  # a status, and JSON or bytes

# Where a test can look on, or kill whoever asks: at `uploading` and `creating` the endpoint has done nothing yet, at
# the others it has, and says so only afterwards. `answering` is in the middle of a file.
Point = Literal["uploading", "uploaded", "creating", "created", "retrieved", "answering", "deleted"]


@dataclasses.dataclass(frozen=True, slots=True)
class BatchBehaviour:
    supported: bool = True
    polls: int = 1
    max_requests: int = 50_000
    max_bytes: int = 200_000_000
    enqueued: int | None = None  # requests of a model that may be at work at the same time
    failures: Mapping[Fault, float] = dataclasses.field(default_factory=dict)  # share of the requests
    answered: int | None = None  # requests that are answered before the batch expires
    shows_metadata: bool = True


@dataclasses.dataclass
class _Batch:
    id: str
    file: str
    metadata: Any
    created: int
    lines: list[dict[str, Any]]
    status: str = "validating"
    looks: int = 0
    results: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    errors: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    output: str | None = None
    failures: str | None = None

    @property
    def model(self) -> str:
        return str(self.lines[0]["body"]["model"])

    @property
    def at_work(self) -> bool:
        return self.status in ("validating", "in_progress", "finalizing")


class FakeBatches:
    """Belongs to an endpoint, and to its loop."""

    def __init__(self, endpoint: FakeEndpoint) -> None:
        self.behaviour = BatchBehaviour()
        self.calls: list[Call] = []  # one for each line that was worked on
        self.operations: collections.Counter[str] = collections.Counter()
        self.files: dict[str, tuple[str, bytes]] = {}
        self.batches: dict[str, _Batch] = {}
        self.on: dict[Point, Callable[[], None]] = {}
        self._endpoint = endpoint
        self._scripts: dict[str, collections.deque[Fault | None]] = {}
        self._seen: collections.Counter[str] = collections.Counter()

    # --- what tests ask

    def script(self, operation: str, *faults: Fault | None) -> None:
        """What happens to the next calls of an operation: upload, create, retrieve, content, list, delete."""
        self._scripts[operation] = collections.deque(faults)

    def bill(self) -> dict[str, int]:
        calls = [call for call in list(self.calls) if call.billed]
        return {
            "calls": len(calls),
            "prompt_tokens": sum(call.prompt_tokens for call in calls),
            "completion_tokens": sum(call.completion_tokens for call in calls),
        }

    def sizes(self) -> list[int]:
        """Requests of each batch, in order of creation."""
        return [len(batch.lines) for batch in self.batches.values()]

    # --- the protocol

    def speaks(self, path: str) -> bool:
        return path.startswith(("/v1/files", "/v1/batches"))

    def operation(self, method: str, path: str) -> str:
        match method, urlsplit(path).path.strip("/").split("/")[1:]:
            case "POST", ["files"]:
                return "upload"
            case "GET", ["files" | "batches"]:
                return "list"
            case "GET", ["files", _, "content"]:
                return "content"
            case "DELETE", ["files", _]:
                return "delete"
            case "POST", ["batches"]:
                return "create"
            case "POST", ["batches", _, "cancel"]:
                return "cancel"
            case "GET", ["batches", _]:
                return "retrieve"
        return "unknown"

    def fault(self, operation: str) -> Fault | None:
        script = self._scripts.get(operation)
        return script.popleft() if script else None

    def answer(self, operation: str, path: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        """What the endpoint does and says, where nothing goes wrong."""
        self.operations[operation] += 1
        if not self.behaviour.supported:
            return 404, _error("not_found", f"Unknown request URL: {path}")
        where = urlsplit(path)
        name = (where.path.split("/") + [""] * 4)[3]
        query = {key: values[0] for key, values in parse_qs(where.query).items()}
        match operation:
            case "upload":
                return self._upload(headers, raw)
            case "create":
                return self._create(json.loads(raw))
            case "retrieve" if name in self.batches:
                return self._retrieve(self.batches[name])
            case "cancel" if name in self.batches:
                batch = self.batches[name]
                self._finish(batch, "cancelled")
                return 200, self._shown(batch)
            case "content" if name in self.files:
                return 200, self.files[name][1]
            case "delete" if name in self.files:
                del self.files[name]
                self._reached("deleted")
                return 200, {"id": name, "object": "file", "deleted": True}
            case "list" if where.path.endswith("batches"):
                return 200, _page([self._shown(batch) for batch in reversed(self.batches.values())], query)
            case "list":
                return 200, _page([self._file(name) for name in reversed(self.files)], query)
        return 404, _error("not_found", f"No such object: {name}")

    def _upload(self, headers: Mapping[str, str], raw: bytes) -> Reply:
        self._reached("uploading")
        fields = dict(_fields(headers, raw))
        name, content = fields["file"]
        if fields["purpose"][1] != b"batch" or not name.endswith(".jsonl"):
            return 400, _error("invalid_file", "purpose 'batch' wants a .jsonl file", "purpose")
        if len(content) > self.behaviour.max_bytes:
            return 413, _error("file_too_large", f"The file has {len(content)} bytes", "file")
        file = f"file-{self.operations['upload']}"
        self.files[file] = name, content
        self._reached("uploaded")
        return 200, self._file(file)

    def _create(self, body: Mapping[str, Any]) -> Reply:
        self._reached("creating")
        file = body["input_file_id"]
        if file not in self.files:
            return 400, _error("invalid_request_error", f"Cannot find file {file}", "input_file_id")
        if body["endpoint"] != CHAT or body["completion_window"] != "24h":
            return 400, _error("invalid_request_error", "no such endpoint or window", "endpoint")
        lines = [json.loads(line) for line in self.files[file][1].splitlines()]
        name = f"batch_{len(self.batches) + 1}"
        batch = _Batch(name, file, body.get("metadata"), int(time.time()), lines)
        batch.errors = list(self._invalid(batch))
        self.batches[name] = batch
        self._reached("created")
        return 200, self._shown(batch)

    def _invalid(self, batch: _Batch) -> Iterator[dict[str, Any]]:
        """What the endpoint finds wrong with a batch, which it says only when it is asked later."""
        names = [line["custom_id"] for line in batch.lines]
        if not names or len(names) > self.behaviour.max_requests:
            yield {"code": "too_many_requests", "message": f"A batch has 1 to {self.behaviour.max_requests} requests"}
        if len(set(names)) < len(names) or max(map(len, names), default=0) > 64:
            yield {"code": "duplicate_custom_id", "message": "Each custom_id is unique, and at most 64 characters"}
        if len({line["body"]["model"] for line in batch.lines}) > 1:
            yield {"code": "mismatched_model", "message": "All requests of a batch name the same model"}
        for number, line in enumerate(batch.lines, start=1):
            if (line["method"], line["url"]) != ("POST", CHAT):
                yield {"code": "invalid_url", "message": "The url is not the batch's endpoint", "line": number}
        others = (one for one in self.batches.values() if one.at_work and one.model == batch.model)
        limit = self.behaviour.enqueued
        if limit is not None and len(names) + sum(len(one.lines) for one in others) > limit:
            yield {"code": "token_limit_exceeded", "message": f"Enqueued limit reached for {batch.model}: {limit}"}

    def _retrieve(self, batch: _Batch) -> Reply:
        if batch.at_work:
            batch.looks += 1
            if batch.errors:
                batch.status = "failed"
            else:
                batch.status = "in_progress"
                self._work(batch)
        self._reached("retrieved")
        return 200, self._shown(batch)

    def _work(self, batch: _Batch) -> None:
        """The share of the lines that is due at this look."""
        due = -(-len(batch.lines) * batch.looks // max(1, self.behaviour.polls))
        last = self.behaviour.answered
        expired = last is not None and due > last
        for line in batch.lines[len(batch.results) : min(due, last) if last is not None else due]:
            batch.results.append(self._result(line))
        if expired:
            self._finish(batch, "expired")
        elif len(batch.results) == len(batch.lines):
            self._finish(batch, "completed")

    def _finish(self, batch: _Batch, status: str) -> None:
        for line in batch.lines[len(batch.results) :]:
            error = {"code": f"batch_{status}", "message": f"This request was not worked on: the batch has {status}."}
            batch.results.append({"custom_id": line["custom_id"], "response": None, "error": error})
        good = [one for one in batch.results if one["response"] and one["response"]["status_code"] == 200]
        bad = [one for one in batch.results if one not in good]
        random.Random(len(batch.lines)).shuffle(good)  # the order of a batch's answers is nobody's
        batch.output, batch.failures = self._kept(f"{batch.id}-out", good), self._kept(f"{batch.id}-err", bad)
        batch.status = status

    def _kept(self, name: str, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None
        self.files[name] = f"{name}.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return name

    def _result(self, line: Mapping[str, Any]) -> dict[str, Any]:
        status, body = self._endpoint.batched(line["body"], self._dice(line["body"]))
        return {
            "id": f"batch_req_{line['custom_id'][:8]}",
            "custom_id": line["custom_id"],
            "response": {"status_code": status, "request_id": "req", "body": body},
            "error": None,
        }

    def _dice(self, body: Mapping[str, Any]) -> Fault | None:
        name = made_up.request_hash([CHAT, body])
        dice = random.Random(f"batch {self._endpoint.behaviour.seed} {name} {self._seen[name]}")
        self._seen[name] += 1
        at = dice.random()
        for fault, share in self.behaviour.failures.items():
            if (at := at - share) < 0:
                return fault
        return None

    def _reached(self, point: Point) -> None:
        if point in self.on:
            self.on.pop(point)()

    def middle(self) -> None:
        """Half of a file is sent."""
        self._reached("answering")

    def _file(self, name: str) -> dict[str, Any]:
        filename, content = self.files[name]
        found = {"id": name, "object": "file", "purpose": "batch", "filename": filename, "bytes": len(content)}
        return found | {"created_at": int(time.time()), "status": "processed"}

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        good = sum(1 for one in batch.results if one["response"] and one["response"]["status_code"] == 200)
        counts = {"total": len(batch.lines), "completed": good, "failed": len(batch.results) - good}
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": CHAT,
            "completion_window": "24h",
            "status": batch.status,
            "created_at": batch.created,
            "input_file_id": batch.file,
            "output_file_id": batch.output,
            "error_file_id": batch.failures,
            "errors": {"object": "list", "data": batch.errors} if batch.status == "failed" else None,
            "request_counts": counts,
            "metadata": batch.metadata if self.behaviour.shows_metadata else None,
        }


def _fields(headers: Mapping[str, str], raw: bytes) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """The fields of a multipart form: a name, and its file name and content."""
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    for part in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw).iter_parts():
        said = part["content-disposition"].params
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield said["name"], (said.get("filename", ""), content)


def _page(found: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    names = [one["id"] for one in found]
    begin = names.index(query["after"]) + 1 if "after" in query else 0
    shown = found[begin : begin + int(query.get("limit", 20))]
    return {"object": "list", "data": shown, "has_more": begin + len(shown) < len(found)}


def _error(code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": param, "code": code}}
