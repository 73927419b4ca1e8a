"""Items in, their vectors out: each distinct item is embedded once, in blocks, and one item's failure stays its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tasks.embed.items import Item
from tasks.embed.media import Call
from tasks.embed.recent import recent_of
from tasks.embed.spaces import MediaSpace, Space
from tasks.errors import BinderyError, DocumentError

_log = logging.getLogger(__name__)
# No call of the model gets more items: enough to sort by length, little enough that a killed run loses seconds.
BLOCK_ITEMS = 512
Lookup = Callable[[Sequence[str]], Mapping[str, np.ndarray]]


class Vectors:
    """The vectors of a shard's items by item hash, made on demand.

    `lookup` may know vectors of earlier runs. `check` is called before each call of the model; what it raises ends
    the work. `call` opens media.
    """

    def __init__(self, space: Space, call: Call, lookup: Lookup, check: Callable[[], object]) -> None:
        self._space, self._call, self._lookup, self._check = space, call, lookup, check
        self._recent = recent_of(space)
        self._known: dict[str, np.ndarray] = {}
        self._flaws: dict[str, DocumentError] = {}

    def add(self, documents: Sequence[Sequence[Item]]) -> None:
        """Make the vectors of these documents' items; what cannot be embedded stays out and is said by `vector`."""
        items = {item.item: item for wanted in documents for item in wanted if item.item not in self._known}
        self._known.update(self._recent.get(items))
        self._known.update(self._lookup([name for name in items if name not in self._known]))
        self._add_media([item for item in items.values() if item.media and item.item not in self._known])
        texts = [item for item in items.values() if not item.media]
        if not self._add_texts(texts):
            for wanted in documents:  # so that only the document to blame goes without
                self._add_texts([item for item in wanted if not item.media])

    def vector(self, item: Item) -> np.ndarray:
        """The item's vector, if it is one: NaN or zero would make its row invisible, or the whole index unreadable."""
        flaw, vector = self._flaws.get(item.item), self._known.get(item.item)
        if flaw is not None:
            raise DocumentError(flaw.code, f"{item}: {flaw.message}", flaw.hint)
        if vector is not None and _is_unit(vector):
            return vector
        what = "no vector" if vector is None else "a vector that is not of unit length"
        raise DocumentError(
            "embed_failed", f"space {self._space.name} gave {what} for {item}", "please report it with this item"
        )

    def _add_texts(self, items: Iterable[Item]) -> bool:
        missing = {item.item: item.text for item in items if item.item not in self._known}

        def embed(part: Sequence[str]) -> Iterable[np.ndarray]:
            return self._space.embed_texts([missing[name] for name in part])

        return self._in_blocks(list(missing), embed)

    def _add_media(self, items: Iterable[Item]) -> None:
        missing = {item.item: item.media for item in items if item.media}
        space = self._space
        if not missing or not isinstance(space, MediaSpace):
            return

        def embed(part: Sequence[str]) -> Iterable[np.ndarray | DocumentError]:
            return space.embed_media([medium for name in part if (medium := missing[name])], self._call)

        self._in_blocks(list(missing), embed)

    def _in_blocks(
        self, names: Sequence[str], embed: Callable[[Sequence[str]], Iterable[np.ndarray | DocumentError]]
    ) -> bool:
        whole = True
        for start in range(0, len(names), BLOCK_ITEMS):
            part = names[start : start + BLOCK_ITEMS]
            self._check()
            try:
                found = dict(zip(part, embed(part), strict=True))
            except BinderyError:
                raise
            except Exception as error:  # noqa: BLE001  whatever the model's library raises
                _log.warning("space %s could not embed %d items: %s", self._space.name, len(part), error)
                whole = False
                continue
            made = {name: vector for name, vector in found.items() if not isinstance(vector, DocumentError)}
            self._flaws.update({name: flaw for name, flaw in found.items() if isinstance(flaw, DocumentError)})
            self._known.update(made)
            self._recent.put({name: vector for name, vector in made.items() if _is_unit(vector)})
        return whole


def _is_unit(vector: np.ndarray) -> bool:
    return bool(np.isfinite(vector).all() and 0.99 < float(np.linalg.norm(vector)) < 1.01)
