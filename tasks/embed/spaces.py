"""Spaces: the embedding models that can be columns of the index, opened by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tasks.embed.media import Call, MediaItem, Medium, call_here
from tasks.errors import DocumentError, MissingCapabilityError, UsageError
from tasks.rows import Modality, View

# Each has `open_space() -> Space`; imported only when asked for.
_MODULES = {"minilm": "tasks.embed.minilm", "imagebind": "tasks.embed.imagebind.space"}


class Space(Protocol):
    """One embedding model. Opening it is cheap and checks that it can work; the model is loaded at first use."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def modalities(self) -> frozenset[Modality]:
        """What it embeds. One that embeds more than text is a `MediaSpace`."""
        ...

    @property
    def views(self) -> frozenset[View]:
        """The views of a chunk that it is for."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors of equal inputs would."""
        ...

    def windows(self, text: str) -> list[str]:
        """The text cut into overlapping pieces that the model reads whole; none if there is nothing to read."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dimension) float32, each row of unit length and independent of the others."""
        ...

    def __hash__(self) -> int: ...


@runtime_checkable
class MediaSpace(Space, Protocol):
    """A space that also embeds pictures, recordings and sensors' data, so that each finds the others."""

    def media_items(
        self, media: Sequence[Medium], tiles: int, call: Call = call_here
    ) -> list[list[MediaItem] | DocumentError]:
        """What is embedded of each medium: one item, or for a picture one per view of it, the whole first.

        A large or wide picture has at most `tiles` parts. Files are opened through `call`.
        """
        ...

    def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
        """A unit vector, or the reason why there is none, for each item; one item's failure does not touch the others.

        Files are decoded through `call`, which may be used from several threads at a time.
        """
        ...

    def embed_file(self, modality: Modality, path: str) -> np.ndarray:
        """(dimension,) float32 of unit length: a whole file as a query. Raises DocumentError naming the file."""
        ...


def names() -> tuple[str, ...]:
    """The spaces that this version knows."""
    return tuple(_MODULES)


@functools.cache
def open_space(name: str) -> Space:
    """The space of this name, one per process. Raises UsageError, or MissingCapabilityError where its files lack."""
    if name not in _MODULES:
        raise UsageError(f"there is no embedding space {name!r}", f"known spaces: {', '.join(_MODULES)}")
    space: Space = importlib.import_module(_MODULES[name]).open_space()
    return space


def at_hand() -> tuple[tuple[str, ...], dict[str, MissingCapabilityError]]:
    """The spaces whose models are installed, and why the others are not."""
    found: list[str] = []
    missing: dict[str, MissingCapabilityError] = {}
    for name in _MODULES:
        try:
            open_space(name)
            found.append(name)
        except MissingCapabilityError as error:
            missing[name] = error
    return tuple(found), missing


def fingerprint(name: str) -> str:
    """The fingerprint of a space, without loading its model."""
    return open_space(name).fingerprint
