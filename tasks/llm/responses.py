"""Answers that were paid for, by the key of their request: written the moment they arrive, never asked for again.

In a lake that is a folder they are a SQLite database in write-ahead mode, `responses/responses.sqlite`; in one that is
not, objects below `responses/`. A put that has returned survives the end of the process, however it ends. Any number of
threads and processes can read and write.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import dataclasses
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import orjson

from tasks.errors import LakeError
from tasks.llm import database
from tasks.storage import LocalStorage, Storage

DATABASE = "responses/responses.sqlite"
_FORMAT = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS responses (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    text TEXT NOT NULL,
    refusal TEXT,
    finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    created REAL NOT NULL,
    raw BLOB NOT NULL
) WITHOUT ROWID
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """What a model said. `finish` is the endpoint's word: stop, length, content_filter."""

    key: str
    model: str  # as the endpoint names it, which can be more exact than what was asked for
    text: str
    refusal: str | None
    finish: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int  # of the prompt's
    created: float  # seconds since 1970
    raw: bytes = dataclasses.field(repr=False)  # the whole reply

    @property
    def cut(self) -> bool:
        """Whether it ends where the limit was, not where the model would have ended it."""
        return self.finish == "length"


_COLUMNS = tuple(field.name for field in dataclasses.fields(Response))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM responses WHERE key = ?"
_INSERT = f"INSERT INTO responses ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Responses(abc.ABC):
    """Where answers are kept."""

    @abc.abstractmethod
    def get(self, key: str) -> Response | None: ...

    @abc.abstractmethod
    def put(self, response: Response) -> Response:
        """Keep it, unless there is one already: returns the one that is kept, which every later reader gets."""

    def sync(self) -> None:
        """Have what was put survive a power cut as well."""
        return None  # it does anyway, unless a store says otherwise

    @abc.abstractmethod
    def close(self) -> None: ...

    @staticmethod
    def open(storage: Storage) -> Responses:
        """Those of a lake: a database in a folder, objects where there are no files."""
        in_folder = isinstance(storage, LocalStorage)
        return SqliteResponses(storage.local(DATABASE)) if in_folder else ObjectResponses(storage)

    @staticmethod
    def any_in(storage: Storage) -> bool:
        """Whether there can be some: for those who look and must not make a database by looking."""
        return not isinstance(storage, LocalStorage) or storage.exists(DATABASE)


class ObjectResponses(Responses):
    """One object per answer, compressed JSON named by the key; created once, so that one of many writers wins.

    A get looks for its object and a put makes one: what an object store does, and nothing else.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def get(self, key: str) -> Response | None:
        path = _object(key)
        if not self._storage.exists(path):
            return None
        try:
            fields = orjson.loads(zlib.decompress(self._storage.read(path)))
            return Response(**{**fields, "raw": base64.b64decode(fields["raw"])})
        except (zlib.error, ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"the kept response {path} cannot be read: {error}", "delete it, and it is asked for again"
            ) from error

    def put(self, response: Response) -> Response:
        fields = {name: getattr(response, name) for name in _COLUMNS}
        fields["raw"] = base64.b64encode(response.raw).decode()
        if self._storage.create(_object(response.key), zlib.compress(orjson.dumps(fields))):
            return response
        kept = self.get(response.key)
        assert kept is not None  # nothing is ever deleted
        return kept

    def close(self) -> None:
        pass


def _object(key: str) -> str:
    return f"responses/{key[:2]}/{key}.json.z"


class SqliteResponses(Responses):
    """One connection per thread, opened at first use; a forked child opens its own."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._local = threading.local()
        self._all: list[tuple[int, sqlite3.Connection]] = []  # with the process that opened it
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> Response | None:
        with self._connection() as connection:
            row = connection.execute(_SELECT, (key,)).fetchone()
        return None if row is None else Response(*row[:-1], *[zlib.decompress(row[-1])])

    def put(self, response: Response) -> Response:
        row = [getattr(response, name) for name in _COLUMNS]
        row[-1] = zlib.compress(response.raw)
        with self._connection() as connection:
            try:
                connection.execute(_INSERT, row)
                return response
            except sqlite3.IntegrityError:
                pass
        kept = self.get(response.key)
        assert kept is not None  # nothing is ever deleted
        return kept

    def sync(self) -> None:
        with self._connection() as connection:
            connection.execute("PRAGMA wal_checkpoint(FULL)")

    def count(self) -> int:
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM responses").fetchone()[0])

    def close(self) -> None:
        """Close every thread's connection; the last one folds the write-ahead file into the database."""
        with self._lock:
            for pid, connection in self._all:
                if pid == os.getpid():  # closing the parent's in a fork would take the parent's locks away
                    connection.close()
            self._all = [(pid, connection) for pid, connection in self._all if pid != os.getpid()]
            self._local = threading.local()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            if getattr(self._local, "pid", None) != os.getpid():
                self._local.connection, self._local.pid = self._open(), os.getpid()
            yield self._local.connection
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise LakeError(
                f"the kept responses {self._path} cannot be used: {error}",
                "check the disk; a damaged file can be moved away, and what it held is asked for again",
            ) from error

    def _open(self) -> sqlite3.Connection:
        connection = database.connect(self._path)
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                connection.executescript(f"{_TABLE}; PRAGMA user_version = {_FORMAT};")
            elif found != _FORMAT:
                raise sqlite3.DatabaseError(f"its format is {found}, this version of bindery reads {_FORMAT}")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._all.append((os.getpid(), connection))
        return connection
