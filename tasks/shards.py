"""Runs one stage over one shard: each document by itself, so that a failure is that document's alone.

In: a RunSpec and a Shard of references. Out: the shard with one more reference, or a failure, per document. Only errors
that would meet every document (a full disk, a missing model) are raised, and end the run.
Partitioning and chunking run in worker processes, embedding in this one, batched over the shard.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from tasks import progress, stage
from tasks.chunk import chunk_document, chunk_inputs
from tasks.containers import scratch
from tasks.context import Context, RunSpec, context_of, working
from tasks.embed import EmbedInput, embed_shard
from tasks.embed.media import Call
from tasks.embed.spaces import Space
from tasks.embed.tag import tag_shard
from tasks.embed.vectors import Lookup
from tasks.errors import BinderyError, DocumentError
from tasks.index.known import known_vectors
from tasks.llm.errors import BudgetReachedError, PendingError
from tasks.partition import partition_document
from tasks.stage import StageRef
from tasks.summarize import look, summarize_document, summarize_document_by_llm
from tasks.transcribe import sound, transcribe_document
from tasks.work import LEFT, DocumentState, DocumentWork, Failure, Shard

_ELEMENTS_PER_PAGE = 20
_SECONDS_PER_PAGE = 600  # of a recording
_ASKING = 16  # documents of a shard that wait for answers at the same time


def partition(spec: RunSpec, shard: Shard) -> Shard:
    def compute(context: Context, state: DocumentState) -> StageRef:
        return partition_document(
            context.lake.storage,
            state.work,
            spec.settings,
            context.recipes.partition(state.work.media_type),
            context.workers,
            lambda pages: progress.report("pages", "partition", pages),
        )

    return _each(spec, shard, "partition", compute, spec.settings.limits.workers + 1)


def transcribe(spec: RunSpec, shard: Shard) -> Shard:
    """Nothing, unless it is asked for; then of the documents that can hold recordings."""

    def compute(context: Context, state: DocumentState) -> StageRef:
        recipe, account, upstream = context.recipes.transcribe, context.speech, state.ref("partition")
        if recipe is None:
            raise AssertionError("the context was opened for other settings")
        if account is None:
            done = stage.find(context.lake.storage, recipe.stage, recipe.key(upstream.digest))
            if done is None:
                raise DocumentError(LEFT, "what is said in it is not known, and this run asks nobody")
            return done
        with _or_left():
            return transcribe_document(
                context.lake.storage,
                upstream,
                recipe,
                spec.settings.transcribe,
                account.transcripts_for(state.work.doc_id),
                _cut(context, state.work.uri),
            )

    with working(spec) as context:
        recipes = context.recipes
    return _each(spec, shard, "transcribe", compute, _ASKING, lambda work: recipes.transcribes(work.media_type))


def _cut(context: Context, name: str) -> Callable[[str, float, float], sound.Sound]:
    """Recordings are untrusted, and long: a worker leaves what it decodes as files."""
    limits = context.spec.settings.limits

    def cut(path: str, window: float, end: float) -> sound.Sound:
        seconds = limits.seconds_per_document + limits.seconds_per_page * math.ceil(end / _SECONDS_PER_PAGE)
        return context.workers.call(sound.cut, path, scratch(), window, end, seconds=seconds, name=name)

    return cut


@contextlib.contextmanager
def _or_left() -> Iterator[None]:
    """A document for which the budget has no room, or that a batch still works on, is left, which is no failure."""
    try:
        yield
    except (BudgetReachedError, PendingError) as error:
        raise DocumentError(LEFT, error.message, error.hint) from error


def chunk(spec: RunSpec, shard: Shard) -> Shard:
    limits = spec.settings.limits

    def compute(context: Context, state: DocumentState) -> StageRef:
        upstream, recipe, said = state.ref("partition"), context.recipes.chunk, state.find("transcribe")
        inputs = chunk_inputs(state.work.doc_id, upstream, said)
        done = stage.find(context.lake.storage, recipe.stage, recipe.key(*inputs))
        return done or context.workers.call(
            chunk_document,
            context.lake.storage,
            state.work.doc_id,
            upstream,
            recipe,
            spec.settings.chunk,
            said,
            seconds=limits.seconds_per_document + limits.seconds_per_page * _pages(upstream),
            name=state.work.uri,
        )

    return _each(spec, shard, "chunk", compute, limits.workers + 1)


def _pages(partition: StageRef) -> int:
    """The pages of a document, or what its elements would fill: a table of a million rows has no pages."""
    return max(1, partition.info.pages, partition.rows // _ELEMENTS_PER_PAGE)


def tag(spec: RunSpec, shard: Shard) -> Shard:
    """Nothing, unless tags are asked for."""
    with working(spec) as context:
        recipe = context.recipes.tag
        if recipe is None:
            return shard
        live = [state for state in shard.documents if state.failure is None]
        space = context.spaces.open(spec.settings.tag.space)
        results = tag_shard(
            context.lake.storage,
            [state.ref("chunk") for state in live],
            recipe,
            space,
            _known(context, space),
            lambda: context_of(context.spec),
            media_call(context),
        )
        for _ in live:
            progress.report("done", "tag")
        return _advanced(shard, live, "tag", results)


def summarize(spec: RunSpec, shard: Shard) -> Shard:
    if spec.settings.profile == "openai":
        threads = min(spec.settings.llm.max_in_flight, _ASKING)
        return _each(spec, shard, "summarize", _summarize_by_llm, threads)

    def compute(context: Context, state: DocumentState) -> StageRef:
        return summarize_document(
            context.lake.storage, state.ref("chunk"), context.recipes.summarize, spec.settings.summarize
        )

    return _each(spec, shard, "summarize", compute, 1)


def _summarize_by_llm(context: Context, state: DocumentState) -> StageRef:
    if context.llm is None:
        raise AssertionError("the context was opened for another profile, or for a run that does not ask")
    settings, storage = context.spec.settings, context.lake.storage
    with _or_left():
        return summarize_document_by_llm(
            storage,
            state.ref("chunk"),
            state.ref("tag") if context.recipes.tag else None,
            context.recipes.summarize,
            settings,
            context.llm.answers_for(state.work.doc_id),
            look(storage, settings, media_call(context)),
        )


def embed(spec: RunSpec, shard: Shard) -> Shard:
    with working(spec) as context:
        for name in context.recipes.embed:
            shard = _embed_space(context, shard, name)
    return shard


def _embed_space(context: Context, shard: Shard, name: str) -> Shard:
    live = [state for state in shard.documents if state.failure is None]
    inputs = [EmbedInput(state.work.doc_id, state.ref("chunk"), state.ref("summarize")) for state in live]
    space = context.spaces.open(name)
    results = embed_shard(
        context.lake.storage,
        inputs,
        context.recipes.embed[name],
        space,
        lambda doc_id: progress.report("done", "embed") if name == context.spec.settings.embed.spaces[-1] else None,
        _known(context, space),
        lambda: context_of(context.spec),
        media_call(context),
    )
    return _advanced(shard, live, "embed", results)


def _known(context: Context, space: Space) -> Lookup:
    return known_vectors(context.lake, space.name, space.fingerprint)


def media_call(context: Context) -> Call:
    """Media files are untrusted: they are opened in worker processes."""
    limits = context.spec.settings.limits
    seconds = limits.seconds_per_document + limits.seconds_per_page

    def call(function: Callable[..., Any], *args: Any) -> Any:
        return context.workers.call(function, *args, seconds=seconds, name="decoding media")

    return call


def _advanced(
    shard: Shard, live: Sequence[DocumentState], name: str, results: Sequence[StageRef | DocumentError]
) -> Shard:
    after = {state.work.doc_id: _advance(state, name, result) for state, result in zip(live, results, strict=True)}
    return dataclasses.replace(shard, documents=tuple(after.get(state.work.doc_id, state) for state in shard.documents))


def _each(
    spec: RunSpec,
    shard: Shard,
    name: str,
    compute: Callable[[Context, DocumentState], StageRef],
    threads: int,
    wanted: Callable[[DocumentWork], bool] = lambda work: True,
) -> Shard:
    """Apply a stage to the documents that want it and have not failed, several at a time."""

    def one(state: DocumentState) -> DocumentState:
        if state.failure is not None or not wanted(state.work):
            return state
        with working(spec) as context:
            result = _outcome(context, state, compute)
        progress.report("failed" if isinstance(result, DocumentError) else "done", name, label=state.work.uri)
        return _advance(state, name, result)

    return dataclasses.replace(shard, documents=tuple(_map(one, shard.documents, threads)))


def _outcome(
    context: Context, state: DocumentState, compute: Callable[[Context, DocumentState], StageRef]
) -> StageRef | DocumentError:
    try:
        return compute(context, state)
    except (BinderyError, CancelledError):
        raise
    except Exception as error:  # noqa: BLE001  whatever a library raises, the document is what failed
        return stage.failure(error, state.work.uri)


def _map(
    function: Callable[[DocumentState], DocumentState], states: Sequence[DocumentState], threads: int
) -> list[DocumentState]:
    if threads <= 1:
        return [function(state) for state in states]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, states))


def _advance(state: DocumentState, name: str, result: StageRef | DocumentError) -> DocumentState:
    if isinstance(result, DocumentError):
        return dataclasses.replace(state, failure=Failure(name, result))
    return dataclasses.replace(state, refs=(*state.refs, result))
