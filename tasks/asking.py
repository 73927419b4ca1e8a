"""The batch lane's own step, between chunks and summaries: the documents of all shards in, their answers in the lake.

What the summaries will ask is put into batches, which are waited for; the stage then finds the answers and asks nobody.
What batches leave without an answer is tried in another one, and then live by the stage. Nothing here decides about a
document: those whose answers are still on their way, or found no room in the budget, the stage leaves for the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

from tasks import progress, stage
from tasks.context import Context, RunSpec, working
from tasks.errors import BinderyError
from tasks.llm.batch.lane import ROUNDS, Lane
from tasks.shards import media_call
from tasks.summarize import llm_requests, look
from tasks.work import DocumentState, Shard


def collect(spec: RunSpec) -> None:
    """Before anything is asked, in either lane: the answers that earlier runs' batches have by now."""
    with working(spec) as context:
        lane = context.llm.lane if context.llm else None
        if lane is not None:
            lane.collect()


def ask(spec: RunSpec, shards: Sequence[Shard]) -> None:
    """Submit what documents ask and wait for it, for as long as the settings say."""
    with working(spec) as context:
        lane = _lane(context)
        documents = [state for shard in shards for state in shard.documents if state.failure is None]
        end = time.monotonic() + 3600 * spec.settings.llm.batch_wait_hours
        for _ in range(ROUNDS):
            lane.short = False
            asked = _submitted(context, lane, documents)
            pending = lane.pending
            if not pending:
                break
            progress.report("planned", "ask", pending)
            if not lane.wait(end - time.monotonic()):
                progress.report("note", label=f"{lane.pending:,} requests are in batches: run again to collect them")
                break
            # Only these are looked at again: what a document asks is made anew, pictures and all.
            documents = [state for state, keys in asked if not all(map(lane.answered, keys))]
            if not documents:
                break
        lane.finish()


def _submitted(
    context: Context, lane: Lane, documents: Sequence[DocumentState]
) -> list[tuple[DocumentState, set[str]]]:
    """Each document with the requests that it waits for."""
    threads = context.spec.settings.limits.workers + 1
    with ThreadPoolExecutor(threads) as pool:
        waiting = list(pool.map(lambda state: _put(context, lane, state), documents))
    lane.flush()
    return [(state, keys) for state, keys in zip(documents, waiting, strict=True) if keys]


def _put(context: Context, lane: Lane, state: DocumentState) -> set[str]:
    """The requests of a document that have no answer yet and may get one. One whose picture cannot be read now, say,
    fails in the stage, which is about to meet the same."""
    try:
        return asyncio.run(_each_put(context, lane, state))
    except (BinderyError, CancelledError):
        raise
    except Exception as error:  # noqa: BLE001  whatever a library raises, the document is what failed
        stage.failure(error, state.work.uri)
        return set()


async def _each_put(context: Context, lane: Lane, state: DocumentState) -> set[str]:
    settings, storage = context.spec.settings, context.lake.storage
    tags = state.ref("tag") if context.recipes.tag else None
    seen = look(storage, settings, media_call(context))
    asked = llm_requests(storage, state.ref("chunk"), tags, context.recipes.summarize, settings, seen)
    return {key async for request in asked if (key := lane.put(request, state.work.doc_id))}


def _lane(context: Context) -> Lane:
    if context.llm is None or context.llm.lane is None:
        raise AssertionError("the context was opened for another lane")
    return context.llm.lane
