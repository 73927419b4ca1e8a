"""Progress of a run, reported by the stages as it happens and shown by whoever listens in this process.

Stages call `report`; the command's display, or a deployment's log lines, listen. Nobody listening costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Literal

EventKind = Literal["scanned", "planned", "done", "failed", "pages", "vectors", "phase", "note"]


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """`amount` documents (or pages, or vectors) of a stage are planned, done or failed.

    `label` names a source or phase, or is a line to show.
    """

    kind: EventKind
    stage: str = ""
    amount: int = 1
    label: str = ""


_listeners: list[Callable[[Event], None]] = []
_log = logging.getLogger(__name__)


def report(kind: EventKind, stage: str = "", amount: int = 1, label: str = "") -> None:
    """Tell every listener. One that raises (its terminal is gone) is not told again; the work goes on."""
    for listener in list(_listeners):
        try:
            listener(Event(kind, stage, amount, label))
        except Exception as error:  # noqa: BLE001  no display is worth a run
            _detach(listener)
            _log.debug("a listener is detached, it raised %s: %s", type(error).__name__, error)


@contextlib.contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Have a function called with each event while in the block, from the threads that do the work."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _detach(listener)


def _detach(listener: Callable[[Event], None]) -> None:
    with contextlib.suppress(ValueError):  # another thread has done it
        _listeners.remove(listener)
