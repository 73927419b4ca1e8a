"""The measured side of a benchmark: a system tells the meter where its stages begin and end, and what came of them.

One JSON line for each event on standard output; the meter answers each with a line on standard input, so that its
look at processor time and memory falls exactly between two stages. What libraries print goes to standard error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What a system is asked to do: ingest these files, keeping everything it writes in `folder`."""

    files: tuple[str, ...]
    pages: tuple[int, ...]  # of each file, 0 where it has none or cannot be opened
    folder: str

    @classmethod
    def read(cls, path: Path) -> Job:
        fields = json.loads(path.read_text())
        return cls(tuple(fields["files"]), tuple(fields["pages"]), fields["folder"])

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)))


@dataclasses.dataclass(slots=True)
class Count:
    """What had come out when a stage ended; pages are those of the documents that had not failed."""

    documents: int = 0
    pages: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a system made of the files. `left_out` maps a file to why it is not in the index."""

    documents: int
    pages: int
    pages_with_text: int
    chunks: int
    characters: int
    vectors: int
    left_out: dict[str, str]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()


class Channel:
    """Takes over standard output; make one before anything is printed."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Count]:
        """Measure the block as a stage; the block fills in the count."""
        self._tell({"event": "begin", "stage": name})
        count = Count()
        started = time.perf_counter()
        yield count
        self._tell(
            {"event": "end", "stage": name, "seconds": time.perf_counter() - started, **dataclasses.asdict(count)}
        )

    def result(self, result: Result) -> None:
        self._tell({"event": "result", "result": dataclasses.asdict(result)})

    def _tell(self, event: dict[str, Any]) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()
        if not sys.stdin.readline():
            sys.exit("the meter is gone")
