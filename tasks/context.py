"""What the stages of one run share in a process: the lake, the recipes and the worker processes.

A `RunSpec` travels with every task run; each process that executes tasks opens the context behind it once. A run ends
when its session does, or with the first error that is not one document's: nothing is worked on for it after that, since
another writer may hold the lake by then.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal

from tasks import recipes
from tasks.containers import run_scratch
from tasks.embed.spaces import Spaces
from tasks.errors import BinderyError
from tasks.isolation import Workers
from tasks.lake import Lake, open_lake
from tasks.llm.account import Account
from tasks.llm.key import speech_settings
from tasks.llm.ledger import Budget
from tasks.llm.place import Place
from tasks.recipes import Recipes
from tasks.settings import Lane, Settings


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """All that a task needs to know of its run. `capabilities` were resolved once, by the flow; the caps are what its
    LLM calls may cost, in dollars and tokens; `lane` is how they are made. A run that does not ask (`asks`) ends
    before the first stage that would."""

    run: str
    settings: Settings
    capabilities: Mapping[str, str]
    max_spend: Decimal | None = None
    max_tokens: int | None = None
    lane: Lane = "live"
    asks: bool = True


@dataclasses.dataclass(frozen=True)
class Context:
    """Where the run asks: `llm` is there in the openai profile, `speech` where recordings are transcribed; the same,
    unless by another endpoint. They and the spaces spend from one budget."""

    spec: RunSpec
    lake: Lake
    recipes: Recipes
    workers: Workers
    spaces: Spaces
    llm: Account | None = None
    speech: Account | None = None

    @property
    def accounts(self) -> list[Account]:
        return list({id(each): each for each in (self.llm, self.speech) if each is not None}.values())

    def stop(self) -> None:
        """End what is going on for the run, soon."""
        self.spaces.stop()
        for each in self.accounts:
            each.stop()
        self.workers.close()

    def close(self) -> None:
        """End it, and keep the answers that are on their way."""
        self.stop()
        self.spaces.close()
        for each in self.accounts:
            each.close()


class RunEndedError(BinderyError):
    """A task started after its run had ended."""

    code = "run_ended"


_open: dict[str, Context] = {}
_ended: dict[str, Exception | None] = {}  # run -> the error that ended it, if one did
_lock = threading.Lock()


def context_of(spec: RunSpec) -> Context:
    """The context of a run in this process, opened at first use. Raises what ended the run, once it has ended."""
    with _lock:
        if spec.run in _ended:
            raise _ended[spec.run] or RunEndedError(f"run {spec.run} has ended", "start a new run")
        if spec.run not in _open:
            _open[spec.run] = _opened(spec)
        return _open[spec.run]


def _opened(spec: RunSpec) -> Context:
    settings, lake = spec.settings, open_lake(spec.settings.lake)
    budget, place = Budget(spec.max_spend, spec.max_tokens), Place(settings.llm.shared_limit)
    spaces = Spaces(settings, lake.storage, spec.run, "embed", budget, place)
    found = recipes.resolve(settings, spec.capabilities, spaces)
    llm, speech = _accounts(spec, lake, budget, place)
    return Context(spec, lake, found, Workers(settings.limits), spaces, llm, speech)


def _accounts(spec: RunSpec, lake: Lake, budget: Budget, place: Place) -> tuple[Account | None, Account | None]:
    """For chat and for speech: one with its pacers where they are the same endpoint's."""
    settings = spec.settings
    chats, hears = settings.profile == "openai" and spec.asks, settings.transcribe.enabled and spec.asks
    with contextlib.ExitStack() as undo:
        llm = speech = None
        if chats:
            llm = speech = Account(
                lake.storage, spec.run, "summarize", settings.llm, budget, spec.lane == "batch", place
            )
            undo.callback(llm.close)
        if hears and (llm is None or settings.transcribe.base_url is not None):
            theirs = speech_settings(settings)
            own = place if theirs.shared_limit else None
            speech = Account(lake.storage, spec.run, "transcribe", theirs, budget, None, own)
        undo.pop_all()
    return llm, speech if hears else None


@contextlib.contextmanager
def run_context(spec: RunSpec) -> Iterator[Context]:
    """The context of a run, which ends with the block, and its worker processes with it."""
    with run_scratch():
        context = context_of(spec)
        try:
            yield context
        finally:
            _end(spec, None)
            context.close()


@contextlib.contextmanager
def working(spec: RunSpec) -> Iterator[Context]:
    """The context for one task's work. An error ends the run: the tasks that run or wait end soon, with that error."""
    context = context_of(spec)
    try:
        yield context
    except concurrent.futures.CancelledError:  # the workers were closed: the run has ended
        with _lock:
            first = _ended.get(spec.run)
        if first is not None:
            raise first from None
        raise
    except Exception as error:
        _end(spec, error)
        context.stop()
        raise


def _end(spec: RunSpec, error: Exception | None) -> None:
    with _lock:
        _open.pop(spec.run, None)
        _ended.setdefault(spec.run, error)
