"""What a run would ask models and pay for: planned documents in, calls, tokens and dollars out, with nothing asked.

Only documents whose chunks a former run has left in the lake can be told; a first run knows none of them. Outputs that
are there and answers that are kept cost nothing. Each stage that asks has a function in `_STAGES`. Recordings are told
by the lengths that partitioning has measured, at most: silence and sound that was heard before cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tasks import stage, transcribe
from tasks.chunk import chunk_inputs
from tasks.llm.account import address
from tasks.llm.batch.store import pending_keys
from tasks.llm.prices import Usage, price
from tasks.llm.responses import Responses
from tasks.llm.tokens import prompt_tokens
from tasks.recipes import Recipes
from tasks.report.spend import Estimate, Forecast
from tasks.settings import Lane, LlmSettings, Settings
from tasks.stage import Recipe, StageRef
from tasks.storage import Storage
from tasks.summarize import ask, llm_requests, look
from tasks.summarize.pictures import Call
from tasks.transcribe import forecast
from tasks.work import DocumentWork


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One call that a stage would make: the key its answer is kept under, about what, and the most it may use.

    `llm` has the prices that count. What is `live` has no batch lane.
    """

    key: str
    stage: str
    model: str
    kind: str
    usage: Usage
    llm: LlmSettings
    live: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Lookout:
    """What the estimate of a document may look at. `call` opens media, in a worker process."""

    storage: Storage
    recipes: Recipes
    call: Call


def asks(settings: Settings) -> bool:
    """Whether a run under these settings asks a model that costs something."""
    return settings.profile == "openai" or settings.transcribe.enabled


def concerns(settings: Settings, media_type: str) -> bool:
    """Whether it may ask about documents of this type."""
    return settings.profile == "openai" or (settings.transcribe.enabled and transcribe.speaks(media_type))


def estimate(
    storage: Storage | None, recipes: Recipes, work: Iterable[DocumentWork], call: Call, lane: Lane = "live"
) -> Estimate:
    """`storage` is None where there is no lake yet. Documents are looked at by several threads."""
    work = [item for item in work if concerns(recipes.settings, item.media_type)]
    if storage is None:
        return Estimate(unknown=len(work), lane=lane)
    lookout = Lookout(storage, recipes, call)
    pending = pending_keys(storage, address(recipes.settings.llm))
    known = unknown = 0
    lines: dict[tuple[str, str, str], _Line] = {}
    counted: set[str] = set()
    with _kept(storage) as is_kept, ThreadPoolExecutor(recipes.settings.limits.workers) as pool:
        for calls, is_all in pool.map(lambda item: _of_document(lookout, item), work):
            known += is_all
            unknown += not is_all
            for asked in calls:
                if asked.key not in counted and not is_kept(asked.key):
                    counted.add(asked.key)
                    if asked.key not in pending:
                        line = lines.setdefault((asked.stage, asked.model, asked.kind), _Line())
                        line.add(asked.usage, _price(asked, lane))
    return Estimate(
        lane=lane,
        documents=known,
        unknown=unknown,
        in_batches=len(counted & pending),
        lines=[line.forecast(*key) for key, line in sorted(lines.items())],
    )


def _of_document(lookout: Lookout, item: DocumentWork) -> tuple[list[Asked], bool]:
    """The calls of all stages about a document as far as they are known, and whether these are all."""
    found = [of_stage(lookout, item) for of_stage in _STAGES]
    return [asked for calls in found for asked in calls or ()], all(calls is not None for calls in found)


def _price(asked: Asked, lane: Lane) -> Decimal | None:
    batch = lane == "batch" and not asked.live
    return price(asked.model, asked.usage, asked.llm.prices, asked.llm.base_url, batch=batch)


@dataclasses.dataclass(slots=True)
class _Line:
    """A sum."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    seconds: float = 0.0
    dollars: Decimal | None = Decimal(0)

    def add(self, usage: Usage, dollars: Decimal | None) -> None:
        self.calls += 1
        self.prompt += usage.prompt
        self.completion += usage.completion
        self.seconds += usage.seconds
        self.dollars = None if dollars is None or self.dollars is None else self.dollars + dollars

    def forecast(self, stage: str, model: str, kind: str) -> Forecast:
        return Forecast(
            stage=stage,
            model=model,
            kind=kind,
            calls=self.calls,
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            minutes=round(self.seconds / 60, 2),
            dollars=None if self.dollars is None else float(self.dollars),
        )


def _transcripts(lookout: Lookout, item: DocumentWork) -> list[Asked] | None:
    """Which sound is in which call is decided when it is decoded: until then each call has a key of its own."""
    storage, recipes = lookout.storage, lookout.recipes
    if recipes.transcribe is None or not recipes.transcribes(item.media_type):
        return []
    parts = _parts(storage, recipes, item)
    if parts is None:
        return None
    if stage.find(storage, recipes.transcribe.stage, recipes.transcribe.key(parts.digest)):
        return []
    settings = recipes.settings.transcribe
    llm = recipes.settings.llm.serving_speech(settings)
    calls = forecast.calls(storage, parts, settings, llm)
    return [
        Asked(f"{item.doc_id} {number}", recipes.transcribe.stage, settings.model, kind, usage, llm, live=True)
        for number, (kind, usage) in enumerate(calls)
    ]


def _summaries(lookout: Lookout, item: DocumentWork) -> list[Asked] | None:
    storage, recipes = lookout.storage, lookout.recipes
    settings, how = recipes.settings, recipes.summarize
    if settings.profile != "openai":
        return []
    inputs = _chunks_and_tags(storage, recipes, item)
    if inputs is None:
        return None

    async def asked() -> list[Asked]:
        found = llm_requests(storage, *inputs, how, settings, look(storage, settings, lookout.call))
        return [
            Asked(
                request.key(),
                how.stage,
                request.model,
                ask.kind_asked(request),
                Usage(prompt_tokens(request), request.sampling.max_tokens),
                settings.llm,
            )
            async for request in found
        ]

    return asyncio.run(asked())


_STAGES: tuple[Callable[[Lookout, DocumentWork], list[Asked] | None], ...] = (_transcripts, _summaries)


def _chunks_and_tags(storage: Storage, recipes: Recipes, item: DocumentWork) -> tuple[StageRef, StageRef | None] | None:
    """The document's chunks and, where they are wanted, tags; None where they are not made yet."""
    parts = _parts(storage, recipes, item)
    if parts is None:
        return None
    said: StageRef | None = None
    if recipes.transcribe and recipes.transcribes(item.media_type):
        said = _made(storage, recipes.transcribe, parts.digest)
        if said is None:
            return None
    chunks = _made(storage, recipes.chunk, *chunk_inputs(item.doc_id, parts, said))
    if chunks is None or recipes.tag is None:
        return (chunks, None) if chunks else None
    tags = _made(storage, recipes.tag, chunks.digest)
    return (chunks, tags) if tags else None


def _parts(storage: Storage, recipes: Recipes, item: DocumentWork) -> StageRef | None:
    return _made(storage, recipes.partition(item.media_type), item.doc_id, item.media_type)


def _made(storage: Storage, recipe: Recipe, *inputs: str) -> StageRef | None:
    """A degraded output is made again by the run, and is as near as can be told."""
    key = recipe.key(*inputs)
    return stage.find(storage, recipe.stage, key) or stage.find(storage, recipe.stage, key, degraded=True)


@contextlib.contextmanager
def _kept(storage: Storage) -> Iterator[Callable[[str], bool]]:
    """Whether there is an answer; a database that is not there is not made."""
    if not Responses.any_in(storage):
        yield lambda key: False
        return
    responses = Responses.open(storage)
    try:
        yield lambda key: responses.get(key) is not None
    finally:
        responses.close()
