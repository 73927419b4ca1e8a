"""Several processes on one account: their shares never come to more than all of it, whoever comes, goes or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.llm import shares
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.place import Place
from tasks.llm.shares import PlaceLostError, SharedLimitError, hold_share
from tests.conftest import PrefectHome
from tests.llm.virtual import now, run


def test_one_process_alone_has_all_at_once() -> None:
    async def main() -> None:
        pacer = _SharedPacer()
        async with hold_share(_FakePlaces(_Server(8)), pacer):
            await asyncio.sleep(0.1)
            assert pacer.part == 1
        assert pacer.part == 0

    run(main())


def test_a_newcomer_starts_when_the_others_have_made_room() -> None:
    async def main() -> None:
        server = _Server(8)
        async with _process(server) as (_, first):
            await asyncio.sleep(30)
            async with _process(server) as (_, second):
                await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
                assert (first.part, second.part) == (1 / 2, 0)
                await asyncio.sleep(shares.GRACE_SECONDS)
                assert (first.part, second.part) == (1 / 2, 1 / 2)
            await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
            assert (first.part, second.part) == (1, 0)

    run(main())


def test_where_all_places_are_taken_one_waits_for_the_next() -> None:
    async def main() -> None:
        server = _Server(1)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(_process(server))
            asyncio.get_running_loop().call_later(100, lambda: asyncio.ensure_future(stack.aclose()))
            async with _process(server) as (_, second):
                assert now() == pytest.approx(100, abs=shares.LOOK_SECONDS)
                await asyncio.sleep(1)
                assert second.part == 1

    run(main())


def test_who_cannot_see_the_others_stops_and_comes_back() -> None:
    async def main() -> None:
        server = _Server(8)
        async with _process(server) as (places, pacer):
            await asyncio.sleep(20)
            places.broken = "refused"
            await asyncio.sleep(shares.LOOK_SECONDS)
            assert pacer.part == 1  # once may pass
            await asyncio.sleep(shares.GRACE_SECONDS)
            assert pacer.part == 0
            places.broken = ""
            await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
            assert pacer.part == 1

    run(main())


def test_a_server_that_hangs_is_one_that_does_not_answer() -> None:
    async def main() -> None:
        async with _process(_Server(8)) as (places, pacer):
            await asyncio.sleep(20)
            places.broken = "hangs"
            await asyncio.sleep(shares.GRACE_SECONDS + 0.1)
            assert pacer.part == 0

    run(main())


def test_a_lost_place_is_taken_again() -> None:
    async def main() -> None:
        server = _Server(8)
        async with _process(server) as (_, pacer):
            await asyncio.sleep(22)  # looks are every five seconds
            server.leases.clear()
            await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
            assert pacer.part == 0
            await asyncio.sleep(shares.LOOK_SECONDS)
            assert (pacer.part, server.taken()) == (1, 1)

    run(main())


def test_a_limit_that_is_missing_ends_it_before_anything_is_sent() -> None:
    async def main() -> None:
        pacer = _SharedPacer()
        with pytest.raises(SharedLimitError, match="no such limit"):
            async with hold_share(_FakePlaces(_Server(None)), pacer):
                pytest.fail("it began")
        assert pacer.part == 0

    run(main())


def test_a_server_that_does_not_answer_at_the_start_ends_it() -> None:
    async def main() -> None:
        places = _FakePlaces(_Server(8))
        places.broken = "refused"
        with pytest.raises(SharedLimitError, match="cannot be reached: refused"):
            async with hold_share(places, _SharedPacer()):
                pytest.fail("it began")

    run(main())


_lives = st.tuples(
    st.floats(0, 200),  # comes
    st.floats(0, 200),  # stays
    st.booleans(),  # killed rather than ended
    st.sampled_from(["", "refused", "hangs"]),  # from its middle on
    st.floats(0, 4),  # how long its requests to the server take
)


@settings(max_examples=60, deadline=None)
@example([(0, 0, False, "", 0)] * 4 + [(25, 19, False, "", 1.5), (30, 16, False, "", 0)], 2)
@given(st.lists(_lives, min_size=1, max_size=8), st.integers(1, 8))
def test_together_never_more_than_the_account_has(
    lives: list[tuple[float, float, bool, str, float]], places: int
) -> None:
    async def main() -> None:
        server, pacers = _Server(places), list[_SharedPacer]()

        async def live(comes: float, stays: float, killed: bool, broken: str, slow: float) -> None:
            await asyncio.sleep(comes)
            mine, pacer = _FakePlaces(server, slow), _SharedPacer(pacers)
            pacers.append(pacer)

            async def work() -> None:
                async with hold_share(mine, pacer):
                    await asyncio.sleep(stays / 2)
                    mine.broken = broken
                    await asyncio.sleep(stays / 2)
                    mine.dead = killed  # its last words do not arrive, and its lease runs out

            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(work(), 400)

        await asyncio.gather(*(live(*life) for life in lives))

    run(main())


def test_a_process_has_one_place_for_all_that_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server, first, second = _Server(2), _SharedPacer(), _SharedPacer()

        @contextlib.asynccontextmanager
        async def places(name: str) -> AsyncIterator[_FakePlaces]:
            assert name == "shared"
            yield _FakePlaces(server)

        monkeypatch.setattr("tasks.llm.place.prefect_places", places)
        assert Place(None).beside(first) is None
        place = Place("shared")
        asking, embedding = place.beside(first), place.beside(second)
        assert asking and embedding
        async with asking():
            await asyncio.sleep(30)
            async with embedding():
                assert (first.part, second.part, server.taken()) == (1, 1, 1)
                async with _process(server):
                    await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
                    assert (first.part, second.part) == (1 / 2, 1 / 2)
                await asyncio.sleep(shares.LOOK_SECONDS + 0.1)
            assert (first.part, second.part) == (1, 1)
        await asyncio.sleep(0.1)
        assert server.taken() == 0
        async with embedding():  # now the first
            await asyncio.sleep(0.1)
            assert (second.part, server.taken()) == (1, 1)

    run(main())


_SCRIPT = """
import asyncio, json
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.server.api.server import create_app
from tasks.llm.shares import PlaceLostError, PrefectPlaces, SharedLimitError

async def said(awaitable):
    try:
        return await awaitable
    except (PlaceLostError, SharedLimitError, OSError) as error:
        return f"{type(error).__name__}: {error}"

async def main():
    found = []
    async with PrefectClient(create_app(ephemeral=True)) as client:
        a, b, c = (PrefectPlaces("llm-test", client) for _ in range(3))
        found.append(await said(a.take(60)))
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="llm-test", limit=2))
        found += [await said(places.take(60)) for places in (a, b, c)]
        found += [await said(a.renew(60)), await said(a.taken()), await said(c.renew(60))]
        await b.leave()
        await b.leave()
        found += [await said(a.taken()), await said(c.take(60)), await said(a.taken())]
        await client.release_concurrency_slots_with_lease(c._lease)
        found.append(await said(c.renew(60)))
        await client.update_global_concurrency_limit("llm-test", GlobalConcurrencyLimitUpdate(active=False))
        found.append(await said(b.take(60)))
    print(json.dumps(found))

asyncio.run(main())
"""


def test_places_of_a_prefect_limit(prefect_home: PrefectHome) -> None:
    """On Prefect's own server code, in a process of its own because Prefect reads its settings once."""
    environment = {**os.environ, **prefect_home.environment}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "SharedLimitError: there is no global concurrency limit llm-test",
        *(True, True, False),
        *(None, 2, "PlaceLostError: "),
        *(1, True, 2),
        "PlaceLostError: Prefect's server answers 410",
        "SharedLimitError: the global concurrency limit llm-test is switched off",
    ]


# --- what the tests share


class _SharedPacer(Pacer):
    """Remembers its share, and counts with those of others."""

    def __init__(self, others: list[_SharedPacer] | None = None) -> None:
        super().__init__(RateLimits(600))
        self.part = 0.0
        self._others = others if others is not None else []

    def share(self, part: float) -> None:
        super().share(part)
        self.part = part
        assert sum(pacer.part for pacer in self._others) <= 1 + 1e-9


class _Server:
    """Keeps leases; None: there is no such limit."""

    def __init__(self, places: int | None) -> None:
        self.places = places
        self.leases: dict[object, float] = {}

    def taken(self) -> int:
        self.leases = {who: until for who, until in self.leases.items() if until > now()}
        return len(self.leases)


class _FakePlaces:
    def __init__(self, server: _Server, slow: float = 0.0) -> None:
        self._server, self._slow = server, slow
        self.broken = ""
        self.dead = False

    async def take(self, lease_seconds: float) -> bool:
        await self._reach()
        if self._server.places is None:
            raise SharedLimitError("no such limit")
        if self._server.taken() >= self._server.places:
            return False
        self._server.leases[self] = now() + lease_seconds
        return True

    async def renew(self, lease_seconds: float) -> None:
        await self._reach()
        self._server.taken()
        if self not in self._server.leases:
            raise PlaceLostError
        self._server.leases[self] = now() + lease_seconds

    async def taken(self) -> int:
        await self._reach()
        return self._server.taken()

    async def leave(self) -> None:
        if not self.dead:
            await self._reach()
            self._server.leases.pop(self, None)

    async def _reach(self) -> None:
        if self.broken == "refused":
            raise ConnectionError("refused")
        await asyncio.sleep(1e9 if self.broken == "hangs" else self._slow)


@contextlib.asynccontextmanager
async def _process(server: _Server) -> AsyncIterator[tuple[_FakePlaces, _SharedPacer]]:
    places, pacer = _FakePlaces(server), _SharedPacer()
    async with hold_share(places, pacer):
        yield places, pacer
