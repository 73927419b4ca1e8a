"""The pacer on a virtual clock: how fast, in which order, and never more than the limit."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.llm.adaptive import Window
from tasks.llm.buckets import BURST_SECONDS, Bucket
from tasks.llm.pacer import Pacer, Permit, RateLimits
from tests.llm.virtual import now, run


def test_two_thousand_requests_leave_at_the_rate_of_a_requests_limit() -> None:
    sent = run(_send_all(RateLimits(9_000, 10_000_000, 512), [1_000] * 2_000))
    assert _share(sent, [1] * 2_000, 9_000) >= 0.98


def test_two_thousand_requests_leave_at_the_rate_of_a_tokens_limit() -> None:
    seed = random.Random(7)
    tokens = [seed.randint(200, 1_800) for _ in range(2_000)]
    sent = run(_send_all(RateLimits(60_000, 9_000_000, 512), tokens))
    assert _share(sent, tokens, 9_000_000) >= 0.98


@pytest.mark.parametrize("late", [0.004, 0.05, 0.2])
def test_timers_that_fire_late_do_not_cost_throughput(late: float) -> None:
    async def main() -> list[float]:
        return await _leave(Pacer(RateLimits(9_000, None, 512), _LateClock(late)), [10] * 1_000)

    assert _share(run(main()), [1] * 1_000, 9_000) >= 0.98


def test_requests_above_the_burst_leave_at_the_rate_too() -> None:
    """At 60,000 tokens per minute a request of 4,000 is four seconds of the limit."""
    sent = run(_send_all(RateLimits(None, 60_000, 64), [4_000] * 30))
    assert [round(b - a, 6) for a, b in itertools.pairwise(sent)] == [4.0 - 0.25] + [4.0] * 28


def test_a_fault_costs_its_own_place_and_no_more() -> None:
    """Three in a hundred fail and come again: what leaves is all that the limit allows, retries included."""

    async def main() -> tuple[int, float]:
        pacer, left, draw = Pacer(RateLimits(9_000, None, 512)), 0, random.Random(3)
        times: list[float] = []

        async def call() -> None:
            nonlocal left
            retry = False
            while True:
                async with pacer.permit(100, retry) as permit:
                    left += 1
                    times.append(now())
                    await asyncio.sleep(draw.uniform(0.2, 1.5))
                    if draw.random() >= 0.03:
                        return permit.settle(80)
                    permit.failed()
                await asyncio.sleep(0.5)
                retry = True

        await asyncio.gather(*(call() for _ in range(2_000)))
        early = [at for at in times if at <= times[1_999]]
        return left, _share(early, [1] * len(early), 9_000)

    left, share = run(main())
    assert left > 2_030
    assert share >= 0.98


def test_first_come_first_served_and_a_large_request_is_not_overtaken() -> None:
    order = run(_order([(1_000, False), (20_000, False), (10, False), (10, False)]))
    assert order == [0, 1, 2, 3]


def test_retries_go_before_all_others_and_keep_their_own_order() -> None:
    order = run(_order([(500, False), (500, False), (500, False), (500, True), (500, True)]))
    assert order == [0, 3, 4, 1, 2]


def test_no_more_in_flight_than_allowed() -> None:
    async def main() -> int:
        pacer, most = Pacer(RateLimits(600_000, None, 7)), 0

        async def call() -> None:
            nonlocal most
            async with pacer.permit(1):
                most = max(most, pacer.in_flight)
                await asyncio.sleep(1)

        await asyncio.gather(*(call() for _ in range(40)))
        assert pacer.in_flight == pacer.waiting == 0
        return most

    assert run(main()) == 7


def test_a_cancelled_waiter_makes_room_for_the_one_behind_it() -> None:
    async def main() -> tuple[float, float]:
        pacer, sent = Pacer(RateLimits(None, 60_000, 8)), {}

        async def call(name: str, tokens: int) -> None:
            async with pacer.permit(tokens):
                sent[name] = now()

        await call("first", 5_000)  # leaves a debt of 4.5 seconds
        large = asyncio.create_task(call("large", 5_000))
        small = asyncio.create_task(call("small", 100))
        await asyncio.sleep(1)
        assert pacer.waiting == 2
        large.cancel()
        await small
        assert "large" not in sent
        assert pacer.waiting == 0
        return sent["first"], sent["small"]

    assert run(main()) == pytest.approx((0, 4.6))


def test_one_cancelled_as_it_was_granted_gives_back_what_it_took() -> None:
    async def main() -> None:
        pacer, sent = Pacer(RateLimits(None, 60_000, 1)), []

        async def call(name: str, tokens: int) -> None:
            async with pacer.permit(tokens):
                sent.append((name, now()))

        async with pacer.permit(10):
            lost = asyncio.create_task(call("lost", 5_000))
            await asyncio.sleep(0.1)
        lost.cancel()  # granted by the end of the block, and has not run since
        with pytest.raises(asyncio.CancelledError):
            await lost
        assert pacer.in_flight == 0
        await call("next", 200)
        assert sent == [("next", 0.1)]

    run(main())


def test_settling_gives_back_what_was_not_used() -> None:
    assert run(_second_leaves_after(reserved=10_000, actual=500)) == pytest.approx(500 / 1_000 + 0.25 - 0.5)


def test_settling_takes_what_was_used_beyond() -> None:
    assert run(_second_leaves_after(reserved=500, actual=10_000)) == pytest.approx(10_000 / 1_000 + 0.25 - 0.5)


def test_only_the_first_settling_counts() -> None:
    async def main() -> float:
        pacer = Pacer(RateLimits(None, 60_000, 8))
        async with pacer.permit(10_000) as permit:
            permit.settle(9_000)
            permit.settle(0)
            permit.failed()
        async with pacer.permit(250):
            return now()

    assert run(main()) == pytest.approx(9_000 / 1_000 + 0.25 - 0.5)


def test_a_pause_holds_everybody_and_ends_with_no_more_than_a_burst() -> None:
    async def main() -> list[float]:
        pacer = Pacer(RateLimits(600, None, 64))
        pacer.pause(10)
        pacer.pause(3)  # the longer one holds
        return await _leave(pacer, [1] * 7)

    assert run(main()) == pytest.approx([10, 10, 10, 10, 10, 10.1, 10.2])


def test_a_pause_voids_what_was_saved_up() -> None:
    """As the endpoint's, our bucket is empty when it begins: a short pause is no reason for a burst."""

    async def main() -> list[float]:
        pacer = Pacer(RateLimits(600, None, 64))
        pacer.pause(0.05)
        return await _leave(pacer, [1] * 3)

    assert run(main()) == pytest.approx([0.1, 0.2, 0.3])


def test_a_pause_while_others_wait() -> None:
    async def main() -> list[float]:
        pacer = Pacer(RateLimits(600, None, 64))
        asyncio.get_running_loop().call_later(0.05, pacer.pause, 0.08)
        return await _leave(pacer, [1] * 7)

    assert run(main()) == pytest.approx([0, 0, 0, 0, 0, 0.15, 0.25])


def test_limits_are_learnt_from_headers() -> None:
    async def main() -> list[float]:
        pacer = Pacer(RateLimits(None, None, 64))
        async with pacer.permit(1) as permit:
            permit.learn({"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "90000"})
        assert pacer.limits == RateLimits(600, 90_000, 64)
        return await _leave(pacer, [1] * 4)

    assert run(main()) == pytest.approx([0.1, 0.2, 0.3, 0.4])  # what was sent before is not known: nothing saved up


def test_a_stated_limit_counts_only_where_it_is_lower_than_the_one_that_was_set() -> None:
    async def main() -> None:
        pacer = Pacer(RateLimits(600, 60_000, 64))
        pacer.learn({"x-ratelimit-limit-requests": "5000", "x-ratelimit-limit-tokens": "30000"})
        assert pacer.limits == RateLimits(600, 30_000, 64)
        pacer.learn({"x-ratelimit-limit-tokens": "45000"})
        assert pacer.limits == RateLimits(600, 45_000, 64)

    run(main())


@pytest.mark.parametrize("value", ["", "0", "-5", "many", "6m0s", "nan", "inf", "1e99", "9" * 400])
def test_headers_that_make_no_sense_are_ignored(value: str) -> None:
    async def main() -> None:
        pacer = Pacer(RateLimits(600, None, 64))
        async with pacer.permit(1) as permit:
            permit.learn({f"x-ratelimit-{what}-{of}": value for what in ("limit",) for of in ("requests", "tokens")})
        assert pacer.limits == RateLimits(600, None, 64)

    run(main())


def test_what_the_endpoint_has_left_is_believed_once() -> None:
    """Somebody else uses the account: three replies tell of the same 2,000 tokens, which are taken once."""

    async def main() -> float:
        pacer, permits = Pacer(RateLimits(None, 60_000, 8)), list[Permit]()
        for _ in range(3):
            async with pacer.permit(100) as permit:
                permits.append(permit)
        for left, permit in zip((-1_600, -1_700, -1_800), permits, strict=True):  # ours: 400, 300, 200
            permit.learn({"x-ratelimit-remaining-tokens": "0"} if left > 0 else _left(left + 2_000))
        async with pacer.permit(250):
            return now()

    assert run(main()) == pytest.approx(0.05)  # the endpoint has as much as we thought: ours is at 200, 250 wanted


def test_we_have_no_more_than_the_endpoint() -> None:
    async def main() -> float:
        pacer, permits = Pacer(RateLimits(None, 60_000, 8)), list[Permit]()
        for _ in range(3):
            async with pacer.permit(100) as permit:
                permits.append(permit)
        for left, permit in zip((200, 100, 0), permits, strict=True):  # ours: 400, 300, 200
            permit.learn(_left(left))
        async with pacer.permit(250):
            return now()

    assert run(main()) == pytest.approx(0.25)


def test_shares_scale_what_leaves_and_zero_holds_everybody() -> None:
    async def main() -> list[float]:
        pacer = Pacer(RateLimits(600, None, 64))
        pacer.share(0)
        loop = asyncio.get_running_loop()
        loop.call_later(5, pacer.share, 0.5)
        return await _leave(pacer, [1] * 3)

    assert run(main()) == pytest.approx([5.2, 5.4, 5.6])  # nothing was saved up at a share of nothing


def test_without_limits_the_window_opens_to_what_the_endpoint_can_do() -> None:
    """Twenty at once take a second each; more wait in the endpoint's queue, and answers take longer."""
    sizes = run(_against(_Queueing(20), 3_000, most=256))
    assert 20 <= sizes[-1] <= 50


def test_without_limits_and_without_trouble_the_window_opens_fully() -> None:
    assert run(_against(_Queueing(10_000), 2_000, most=64))[-1] == 64


def test_without_limits_failures_close_the_window() -> None:
    sizes = run(_against(_Refusing(12), 1_500, most=256))
    assert max(sizes[len(sizes) // 2 :]) <= 20
    assert min(sizes[len(sizes) // 2 :]) >= 5


def test_one_trouble_shrinks_the_window_once() -> None:
    window = Window(100)
    for _ in range(16):
        window.answered(0, 1, wanted=True)
    assert window.size == 20
    for _ in range(20):
        window.failed(0.5, 1)
    assert window.size == 14
    window.failed(2, 3)
    assert window.size == 9


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute", "max_in_flight"])
def test_limits_of_nothing_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is above zero, not 0"):
        dataclasses.replace(RateLimits(), **{field: 0})


@dataclasses.dataclass(frozen=True)
class _Call:
    at: float
    tokens: int
    seconds: float
    used: int | None  # None: fails
    patience: float | None  # cancelled after so long
    retry: bool
    pause: float


_calls = st.builds(
    _Call,
    at=st.floats(0, 20),
    tokens=st.integers(0, 3_000),
    seconds=st.floats(0, 5),
    used=st.none() | st.integers(0, 4_000),
    patience=st.none() | st.floats(0, 10),
    retry=st.booleans(),
    pause=st.just(0.0) | st.floats(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_calls, max_size=40),
    st.none() | st.floats(6, 6_000),
    st.none() | st.floats(600, 600_000),
    st.integers(1, 20),
)
def test_no_window_holds_more_than_the_limit_and_the_burst(
    calls: list[_Call], requests: float | None, tokens: float | None, in_flight: int
) -> None:
    """Requests and net tokens (what was reserved, less what was given back) between any two grants."""
    events, _, left = run(_scenario(calls, RateLimits(requests, tokens, in_flight)))
    assert left == (0, 0)
    if requests is not None:
        _assert_within([_Event(event.at, 1, True) for event in events if event.granted], requests)
    if tokens is not None:
        _assert_within(events, tokens)


@settings(max_examples=100, deadline=None)
@given(st.lists(_calls, max_size=40), st.none() | st.floats(6, 6_000), st.integers(1, 20))
def test_nobody_overtakes_but_retries(calls: list[_Call], requests: float | None, in_flight: int) -> None:
    _, turns, _ = run(_scenario(calls, RateLimits(requests, None, in_flight)))
    for retry in (False, True):
        in_order = [turn.granted for turn in sorted(turns, key=lambda t: t.arrival) if turn.call.retry is retry]
        assert in_order == sorted(in_order)
    for turn in turns:
        overtaken = [t for t in turns if t.call.retry and t.arrived < turn.granted < t.granted]
        assert turn.call.retry or not overtaken


@settings(max_examples=150, deadline=None)
@given(st.floats(1, 1e6), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5_000)), min_size=1, max_size=60))
def test_a_bucket_that_says_wait_means_exactly_that_long(per_minute: float, steps: list[tuple[float, float]]) -> None:
    bucket, at = Bucket(per_minute, 0.0), 0.0
    for idle, cost in steps:
        at += idle
        if (wait := bucket.wait(cost, at)) > 1e-6:
            assert bucket.wait(cost, at + wait / 2) > 0
        at += wait
        assert bucket.wait(cost, at) <= 1e-6
        bucket.take(cost, at)


# --- what the tests share


async def _leave(pacer: Pacer, tokens: list[int], seconds: float = 0.5) -> list[float]:
    """All at once in the queue; when each left."""
    sent = []

    async def call(cost: int) -> None:
        async with pacer.permit(cost) as permit:
            sent.append(now())
            await asyncio.sleep(seconds)
            permit.settle(cost)

    await asyncio.gather(*(call(cost) for cost in tokens))
    return sent


async def _send_all(limits: RateLimits, tokens: list[int]) -> list[float]:
    return await _leave(Pacer(limits), tokens)


def _share(sent: list[float], costs: list[int], per_minute: float) -> float:
    """Of the theoretical rate, which has the burst at the start too: what left after it, over the time it took."""
    burst = per_minute / 60 * BURST_SECONDS
    return (sum(costs) - costs[-1] - burst) / (per_minute / 60 * (sent[-1] - sent[0]))


async def _order(calls: list[tuple[int, bool]]) -> list[int]:
    """The order in which they leave, all but the first waiting together."""
    pacer, order = Pacer(RateLimits(None, 60_000, 8)), list[int]()

    async def call(number: int, tokens: int, retry: bool) -> None:
        async with pacer.permit(tokens, retry):
            order.append(number)

    await asyncio.gather(*(call(number, *what) for number, what in enumerate(calls)))
    return order


async def _second_leaves_after(reserved: int, actual: int) -> float:
    """A bucket of 1,000 per second, full with 500; the first is settled after a second, the second wants 250."""
    pacer = Pacer(RateLimits(None, 60_000, 8))
    async with pacer.permit(reserved) as permit:
        permit.settle(actual)
    async with pacer.permit(250):
        return now()


def _left(tokens: int) -> dict[str, str]:
    return {"x-ratelimit-remaining-tokens": str(tokens)}


class _LateClock:
    """The loop's, on a machine that is busy with something else."""

    def __init__(self, late: float) -> None:
        self._late = late

    def now(self) -> float:
        return now()

    def call_later(self, seconds: float, callback) -> asyncio.TimerHandle:  # type: ignore[no-untyped-def]
        return asyncio.get_running_loop().call_later(seconds + self._late, callback)


class _Queueing:
    """Answers so many at once, in a second each."""

    def __init__(self, servers: int) -> None:
        self._servers = asyncio.Semaphore(servers)

    async def answer(self) -> bool:
        async with self._servers:
            await asyncio.sleep(1)
        return True


class _Refusing:
    """Takes so many at once, and refuses others."""

    def __init__(self, places: int) -> None:
        self._places = places

    async def answer(self) -> bool:
        if self._places == 0:
            await asyncio.sleep(0.01)
            return False
        self._places -= 1
        await asyncio.sleep(1)
        self._places += 1
        return True


async def _against(endpoint: _Queueing | _Refusing, calls: int, most: int) -> list[int]:
    """How many were in flight as each left."""
    pacer, sizes = Pacer(RateLimits(None, None, most)), list[int]()

    async def call() -> None:
        retry = False
        while True:
            async with pacer.permit(1, retry) as permit:
                sizes.append(pacer.in_flight)
                if await endpoint.answer():
                    return permit.settle(1)
                permit.failed()
            await asyncio.sleep(1)
            retry = True

    await asyncio.gather(*(call() for _ in range(calls)))
    waiting = 2 * most  # at the end nobody waits, and the window says nothing
    return sizes[:-waiting]


@dataclasses.dataclass(frozen=True)
class _Event:
    """A grant, or what was used above or below its reservation."""

    at: float
    tokens: int
    granted: bool


@dataclasses.dataclass(frozen=True)
class _Turn:
    """Who came as which, and when it was let through."""

    call: _Call
    arrival: int
    arrived: float
    granted: float


async def _scenario(calls: list[_Call], limits: RateLimits) -> tuple[list[_Event], list[_Turn], tuple[int, int]]:
    """Events and turns in the order in which they came to pass; what is in flight and waiting at the end."""
    pacer, events, turns, arrivals = Pacer(limits), list[_Event](), list[_Turn](), itertools.count()

    async def one(call: _Call) -> None:
        await asyncio.sleep(call.at)
        if call.pause:
            pacer.pause(call.pause)
        arrival, arrived = next(arrivals), now()
        async with pacer.permit(call.tokens, call.retry) as permit:
            turns.append(_Turn(call, arrival, arrived, now()))
            events.append(_Event(now(), call.tokens, True))
            await asyncio.sleep(call.seconds)
            if call.used is None:
                permit.failed()
            else:
                events.append(_Event(now(), call.used - call.tokens, False))
                permit.settle(call.used)

    async def with_patience(call: _Call) -> None:
        patience = call.at + call.patience if call.patience is not None else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(one(call), patience)

    await asyncio.gather(*map(with_patience, calls))
    return events, turns, (pacer.in_flight, pacer.waiting)


def _assert_within(events: list[_Event], per_minute: float) -> None:
    """Every window that ends with a grant; one that ends later holds no more and is longer."""
    rate = per_minute / 60
    largest = max((event.tokens for event in events if event.granted), default=0)
    for first, start in enumerate(events):
        total = 0
        for event in events[first:]:
            total += event.tokens
            if event.granted:
                allowed = rate * (event.at - start.at + BURST_SECONDS) + largest
                assert total <= allowed * (1 + 1e-6) + 1e-6
