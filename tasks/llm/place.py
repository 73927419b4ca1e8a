"""This process's one place in a Prefect limit, and its share of the rate by it, for the pacers of all its exchanges.

Exchanges come and go and have loops of their own; a place for each would halve the rate of a process that embeds and
asks. So the first of them holds the place, and what it is told all are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

from tasks.llm.shares import Paced, hold_share, prefect_places


class Place:
    """Of the limit of that name; without one, nobody shares anything."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._held = False
        self._part = 0.0
        self._members: list[tuple[asyncio.AbstractEventLoop, Paced]] = []

    def beside(self, pacers: Paced) -> Callable[[], contextlib.AbstractAsyncContextManager[None]] | None:
        """What an exchange with these pacers holds for as long as it lives, on its loop."""
        return None if self._name is None else lambda: self._joined(pacers)

    def share(self, part: float) -> None:
        """Tell all."""
        with self._lock:
            self._part = part
            for loop, pacers in self._members:
                with contextlib.suppress(RuntimeError):  # its loop is closed
                    loop.call_soon_threadsafe(pacers.share, part)

    @contextlib.asynccontextmanager
    async def _joined(self, pacers: Paced) -> AsyncIterator[None]:
        member = (asyncio.get_running_loop(), pacers)
        with self._lock:
            pacers.share(self._part)
            self._members.append(member)
            first, self._held = not self._held, True
        try:
            if not first:
                yield
                return
            async with prefect_places(self._name or "") as places, hold_share(places, self):
                yield
        finally:
            with self._lock:
                self._members.remove(member)
                self._held = self._held and not first
