"""The ledger adds up whoever writes and dies; the budget is never passed, and is used up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.llm.errors import BudgetReachedError
from tasks.llm.ledger import PATH, Budget, Ledger, SpendRow, Spent, read_ledger
from tasks.llm.prices import Usage
from tasks.storage import LocalStorage

_WRITER = """
import sys
from decimal import Decimal
from tasks.llm.ledger import Ledger
from tasks.llm.prices import Usage
from tasks.storage import LocalStorage
ledger = Ledger.open(LocalStorage(sys.argv[1]))
for number in range(int(sys.argv[2])):
    ledger.add("run", "summarize", "m", "doc", Usage(10, 2, 1), Decimal("0.0000012"))
    print(number + 1, flush=True)
"""


def writer(folder: Path, calls: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(folder), str(calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_whole_rows_by_run_stage_model_and_document(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with Ledger.open(storage) as ledger:
        ledger.add("r1", "summarize", "small", "d1", Usage(100, 20, 10), Decimal("0.000000005"))
        ledger.add("r1", "summarize", "small", "d1", Usage(50, 5), Decimal("0.25"))
        ledger.add("r1", "summarize", "large", "d1", Usage(7, 1), None)
        ledger.add("r2", "ask", "small", "", Usage(1, 1), Decimal(0))
        first = [
            SpendRow("r1", "summarize", "large", "d1", 1, 7, 1, 0, Decimal(0), 1),
            SpendRow("r1", "summarize", "small", "d1", 2, 150, 25, 10, Decimal("0.250000005")),
        ]
        assert ledger.rows("r1") == first
        assert ledger.rows() == [*first, SpendRow("r2", "ask", "small", "", 1, 1, 1, 0, Decimal(0))]
        assert ledger.total("r1") == Spent(calls=3, tokens=183, money=Decimal("0.250000005"), unpriced=1)
    assert read_ledger(storage, "r1") == first


def test_reading_makes_no_ledger(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert read_ledger(storage) == [] and not storage.exists(PATH)
    storage.write(PATH, b"")  # killed before there was a table
    assert read_ledger(storage) == []
    storage.write(PATH, b"this is no database" * 100)
    with pytest.raises(LakeError, match="ledger"):
        read_ledger(storage)


def test_a_million_small_prices_are_exact(tmp_path: Path) -> None:
    with Ledger.open(LocalStorage(tmp_path)) as ledger:
        for _ in range(1000):
            ledger.add("r", "s", "m", "d", Usage(1), Decimal("0.0000001"))
        assert ledger.total().money == Decimal("0.0001")


def test_threads_and_processes_share_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    others = [writer(tmp_path, 40) for _ in range(2)]
    with Ledger.open(storage) as ledger, ThreadPoolExecutor(4) as pool:
        for _ in range(120):
            pool.submit(ledger.add, "run", "summarize", "m", "doc", Usage(10, 2, 1), Decimal("0.0000012"))
    for other in others:
        other.communicate()
        assert other.returncode == 0
    (row,) = read_ledger(storage)
    assert row == SpendRow("run", "summarize", "m", "doc", 200, 2000, 400, 200, Decimal("0.00024"))


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    process = writer(tmp_path, 1_000_000)
    assert process.stdout is not None
    told = 0
    while told < 25:
        told = int(process.stdout.readline())
    process.kill()
    told = max([told, *(int(line) for line in process.stdout.read().splitlines() if line.isdigit())])
    process.wait()
    (row,) = read_ledger(LocalStorage(tmp_path))
    assert told <= row.calls <= told + 1
    assert (row.prompt_tokens, row.money) == (10 * row.calls, row.calls * Decimal("0.0000012"))


async def _ask(budget: Budget, worst: Decimal, real: Decimal, tokens: tuple[int, int] = (1000, 250)) -> bool:
    """Whether there was room for one request, dearer at worst than it turns out."""
    try:
        async with budget.hold(tokens[0], worst) as settle:
            await asyncio.sleep(0)
            settle(tokens[1], real)
    except BudgetReachedError:
        return False
    return True


async def _ask_all(budget: Budget, count: int, worst: str, real: str) -> int:
    asked = (_ask(budget, Decimal(worst), Decimal(real)) for _ in range(count))
    return sum(await asyncio.gather(*asked))


def test_without_caps_it_only_counts() -> None:
    budget = Budget()
    assert asyncio.run(_ask_all(budget, 50, worst="1000000", real="0.5")) == 50
    assert budget.spent == Spent(tokens=50 * 250, money=Decimal(25)) and not budget.reached


def test_a_small_budget_is_used_up_and_never_passed() -> None:
    budget = Budget(max_spend=Decimal("1.00"))
    assert asyncio.run(_ask_all(budget, 200, worst="0.04", real="0.01")) == 97
    assert budget.spent.money == Decimal("0.97")  # not even one more would surely have fitted
    assert budget.reached


def test_one_that_is_too_dear_does_not_end_the_spending_of_cheaper_ones() -> None:
    budget = Budget(max_spend=Decimal(1), spent=Spent(money=Decimal("0.5")))
    assert not asyncio.run(_ask(budget, Decimal("0.6"), Decimal(0)))  # alone more than all that is left
    assert asyncio.run(_ask_all(budget, 3, worst="0.10", real="0.10")) == 3
    assert not asyncio.run(_ask(budget, Decimal("0.21"), Decimal(0))) and not budget.reached
    assert asyncio.run(_ask(budget, Decimal("0.15"), Decimal("0.15")))


def test_reached_is_reached() -> None:
    """Where not even the cheapest so far has room, the rest is for the next run."""
    budget = Budget(max_spend=Decimal(1), max_tokens=10_000)
    assert asyncio.run(_ask(budget, Decimal("0.10"), Decimal("0.91")))
    assert not asyncio.run(_ask(budget, Decimal("0.10"), Decimal(0))) and budget.reached
    assert not asyncio.run(_ask(budget, Decimal(0), Decimal(0)))  # though it would fit


def test_the_error_names_the_cap_and_ends_the_command_with_4() -> None:
    async def one_too_many() -> None:
        budget = Budget(max_tokens=1000, spent=Spent(tokens=700))
        async with budget.hold(300, None) as settle:
            settle(290, None)
        async with budget.hold(11, None):
            raise AssertionError("there was no room")

    with pytest.raises(BudgetReachedError, match=r"the budget of this run \(1,000 tokens\) is reached") as caught:
        asyncio.run(one_too_many())
    assert (caught.value.exit_code, caught.value.code, caught.value.fatal) == (4, "budget", True) and caught.value.hint


def test_what_was_not_billed_makes_room_again() -> None:
    budget = Budget(max_tokens=1000)

    async def fails() -> None:
        for _ in range(5):
            with pytest.raises(ConnectionError):
                async with budget.hold(900, None):
                    raise ConnectionError
        async with budget.hold(900, None) as settle:
            settle(100, None)
            settle(50, None)  # each reply of one request counts

    asyncio.run(fails())
    assert budget.spent.tokens == 150


def test_one_that_waits_may_give_up() -> None:
    budget = Budget(max_tokens=1000)

    async def waits() -> None:
        async with budget.hold(900, None) as settle:
            waiting = asyncio.create_task(_ask(budget, Decimal(0), Decimal(0), (500, 1)))
            await asyncio.sleep(0)
            assert not waiting.done()
            waiting.cancel()
            settle(100, None)
        async with budget.hold(900, None):
            pass

    asyncio.run(waits())
    assert budget.spent.tokens == 100


def test_loops_of_several_threads_wait_for_each_other() -> None:
    budget = Budget(max_spend=Decimal("2.00"))
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(asyncio.run, _ask_all(budget, 100, worst="0.30", real="0.01")) for _ in range(4)]
    assert sum(run.result() for run in runs) == 171  # 1.71 spent: 0.30 more could be too much
    assert budget.spent.money == Decimal("1.71")
