"""Requests as the lines of a batch's file: requests in, a JSONL file of one model on the disk out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tasks.llm.batch.store import Asked
from tasks.llm.dialect import Dialect
from tasks.llm.request import Request, parameters, to_openai


def line(key: str, url: str, body: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"custom_id": key, "method": "POST", "url": url, "body": body}) + b"\n"


class RequestFile:
    """A file that is being written, and what is in it. An endpoint wants one model in a batch."""

    def __init__(self, path: Path, model: str, dialect: Dialect, url: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.model, self.dialect = path, model, dialect
        self.asked: list[Asked] = []
        self.parameters: frozenset[str] = frozenset()
        self.bytes = 0
        self._url = url
        self._file = open(path, "wb")  # noqa: SIM115  it stays open until it is full

    @property
    def id(self) -> str:
        return self.path.stem

    def line(self, key: str, request: Request) -> bytes:
        return line(key, self._url, self.dialect.spoken(to_openai(request)))

    def add(self, asked: Asked, request: Request, written: bytes) -> None:
        self._file.write(written)
        self.bytes += len(written)
        self.asked.append(asked)
        self.parameters |= parameters(request)

    def close(self) -> None:
        self._file.close()
