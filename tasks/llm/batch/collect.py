"""The lines that a batch gives back, one at a time in: answers kept and paid for, what became of each request out.

A line is taken as a live reply is: kept and put down before its words are looked at, errors by their status. Lines come
again when a collection is begun again; an answer is kept once, and costs once.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tasks.llm import reply
from tasks.llm.batch.store import AGAIN, ANSWERED, UNTRIED, Asked, Batch, Outcome, final
from tasks.llm.dialect import Dialect
from tasks.llm.errors import LlmError, RefusedError
from tasks.llm.responses import Responses
from tasks.llm.spend import Spend
from tasks.llm.transport import Transport

_READ_AGAIN = 2  # times, where a line cannot be read: on the way here it may have been damaged
_ENDED = frozenset({"batch_expired", "batch_cancelled", "batch_canceled"})


class Collector:
    """Of one batch. `paid` is told of every reply that was billed, again when it comes again."""

    def __init__(
        self,
        batch: Batch,
        asked: Mapping[str, Asked],
        transport: Transport,
        responses: Responses,
        paid: Callable[[Batch, Spend], None],
    ) -> None:
        self._batch, self._asked = batch, asked
        self._transport, self._responses, self._paid = transport, responses, paid
        self._outcomes: dict[str, Outcome] = {}
        self._odd: collections.Counter[bytes] = collections.Counter()
        self.learnt: Dialect | None = None  # how to ask the model instead
        self.fatal: LlmError | None = None  # what any other request would meet too

    def outcomes(self) -> dict[str, Outcome]:
        """Of every request; one that no line spoke of has no answer."""
        return {key: self._outcomes.get(key, AGAIN) for key in self._asked}

    def take(self, line: bytes) -> None:
        """Raises ValueError where this is no line of a batch: the file that holds it, paid for, is to be read again."""
        if not line.strip():
            return
        try:
            found = reply.loads(line)
            if not isinstance(found, dict) or "custom_id" not in found:
                raise ValueError("no answer of a batch")
        except ValueError:
            self._odd[line] += 1
            if self._odd[line] > _READ_AGAIN:  # it is so at the endpoint: the other answers are not to wait for it
                return
            raise
        asked = self._asked.get(str(found["custom_id"]))
        if asked is not None and self._outcomes.get(asked.key) != ANSWERED:
            self._outcomes[asked.key] = self._outcome(asked, found)

    def _outcome(self, asked: Asked, found: Mapping[str, Any]) -> Outcome:
        response, error = found.get("response"), found.get("error")
        if not isinstance(response, dict):
            return AGAIN if not isinstance(error, dict) or error.get("code") in _ENDED else self._failed(0, error)
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            return self._received(asked, orjson.dumps(body))
        inner = body.get("error", body) if isinstance(body, dict) else {"message": str(body)}
        return self._failed(status if isinstance(status, int) else 500, inner if isinstance(inner, dict) else {})

    def _received(self, asked: Asked, raw: bytes) -> Outcome:
        model = self._batch.model
        try:
            response = reply.read(asked.key, model, raw, asked.prompt_tokens)
        except ValueError:  # billed, and nobody says how much
            self._paid(self._batch, Spend(asked.key, asked.owner, model, asked.prompt_tokens, 0, 0))
            return AGAIN
        empty = not response.text.strip() and not response.refusal and not response.cut
        if not empty:
            self._responses.put(response)
        used = (response.prompt_tokens, response.completion_tokens, response.cached_tokens)
        self._paid(self._batch, Spend(asked.key, asked.owner, model, *used))
        if not empty:
            return ANSWERED
        if response.finish == "content_filter":
            return final(RefusedError(f"{self._transport.endpoint.host} filtered the answer"))
        return AGAIN

    def _failed(self, status: int, error: Mapping[str, Any]) -> Outcome:
        code, message = error.get("code"), error.get("message")
        code = code if isinstance(code, str) else None
        failure = self._transport.failure(status or 500, {}, error, code, str(message or code or "no reason given"))
        if status in (400, 422):
            other = self._batch.dialect.after(failure.said, self._batch.parameters)
            if other is not None:
                self.learnt = other
                return UNTRIED
        if failure.retry:
            return AGAIN
        if failure.error.fatal:
            self.fatal = failure.error
            return AGAIN
        return final(failure.error)
