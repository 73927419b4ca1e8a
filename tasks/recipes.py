"""What a run does to every document: the recipe of each stage, resolved once before any work.

In: settings. Out: `Recipes`, from which the plan tells whether a published document is up to date, and which the
stages get handed. Workers do not decide for themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tasks import chunk, embed, partition, summarize
from tasks.embed.spaces import fingerprint
from tasks.partition.capabilities import resolve_capabilities
from tasks.rows import DocumentRow, content_id
from tasks.settings import Settings
from tasks.stage import Recipe


@dataclasses.dataclass(frozen=True)
class Recipes:
    """The stages' recipes under one `Settings` and the capabilities of this machine."""

    settings: Settings
    capabilities: Mapping[str, str]
    chunk: Recipe
    summarize: Recipe
    embed: Mapping[str, Recipe]

    def partition(self, media_type: str) -> Recipe:
        return partition.recipe(self.settings, self.capabilities, media_type)

    def up_to_date(self, document: DocumentRow, media_type: str) -> bool:
        """Whether a published document is what these recipes would make of it, told from its marks alone."""
        if document.media_type != media_type:
            return False
        marks = {mark.stage: mark for mark in document.stages}
        stages = {"partition", "chunk", "summarize", *(recipe.stage for recipe in self.embed.values())}
        if set(marks) != stages:
            return False
        parts, chunks, summaries = marks["partition"], marks["chunk"], marks["summarize"]
        return (
            parts.key == self.partition(media_type).key(document.doc_id, media_type)
            and chunks.key == self.chunk.key(document.doc_id, parts.digest)
            and summaries.key == self.summarize.key(chunks.digest)
            and all(
                marks[recipe.stage].key == recipe.key(chunks.digest, summaries.digest) for recipe in self.embed.values()
            )
        )

    def attempt_key(self, doc_id: str, media_type: str) -> str:
        """Names an attempt at a document: a failure is known while this is unchanged. Limits count here."""
        recipes = [self.partition(media_type), self.chunk, self.summarize, *self.embed.values()]
        limits = self.settings.limits.model_dump(exclude={"workers"})
        return content_id(doc_id, media_type, limits, [dataclasses.asdict(recipe) for recipe in recipes])


def resolve(settings: Settings, capabilities: Mapping[str, str] | None = None) -> Recipes:
    """The recipes of a run, with the capabilities of this machine or those that the run was started with.

    Raises MissingCapabilityError where the settings ask for what is not installed.
    """
    if capabilities is None:
        capabilities = resolve_capabilities()
    return Recipes(
        settings=settings,
        capabilities=capabilities,
        chunk=chunk.recipe(settings, capabilities),
        summarize=summarize.recipe(settings, capabilities),
        embed={name: embed.recipe(name, fingerprint(name)) for name in settings.embed.spaces},
    )
