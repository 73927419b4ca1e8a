"""What transcripts and summaries of a run would cost: planned documents in, calls and dollars out, with nothing asked.

Only documents whose chunks a former run has left in the lake can be told; a first run knows none of them. Summaries
that are there and answers that are kept cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from tasks import stage
from tasks.chunk import chunk_inputs
from tasks.llm.prices import Usage, price
from tasks.llm.responses import DATABASE, Responses
from tasks.llm.tokens import prompt_tokens
from tasks.recipes import Recipes
from tasks.report.spend import Estimate, SpeechEstimate
from tasks.rows import ChunkRow, from_table
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.summarize import labels, llm, llm_inputs, look
from tasks.summarize.pictures import Call
from tasks.transcribe.forecast import forecast
from tasks.work import DocumentWork


def estimate(storage: Storage | None, recipes: Recipes, work: Iterable[DocumentWork], call: Call) -> Estimate:
    """Where an endpoint is asked. `storage` is None where there is no lake yet; pictures are opened through `call`."""
    work = list(work)
    found = Estimate(speech=_speech(storage, recipes, work), summaries=recipes.settings.profile == "openai")
    if not found.summaries:
        return found
    dollars: Decimal | None = Decimal(0)
    with _kept(storage) as is_kept:
        counted: set[str] = set()
        for item in work:
            inputs = _inputs(storage, recipes, item) if storage else None
            if storage is None or inputs is None:
                found.unknown += 1
                continue
            found.documents += 1
            for key, model, usage in asyncio.run(_asked(storage, recipes, inputs, call)):
                if key in counted or is_kept(key):
                    continue
                counted.add(key)
                found.calls += 1
                found.prompt_tokens += usage.prompt
                found.completion_tokens += usage.completion
                cost = price(model, usage, recipes.settings.llm.prices, recipes.settings.llm.base_url)
                dollars = None if cost is None or dollars is None else dollars + cost
    found.dollars = None if dollars is None else float(dollars)
    return found


def _inputs(storage: Storage, recipes: Recipes, item: DocumentWork) -> tuple[StageRef, StageRef | None] | None:
    """The document's chunks and, where they are wanted, tags; None where they are not made yet."""
    parts = _parts(storage, recipes, item)
    if parts is None:
        return None
    said: StageRef | None = None
    if recipes.transcribe and recipes.transcribes(item.media_type):
        said = stage.find(storage, recipes.transcribe.stage, recipes.transcribe.key(parts.digest))
        if said is None:
            return None
    chunks = stage.find(storage, recipes.chunk.stage, recipes.chunk.key(*chunk_inputs(item.doc_id, parts, said)))
    if chunks is None or recipes.tag is None:
        return (chunks, None) if chunks else None
    tags = stage.find(storage, recipes.tag.stage, recipes.tag.key(chunks.digest))
    return (chunks, tags) if tags else None


def _parts(storage: Storage, recipes: Recipes, item: DocumentWork) -> StageRef | None:
    recipe = recipes.partition(item.media_type)
    return stage.find(storage, recipe.stage, recipe.key(item.doc_id, item.media_type))


def _speech(storage: Storage | None, recipes: Recipes, work: Iterable[DocumentWork]) -> SpeechEstimate | None:
    if recipes.transcribe is None:
        return None
    spoken = [item for item in work if recipes.transcribes(item.media_type)]
    if storage is None:
        return SpeechEstimate(unknown=len(spoken))
    return forecast(storage, recipes.transcribe, recipes.settings, (_parts(storage, recipes, item) for item in spoken))


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


@contextlib.contextmanager
def _kept(storage: Storage | None) -> Iterator[Callable[[str], bool]]:
    """Whether there is an answer; a database that is not there is not made."""
    if storage is None or not storage.exists(DATABASE):
        yield lambda key: False
        return
    responses = Responses.open(storage)
    try:
        yield lambda key: responses.get(key) is not None
    finally:
        responses.close()
