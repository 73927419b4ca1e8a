"""Summarize: a document's chunks in, a short text that stands for each in search out.

Which chunks get one is a setting (`kinds`). The summaries here are extractive: chosen from the chunk's own words on
this machine, without a model.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from tasks import stage
from tasks.rows import ChunkRow, SummaryRow, digest, from_table, to_table
from tasks.settings import Settings, SummarizeSettings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage
from tasks.summarize import extractive

STAGE_VERSION = 1


def recipe(settings: Settings, capabilities: Mapping[str, str]) -> Recipe:
    """What decides the summaries besides the chunks. The extractive method uses no capability."""
    return Recipe(
        "summarize", STAGE_VERSION, {**settings.summarize.model_dump(mode="json"), "method": extractive.METHOD}, {}
    )


def summarize_chunks(chunks: Sequence[ChunkRow], settings: SummarizeSettings) -> StageOutput:
    """One summary for each chunk of the kinds asked for, in the chunks' order."""
    wanted = [chunk for chunk in chunks if chunk.kind in settings.kinds]
    rows = [
        SummaryRow(chunk.chunk_id, text, extractive.METHOD)
        for chunk, text in zip(wanted, extractive.summaries(wanted, settings.max_characters), strict=True)
    ]
    info = StageInfo(counts=dict(sorted(collections.Counter[str](chunk.kind for chunk in wanted).items())))
    return StageOutput(to_table(rows, SummaryRow), digest(rows, info), info)


def summarize_document(storage: Storage, chunks: StageRef, recipe: Recipe, settings: SummarizeSettings) -> StageRef:
    """The stage file of summaries for a chunked document."""

    def compute(key: str) -> StageOutput:
        return summarize_chunks(from_table(stage.load(storage, chunks), ChunkRow), settings)

    return stage.run(storage, recipe, (chunks.digest,), compute)
