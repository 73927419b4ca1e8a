"""The client against the fake endpoint, over real sockets: what is sent, retried, kept, shared, stopped and raised."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import pickle
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.errors import LakeError, UsageError
from tasks.llm.client import Client, Counts, Endpoint, Retries, Spend
from tasks.llm.errors import (
    AuthenticationError,
    BudgetReachedError,
    EmptyAnswerError,
    EndpointError,
    LlmError,
    NotFoundError,
    QuotaError,
    RefusedError,
    RejectedError,
    StoppedError,
)
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.request import Message, Picture, Request, Sampling, Schema, Text
from tasks.llm.responses import Response, Responses, SqliteResponses
from tasks.llm.service import Service
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault

SCHEMA = Schema(
    "summary",
    {
        "type": "object",
        "properties": {"summary": {"type": "string"}, "keywords": {"type": "array", "items": {"type": "string"}}},
        "required": ["summary", "keywords"],
        "additionalProperties": False,
    },
)


def ask(text: str = "What did Harborview ship in March?", schema: Schema | None = None, model: str = "m") -> Request:
    return Request(model, (Message("system", (Text("Be brief."),)), Message("user", (Text(text),))), Sampling(), schema)


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


@dataclasses.dataclass
class Bench:
    """A client with what it is made of, and what it reported."""

    endpoint: FakeEndpoint
    path: Path
    spent: list[Spend] = dataclasses.field(default_factory=list)
    slept: list[float] = dataclasses.field(default_factory=list)
    paused: list[float] = dataclasses.field(default_factory=list)

    def make(self, responses: Responses | None = None, timeout: float = 30.0, **options: Any) -> Client:
        limits = RateLimits(max_in_flight=options.pop("max_in_flight", 16))
        pacer = Pacer(limits)
        pause = pacer.pause

        def noted(seconds: float) -> None:
            self.paused.append(seconds)
            pause(min(seconds, 0.01))  # a test waits for nobody

        pacer.pause = noted  # type: ignore[method-assign]

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            await asyncio.sleep(0)

        where = Endpoint(self.endpoint.base_url, SecretStr(self.endpoint.behaviour.api_key), timeout)
        options.setdefault("sleep", sleep)
        return Client(where, responses or SqliteResponses(self.path), pacer, self.spent.append, **options)

    def run(self, work: Callable[[Client], Coroutine[Any, Any, Any]], **options: Any) -> Any:
        async def main() -> Any:
            client = self.make(**options)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(main())

    def answer(self, *requests: Request, **options: Any) -> list[Any]:
        """The answers or errors, asked for all at once."""

        async def all_of(client: Client) -> list[Any]:
            return await asyncio.gather(*map(client.answer, requests), return_exceptions=True)

        found: list[Any] = self.run(all_of, **options)
        return found


@pytest.fixture
def bench(endpoint: FakeEndpoint, tmp_path: Path) -> Bench:
    return Bench(endpoint, tmp_path / "responses.sqlite")


def test_an_answer_is_asked_for_once_and_kept(bench: Bench) -> None:
    [first] = bench.answer(ask())
    assert first.text == "What did Harborview ship in March"
    assert (first.finish, first.refusal, first.model, first.key) == ("stop", None, "m", ask().key())
    [call] = bench.endpoint.calls
    assert call.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What did Harborview ship in March?"},
        ],
        "max_tokens": 1024,
        "temperature": 0.0,
    }
    used = (call.prompt_tokens, call.completion_tokens)
    assert (first.prompt_tokens, first.completion_tokens) == used and min(used) > 0
    assert bench.spent == [Spend(ask().key(), "", "m", *used, 0)]
    assert json.loads(first.raw)["object"] == "chat.completion"
    again = bench.answer(ask(), ask())  # another client, as in the next run
    assert again == [first, first]
    assert len(bench.endpoint.calls) == 1 and len(bench.spent) == 1


def test_structured_output_and_pictures(bench: Bench) -> None:
    picture = Message("user", (Text("Sales by region"), Picture(b"fake png", "image/png", 10, 10)))
    [answer] = bench.answer(Request("m", (picture,), schema=SCHEMA))
    assert json.loads(answer.text) == {"summary": "Sales by region", "keywords": ["Sales", "by", "region"]}
    assert bench.endpoint.calls[0].prompt_tokens > bench.endpoint.behaviour.image_tokens


def test_identical_requests_on_their_way_are_sent_once(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(latency=(0.05, 0.0))
    counts: list[Counts] = []

    async def work(client: Client) -> list[Response]:
        answers = await asyncio.gather(*(client.answer(ask(), owner=f"doc {n}") for n in range(20)))
        counts.append(client.counts)
        return answers

    answers = bench.run(work)
    assert len(bench.endpoint.calls) == 1 and len(set(map(id, answers))) == 1
    assert (counts[0].joined, counts[0].sent, counts[0].answered) == (19, 1, 1)
    assert [spend.owner for spend in bench.spent] == ["doc 0"]


def test_who_joined_gets_the_answer_when_the_first_one_gives_up(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(latency=(0.1, 0.0))

    async def work(client: Client) -> Response:
        first = asyncio.create_task(client.answer(ask()))
        second = asyncio.create_task(client.answer(ask()))
        while not bench.endpoint.calls:
            await asyncio.sleep(0.005)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert first.cancelled()
        return await second

    assert bench.run(work).text
    assert len(bench.endpoint.calls) == 1


RETRIED = [
    Fault.RATE_LIMITED,
    Fault.SERVER_ERROR,
    Fault.UNAVAILABLE,
    Fault.TIMEOUT,
    Fault.CONFLICT,
    Fault.DROP,
    Fault.CUT,
    Fault.GARBAGE,
    Fault.ODD,
    Fault.EMPTY,
]


@pytest.mark.parametrize("fault", RETRIED)
def test_what_is_worth_another_attempt_is_tried_again(bench: Bench, fault: Fault) -> None:
    bench.endpoint.script(fault, fault)
    [answer] = bench.answer(ask())
    assert answer.text == "What did Harborview ship in March"
    assert [call.fault for call in bench.endpoint.calls] == [fault, fault, ""]
    told = fault in (Fault.GARBAGE, Fault.ODD, Fault.EMPTY)  # a cut reply is billed, and nobody can know
    assert len(bench.spent) == (3 if told else 1)
    if fault in (Fault.RATE_LIMITED, Fault.UNAVAILABLE):
        assert bench.paused == [0.02, 0.02]  # as the endpoint asked
        assert len(bench.slept) == (2 if fault is Fault.UNAVAILABLE else 0)  # and our own patience with a failure
    else:
        first, second = bench.slept
        assert 0.25 <= first <= 0.5 <= second <= 1.0 and bench.paused == []


def test_a_hang_ends_at_the_timeout_and_is_tried_again(bench: Bench) -> None:
    bench.endpoint.script(Fault.HANG)
    [answer] = bench.answer(ask(), timeout=0.3)
    assert answer.text
    assert [call.fault for call in bench.endpoint.calls] == [Fault.HANG, ""]


def test_a_429_without_a_time_pauses_everybody_for_a_growing_while(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(retry_after=False)
    bench.endpoint.script(*[Fault.RATE_LIMITED] * 9)  # more than the attempts that other failures have
    assert bench.answer(ask())[0].text
    assert len(bench.paused) == 9 and bench.slept == []
    for n, seconds in enumerate(bench.paused):
        assert min(30, 0.5 * 2**n) / 2 <= seconds <= min(30, 0.5 * 2**n)


def test_attempts_end(bench: Bench) -> None:
    bench.endpoint.script(*[Fault.SERVER_ERROR] * 6)
    [error] = bench.answer(ask())
    assert type(error) is EndpointError and not error.fatal
    assert "answered 500: " in error.message and "The server had an error" in error.message
    assert len(bench.endpoint.calls) == 6
    bench.endpoint.script(*[Fault.EMPTY] * 6)
    [error] = bench.answer(ask())
    assert type(error) is EmptyAnswerError
    assert bench.answer(ask())[0].text  # nothing of it was kept


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.BAD_REQUEST, RejectedError),
        (Fault.FILTERED, RefusedError),
        (Fault.UNAUTHORIZED, AuthenticationError),
        (Fault.FORBIDDEN, AuthenticationError),
        (Fault.NOT_FOUND, NotFoundError),
        (Fault.QUOTA, QuotaError),
    ],
)
def test_what_is_not_worth_another_attempt(bench: Bench, fault: Fault, kind: type[LlmError]) -> None:
    bench.endpoint.script(fault)
    first, second = bench.answer(ask("one"), ask("two"), max_in_flight=1)
    assert type(first) is kind
    assert pickle.loads(pickle.dumps(first)).args == first.args
    if kind in (RejectedError, RefusedError):  # the others have a chance of their own
        assert second.text == "two" and len(bench.endpoint.calls) == 2
    else:
        assert type(second) is kind and second.fatal
        assert len(bench.endpoint.calls) == 1


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    with FakeEndpoint() as other:
        bench.endpoint.behaviour = Behaviour(redirect_to=f"{other.base_url}/chat/completions")
        bench.endpoint.script(Fault.REDIRECT)
        [error] = bench.answer(ask())
        assert type(error) is NotFoundError and "redirects" in error.message
        assert other.connections == 0


def test_an_endpoint_that_is_down_stops_the_client(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(faults={Fault.SERVER_ERROR: 1.0})
    errors = bench.answer(*(ask(str(n)) for n in range(200)), retries=Retries(attempts=2, outage=3), max_in_flight=4)
    assert {type(error) for error in errors} == {EndpointError}
    assert sum(error.fatal for error in errors) >= 190
    assert len(bench.endpoint.calls) < 30


def test_nobody_listens(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        where = Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", SecretStr("sk-secret-key"))

        async def main() -> LlmError:
            client = Client(where, SqliteResponses(bench.path), Pacer(RateLimits()), bench.spent.append, sleep=_at_once)
            with pytest.raises(EndpointError, match="cannot be reached") as caught:
                await client.answer(ask())
            await client.close()
            return caught.value

        error = asyncio.run(main())
    assert where.host in error.message and "run again" in error.hint


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def test_a_refusal_and_a_cut_answer_are_answers(bench: Bench) -> None:
    bench.endpoint.script(Fault.REFUSAL)
    [refused] = bench.answer(ask())
    assert refused.refusal == "I'm sorry, I can't help with that." and refused.text == ""
    bench.endpoint.script(Fault.LENGTH)
    [cut] = bench.answer(ask("another"))
    assert cut.cut and "another".startswith(cut.text)
    assert bench.answer(ask(), ask("another")) == [refused, cut]
    assert len(bench.endpoint.calls) == 2


@pytest.mark.parametrize("formats", [("json_object",), ()])
def test_without_structured_output_the_instructions_ask_for_it(bench: Bench, formats: tuple[str, ...]) -> None:
    bench.endpoint.behaviour = Behaviour(formats=formats)
    [first] = bench.answer(ask(schema=SCHEMA))
    assert '"summary": "What did Harborview ship in March"' in first.text
    refusals = len(bench.endpoint.calls) - 1
    assert refusals == 2 - len(formats) and [call.status for call in bench.endpoint.calls] == [400] * refusals + [200]
    body = bench.endpoint.calls[-1].body
    assert body.get("response_format") == ({"type": "json_object"} if formats else None)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("Be brief.\n\nAnswer with one JSON object")


def test_a_dialect_is_learnt_once_for_a_model(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(formats=(), refused_parameters=("max_tokens", "temperature"))

    async def work(client: Client) -> None:
        await client.answer(ask(schema=SCHEMA))
        before = len(bench.endpoint.calls)
        await asyncio.gather(*(client.answer(ask(str(n), SCHEMA)) for n in range(20)))
        assert len(bench.endpoint.calls) - before == 20
        await client.answer(ask(schema=SCHEMA, model="other"))

    bench.run(work)
    assert bench.endpoint.statuses() == {200: 22, 400: 8}
    assert bench.endpoint.calls[-1].body.keys() == {"model", "messages", "max_completion_tokens"}


def test_all_at_once_learn_a_dialect_too(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(formats=(), latency=(0.02, 0.0))
    answers = bench.answer(*(ask(str(n), SCHEMA) for n in range(30)))
    assert all("```json" in answer.text for answer in answers)


def test_a_400_about_something_else_is_not_a_matter_of_dialect(bench: Bench) -> None:
    bench.endpoint.script(Fault.BAD_REQUEST)
    [error] = bench.answer(ask(schema=SCHEMA))
    assert type(error) is RejectedError and len(bench.endpoint.calls) == 1


def test_stop_lets_arrive_what_is_on_its_way_and_sends_nothing_more(bench: Bench) -> None:
    bench.endpoint.behaviour = Behaviour(latency=(0.2, 0.0))

    async def work(client: Client) -> list[Any]:
        tasks = [asyncio.create_task(client.answer(ask(str(n)))) for n in range(50)]
        while len(bench.endpoint.calls) < 4:
            await asyncio.sleep(0.005)
        client.stop()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = bench.run(work, max_in_flight=4)
    answered = [one for one in found if isinstance(one, Response)]
    assert len(answered) == 4 == len(bench.endpoint.calls)
    assert {type(one) for one in found if one not in answered} == {StoppedError}
    with SqliteResponses(bench.path) as kept:
        assert kept.count() == 4


def test_the_budget_is_asked_before_each_sending(bench: Bench) -> None:
    held: list[str] = []
    told: list[Spend] = []

    @contextlib.asynccontextmanager
    async def reserve(request: Request, prompt: int) -> AsyncIterator[Callable[[Spend], None]]:
        if len(told) + len(held) >= 5:
            raise BudgetReachedError("that is all", "run again")
        held.append(request.key())
        try:
            yield told.append
        finally:
            held.remove(request.key())

    bench.endpoint.script(Fault.SERVER_ERROR, Fault.EMPTY)
    found = bench.answer(*(ask(str(n)) for n in range(20)), reserve=reserve, max_in_flight=1)
    answered = [one for one in found if isinstance(one, Response)]
    assert {type(one) for one in found if one not in answered} == {BudgetReachedError}
    assert found[-1].exit_code == 4
    assert told == bench.spent and held == []
    assert len(told) == sum(bench.endpoint.billed().values()) == 5
    assert len(answered) == 4  # the empty one had no room for another attempt


class _FullDisk(SqliteResponses):
    def put(self, response: Response) -> Response:
        raise LakeError("database or disk is full")


def test_answers_that_cannot_be_kept_are_not_bought(bench: Bench) -> None:
    found = bench.answer(*(ask(str(n)) for n in range(30)), responses=_FullDisk(bench.path), max_in_flight=2)
    assert {type(one) for one in found} == {LakeError, StoppedError}
    assert len(bench.endpoint.calls) <= 2


def test_faults_in_a_crowd_lose_nothing(bench: Bench) -> None:
    """5% of all that can go wrong: each request has its own answer, and only what was no use was billed again."""
    kinds = [*RETRIED, Fault.HANG]
    bench.endpoint.behaviour = Behaviour(
        faults=dict.fromkeys(kinds, 0.05 / len(kinds)), latency=(0.01, 0.5), requests_per_minute=60_000, seed=3
    )
    retries = Retries(base_seconds=0.01, most_seconds=0.05)
    answers = bench.answer(*(ask(f"question {n:x}x") for n in range(400)), retries=retries, timeout=1.0)
    assert [answer.key for answer in answers] == [ask(f"question {n:x}x").key() for n in range(400)]
    wasted = sum(call.billed and bool(call.fault) for call in bench.endpoint.calls)
    assert bench.endpoint.billed_twice() == wasted > 0
    assert len({call.fault for call in bench.endpoint.calls}) > 6


def test_a_key_in_the_address_is_refused_and_not_repeated() -> None:
    for url in ("https://user:sk-canary@host/v1", "https://host/v1?key=sk-canary", "sk-canary"):
        with pytest.raises(UsageError) as caught:
            Endpoint(url)
        assert "sk-canary" not in f"{caught.value!r} {caught.value.hint}"


def test_service_for_threads(bench: Bench) -> None:
    with Service(bench.make) as service:
        assert service.answer(ask("one")).text == "one"
        bench.endpoint.script(Fault.FILTERED)
        refused, *rest = service.answers([ask("two")]) + service.answers([ask("one"), ask("three")])
        assert isinstance(refused, RefusedError)
        assert [answer.text for answer in rest if isinstance(answer, Response)] == ["one", "three"]
        bench.endpoint.script(Fault.QUOTA)
        with pytest.raises(QuotaError):
            service.answers([ask("four"), ask("five")])
        assert service.counts.reused == 1
    service.close()


def test_a_service_that_cannot_be_made_leaves_no_thread(bench: Bench) -> None:
    def fails() -> Client:
        raise UsageError("no")

    with pytest.raises(UsageError):
        Service(fails)
