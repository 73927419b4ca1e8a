"""Spaces: the embedding models that can be columns of the index, opened by name.

Plain names are models that bindery comes with or fetches; `endpoint:MODEL` and `path:FOLDER` are the user's own.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeGuard, runtime_checkable

import numpy as np

from tasks.embed.media import Call, MediaItem, Medium, call_here
from tasks.errors import DocumentError, MissingCapabilityError, UsageError
from tasks.rows import Modality, View
from tasks.settings import Settings, load_settings
from tasks.space_names import ENDPOINT, PATH, full
from tasks.storage import Storage

if TYPE_CHECKING:  # commands that read need no client
    from tasks.llm.account import EmbeddingAccount
    from tasks.llm.embedder import Asked
    from tasks.llm.ledger import Budget
    from tasks.llm.place import Place
    from tasks.settings import LlmSettings

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


class MediaSpace(Space, Protocol):
    """A space that also embeds pictures, recordings and sensors' data, so that each finds the others.

    `embeds_media` tells them: `isinstance` would ask for every property, and an endpoint's dimension can cost a call.
    """

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


def embeds_media(space: object) -> TypeGuard[MediaSpace]:
    """Whether a space is a `MediaSpace`."""
    return hasattr(space, "embed_media")


@runtime_checkable
class PromptedSpace(Protocol):
    """A space of a model that was trained to tell a query from a document."""

    def embed_query(self, text: str) -> np.ndarray:
        """(dimension,) float32 of unit length."""
        ...


@runtime_checkable
class PaidSpace(Protocol):
    """A space whose vectors cost money."""

    def embed_texts_for(self, texts: Sequence[str], doc_ids: Sequence[str]) -> np.ndarray:
        """As `embed_texts`, where each text is put down to a document."""
        ...


class _Embeds(Protocol):
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...


def embed_query(space: _Embeds, text: str) -> np.ndarray:
    """The unit vector of a query in a space: where its model tells no difference, that of a text."""
    found: np.ndarray = space.embed_query(text) if isinstance(space, PromptedSpace) else space.embed_texts([text])[0]
    return found


def names() -> tuple[str, ...]:
    """The spaces that this version comes with or can fetch."""
    return tuple(_MODULES)


@functools.cache
def open_space(name: str) -> Space:
    """The space of this name, one per process. Raises UsageError, or MissingCapabilityError where its files lack.

    Those that need settings, `endpoint:MODEL` and `path:FOLDER`, are opened by `Spaces`.
    """
    if name not in _MODULES:
        known = f"{', '.join(_MODULES)}, {ENDPOINT}MODEL, {PATH}FOLDER"
        raise UsageError(f"there is no embedding space {name!r}", f"known spaces: {known}")
    space: Space = importlib.import_module(_MODULES[name]).open_space()
    return space


def at_hand() -> tuple[tuple[str, ...], dict[str, MissingCapabilityError]]:
    """The spaces whose models are installed, and why the others are not. None that costs money is ever among them."""
    found: list[str] = []
    missing: dict[str, MissingCapabilityError] = {}
    for name in _MODULES:
        try:
            open_space(name)
            found.append(name)
        except MissingCapabilityError as error:
            missing[name] = error
    return tuple(found), missing


class Spaces:
    """The spaces as a run or a reader opens them: by name, under its settings. Usable from several threads.

    What it embeds by an endpoint is kept in `storage`, held against `budget`, put down as `run` and `stage`, and paced
    by this process's share in `place`. Settings are read where none are given, and only if a space needs them.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        storage: Storage | None = None,
        run: str = "",
        stage: str = "embed",
        budget: Budget | None = None,
        place: Place | None = None,
    ) -> None:
        self._given, self._storage, self._run, self._stage = settings, storage, run, stage
        self._budget, self._place = budget, place
        self._lock = threading.RLock()
        self._endpoints: dict[str, Space] = {}
        self._accounts: list[EmbeddingAccount] = []
        self._stopped = False

    @classmethod
    def for_queries(cls, storage: Storage, settings: Settings | None = None) -> Self:
        """Those of readers: what their queries cost is put down by the day, of no run and no document."""
        today = datetime.datetime.now(datetime.UTC).date()
        return cls(settings, storage, f"queries-{today:%Y%m%d}", "query")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str) -> Space:
        """As `open_space`, of every kind of name."""
        with self._lock:
            if name.startswith(PATH):
                from tasks.embed.folder import open_folder

                return open_folder(full(name).removeprefix(PATH), self._settings.compute)
            if not name.startswith(ENDPOINT):
                return open_space(name)
            if name not in self._endpoints:
                from tasks.embed.endpoint import open_endpoint

                full(name)
                self._endpoints[name] = open_endpoint(name.removeprefix(ENDPOINT), self._settings, self._account)
            return self._endpoints[name]

    def stop(self) -> None:
        """Ask no endpoint any more; returns at once, and what is on its way still arrives and is kept."""
        with self._lock:
            self._stopped = True
            for account in self._accounts:
                account.stop()

    def close(self) -> None:
        """Wait for what is on its way, so that it is kept."""
        self.stop()
        for account in self._accounts:
            account.close()

    @functools.cached_property
    def _settings(self) -> Settings:
        return self._given or load_settings()

    def _account(self, settings: LlmSettings, asked: Asked) -> EmbeddingAccount:
        from tasks.llm.account import EmbeddingAccount
        from tasks.llm.errors import StoppedError
        from tasks.llm.ledger import Budget

        if self._storage is None:
            raise AssertionError("there is no lake to keep what is paid for")
        budget = self._budget or Budget()
        ended = StoppedError("the run has ended", "run again: what is answered is kept")
        if self._stopped:
            raise ended
        # Not under the lock: opening may wait for a place, and `stop` waits for nothing.
        account = EmbeddingAccount(self._storage, self._run, self._stage, settings, asked, budget, self._place)
        with self._lock:
            if not self._stopped:
                self._accounts.append(account)
                return account
        account.close()
        raise ended
