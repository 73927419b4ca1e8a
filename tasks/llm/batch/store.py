"""What batches there are and which requests are in them: `responses/batches.sqlite`, beside the responses.

A batch is put down with all its requests before its file is uploaded, and is created at the endpoint under the id that
it has here. So whatever moment a run is killed at, the next one can ask the endpoint whether the batch came into being,
and nothing is asked for, and paid, twice. Every change is on the disk before the next step is made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from tasks.llm import errors
from tasks.llm.database import PATIENCE_SECONDS, connect, lake_errors, transaction
from tasks.llm.dialect import Dialect
from tasks.llm.errors import LlmError
from tasks.storage import Storage

PATH = "responses/batches.sqlite"
FOLDER = "responses/batches"  # files on their way up

# intended: it may be at the endpoint or not. running: it is. collected: its answers are here, its files still there.
State = Literal["intended", "running", "collected", "done"]
# What became of a request: it is answered; it was tried in vain, and may be put into another batch; it was not even
# tried; or the JSON of an error (`final`) that another attempt would meet too.
Outcome = str
ANSWERED, AGAIN, UNTRIED = "answered", "again", "untried"

_CREATE = """
create table if not exists batches (
    id text primary key, endpoint text not null, model text not null, run text not null, stage text not null,
    created real not null, requests integer not null, dialect text not null, parameters text not null,
    state text not null, file text, remote text, results text
) without rowid;
create table if not exists asked (
    batch text not null, key text not null, owner text not null, prompt_tokens integer not null, outcome text,
    settled_by text, primary key (batch, key)
) without rowid;
create index if not exists asked_by_key on asked (key);
create index if not exists open_batches on batches (state) where state <> 'done';
"""
_OPEN = "state in ('intended', 'running')"


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request in a batch: on behalf of which document, and how many tokens its prompt has by our own count."""

    key: str
    owner: str
    prompt_tokens: int


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """`run` and `stage` are those that submitted it. `file` and `remote` are the endpoint's names of its input and of
    itself, `results` of what is to be deleted there once it is collected."""

    id: str
    endpoint: str
    model: str
    run: str
    stage: str
    requests: int
    dialect: Dialect
    parameters: frozenset[str]
    created: float = dataclasses.field(default_factory=time.time)
    state: State = "intended"
    file: str | None = None
    remote: str | None = None
    results: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What batches say about a request: one holds it (`pending`), so many could not answer it, or why none can."""

    pending: bool = False
    attempts: int = 0
    error: LlmError | None = None


class BatchStore:
    """The open store of a lake, for any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with _lake_errors(path):
            self._connection = connect(path, durable=True)
            self._connection.executescript(_CREATE)

    @classmethod
    def open(cls, storage: Storage) -> Self:
        return cls(storage.local(PATH))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def intend(self, batch: Batch, asked: Iterable[Asked]) -> None:
        """A batch that is about to be submitted."""
        fields = (
            batch.id, batch.endpoint, batch.model, batch.run, batch.stage, batch.created, batch.requests,
            orjson.dumps(dataclasses.asdict(batch.dialect), default=sorted).decode(),
            orjson.dumps(sorted(batch.parameters)).decode(), batch.state,
        )  # fmt: skip
        with self._changing() as connection:
            connection.execute(f"insert into batches values ({', '.join('?' * len(fields))}, null, null, null)", fields)
            rows = ((batch.id, one.key, one.owner, one.prompt_tokens) for one in asked)
            connection.executemany("insert into asked values (?, ?, ?, ?, null, null)", rows)

    def uploaded(self, batch: str, file: str) -> None:
        self._set(batch, file=file)

    def running(self, batch: str, remote: str | None) -> None:
        """It is at the endpoint under this name; None: it is there no more, but its file is."""
        self._set(batch, state="running" if remote else "intended", remote=remote)

    def drop(self, batch: str) -> None:
        """It never came into being."""
        with self._changing() as connection:
            connection.execute("delete from batches where id = ?", (batch,))
            connection.execute("delete from asked where batch = ?", (batch,))

    def collected(self, batch: str, outcomes: Mapping[str, Outcome], run: str, results: Iterable[str]) -> None:
        """What became of each of its requests, as `run` found it. Those that are answered need not be known here."""
        with self._changing() as connection:
            connection.executemany(
                "update asked set outcome = ?, settled_by = ? where batch = ? and key = ?",
                ((outcome, run, batch, key) for key, outcome in outcomes.items() if outcome != ANSWERED),
            )
            connection.execute("delete from asked where batch = ? and outcome is null", (batch,))
            values = ("collected", orjson.dumps(list(results)).decode(), batch)
            connection.execute("update batches set state = ?, results = ? where id = ?", values)

    def done(self, batch: str) -> None:
        self._set(batch, state="done")

    def batches(self, endpoint: str, *states: State) -> list[Batch]:
        """Those in one of these states, the oldest first."""
        where = f"endpoint = ? and state in ({', '.join('?' * len(states))})"
        with self._lock, _lake_errors(self._path):
            return _batches(self._connection, where, (endpoint, *states))

    def asked(self, batch: str) -> dict[str, Asked]:
        """The requests of a batch that is not collected yet."""
        with self._lock, _lake_errors(self._path):
            found = self._connection.execute("select key, owner, prompt_tokens from asked where batch = ?", (batch,))
            return {key: Asked(key, owner, tokens) for key, owner, tokens in found}

    def verdict(self, key: str, endpoint: str, run: str) -> Verdict:
        """`error` is what a batch said that `run` has collected: a later run may ask again."""
        with self._lock, _lake_errors(self._path):
            found = self._connection.execute(
                f"select {_OPEN} and outcome is null and endpoint = ?, outcome, settled_by "
                "from asked join batches on batch = id where key = ?",
                (endpoint, key),
            ).fetchall()
        finals = [outcome for _, outcome, by in found if outcome and outcome.startswith("{") and by == run]
        return Verdict(
            pending=any(pending for pending, _, _ in found),
            attempts=sum(outcome == AGAIN for _, outcome, _ in found),
            error=_error(finals[-1]) if finals else None,
        )

    def _set(self, batch: str, **values: str | None) -> None:
        with self._changing() as connection:
            names = ", ".join(f"{name} = ?" for name in values)
            connection.execute(f"update batches set {names} where id = ?", (*values.values(), batch))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _lake_errors(self._path), transaction(self._connection):
            yield self._connection


def final(error: LlmError) -> Outcome:
    """An error of one request that another attempt would meet too."""
    return orjson.dumps({"kind": type(error).__name__, "message": error.message, "hint": error.hint}).decode()


def _error(outcome: Outcome) -> LlmError:
    said = orjson.loads(outcome)
    kind: type[LlmError] = getattr(errors, said["kind"], LlmError)
    return kind(said["message"], said["hint"])


def open_batches(storage: Storage) -> list[Batch]:
    """The batches that are not collected, for commands that only read: none where there is no store."""
    path = storage.local(PATH)
    if not storage.exists(PATH):
        return []
    with _lake_errors(path), contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        made = connection.execute("select 1 from sqlite_master where name = 'batches'").fetchone()
        return _batches(connection, _OPEN) if made else []  # killed between making the file and its tables


def pending_keys(storage: Storage, endpoint: str) -> frozenset[str]:
    """The requests that an endpoint still works on, likewise."""
    if not open_batches(storage):
        return frozenset()
    path = storage.local(PATH)
    with _lake_errors(path), contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        found = connection.execute(
            f"select key from asked join batches on batch = id where {_OPEN} and outcome is null and endpoint = ?",
            (endpoint,),
        )
        return frozenset(key for (key,) in found)


def _batches(connection: sqlite3.Connection, where: str, values: tuple[str, ...] = ()) -> list[Batch]:
    names = ", ".join(field.name for field in dataclasses.fields(Batch))
    found = connection.execute(f"select {names} from batches where {where} order by created, id", values)
    return [_batch(dict(zip((column[0] for column in found.description), row, strict=True))) for row in found]


def _batch(row: dict[str, Any]) -> Batch:
    lists = {name: orjson.loads(row[name] or "[]") for name in ("parameters", "results")}
    spoken = orjson.loads(row["dialect"])
    return Batch(
        **row
        | {"parameters": frozenset(lists["parameters"]), "results": tuple(lists["results"])}
        | {"dialect": Dialect(**spoken | {"dropped": frozenset(spoken["dropped"])})}
    )


def _lake_errors(path: Path) -> contextlib.AbstractContextManager[None]:
    return lake_errors("batches", path, "what its batches hold is then asked for again")
