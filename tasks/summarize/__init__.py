"""Summarize: a document's chunks in, a short text that stands for each in search out.

Which chunks get one is a setting (`kinds`). In the local profile they are extractive: chosen from the chunk's own words
on this machine, without a model. In the openai profile a model writes those of text, tables and pictures.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Mapping, Sequence

from tasks import stage
from tasks.llm.request import Request
from tasks.rows import EXTRACTIVE, ChunkRow, SummaryRow, TagRow, digest, from_table, to_table
from tasks.settings import Settings, SummarizeSettings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage
from tasks.summarize import ask, extractive, llm, pictures

STAGE_VERSION = 3


def recipe(settings: Settings, capabilities: Mapping[str, str]) -> Recipe:
    """What decides the summaries besides the chunks. Neither method uses a capability: the model is a setting."""
    how = settings.summarize.model_dump(mode="json")
    if settings.profile == "openai":
        asked = ask.recipe_settings(settings.llm, settings.summarize.kinds)
        return Recipe("summarize", STAGE_VERSION, {**how, "method": llm.METHOD, "llm": asked}, {})
    return Recipe("summarize", STAGE_VERSION, {**how, "method": EXTRACTIVE}, {})


def summarize_chunks(chunks: Sequence[ChunkRow], settings: SummarizeSettings) -> StageOutput:
    """One extractive summary for each chunk of the kinds asked for, in the chunks' order."""
    wanted = [chunk for chunk in chunks if chunk.kind in settings.kinds]
    rows = [
        SummaryRow(chunk.chunk_id, text, EXTRACTIVE)
        for chunk, text in zip(wanted, extractive.summaries(wanted, settings.max_characters), strict=True)
    ]
    info = StageInfo(counts=dict(sorted(collections.Counter[str](chunk.kind for chunk in wanted).items())))
    return StageOutput(to_table(rows, SummaryRow), digest(rows, info), info)


def summarize_document(storage: Storage, chunks: StageRef, recipe: Recipe, settings: SummarizeSettings) -> StageRef:
    """The stage file of extractive summaries for a chunked document."""

    def compute(key: str) -> StageOutput:
        return summarize_chunks(from_table(stage.load(storage, chunks), ChunkRow), settings)

    return stage.run(storage, recipe, (chunks.digest,), compute)


def summarize_document_by_llm(
    storage: Storage,
    chunks: StageRef,
    tags: StageRef | None,
    recipe: Recipe,
    settings: Settings,
    answer: llm.Answer,
    look: llm.Look,
) -> StageRef:
    """The stage file of summaries by a model for a chunked document; tags, where there are some, decide as well.

    Runs a loop of its own on the calling thread, on which `answer` is awaited.
    """

    def compute(key: str) -> StageOutput:
        rows = from_table(stage.load(storage, chunks), ChunkRow)
        return asyncio.run(llm.summaries(rows, settings, answer, tags=labels(storage, tags), look=look))

    return stage.run(storage, recipe, llm_inputs(chunks, tags), compute)


async def llm_requests(
    storage: Storage, chunks: StageRef, tags: StageRef | None, recipe: Recipe, settings: Settings, look: llm.Look
) -> AsyncIterator[Request]:
    """What that would ask first; nothing where it is done."""
    if stage.find(storage, recipe.stage, recipe.key(*llm_inputs(chunks, tags))):
        return
    rows = from_table(stage.load(storage, chunks), ChunkRow)
    async for request in llm.requests(rows, settings, tags=labels(storage, tags), look=look):
        yield request


def llm_inputs(chunks: StageRef, tags: StageRef | None) -> tuple[str, ...]:
    """The digests that a summary by a model depends on."""
    return (chunks.digest, tags.digest) if tags else (chunks.digest,)


def labels(storage: Storage, tags: StageRef | None) -> dict[str, str]:
    """The label of each tagged chunk."""
    return {row.chunk_id: row.label for row in from_table(stage.load(storage, tags), TagRow)} if tags else {}


def look(storage: Storage, settings: Settings, call: pictures.Call) -> llm.Look:
    """Opens a chunk's picture through `call`, which runs a module-level function in a worker process."""

    def seen(chunk: ChunkRow) -> pictures.Seen:
        path = str(storage.local(chunk.media or ""))
        found: pictures.Seen = call(pictures.render, path, settings.llm.image_px, settings.partition.max_pixels)
        return found

    return seen
