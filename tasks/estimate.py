"""What a run would ask models and pay for: planned documents in, calls, tokens and dollars out, with nothing asked.

Only documents whose chunks a former run has left in the lake can be told; a first run knows none of them. Outputs that
are there, and answers and vectors that are kept, cost nothing. Each stage that asks has a function in `_STAGES`.
Recordings are told by the lengths that partitioning has measured, at most: silence and sound that was heard before cost
nothing.
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
from tasks.embed import forecast
from tasks.embed.endpoint import EndpointSpace
from tasks.embed.spaces import Spaces
from tasks.llm.account import address
from tasks.llm.batch.store import pending_keys
from tasks.llm.embeddings import DATABASE as EMBEDDINGS
from tasks.llm.embeddings import Embeddings
from tasks.llm.prices import Usage, price
from tasks.llm.responses import Responses
from tasks.llm.tokens import prompt_tokens
from tasks.recipes import Recipes
from tasks.report.spend import Estimate, Forecast
from tasks.rows import ChunkRow, SummaryRow, from_table
from tasks.settings import Lane, LlmSettings, Settings
from tasks.stage import Recipe, StageRef
from tasks.storage import Storage
from tasks.summarize import ask, llm_inputs, llm_requests, look, summarize_chunks
from tasks.summarize.pictures import Call
from tasks.transcribe import forecast as speech_forecast
from tasks.work import DocumentWork


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One question that a stage would ask: the key its answer is kept under, about what, and the most it may use.

    `llm` has the prices that count. What is `live` has no batch lane. One call takes as many of one document as fit in
    `together`, so many of so many tokens; a run may put those of several documents in it.
    """

    key: str
    stage: str
    model: str
    kind: str
    usage: Usage
    llm: LlmSettings
    live: bool = False
    together: tuple[int, int] = (1, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Lookout:
    """What the estimate of a document may look at. `call` opens media, in a worker process; `paid` are the spaces that
    cost something."""

    storage: Storage
    recipes: Recipes
    call: Call
    paid: tuple[EndpointSpace, ...]


def asks(settings: Settings) -> bool:
    """Whether a run under these settings asks a model that costs something."""
    return settings.profile == "openai" or settings.transcribe.enabled or forecast.pays(settings)


def concerns(settings: Settings, media_type: str) -> bool:
    """Whether it may ask about documents of this type."""
    speaks = settings.transcribe.enabled and transcribe.speaks(media_type)
    return settings.profile == "openai" or forecast.pays(settings) or speaks


def estimate(
    storage: Storage | None,
    recipes: Recipes,
    work: Iterable[DocumentWork],
    call: Call,
    spaces: Spaces,
    lane: Lane = "live",
) -> Estimate:
    """`storage` is None where there is no lake yet. Documents are looked at by several threads."""
    work = [item for item in work if concerns(recipes.settings, item.media_type)]
    if storage is None:
        return Estimate(unknown=len(work), lane=lane)
    lookout = Lookout(storage, recipes, call, tuple(forecast.paid_spaces(recipes.settings, spaces)))
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
                        line.add(asked, _price(asked, lane))
            for line in lines.values():
                line.end_document()
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
    _open: tuple[int, int] | None = None  # the questions and tokens of a call that may have room for more

    def add(self, asked: Asked, dollars: Decimal | None) -> None:
        count, tokens = self._open or (0, 0)
        if self._open and count < asked.together[0] and tokens + asked.usage.prompt <= asked.together[1]:
            self._open = count + 1, tokens + asked.usage.prompt
        else:
            self.calls += 1
            self._open = 1, asked.usage.prompt
        self.prompt += asked.usage.prompt
        self.completion += asked.usage.completion
        self.seconds += asked.usage.seconds
        self.dollars = None if dollars is None or self.dollars is None else self.dollars + dollars

    def end_document(self) -> None:
        self._open = None

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
    calls = speech_forecast.calls(storage, parts, settings, llm)
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


def _vectors(lookout: Lookout, item: DocumentWork) -> list[Asked] | None:
    storage, recipes = lookout.storage, lookout.recipes
    if not lookout.paid:
        return []
    inputs = _chunks_and_tags(storage, recipes, item)
    if inputs is None:
        return None
    summaries = _written(storage, recipes, *inputs)
    found: list[Asked] = []
    for space in lookout.paid:
        recipe, model = recipes.embed[space.name], space.asked.model
        together = space.asked.batch_inputs, space.asked.batch_tokens
        for piece in forecast.pieces(storage, space, recipe, recipes.settings, inputs[0], *summaries):
            usage = Usage(piece.tokens)
            found.append(Asked(piece.key, "embed", model, "text", usage, space.settings, True, together))
    return found


def _written(
    storage: Storage, recipes: Recipes, chunks: StageRef, tags: StageRef | None
) -> tuple[StageRef | None, list[SummaryRow] | None]:
    """A document's summaries: where they are, or what they will be; neither where a model has yet to write them."""
    settings, how = recipes.settings, recipes.summarize
    by_model = settings.profile == "openai"
    written = stage.find(storage, how.stage, how.key(*(llm_inputs(chunks, tags) if by_model else (chunks.digest,))))
    if written is not None:
        return written, from_table(stage.load(storage, written), SummaryRow)
    if by_model:
        return None, None
    rows = from_table(stage.load(storage, chunks), ChunkRow)
    return None, from_table(summarize_chunks(rows, settings.summarize).table, SummaryRow)


_STAGES: tuple[Callable[[Lookout, DocumentWork], list[Asked] | None], ...] = (
    _transcripts,
    _summaries,
    _vectors,
)


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
    """Whether there is an answer or a vector; a database that is not there is not made."""
    with contextlib.ExitStack() as stack:
        responses: Responses | None = None
        vectors: Embeddings | None = None
        if Responses.any_in(storage):
            responses = stack.enter_context(contextlib.closing(Responses.open(storage)))
        if storage.exists(EMBEDDINGS):
            vectors = stack.enter_context(Embeddings.open(storage))

        def is_kept(key: str) -> bool:
            answered = responses is not None and responses.get(key) is not None
            return answered or (vectors is not None and bool(vectors.known([key])))

        yield is_kept
