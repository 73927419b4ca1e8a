"""A query and the spaces of a release in, its vector in each that can be asked out.

A space that embeds media is asked for the sum of the query's terms, one of text alone for the query's words. The spaces
here must be those that the release's vectors were made in.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from tasks.embed import spaces as embed_spaces
from tasks.embed.spaces import embed_query, embeds_media
from tasks.errors import LakeError, MissingCapabilityError, UsageError
from tasks.lake import Release
from tasks.query import Query, query_vector
from tasks.space_names import full


class QuerySpace(Protocol):
    """What a search needs of a space; tasks.embed.spaces.Space is one, and a MediaSpace can be asked by files."""

    @property
    def dimension(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class QueryVector:
    """The query in one space, and whether that space embeds media."""

    values: np.ndarray
    media: bool


def chosen_spaces(release: Release, asked: Sequence[str]) -> list[str]:
    """The spaces of the release that are asked for, or all. Raises UsageError for one that it has not."""
    asked = [full(name) for name in asked]
    for name in asked:
        if name not in release.spaces:
            held = ", ".join(sorted(release.spaces)) or "none"
            raise UsageError(f"the lake has no space {name!r}", f"its spaces: {held}; ingest with it to add it")
    return sorted(asked or release.spaces)


def ask(open_space: Callable[[str], QuerySpace], name: str, query: Query, release: Release) -> QueryVector | None:
    """The query in a space; None where the space is of text and the query has no words."""
    space = _open(open_space, name, query, release)
    if embeds_media(space):
        return QueryVector(query_vector(query, space), media=True)
    return QueryVector(embed_query(space, query.words), media=False) if query.words else None


def _open(open_space: Callable[[str], QuerySpace], name: str, query: Query, release: Release) -> QuerySpace:
    """The space of the release's vectors, and no other of its name."""
    try:
        space = open_space(name)
    except MissingCapabilityError as error:
        others = [] if query.needs_media_space else sorted(set(release.spaces) - {name})
        without = "".join(f" --space {other}" for other in others)
        hint = f"{error.hint}; or search without it:{without}" if without else error.hint
        raise MissingCapabilityError(f"space {name!r} of the lake: {error.message}", hint, error.code) from error
    held = release.models.get(name)
    if held is not None and held != space.fingerprint:
        raise LakeError(
            f"space {name!r} of the lake was made by another model than the one here ({_short(held)}, not "
            f"{_short(space.fingerprint)})",
            "use the model that it was made by, or make it anew: bindery ingest --restage SOURCE... with all sources",
        )
    if space.dimension != release.spaces[name]:
        raise LakeError(
            f"space {name!r} has dimension {space.dimension} here and {release.spaces[name]} in the lake",
            "use the version of bindery that wrote the lake, or ingest into a new lake",
        )
    return space


def _short(fingerprint: str) -> str:
    return fingerprint if len(fingerprint) <= 32 else f"{fingerprint[:12]}…{fingerprint[-12:]}"


def require_media_space(query: Query, vectors: Iterable[QueryVector], chosen: Sequence[str], release: Release) -> None:
    """Refuse what words alone cannot say where nothing else can be asked: it would be left out in silence."""
    if not query.needs_media_space or any(vector.media for vector in vectors):
        return
    what = "files" if query.files else "weights and --minus"
    if set(chosen) != set(release.spaces):
        raise UsageError(f"no chosen space can be asked by {what}: {', '.join(chosen)}", "leave --space out")
    held = ", ".join(sorted(release.spaces)) or "none"
    here = [name for name in embed_spaces.at_hand()[0] if embeds_media(embed_spaces.open_space(name))]
    raise UsageError(
        f"the lake has no space that can be asked by {what}; its spaces: {held}",
        f"the model of space {here[0]} is installed: bindery ingest SOURCE... adds the space, with --restage also for "
        "documents that were never embedded in it"
        if here
        else "bindery models add imagebind PATH.pth, then bindery ingest --restage SOURCE...",
    )


def coverage(release: Release, spaces: Iterable[str]) -> tuple[str, ...]:
    """What is to be said of spaces that hold only some of the documents: the others cannot be found in them.

    So it is where a space was added to a lake without redoing what that held. Releases of earlier versions do not say.
    """
    total = release.counts.get("documents", 0)
    held = {name: release.counts.get(f"documents_{name}", total) for name in sorted(spaces)}
    return tuple(
        f"space {name} holds vectors of {count} of {total} documents: "
        "bindery ingest --restage SOURCE... adds the others"
        for name, count in held.items()
        if count < total
    )


def text_spaces(release: Release, open_space: Callable[[str], QuerySpace] | None = None) -> tuple[str, ...]:
    """The spaces of a release that read nothing but text; none means that it has no such space.

    What answers are made of is text, and how strong evidence is was calibrated on these spaces: a question is put to
    them alone, unless the asker chooses others. It also spares a question the loading of a large model.
    """
    open_space = open_space or embed_spaces.Spaces().open
    found: list[str] = []
    for name in sorted(release.spaces):
        with contextlib.suppress(MissingCapabilityError):  # said by `retrieve` where it matters
            if not embeds_media(open_space(name)):
                found.append(name)
    return tuple(found)
