"""The client for code that is not async: one loop on a thread of its own, shared by every thread that asks.

with Service(lambda: Client(endpoint, responses, Pacer(limits), on_spend)) as service:
    answers = service.answers(requests, owner=doc_id)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Self, TypeVar

from tasks.llm.client import Client, Counts
from tasks.llm.errors import LlmError, StoppedError
from tasks.llm.exchange import Exchange
from tasks.llm.request import Request
from tasks.llm.responses import Response

T = TypeVar("T")
E = TypeVar("E", bound=Exchange)


class Hosted(Generic[E]):
    """An exchange with a loop of its own. `make` is called on the loop's thread, where it and its pacer belong."""

    def __init__(self, make: Callable[[], E]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        try:
            self._client = self._result(self._made(make))
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

    def start(self, ask: Callable[[E], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Ask on the loop. Raises StoppedError once it is closed."""
        asked = ask(self._client)
        try:
            return asyncio.run_coroutine_threadsafe(asked, self._loop)
        except RuntimeError:  # the loop is closed
            asked.close()
            raise StoppedError("the run has ended", "run again: what is answered is kept") from None

    def run(self, ask: Callable[[E], Coroutine[Any, Any, T]]) -> T:
        """As `start`; blocks the calling thread. An interrupt leaves the work running: what was paid for arrives, and
        `close` waits for it."""
        return self.start(ask).result()

    def stop(self, error: LlmError | None = None) -> None:
        """As `Exchange.stop`; returns at once."""
        self._loop.call_soon_threadsafe(self._client.stop, error)

    def close(self) -> None:
        """Waits for what is on its way; safe to call twice."""
        if not self._loop.is_closed():
            try:
                self._result(self._client.close())
            finally:
                self._end()

    async def _made(self, make: Callable[[], E]) -> E:
        return make()

    def _result(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Service(Hosted[Client]):
    """A chat client with a loop of its own."""

    def answer(self, request: Request, owner: str = "") -> Response:
        """As `Client.answer`; blocks the calling thread."""
        return self.run(lambda client: client.answer(request, owner))

    def answers(self, requests: Sequence[Request], owner: str = "") -> list[Response | LlmError]:
        """One answer, or the reason that there is none, per request. Raises a fatal LlmError, and every other error,
        once what was on its way has arrived and is kept."""

        async def all_of(client: Client) -> list[Response | BaseException]:
            answers = (client.answer(request, owner) for request in requests)
            return await asyncio.gather(*answers, return_exceptions=True)

        found: list[Response | LlmError] = []
        for one in self.run(all_of):
            if isinstance(one, BaseException) and not (isinstance(one, LlmError) and not one.fatal):
                raise one
            found.append(one)
        return found
