"""The client for code that is not async: one loop on a thread of its own, shared by every thread that asks.

with Service(lambda: Client(endpoint, responses, Pacer(limits), on_spend)) as service:
    answers = service.answers(requests, owner=doc_id)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from tasks.llm.client import Client, Counts
from tasks.llm.errors import LlmError, StoppedError
from tasks.llm.request import Request
from tasks.llm.responses import Response
from tasks.llm.wire import Asked

_T = TypeVar("_T")
Beside = Callable[[], contextlib.AbstractAsyncContextManager[None]]
_PATIENCE_SECONDS = 30.0


class Service:
    """`make` is called on the loop's thread, where the client and its pacer belong.

    `beside` is held on the loop for as long as the service lives. What it raises as it is entered is raised here; one
    that has to wait is waited for on the loop.
    """

    def __init__(self, make: Callable[[], Client], beside: Beside | None = None) -> None:
        self._holder: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(self._made(make))
            if beside is not None:
                self._run(self._hold(beside))
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

    def answer(self, request: Asked, owner: str = "") -> Response:
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

    def submit(self, request: Asked, owner: str = "") -> concurrent.futures.Future[Response]:
        """As `answer`, for whoever awaits it elsewhere."""
        return self.start(self._client.answer(request, owner))

    def start(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Have something done on the loop."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise StoppedError("the run has ended", "run again: what is answered is kept") from None

    def stop(self, error: LlmError | None = None) -> None:
        """As `Client.stop`; returns at once."""
        self._loop.call_soon_threadsafe(self._client.stop, error)

    def close(self) -> None:
        """Waits for what is on its way; safe to call twice."""
        if not self._loop.is_closed():
            try:
                self._run(self._closed())
            finally:
                self._end()

    async def _made(self, make: Callable[[], Client]) -> Client:
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
