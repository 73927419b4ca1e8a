"""What the summaries of a run would cost: planned documents in, calls, tokens and dollars out, with nothing asked.

Only documents whose chunks a former run has left in the lake can be told; a first run knows none of them. Summaries
that are there and answers that are kept cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from tasks import stage
from tasks.llm.account import address
from tasks.llm.batch.store import pending_keys
from tasks.llm.prices import Usage, price
from tasks.llm.responses import DATABASE, Responses
from tasks.llm.tokens import prompt_tokens
from tasks.recipes import Recipes
from tasks.report.spend import Estimate
from tasks.settings import Lane
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.summarize import llm_requests, look
from tasks.summarize.pictures import Call
from tasks.work import DocumentWork


def estimate(
    storage: Storage | None, recipes: Recipes, work: Iterable[DocumentWork], call: Call, lane: Lane = "live"
) -> Estimate:
    """For the openai profile. `storage` is None where there is no lake yet; pictures are opened through `call`."""
    found, settings = Estimate(lane=lane), recipes.settings.llm
    dollars: Decimal | None = Decimal(0)
    pending = pending_keys(storage, address(settings)) if storage else frozenset()
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
                if key in pending:
                    found.pending += 1
                    continue
                found.calls += 1
                found.prompt_tokens += usage.prompt
                found.completion_tokens += usage.completion
                cost = price(model, usage, settings.prices, settings.base_url, batch=lane == "batch")
                dollars = None if cost is None or dollars is None else dollars + cost
    found.dollars = None if dollars is None else float(dollars)
    return found


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
    asked = llm_requests(storage, *inputs, recipes.summarize, settings, look(storage, settings, call))
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
