"""The batch lane as a run uses it, from any thread: requests in, and hours later answers in the responses store.

A request goes into a batch unless it is answered, is in one already, found no room in the budget, or has been in enough
of them: what no batch answers is for whoever asks live.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from tasks.llm import dialect
from tasks.llm.batch.api import BatchApi
from tasks.llm.batch.exchange import Exchange, sweep
from tasks.llm.batch.files import RequestFile
from tasks.llm.batch.store import Asked, Batch, BatchStore
from tasks.llm.dialect import Dialect
from tasks.llm.errors import PendingError, StoppedError
from tasks.llm.ledger import Budget, Ledger
from tasks.llm.prices import Usage
from tasks.llm.request import Request
from tasks.llm.responses import Responses
from tasks.llm.spend import Spend
from tasks.llm.tokens import prompt_tokens
from tasks.llm.transport import Endpoint, Transport
from tasks.settings import LlmSettings

ROUNDS = 3  # batches that a request is put into; one that comes back from all of them without an answer is asked live
_T = TypeVar("_T")
Start = Callable[[Coroutine[Any, Any, Any]], "concurrent.futures.Future[Any]"]  # on the loop that the lane belongs to


class Lane:
    """Of one stage of one run. `price` is a batch's; `start` runs what speaks with the endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LlmSettings,
        run: str,
        stage: str,
        *,
        store: BatchStore,
        folder: Path,
        responses: Responses,
        ledger: Ledger,
        budget: Budget,
        price: Callable[[str, Usage], Decimal | None],
        dialects: dict[str, Dialect],
        start: Start,
    ) -> None:
        self._settings, self._run, self._stage = settings, run, stage
        self._store, self._folder, self._responses, self._ledger = store, folder, responses, ledger
        self._budget, self._price, self._dialects, self._start = budget, price, dialects, start
        self._transport = Transport(endpoint)
        self._api = BatchApi(self._transport)
        self._exchange = Exchange(
            self._transport, self._api, store, responses, dialects, run, self._paid, self._settled
        )
        self._files: dict[str, RequestFile] = {}  # by model
        self._writing: set[str] = set()
        self._lent: dict[str, tuple[int, Decimal | None]] = {}
        self._billed: dict[str, tuple[int, Decimal | None]] = {}
        self._lock = threading.Lock()  # of the files
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._stopped = False
        self.short = False  # whether a request found no room in the budget since this was last set

    # --- what a run does, in this order

    def collect(self) -> None:
        """The answers of earlier runs' batches, as far as they are there; nothing is waited for."""
        sweep(self._folder)
        self._wait_for(self._exchange.take_up())
        self._wait_for(self._exchange.look())

    def put(self, request: Request, owner: str) -> str:
        """Have a request answered, if a batch can; its key, or nothing where no batch need or can. Submits a file that
        it fills."""
        key = request.key()
        if self.answered(key):
            return ""
        with self._lock:
            if key in self._writing:
                return key
            verdict = self._store.verdict(key, self._exchange.endpoint, self._run)
            if verdict.pending:
                return key
            if verdict.error is not None or verdict.attempts >= ROUNDS:
                return ""
            return key if self._write(request, Asked(key, owner, prompt_tokens(request))) else ""

    def answered(self, key: str) -> bool:
        return self._responses.get(key) is not None

    def flush(self) -> None:
        """Submit what is written."""
        with self._lock:
            for model in list(self._files):
                self._submit(model)

    def wait(self, seconds: float) -> bool:
        """Until all batches of the endpoint are collected, at most so long. Whether they are."""
        return self._wait_for(self._waited(seconds))

    def finish(self) -> None:
        """What has found no room in the budget finds none live either, at twice the price."""
        if self.short:
            self._budget.end()

    def refuse(self, key: str) -> None:
        """Raise why a request must not be asked live: a batch has it, or has been told why there is no answer."""
        verdict = self._store.verdict(key, self._exchange.endpoint, self._run)
        if verdict.error is not None:
            raise verdict.error
        if verdict.pending and not self.answered(key):
            raise PendingError(
                "the endpoint still works on batches with its requests",
                "run again later to collect them; --lane batch waits for them",
            )

    @property
    def pending(self) -> int:
        """Requests that are at the endpoint."""
        return sum(batch.requests for batch in self._store.batches(self._exchange.endpoint, "running", "intended"))

    # --- its end

    def stop(self) -> None:
        """End waiting and sending at once; batches go on at the endpoint, and the next run takes them up."""
        self._stopped = True
        for future in list(self._under_way):
            future.cancel()

    def close(self) -> None:
        self.stop()
        for file in self._files.values():
            file.close()
        with contextlib.suppress(StoppedError):
            self._start(self._transport.close()).result()
        self._store.close()

    # --- how

    def _write(self, request: Request, asked: Asked) -> bool:
        file = self._file(request.model)
        line = file.line(asked.key, request)
        if len(line) > self._settings.batch_bytes:
            return False
        most = Usage(asked.prompt_tokens, request.sampling.max_tokens)
        lent = (most.total, self._price(request.model, most))
        if not self._budget.lend(*lent):
            self.short = True
            return True
        self._lent[asked.key] = lent
        full = len(file.asked) >= self._settings.batch_requests
        if file.asked and (full or file.bytes + len(line) > self._settings.batch_bytes):
            self._submit(request.model)
            file = self._file(request.model)
        self._writing.add(asked.key)
        file.add(asked, request, line)
        return True

    def _file(self, model: str) -> RequestFile:
        """The one that is being written."""
        if model not in self._files:
            spoken = self._dialects.get(model) or dialect.of(self._transport.endpoint.base_url)
            path = self._folder / f"{uuid.uuid4().hex}.jsonl"
            self._files[model] = RequestFile(path, model, spoken, self._api.url)
        return self._files[model]

    def _submit(self, model: str) -> None:
        file = self._files.pop(model)
        file.close()
        if file.asked:
            self._wait_for(self._exchange.submit(file, self._stage))
            self._writing -= {one.key for one in file.asked}
        else:
            file.path.unlink()

    async def _waited(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.pending:
            left = end - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(self._settings.batch_poll_seconds, left))
            await self._exchange.look(requeue=True)
        return True

    def _wait_for(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._stopped:
            work.close()
            raise self._stopping()
        future: concurrent.futures.Future[_T] = self._start(work)
        self._under_way.add(future)
        if self._stopped:  # meanwhile
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise self._stopping() from None
        except KeyboardInterrupt:
            future.cancel()
            raise
        finally:
            self._under_way.discard(future)

    def _stopping(self) -> StoppedError:
        return StoppedError("the run is ending", "run again: batches go on at the endpoint, and are collected then")

    def _paid(self, batch: Batch, spend: Spend) -> None:
        """The run that has submitted a batch pays for it: its caps held, and its decision it was."""
        usage = Usage(spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens)
        money = self._price(batch.model, usage)
        self._ledger.add(batch.run, batch.stage, batch.model, spend.owner, usage, money, (batch.id, spend.key))
        self._billed[spend.key] = usage.total, money

    def _settled(self, batch: Batch, keys: Iterable[str]) -> None:
        self._ledger.close_batch(batch.id)
        for key in keys:
            billed = self._billed.pop(key, (0, None))
            lent = self._lent.pop(key, None)
            if lent is not None:
                self._budget.settle(lent, billed)
