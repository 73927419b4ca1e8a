"""Vectors that were paid for, by what was embedded: written the moment they arrive, never asked for again.

A SQLite database in write-ahead mode at `responses/embeddings.sqlite` in the lake. All vectors of a reply are there, or
none; a put that has returned survives the end of the process. Any number of threads and processes can read and write.
Texts are not in it, only their hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from tasks.errors import LakeError
from tasks.llm import database
from tasks.storage import Storage

DATABASE = "responses/embeddings.sqlite"
_FORMAT = 1
_KEY_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS embeddings (key TEXT PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    model TEXT NOT NULL, asked INTEGER NOT NULL, dimension INTEGER NOT NULL, PRIMARY KEY (model, asked)
);
"""
_AT_ONCE = 500  # keys in one statement


def key(model: str, dimensions: int | None, text: str) -> str:
    """sha256 of all that shapes the vector. The endpoint's address is not in it, nor the form of the reply."""
    value = json.dumps([_KEY_VERSION, model, dimensions, text], separators=(",", ":"))
    return hashlib.sha256(value.encode()).hexdigest()


class Embeddings:
    """As the endpoint gave them, in float32. For any thread."""

    def __init__(self, path: Path | None) -> None:
        """None keeps them in memory, and no longer than this lives."""
        self._path = path
        self._lock = threading.Lock()
        with self._errors():
            self._connection = database.connect(path) if path else database.in_memory()
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def open(cls, storage: Storage) -> Self:
        """Those of a lake."""
        return cls(storage.local(DATABASE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Those that are kept."""
        found: dict[str, np.ndarray] = {}
        for rows in self._selected("key, vector", list(keys)):
            found |= {name: np.frombuffer(vector, "<f4") for name, vector in rows}
        return found

    def known(self, keys: Iterable[str]) -> set[str]:
        """Which of them are kept."""
        wanted, found = list(keys), set[str]()
        for rows in self._selected("key", wanted):
            found |= {name for (name,) in rows}
        return found

    def put(self, model: str, dimensions: int | None, vectors: Mapping[str, np.ndarray]) -> None:
        """Keep the vectors of one reply; one that is there already stays, and is what every later reader gets."""
        rows = [(name, np.asarray(vector, "<f4").tobytes()) for name, vector in vectors.items()]
        length = max((len(vector) for vector in vectors.values()), default=0)
        with self._lock, self._errors(), database.transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", rows)
            self._connection.execute("INSERT OR IGNORE INTO models VALUES (?, ?, ?)", (model, dimensions or 0, length))

    def dimension(self, model: str, dimensions: int | None) -> int | None:
        """How long the model's vectors are, if there was one."""
        with self._lock, self._errors():
            query = "SELECT dimension FROM models WHERE model = ? AND asked = ?"
            row = self._connection.execute(query, (model, dimensions or 0)).fetchone()
        return int(row[0]) if row else None

    def count(self) -> int:
        with self._lock, self._errors():
            return int(self._connection.execute("SELECT count(*) FROM embeddings").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _selected(self, columns: str, keys: list[str]) -> Iterator[list[tuple[Any, ...]]]:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            with self._lock, self._errors():
                query = f"SELECT {columns} FROM embeddings WHERE key IN ({marks})"
                rows = self._connection.execute(query, part).fetchall()
            yield rows

    def _prepare(self) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            self._connection.executescript(f"{_TABLES} PRAGMA user_version = {_FORMAT};")
        elif found != _FORMAT:
            raise sqlite3.DatabaseError(f"its format is {found}, this version of bindery reads {_FORMAT}")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LakeError(
                f"the kept embeddings {self._path} cannot be used: {error}",
                "check the disk; a damaged file can be moved away, and what it held is asked for again",
            ) from error
