"""What the stages of one run share in a process: the lake, the recipes and the worker processes.

A `RunSpec` travels with every task run; each process that executes tasks opens the context behind it once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping

from tasks import recipes
from tasks.isolation import Workers
from tasks.lake import Lake, open_lake
from tasks.recipes import Recipes
from tasks.settings import Settings


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """All that a task needs to know of its run. `capabilities` were resolved once, by the flow."""

    run: str
    settings: Settings
    capabilities: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Context:
    spec: RunSpec
    lake: Lake
    recipes: Recipes
    workers: Workers


_open: dict[str, Context] = {}
_lock = threading.Lock()


def context_of(spec: RunSpec) -> Context:
    """The context of a run in this process, opened at first use."""
    with _lock:
        if spec.run not in _open:
            _open[spec.run] = Context(
                spec,
                open_lake(spec.settings.lake),
                recipes.resolve(spec.settings, spec.capabilities),
                Workers(spec.settings.limits),
            )
        return _open[spec.run]


@contextlib.contextmanager
def run_context(spec: RunSpec) -> Iterator[Context]:
    """The context of a run; its worker processes end with the block."""
    context = context_of(spec)
    try:
        yield context
    finally:
        with _lock:
            _open.pop(spec.run, None)
        context.workers.close()
