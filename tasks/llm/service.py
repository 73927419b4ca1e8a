"""The client for code that is not async: one loop on a thread of its own, shared by every thread that asks.

with Service(lambda: Client(endpoint, responses, Pacer(limits), on_spend)) as service:
    answers = service.answers(requests, owner=doc_id)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from tasks.llm.client import Client, Counts
from tasks.llm.errors import LlmError
from tasks.llm.request import Request
from tasks.llm.responses import Response

_T = TypeVar("_T")


class Service:
    """`make` is called on the loop's thread, where the client and its pacer belong."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(self._made(make))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        return self._client.counts

    def answer(self, request: Request, owner: str = "") -> Response:
        """As `Client.answer`; blocks the calling thread."""
        return self._run(self._client.answer(request, owner))

    def answers(self, requests: Sequence[Request], owner: str = "") -> list[Response | LlmError]:
        """One answer, or the reason that there is none, per request. Raises a fatal LlmError, and every other error,
        once what was on its way has arrived and is kept."""
        found: list[Response | LlmError] = []
        for one in self._run(self._all(requests, owner)):
            if isinstance(one, BaseException) and not (isinstance(one, LlmError) and not one.fatal):
                raise one
            found.append(one)
        return found

    def stop(self, error: LlmError | None = None) -> None:
        """As `Client.stop`; returns at once."""
        self._loop.call_soon_threadsafe(self._client.stop, error)

    def close(self) -> None:
        """Waits for what is on its way; safe to call twice."""
        if not self._loop.is_closed():
            try:
                self._run(self._client.close())
            finally:
                self._end()

    async def _made(self, make: Callable[[], Client]) -> Client:
        return make()

    async def _all(self, requests: Sequence[Request], owner: str) -> list[Response | BaseException]:
        answers = (self._client.answer(request, owner) for request in requests)
        return await asyncio.gather(*answers, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """An interrupt leaves the work running: what was paid for arrives, and `close` waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
