"""The vectors that this process made last, by item hash: what one stage or shard embeds, the next need not."""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tasks.embed.spaces import Space

_MOST = 8192  # of 1024 floats: 32 MB


class Recent:
    """A bounded mapping that forgets what was used longest ago. Usable from several threads."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._held: collections.OrderedDict[str, np.ndarray] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, items: Iterable[str]) -> dict[str, np.ndarray]:
        """Those of the items that are held."""
        with self._lock:
            found = {item: self._held[item] for item in items if item in self._held}
            for item in found:
                self._held.move_to_end(item)
            return found

    def put(self, vectors: Mapping[str, np.ndarray]) -> None:
        with self._lock:
            self._held.update(vectors)
            for item in vectors:
                self._held.move_to_end(item)
            while len(self._held) > self._most:
                self._held.popitem(last=False)


@functools.lru_cache(8)
def recent_of(space: Space) -> Recent:
    """The space's own, shared by all that embed in it in this process."""
    return Recent()
