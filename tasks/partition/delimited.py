"""CSV and TSV as table elements of about 50 rows, streamed: the file's size costs time, not memory."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.tables import row_groups
from tasks.partition.text import encoding_of
from tasks.rows import ElementRow

_SAMPLE = 64 << 10
_BLOCK = 1 << 20
_MAX_BYTES = 384 << 20  # about 8 times that in memory while the stage file is written
_MAX_FIELD = 1 << 20


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """The table of a delimited file. The rows kept are compact; what is read at a time is a line."""
    if path.stat().st_size > _MAX_BYTES:
        raise DocumentError(
            "too_large", f"a table of {path.stat().st_size >> 20} MB", f"split it below {_MAX_BYTES >> 20} MB"
        )
    with open(path, "rb") as file:
        sample = _telling(file)
    encoding = encoding_of(sample)
    csv.field_size_limit(_MAX_FIELD)
    with open(path, encoding=encoding, errors="replace", newline="") as lines:
        head = lines.read(_SAMPLE)
        lines.seek(0)
        delimiter = "\t" if context.media_type == "text/tab-separated-values" else _delimiter(head)
        rows = csv.reader(lines, delimiter=delimiter)
        return list(row_groups(_checked(rows, context), header=True))


def _telling(file: BinaryIO) -> bytes:
    """The first bytes that tell an encoding: those from where the file is no longer ASCII, else its head."""
    head = file.read(_SAMPLE)
    block = head
    while block.isascii():
        block = file.read(_BLOCK)
        if not block:
            return head
    return block


def _delimiter(head: str) -> str:
    """The one of , ; tab | that parts the first lines most evenly; a comma where none does."""
    lines = [line for line in itertools.islice(head.splitlines(), 20) if line.strip()]

    def score(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        common = max(set(counts), key=counts.count, default=1)
        return (counts.count(common) if common > 1 else 0, common)

    return max(",;\t|", key=score) if lines else ","


def _checked(rows: Iterator[list[str]], context: PartContext) -> Iterator[list[str]]:
    found = False
    try:
        for row in rows:
            yield row
            found = True
    except csv.Error as error:
        if not found:
            raise DocumentError(
                "malformed", f"the table cannot be read: {error}", "check its quotes and line ends"
            ) from error
        context.warn(f"the rest of the table could not be read: {error}")
