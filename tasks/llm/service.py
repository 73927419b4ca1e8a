"""The client for code that is not async: one loop on a thread of its own, shared by every thread that asks.

with Service(lambda: Client(endpoint, responses, Pacer(limits), on_spend)) as service:
    answers = service.answers(requests, owner=doc_id)

Every other exchange is hosted in the same way.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Self, TypeVar

from tasks.llm.client import Client, Counts
from tasks.llm.errors import LlmError, StoppedError
from tasks.llm.exchange import Exchange
from tasks.llm.request import Request
from tasks.llm.responses import Response
from tasks.llm.wire import Asked

T = TypeVar("T")
E = TypeVar("E", bound=Exchange)
Beside = Callable[[], contextlib.AbstractAsyncContextManager[None]]
_PATIENCE_SECONDS = 30.0


class Hosted(Generic[E]):
    """An exchange with a loop of its own. `make` is called on the loop's thread, where it and its pacer belong.

    `beside` is held on the loop for as long as this lives. What it raises as it is entered is raised here; one that
    has to wait is waited for on the loop.
    """

    def __init__(self, make: Callable[[], E], beside: Beside | None = None) -> None:
        self._holder: asyncio.Task[None] | None = None
        self._closing = False
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        try:
            self._client = self._result(self._made(make))
            if beside is not None:
                self._result(self._hold(beside))
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

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Have something done on the loop. Raises StoppedError once it is closed."""
        with self._lock:  # what is accepted is done before the loop stops, so that nobody waits for ever
            if not self._closing:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise StoppedError("the run has ended", "run again: what is answered is kept")

    def run(self, ask: Callable[[E], Coroutine[Any, Any, T]]) -> T:
        """Ask on the loop; blocks the calling thread. An interrupt leaves the work running: what was paid for arrives,
        and `close` waits for it."""
        return self.start(ask(self._client)).result()

    def stop(self, error: LlmError | None = None) -> None:
        """As `Exchange.stop`; returns at once."""
        self._loop.call_soon_threadsafe(self._client.stop, error)

    def close(self) -> None:
        """Waits for what is on its way; safe to call twice."""
        with self._lock:
            first, self._closing = not self._closing, True
        if first:
            try:
                self._result(self._closed())
            finally:
                self._end()

    async def _made(self, make: Callable[[], E]) -> E:
        return make()

    async def _hold(self, beside: Beside) -> None:
        """Returns once it is entered, or has to wait for longer than a run should for its start."""
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._holder = asyncio.create_task(self._holding(beside, entered))
        await asyncio.wait({entered}, timeout=_PATIENCE_SECONDS)
        if entered.done():
            entered.result()

    async def _holding(self, beside: Beside, entered: asyncio.Future[None]) -> None:
        try:
            async with beside():
                entered.set_result(None)
                await asyncio.get_running_loop().create_future()  # until it is cancelled
        except Exception as error:  # noqa: BLE001  # told to whoever asks
            if not entered.done():
                entered.set_exception(error)
                entered.exception()  # told by the client, where nobody waits for it any more
            self._client.stop(error if isinstance(error, LlmError) else StoppedError(str(error)))

    async def _closed(self) -> None:
        try:
            await self._client.close()
        finally:
            if self._holder is not None:
                self._holder.cancel()
                await asyncio.gather(self._holder, return_exceptions=True)

    def _result(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _none_left(self) -> None:
        """What was accepted while the exchange closed ends with it."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _end(self) -> None:
        self._closing = True
        self._result(self._none_left())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Service(Hosted[Client]):
    """A client with a loop of its own."""

    def answer(self, request: Asked, owner: str = "") -> Response:
        """As `Client.answer`; blocks the calling thread."""
        return self.submit(request, owner).result()

    def submit(self, request: Asked, owner: str = "") -> concurrent.futures.Future[Response]:
        """As `answer`, for whoever awaits it elsewhere."""
        return self.start(self._client.answer(request, owner))

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
