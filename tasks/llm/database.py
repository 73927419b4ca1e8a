"""Opening a SQLite database that several processes may make at the same moment."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE_SECONDS = 120.0  # how long one process waits while another writes


def connect(path: Path, durable: bool = False) -> sqlite3.Connection:
    """In write-ahead mode, each statement a transaction: it is there when it returns, and survives the process.

    Unless `durable`, a power cut can take the last few statements. Any thread may use the connection, one at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements of the block happen, or none."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for its lock where the mode changes: two that make the file at once would fail."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def in_memory() -> sqlite3.Connection:
    """One that ends with the process, for where nothing can be written."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
