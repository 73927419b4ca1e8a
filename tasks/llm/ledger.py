"""What was spent and what may be: the ledger of a lake's LLM calls, and the budget of one run.

The ledger has one row per run, stage, model and document, in `responses/ledger.sqlite` beside the responses. Adding to
it is one transaction, so a killed process leaves it whole, and several threads and processes can share it. Money is
kept as a whole number of picodollars: sums of many small prices stay exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Self

from tasks.errors import LakeError
from tasks.llm.database import PATIENCE_SECONDS, connect, transaction
from tasks.llm.errors import BudgetReachedError
from tasks.llm.prices import Usage
from tasks.storage import Storage

Settle = Callable[[int, Decimal | None], None]  # tokens and money
PATH = "responses/ledger.sqlite"
_PICO = Decimal("1e12")
_CREATE = """
create table if not exists spend (
    run text not null, stage text not null, model text not null, doc_id text not null,
    calls integer not null, prompt_tokens integer not null, completion_tokens integer not null,
    cached_tokens integer not null, picodollars integer not null, unpriced integer not null,
    primary key (run, stage, model, doc_id)
) without rowid
"""
_ADD = """
insert into spend values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (run, stage, model, doc_id) do update set
    calls = calls + excluded.calls, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens, picodollars = picodollars + excluded.picodollars,
    unpriced = unpriced + excluded.unpriced
"""
_CREATE_BATCHED = "create table if not exists batched (batch text, key text, primary key (batch, key)) without rowid"


@dataclasses.dataclass(frozen=True, slots=True)
class SpendRow:
    """What one document cost in one stage of one run. `unpriced` calls are of models whose price nobody knows."""

    run: str
    stage: str
    model: str
    doc_id: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    money: Decimal
    unpriced: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Spent:
    """A sum of spending."""

    calls: int = 0
    tokens: int = 0
    money: Decimal = Decimal(0)
    unpriced: int = 0

    @classmethod
    def of(cls, rows: Iterable[SpendRow]) -> Self:
        calls, tokens, money, unpriced = 0, 0, Decimal(0), 0
        for row in rows:
            calls += row.calls
            tokens += row.prompt_tokens + row.completion_tokens
            money += row.money
            unpriced += row.unpriced
        return cls(calls, tokens, money, unpriced)


class Ledger:
    """The open ledger of a lake, for any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with _lake_errors(path):
            self._connection = connect(path)
            self._connection.execute(_CREATE)
            self._connection.execute(_CREATE_BATCHED)

    @classmethod
    def open(cls, storage: Storage) -> Self:
        return cls(storage.local(PATH))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self,
        run: str,
        stage: str,
        model: str,
        doc_id: str,
        usage: Usage,
        money: Decimal | None,
        batched: tuple[str, str] | None = None,
    ) -> None:
        """One call that the endpoint has billed. `money` is None where its price is not known.

        `batched` is its batch and key: such a call counts once, however often the batch's answers are collected.
        """
        self.add_shared(run, stage, model, [(doc_id, 1)], usage, money, batched)

    def add_shared(
        self,
        run: str,
        stage: str,
        model: str,
        shares: Sequence[tuple[str, int]],
        usage: Usage,
        money: Decimal | None,
        batched: tuple[str, str] | None = None,
    ) -> None:
        """As `add`, of a call that was made for several documents, each with its part of it; it counts with the
        first."""
        totals = (usage.prompt, usage.completion, usage.cached, int((money or Decimal(0)) * _PICO))
        parts = [_parts(total, [part for _, part in shares]) for total in totals]
        with self._lock, _lake_errors(self._path), transaction(self._connection):
            if (
                batched
                and not self._connection.execute("insert or ignore into batched values (?, ?)", batched).rowcount
            ):
                return
            for place, (doc_id, _) in enumerate(shares):
                prompt, completion, cached, money_part = (part[place] for part in parts)
                first = int(place == 0)
                counts = (first, prompt, completion, cached, money_part, first * int(money is None))
                self._connection.execute(_ADD, (run, stage, model, doc_id, *counts))

    def close_batch(self, batch: str) -> None:
        """Its answers are collected for good, so that nobody asks any more which of them have been counted."""
        with self._lock, _lake_errors(self._path):
            self._connection.execute("delete from batched where batch = ?", (batch,))

    def rows(self, run: str | None = None) -> list[SpendRow]:
        """All rows, or those of one run, in the order of run, stage, model and document."""
        with self._lock, _lake_errors(self._path):
            return _rows(self._connection, run)

    def total(self, run: str | None = None) -> Spent:
        return Spent.of(self.rows(run))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def read_ledger(storage: Storage, run: str | None = None) -> list[SpendRow]:
    """The rows of a lake's ledger, for commands that only read: none where there is none, and none is made."""
    if not storage.exists(PATH):
        return []
    path = storage.local(PATH)
    with _lake_errors(path), contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        made = connection.execute("select 1 from sqlite_master where name = 'spend'").fetchone()
        return _rows(connection, run) if made else []  # killed between making the file and the table


def _rows(connection: sqlite3.Connection, run: str | None) -> list[SpendRow]:
    where, values = ("", ()) if run is None else ("where run = ?", (run,))
    found = connection.execute(f"select * from spend {where} order by run, stage, model, doc_id", values)
    return [
        SpendRow(run, stage, model, doc_id, calls, prompt, completion, cached, Decimal(pico) / _PICO, unpriced)
        for run, stage, model, doc_id, calls, prompt, completion, cached, pico, unpriced in found
    ]


def _parts(total: int, weights: Sequence[int]) -> list[int]:
    """The total in whole parts by weight, which add up to it."""
    ends = [total * done // max(1, sum(weights)) for done in itertools.accumulate(weights)]
    return [end - begin for begin, end in itertools.pairwise([0, *ends[:-1], total])]


@contextlib.contextmanager
def _lake_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LakeError(
            f"the ledger {path} cannot be used: {error}",
            "check the disk; a damaged file can be moved away, and what it told of earlier runs is lost",
        ) from error


class Budget:
    """The caps of one run in this process, for any thread and loop. Without caps it only counts.

    A request for which there is no room only because of what those in flight may cost waits for what they do cost:
    mostly that is less, so that a small budget is used up and not only reserved. One for which there is no room at all
    is refused, and so is its document; cheaper ones go on, since one large picture should not end the run for all
    tables. When even the cheapest request of the run so far would have no room, the spending ends for everybody: no
    further document is prepared in vain. What a batch may cost is lent for hours or for good, so nobody waits for it:
    it counts as spent until the batch is collected.
    """

    def __init__(
        self, max_spend: Decimal | None = None, max_tokens: int | None = None, spent: Spent | None = None
    ) -> None:
        self._max_spend = max_spend
        self._max_tokens = max_tokens
        before = spent or Spent()
        self._tokens, self._money = before.tokens, before.money
        self._held_tokens, self._held_money = 0, Decimal(0)
        self._lent_tokens, self._lent_money = 0, Decimal(0)
        self._cheapest: tuple[int, Decimal] | None = None  # what the cheapest so far might have cost
        self._reached = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def spent(self) -> Spent:
        """What was billed so far, in tokens and money."""
        with self._lock:
            return Spent(tokens=self._tokens, money=self._money)

    @property
    def reached(self) -> bool:
        return self._reached

    @contextlib.asynccontextmanager
    async def hold(self, tokens: int, money: Decimal | None) -> AsyncIterator[Settle]:
        """Room for one request that may cost this much. What it yields is told what was billed, if anything was.

        Raises BudgetReachedError.
        """
        most = (tokens, money or Decimal(0))
        while (change := self._take(*most)) is not None:
            await change
        billed: list[tuple[int, Decimal]] = []
        try:
            yield lambda tokens, money: billed.append((tokens, money or Decimal(0)))
        finally:
            with self._lock:
                self._held_tokens -= most[0]
                self._held_money -= most[1]
                self._tokens += sum(tokens for tokens, _ in billed)
                self._money += sum((money for _, money in billed), Decimal(0))
                self._wake()

    def lend(self, tokens: int, money: Decimal | None) -> bool:
        """Room for one request of a batch that may cost this much, if there is some now."""
        with self._lock:
            most = money or Decimal(0)
            if self._reached or not self._fits(tokens + self._held_tokens, most + self._held_money):
                return False
            self._lent_tokens += tokens
            self._lent_money += most
            return True

    def settle(self, lent: tuple[int, Decimal | None], billed: tuple[int, Decimal | None]) -> None:
        """What was lent for a request comes back; this was billed for it."""
        with self._lock:
            self._lent_tokens -= lent[0]
            self._lent_money -= lent[1] or Decimal(0)
            self._tokens += billed[0]
            self._money += billed[1] or Decimal(0)
            self._wake()

    def end(self) -> None:
        """Something found no room, and is not going to find any: spend nothing more."""
        with self._lock:
            self._reached = True
            self._wake()

    def _take(self, tokens: int, money: Decimal) -> asyncio.Future[None] | None:
        """None once the room is taken, else what to wait for before asking again."""
        with self._lock:
            if self._reached or not self._fits(tokens, money):
                raise self._refused()
            if self._fits(tokens + self._held_tokens, money + self._held_money):
                self._held_tokens += tokens
                self._held_money += money
                least = self._cheapest or (tokens, money)
                self._cheapest = min(least[0], tokens), min(least[1], money)
                return None
            loop = asyncio.get_running_loop()
            change: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, change))
            return change

    def _fits(self, tokens: int, money: Decimal) -> bool:
        in_money = self._max_spend is None or self._money + self._lent_money + money <= self._max_spend
        in_all = self._tokens + self._lent_tokens + tokens
        return in_money and (self._max_tokens is None or in_all <= self._max_tokens)

    def _refused(self) -> BudgetReachedError:
        if self._cheapest is not None and not self._fits(*self._cheapest):
            self._reached = True
            self._wake()
        caps = [f"${self._max_spend}"] if self._max_spend is not None else []
        caps += [f"{self._max_tokens:,} tokens"] if self._max_tokens is not None else []
        lent = f" with up to ${self._lent_money:.4f} and {self._lent_tokens:,} tokens in batches"
        return BudgetReachedError(
            f"the budget of this run ({' and '.join(caps)}) is reached{lent if self._lent_tokens else ''}: the next "
            "request could pass it",
            "what is answered is kept: run again to go on from here, with more or no budget",
        )

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for loop, change in waiting:
            with contextlib.suppress(RuntimeError):  # the loop of a task that is gone
                loop.call_soon_threadsafe(_done, change)


def _done(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
