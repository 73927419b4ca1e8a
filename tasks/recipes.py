"""What a run does to every document: the recipe of each stage, resolved once before any work.

In: settings. Out: `Recipes`, from which the plan tells whether a published document is up to date, and which the
stages get handed. Workers do not decide for themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from types import MappingProxyType

from tasks import chunk, embed, partition, summarize, transcribe
from tasks.embed import tag
from tasks.embed.spaces import Spaces, at_hand
from tasks.errors import MissingCapabilityError, UsageError
from tasks.partition.capabilities import resolve_capabilities
from tasks.rows import DocumentRow, StageMark, content_id
from tasks.settings import Settings
from tasks.space_names import ENDPOINT, PATH, full, slug
from tasks.stage import Recipe


@dataclasses.dataclass(frozen=True)
class Recipes:
    """The stages' recipes under one `Settings` and the capabilities of this machine."""

    settings: Settings
    capabilities: Mapping[str, str]
    transcribe: Recipe | None
    chunk: Recipe
    tag: Recipe | None
    summarize: Recipe
    embed: Mapping[str, Recipe]

    def partition(self, media_type: str) -> Recipe:
        return partition.recipe(self.settings, self.capabilities, media_type)

    def transcribes(self, media_type: str) -> bool:
        """Whether documents of this type have a transcript."""
        return self.transcribe is not None and transcribe.speaks(media_type)

    def up_to_date(self, document: DocumentRow, media_type: str) -> bool:
        """Whether a published document is what these recipes would make of it, told from its marks alone."""
        if document.media_type != media_type:
            return False
        marks = {mark.stage: mark for mark in document.stages}
        heard = self.transcribe if self.transcribes(media_type) else None
        if set(marks) != {"partition", "chunk", *([heard.stage] if heard else []), *self._after_chunk}:
            return False
        parts, chunks, summaries = marks["partition"], marks["chunk"], marks["summarize"]
        return (
            parts.key == self.partition(media_type).key(document.doc_id, media_type)
            and (heard is None or marks[heard.stage].key == heard.key(parts.digest))
            and chunks.key
            == self.chunk.key(document.doc_id, parts.digest, *([marks[heard.stage].digest] if heard else []))
            and (self.tag is None or marks[self.tag.stage].key == self.tag.key(chunks.digest))
            and summaries.key == self.summarize.key(chunks.digest, *self._tags_digest(marks))
            and all(
                marks[recipe.stage].key == recipe.key(chunks.digest, summaries.digest) for recipe in self.embed.values()
            )
        )

    def _tags_digest(self, marks: Mapping[str, StageMark]) -> list[str]:
        """Tags decide what a model is asked about; extractive summaries do not look at them."""
        return [marks[self.tag.stage].digest] if self.tag and self.settings.profile == "openai" else []

    @property
    def _after_chunk(self) -> list[str]:
        tags = [self.tag.stage] if self.tag else []
        return [*tags, self.summarize.stage, *(recipe.stage for recipe in self.embed.values())]

    def attempt_key(self, doc_id: str, media_type: str) -> str:
        """Names an attempt at a document: a failure is known while this is unchanged. Limits count here."""
        tags = [self.tag] if self.tag else []
        heard = [self.transcribe] if self.transcribe and self.transcribes(media_type) else []
        recipes = [self.partition(media_type), *heard, self.chunk, *tags, self.summarize, *self.embed.values()]
        limits = self.settings.limits.model_dump(exclude={"workers"})
        return content_id(doc_id, media_type, limits, [dataclasses.asdict(recipe) for recipe in recipes])


def with_spaces(
    settings: Settings, spaces: Spaces, held: Collection[str] = (), models: Mapping[str, str] = MappingProxyType({})
) -> tuple[Settings, list[str]]:
    """The settings with their spaces named, and notes on what is off. `held` are the spaces that readers have now,
    `models` what those were made by.

    Without a choice these are the spaces whose models are at hand, and the folders that readers' spaces are of. Raises
    MissingCapabilityError where that would drop one that readers have, or the model of a chosen one is not here.
    """
    if settings.embed.spaces:
        chosen = tuple(dict.fromkeys(full(name) for name in settings.embed.spaces))
        made_by = _distinct({name: spaces.open(name).fingerprint for name in chosen})
        notes = []
        for name in sorted(set(held) - set(chosen)):
            moved = made_by.get(slug(name, models.get(name, "")))
            notes.append(
                f"space {name} is now {moved}: the same model"
                if moved
                else f"space {name} is not chosen: it leaves the release for all readers"
            )
        return _named(settings, chosen), notes
    found, missing = at_hand()
    paid = [name for name in sorted(held) if name.startswith(ENDPOINT)]
    if paid:
        keep = " ".join(f"--space {name}" for name in (*found, *sorted(set(held) - set(found))))
        raise MissingCapabilityError(
            f"readers of this lake have space {paid[0]}, which costs money and is used only where it is named",
            f"name it: {keep}, or BINDERY_EMBED__SPACES; or go on without it: "
            + " ".join(f"--space {name}" for name in found),
        )
    folders = tuple(name for name in sorted(held) if name.startswith(PATH))
    for name in folders:
        try:
            spaces.open(name)
        except MissingCapabilityError as error:
            missing[name] = error
    for name in sorted(set(missing) & set(held)):
        kept = " ".join(f"--space {other}" for other in found)
        raise MissingCapabilityError(
            f"readers of this lake have space {name!r}, and {missing[name].message}",
            f"{missing[name].hint}; or go on without it: {kept}",
        )
    notes = [f"space {name} is off: {error.message}; {error.hint}" for name, error in missing.items()]
    return _named(settings, (*found, *folders)), notes


def _named(settings: Settings, spaces: tuple[str, ...]) -> Settings:
    return settings.model_copy(update={"embed": settings.embed.model_copy(update={"spaces": spaces})})


def _distinct(made_by: Mapping[str, str]) -> dict[str, str]:
    """Space by what its tables are called. Raises UsageError for two folders of one model."""
    found: dict[str, str] = {}
    for name, fingerprint in made_by.items():
        other = found.setdefault(slug(name, fingerprint), name)
        if other != name:
            raise UsageError(f"the spaces {other} and {name} are the same model", "give one of them")
    return found


def resolve(settings: Settings, capabilities: Mapping[str, str] | None = None, spaces: Spaces | None = None) -> Recipes:
    """The recipes of a run, with the capabilities of this machine or those that the run was started with.

    Raises MissingCapabilityError where the settings ask for what is not installed.
    """
    if capabilities is None:
        capabilities = resolve_capabilities(settings.partition)
    spaces = spaces or Spaces(settings)
    settings, _ = with_spaces(settings, spaces)
    opened = [spaces.open(name) for name in settings.embed.spaces]
    return Recipes(
        settings=settings,
        capabilities=capabilities,
        transcribe=transcribe.recipe(settings.transcribe) if settings.transcribe.enabled else None,
        chunk=chunk.recipe(settings, capabilities),
        tag=tag.recipe(settings.tag, spaces.open(settings.tag.space)) if settings.tag.enabled else None,
        summarize=summarize.recipe(settings, capabilities),
        embed={space.name: embed.recipe(space, settings.embed.image_tiles) for space in opened},
    )
