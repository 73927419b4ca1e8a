"""What summaries and embeddings of a run would cost: planned documents in, calls, tokens and dollars out; nothing is
asked.

Only documents whose chunks a former run has left in the lake can be told; a first run knows none of them. Summaries
that are there, and answers and vectors that are kept, cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from tasks import stage
from tasks.embed import forecast
from tasks.embed.spaces import Spaces
from tasks.llm.embeddings import DATABASE as EMBEDDINGS
from tasks.llm.embeddings import Embeddings
from tasks.llm.prices import Usage, price
from tasks.llm.responses import DATABASE, Responses
from tasks.llm.tokens import prompt_tokens
from tasks.recipes import Recipes
from tasks.report.spend import EmbeddingEstimate, Estimate
from tasks.rows import ChunkRow, SummaryRow, from_table
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.summarize import labels, llm, llm_inputs, look, summarize_chunks
from tasks.summarize.pictures import Call
from tasks.work import DocumentWork


def estimate(
    storage: Storage | None, recipes: Recipes, work: Iterable[DocumentWork], call: Call, spaces: Spaces
) -> Estimate | None:
    """None where nothing would be paid for. `storage` is None where there is no lake yet; pictures are opened through
    `call`."""
    by_model = recipes.settings.profile == "openai"
    paid = forecast.paid_spaces(recipes.settings, spaces)
    if not by_model and not paid:
        return None
    found = Estimate(summaries=by_model)
    summaries = _Summaries(recipes, call)
    with _kept_answers(storage) as is_kept, _kept_vectors(storage) as kept_vectors:
        settings, how = recipes.settings, recipes.embed
        vectors = [forecast.Forecast(space, how[space.name], settings, kept_vectors) for space in paid]
        for item in work:
            inputs = _inputs(storage, recipes, item) if storage else None
            if storage is None or inputs is None:
                found.unknown += 1
                continue
            found.documents += 1
            if by_model:
                summaries.add(storage, inputs, is_kept)
            for one in vectors:
                one.add(storage, inputs[0], *_summaries_of(storage, recipes, inputs))
    summaries.tell(found)
    if vectors:
        found.embedding = _total(vectors)
    return found


def _total(vectors: Sequence[forecast.Forecast]) -> EmbeddingEstimate:
    dollars = [each.dollars for each in vectors]
    known = [each for each in dollars if each is not None]
    return EmbeddingEstimate(
        texts=sum(each.texts for each in vectors),
        calls=sum(each.calls for each in vectors),
        tokens=sum(each.tokens for each in vectors),
        dollars=float(sum(known, Decimal(0))) if len(known) == len(dollars) else None,
    )


class _Summaries:
    """The requests of many documents, each counted once."""

    def __init__(self, recipes: Recipes, call: Call) -> None:
        self._recipes, self._call = recipes, call
        self._counted: set[str] = set()
        self._usage = Usage()
        self._dollars: Decimal | None = Decimal(0)

    def add(self, storage: Storage, inputs: tuple[StageRef, StageRef | None], is_kept: Callable[[str], bool]) -> None:
        settings = self._recipes.settings.llm
        for key, model, usage in asyncio.run(_asked(storage, self._recipes, inputs, self._call)):
            if key in self._counted or is_kept(key):
                continue
            self._counted.add(key)
            self._usage = Usage(self._usage.prompt + usage.prompt, self._usage.completion + usage.completion)
            cost = price(model, usage, settings.prices, settings.base_url)
            self._dollars = None if cost is None or self._dollars is None else self._dollars + cost

    def tell(self, found: Estimate) -> None:
        found.calls = len(self._counted)
        found.prompt_tokens, found.completion_tokens = self._usage.prompt, self._usage.completion
        found.dollars = None if self._dollars is None else float(self._dollars)


def _inputs(storage: Storage, recipes: Recipes, item: DocumentWork) -> tuple[StageRef, StageRef | None] | None:
    """The document's chunks and, where they are wanted, tags; None where they are not made yet."""
    recipe = recipes.partition(item.media_type)
    parts = stage.find(storage, recipe.stage, recipe.key(item.doc_id, item.media_type))
    if parts is None:
        return None
    chunks = stage.find(storage, recipes.chunk.stage, recipes.chunk.key(item.doc_id, parts.digest))
    if chunks is None or recipes.tag is None:
        return (chunks, None) if chunks else None
    tags = stage.find(storage, recipes.tag.stage, recipes.tag.key(chunks.digest))
    return (chunks, tags) if tags else None


async def _asked(
    storage: Storage, recipes: Recipes, inputs: tuple[StageRef, StageRef | None], call: Call
) -> list[tuple[str, str, Usage]]:
    """The key, model and highest usage of each request about a document."""
    settings = recipes.settings
    if stage.find(storage, recipes.summarize.stage, recipes.summarize.key(*llm_inputs(*inputs))):
        return []
    chunks, tags = inputs
    rows = from_table(stage.load(storage, chunks), ChunkRow)
    asked = llm.requests(rows, settings, tags=labels(storage, tags), look=look(storage, settings, call))
    return [
        (request.key(), request.model, Usage(prompt_tokens(request), request.sampling.max_tokens))
        async for request in asked
    ]


def _summaries_of(
    storage: Storage, recipes: Recipes, inputs: tuple[StageRef, StageRef | None]
) -> tuple[StageRef | None, list[SummaryRow] | None]:
    """A document's summaries: where they are, or what they will be; neither where a model has yet to write them."""
    settings, (chunks, tags) = recipes.settings, inputs
    by_model = settings.profile == "openai"
    written = stage.find(
        storage,
        recipes.summarize.stage,
        recipes.summarize.key(*(llm_inputs(chunks, tags) if by_model else (chunks.digest,))),
    )
    if written is not None:
        return written, from_table(stage.load(storage, written), SummaryRow)
    if by_model:
        return None, None
    rows = from_table(stage.load(storage, chunks), ChunkRow)
    return None, from_table(summarize_chunks(rows, settings.summarize).table, SummaryRow)


@contextlib.contextmanager
def _kept_answers(storage: Storage | None) -> Iterator[Callable[[str], bool]]:
    """Whether there is an answer; a database that is not there is not made."""
    if storage is None or not storage.exists(DATABASE):
        yield lambda key: False
        return
    responses = Responses.open(storage)
    try:
        yield lambda key: responses.get(key) is not None
    finally:
        responses.close()


@contextlib.contextmanager
def _kept_vectors(storage: Storage | None) -> Iterator[forecast.Known]:
    """Which vectors are there; as above."""
    if storage is None or not storage.exists(EMBEDDINGS):
        yield lambda keys: set()
        return
    with Embeddings.open(storage) as kept:
        yield kept.known
