"""Spaces: the embedding models that can be columns of the index, opened by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tasks.errors import UsageError

_MODULES = {"minilm": "tasks.embed.minilm"}  # each has `open_space() -> Space`; imported only when asked for


class Space(Protocol):
    """One embedding model. Opening it is cheap and checks that it can work; the model is loaded at first use."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def modalities(self) -> frozenset[str]:
        """What it embeds: "text", "image", "audio"."""
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


def fingerprint(name: str) -> str:
    """The fingerprint of a space, without loading its model."""
    return open_space(name).fingerprint
