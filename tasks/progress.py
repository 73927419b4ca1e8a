"""Progress of a run, reported by the stages as it happens and shown by whoever listens in this process.

Stages call `report`; the command's display, or a deployment's log lines, listen. Nobody listening costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

EventKind = Literal["scanned", "planned", "done", "failed", "pages", "phase"]


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """`amount` documents (or pages) of a stage are planned, done or failed; `label` names a source or phase."""

    kind: EventKind
    stage: str = ""
    amount: int = 1
    label: str = ""


_listeners: list[Callable[[Event], None]] = []


def report(kind: EventKind, stage: str = "", amount: int = 1, label: str = "") -> None:
    for listener in _listeners:
        listener(Event(kind, stage, amount, label))


@contextlib.contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Have a function called with each event while in the block, from the threads that do the work."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
