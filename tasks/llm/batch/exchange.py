"""Batches on their way: written files in, answers out, whatever happened to the process that began it.

    intended → (upload) → (create) → running → (answers) → collected → (delete files) → done

Every step but the endpoint's own is put down before the next one. After a kill `take_up` asks the endpoint what became
of the batches that were intended: one that is there goes on, any other is forgotten, with its file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tasks import progress
from tasks.llm.batch.api import BatchApi, Remote
from tasks.llm.batch.collect import Collector
from tasks.llm.batch.files import RequestFile
from tasks.llm.batch.store import AGAIN, ANSWERED, UNTRIED, Batch, BatchStore, Outcome
from tasks.llm.dialect import Dialect
from tasks.llm.errors import BatchError, EndpointError, LlmError
from tasks.llm.responses import Responses
from tasks.llm.spend import Spend
from tasks.llm.transport import Transport

_FORGOTTEN_SECONDS = (
    48 * 3600.0
)  # a batch that the endpoint does not know is waited for so long: the key may be another
_FULL = "token_limit_exceeded"  # the code of a batch for which the account's queue has no room yet
_OUTAGE = 10  # looks in a row without an answer, each with its own attempts, and waiting ends


class Exchange:
    """Belongs to one event loop. `paid` is told of every reply that was billed, `settled` of a batch's requests."""

    def __init__(
        self,
        transport: Transport,
        api: BatchApi,
        store: BatchStore,
        responses: Responses,
        dialects: dict[str, Dialect],
        run: str,
        paid: Callable[[Batch, Spend], None],
        settled: Callable[[Batch, Iterable[str]], None],
    ) -> None:
        self._transport, self._api, self._store, self._responses = transport, api, store, responses
        self._dialects, self._run, self._paid, self._settled = dialects, run, paid, settled
        self._endpoint = transport.endpoint.base_url.rstrip("/")
        self._reported: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._outage = 0

    @property
    def endpoint(self) -> str:
        return self._endpoint

    async def take_up(self) -> None:
        """What runs before this one have left: which of their batches are there, and the files that nobody needs."""
        for batch in self._store.batches(self._endpoint, "intended"):
            remote = await self._api.find(batch.id, batch.file, batch.created)
            if remote is None:
                if batch.file is not None:
                    await self._api.delete(batch.file)  # and what is still on its way to be created cannot be any more
                    remote = await self._api.find(batch.id, batch.file, batch.created)
                else:
                    await self._api.tidy(f"{batch.id}.jsonl")
            if remote is None:
                self._store.drop(batch.id)
            else:
                self._store.uploaded(batch.id, remote.file or batch.file or "")
                self._store.running(batch.id, remote.id)
        for batch in self._store.batches(self._endpoint, "collected"):
            await self._clean_up(batch, batch.results)

    async def submit(self, file: RequestFile, stage: str) -> None:
        """Upload a file and have it worked on; the file on the disk is gone then."""
        batch = Batch(
            file.id, self._endpoint, file.model, self._run, stage, len(file.asked), file.dialect, file.parameters
        )
        self._store.intend(batch, file.asked)
        name = await self._api.upload(file.path)
        self._store.uploaded(batch.id, name)
        file.path.unlink(missing_ok=True)
        await self._create(batch, name)

    async def look(self, requeue: bool = False) -> None:
        """Ask after every batch, and collect those that are over. Raises what refused one, once the others are asked.

        With `requeue`, one that found the account's queue full is created again when another of its model has left it.
        """
        raised: list[LlmError] = []
        waiting = self._store.batches(self._endpoint, "intended")
        free: set[str] = set()  # models of which a batch has left the queue
        for batch in self._store.batches(self._endpoint, "running"):
            try:
                if await self._look_at(batch, requeue):
                    free.add(batch.model)
                self._outage = 0
            except EndpointError as error:  # the batch goes on without us
                self._outage += 1
                if self._outage >= _OUTAGE:
                    raise BatchError(error.message, "run again later: the batches go on at the endpoint") from None
            except LlmError as error:
                raised.append(error)
        if raised:
            raise raised[0]
        for batch in waiting:
            if batch.model in free or not self._queue(batch.model):
                free.discard(batch.model)
                await self._create(batch, batch.file or "")

    async def _create(self, batch: Batch, file: str) -> None:
        remote = await self._api.create(file, batch.id, batch.created)
        self._store.running(batch.id, remote.id)
        progress.report(
            "note", label=f"batch {remote.id} at {self._host}: {batch.requests:,} requests of {batch.model}"
        )

    async def _look_at(self, batch: Batch, requeue: bool) -> bool:
        """Whether it has left the account's queue."""
        remote = await self._api.retrieve(batch.remote or "")
        if remote is None:
            if time.time() - batch.created > _FORGOTTEN_SECONDS:
                self._note(batch, "is not known there any more: its requests are asked again")
                await self._settle(batch, dict.fromkeys(self._store.asked(batch.id), AGAIN), ())
            elif batch.id not in self._unknown:
                self._unknown.add(batch.id)
                self._note(batch, "is not known there: was it submitted with another key or project?")
            return False
        self._report(batch, remote.settled)
        if remote.status == "failed":
            await self._refused(batch, remote, requeue)
        elif remote.over:
            await self._collect(batch, remote)
            return True
        return False

    async def _refused(self, batch: Batch, remote: Remote, requeue: bool) -> None:
        full = any(code == _FULL for code, _ in remote.errors)
        if full and requeue and len(self._queue(batch.model)) > 1:
            self._store.running(batch.id, None)
            self._note(batch, "finds the account's queue full, and waits for another one")
            return
        words = "; ".join(f"{words} ({code})" if code else words for code, words in remote.errors[:3])
        await self._settle(batch, dict.fromkeys(self._store.asked(batch.id), UNTRIED), ())
        hint = (
            "the limit is the account's: smaller batches (llm.batch_requests) can wait for one another" if full else ""
        )
        raise BatchError(
            f"{self._host} refuses batch {remote.id}: {self._transport.said(words) or 'it does not say why'}",
            hint or "nothing of it is asked or paid: mend what it says, or run with --lane live",
        )

    async def _collect(self, batch: Batch, remote: Remote) -> None:
        collector = Collector(batch, self._store.asked(batch.id), self._transport, self._responses, self._paid)
        files = [file for file in (remote.output, remote.failures) if file]
        for file in files:
            if not await self._api.lines(file, collector.take):
                self._note(batch, "has lost answers: its file is not there any more")
        outcomes = collector.outcomes()
        if collector.learnt and self._dialects.get(batch.model, batch.dialect) == batch.dialect:
            self._dialects[batch.model] = collector.learnt
        elif not collector.learnt and ANSWERED in outcomes.values():
            self._dialects.setdefault(batch.model, batch.dialect)
        self._report(batch, len(outcomes))
        missing = sum(outcome != ANSWERED for outcome in outcomes.values())
        self._note(
            batch, f"is {remote.status}" + (f", {missing:,} of {len(outcomes):,} without an answer" * bool(missing))
        )
        await self._settle(batch, outcomes, files)
        if collector.fatal is not None:
            raise collector.fatal

    async def _settle(self, batch: Batch, outcomes: dict[str, Outcome], files: Iterable[str]) -> None:
        results = [file for file in (batch.file, *files) if file]
        self._responses.sync()  # what follows is, and their only other copy is deleted
        self._store.collected(batch.id, outcomes, self._run, results)
        self._settled(batch, outcomes)
        await self._clean_up(batch, results)

    async def _clean_up(self, batch: Batch, files: Iterable[str]) -> None:
        for file in files:
            await self._api.delete(file)
        self._store.done(batch.id)

    def _queue(self, model: str) -> list[Batch]:
        """The batches of a model that are at the endpoint."""
        return [each for each in self._store.batches(self._endpoint, "running") if each.model == model]

    def _report(self, batch: Batch, settled: int) -> None:
        fresh = settled - self._reported.get(batch.id, 0)
        if fresh > 0:
            self._reported[batch.id] = settled
            progress.report("done", "ask", fresh)

    def _note(self, batch: Batch, what: str) -> None:
        progress.report("note", label=f"batch {batch.remote} {what}")

    @property
    def _host(self) -> str:
        return self._transport.endpoint.host


def sweep(folder: Path) -> None:
    """Remove the files of a run that was killed while it wrote or uploaded them."""
    for path in folder.glob("*.jsonl"):
        path.unlink(missing_ok=True)
