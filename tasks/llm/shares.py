"""One account, several processes: places in a Prefect global concurrency limit → this process's share of the rate.

    async with prefect_places("bindery-llm") as places, hold_share(places, pacer):
        ...                                  # n processes hold places: each has an nth of the account's limits

Every process holds one place, for as long as it renews its lease. One that joins takes its place first and starts to
send when the others must have seen it; one that loses its place stops. So all together never have more than the limit.
`prefect gcl create bindery-llm --limit 16` makes room for 16 processes. They need one server (`PREFECT_API_URL`): the
embedded server of a command is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from tasks.llm.errors import LlmError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse

LEASE_SECONDS = 60.0
LOOK_SECONDS = 5.0
# Two looks that hang, and a bit. Who has not seen the places for so long stops: after it, a newcomer is known to all.
GRACE_SECONDS = 3 * LOOK_SECONDS

_log = logging.getLogger(__name__)


class SharedLimitError(LlmError):
    """The limit that several processes share is missing, switched off or out of reach."""

    code = "shared_limit"
    fatal = True


class PlaceLostError(Exception):
    """The lease ran out, or was ended by somebody."""


class Paced(Protocol):
    """A pacer, or several."""

    def share(self, part: float) -> None: ...


class Places(Protocol):
    """Where processes take a place each. What cannot be reached raises OSError or TimeoutError."""

    async def take(self, lease_seconds: float) -> bool:
        """False: all are taken. SharedLimitError: there are none."""

    async def renew(self, lease_seconds: float) -> None:
        """PlaceLostError where it is gone."""

    async def taken(self) -> int:
        """By everybody, us included."""

    async def leave(self) -> None:
        """Nothing where none is held."""


@contextlib.asynccontextmanager
async def hold_share(places: Places, pacer: Paced) -> AsyncIterator[None]:
    """Within the block the pacer has this process's share; outside it has none. Waits for a place if all are taken."""
    pacer.share(0)
    holder = _Holder(places, pacer)
    try:
        await holder.join()
    except (OSError, TimeoutError) as error:
        raise SharedLimitError(f"the shared limit cannot be reached: {error}", "see PREFECT_API_URL") from error
    keeper = asyncio.create_task(holder.keep())
    try:
        yield
    finally:
        pacer.share(0)
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        with contextlib.suppress(OSError, TimeoutError):  # then the lease runs out by itself
            async with asyncio.timeout(LOOK_SECONDS):
                await places.leave()


class _Holder:
    """One process's place: taken, looked after, and taken again when it was lost."""

    def __init__(self, places: Places, pacer: Paced) -> None:
        self._places, self._pacer = places, pacer
        self._joined = self._seen = 0.0
        self._held = False
        self._part = 0.0

    async def join(self) -> None:
        while not await self._take():
            _log.info("all places of the shared limit are taken; waiting for one")
            await asyncio.sleep(LOOK_SECONDS)

    async def keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look()
            except (OSError, TimeoutError, SharedLimitError) as error:
                _log.warning("the shared limit: %s", error or type(error).__name__)
                if _now() - self._seen >= GRACE_SECONDS - LOOK_SECONDS:  # the next look could be too late
                    self._share(0)
            await asyncio.sleep(LOOK_SECONDS)

    async def _take(self) -> bool:
        self._held = await self._places.take(LEASE_SECONDS)
        self._joined = self._seen = _now()
        return self._held

    async def _look(self) -> None:
        if not self._held and not await self._take():
            return
        asked = _now()
        try:
            await self._places.renew(LEASE_SECONDS)
        except PlaceLostError:
            self._held = False
            self._share(0)
            return
        taken = await self._places.taken()
        self._seen = asked
        part = 1 / max(1, taken)
        if taken <= 1 or asked - self._joined >= GRACE_SECONDS:
            self._share(part)
        else:  # whoever was alone at first makes room at once
            self._share(min(self._part, part))

    def _share(self, part: float) -> None:
        self._part = part
        self._pacer.share(part)


def _now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def prefect_places(name: str) -> AsyncIterator[Places]:
    """Those of the global concurrency limit of that name, on the server that Prefect is set up for."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield PrefectPlaces(name, client)


class PrefectPlaces:
    def __init__(self, name: str, client: PrefectClient) -> None:
        self._name, self._client = name, client
        self._lease: UUID | None = None

    async def take(self, lease_seconds: float) -> bool:
        # Prefect says yes for a limit that does not exist or is switched off, and would hold nobody back.
        if not (await self._read()).active:
            hint = f"prefect gcl enable {self._name}"
            raise SharedLimitError(f"the global concurrency limit {self._name} is switched off", hint)
        try:
            with _reaching({423: _AllTakenError}):
                reply = await self._client.increment_concurrency_slots_with_lease(
                    [self._name], 1, "concurrency", lease_seconds
                )
        except _AllTakenError:
            return False
        self._lease = UUID(reply.json()["lease_id"])
        return True

    async def renew(self, lease_seconds: float) -> None:
        if self._lease is None:
            raise PlaceLostError
        with _reaching({404: PlaceLostError, 410: PlaceLostError}):
            await self._client.renew_concurrency_lease(self._lease, lease_seconds)

    async def taken(self) -> int:
        return (await self._read()).active_slots

    async def leave(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            with _reaching():
                await self._client.release_concurrency_slots_with_lease(lease)

    async def _read(self) -> GlobalConcurrencyLimitResponse:
        from prefect.exceptions import ObjectNotFound

        try:
            with _reaching():
                return await self._client.read_global_concurrency_limit_by_name(self._name)
        except ObjectNotFound as error:
            hint = f"prefect gcl create {self._name} --limit 16"
            raise SharedLimitError(f"there is no global concurrency limit {self._name}", hint) from error


class _AllTakenError(Exception):
    pass


@contextlib.contextmanager
def _reaching(meanings: Mapping[int, type[Exception]] | None = None) -> Iterator[None]:
    """What Prefect's client raises as what it means to us: by status, or that the server cannot be reached."""
    import httpx  # Prefect's own; not ours to import where nothing is shared

    try:
        yield
    except httpx.HTTPStatusError as error:
        meaning = (meanings or {}).get(error.response.status_code, ConnectionError)
        raise meaning(f"Prefect's server answers {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise ConnectionError(f"Prefect's server does not answer: {error or type(error).__name__}") from error
