"""What went wrong once: keys with line ends, threads that ask while a run ends, odd replies, single refusals."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from tasks.errors import UsageError
from tasks.llm import reply
from tasks.llm.client import Client, Endpoint
from tasks.llm.errors import LlmError, QuotaError, RefusedError, RejectedError, StoppedError
from tasks.llm.key import find_key
from tasks.llm.limits import RateLimits
from tasks.llm.pacer import Pacer
from tasks.llm.request import Message, Request, Text
from tasks.llm.responses import SqliteResponses
from tasks.llm.service import Service
from tasks.llm.transport import Transport
from tasks.settings import LlmSettings
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault


def request(number: int) -> Request:
    return Request("m", (Message("user", (Text(f"number {number}"),)),))


def test_a_key_from_a_file_has_no_line_end_and_a_broken_one_is_not_shown() -> None:
    found = find_key(LlmSettings(api_key=SecretStr(" sk-secret-secret\n")))
    assert found is not None and found.get_secret_value() == "sk-secret-secret"
    for wrong in ("sk-se\ncret-secret", "sk secret", "sk-schlüssel"):
        with pytest.raises(UsageError) as caught:
            Endpoint("http://127.0.0.1:1/v1", SecretStr(wrong))
        assert wrong not in str(caught.value) and "secret" not in caught.value.hint


def test_whoever_asks_while_the_service_closes_gets_an_answer_or_an_error(tmp_path: Path) -> None:
    """Never a future that nobody resolves."""
    with FakeEndpoint(Behaviour(latency=(0.002, 0.5))) as endpoint:
        where = Endpoint(endpoint.base_url, SecretStr("sk-fake"))
        for turn in range(12):
            kept = SqliteResponses(tmp_path / f"{turn}.sqlite")
            service = Service(lambda kept=kept: Client(where, kept, Pacer(RateLimits()), lambda spend: None))  # type: ignore[misc]
            asked: list[concurrent.futures.Future[object]] = []
            begun = threading.Event()

            def ask(service: Service = service, asked: list = asked, begun: threading.Event = begun) -> None:  # type: ignore[type-arg]
                for number in range(400):
                    try:
                        asked.append(service.submit(request(number)))
                    except StoppedError:
                        return
                    begun.set()

            thread = threading.Thread(target=ask)
            thread.start()
            begun.wait(10)
            service.close()
            thread.join(30)
            assert not thread.is_alive() and asked
            done = concurrent.futures.wait(asked, timeout=30)
            assert not done.not_done
            for future in asked:
                error = None if future.cancelled() else future.exception()
                assert error is None or isinstance(error, LlmError)
            kept.close()


def test_half_a_surrogate_pair_in_an_answer_is_no_loss() -> None:
    raw = rb'{"choices": [{"message": {"content": "caf\ud83d \ud83d\ude00"}, "finish_reason": "stop"}]}'
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(raw)
    assert reply.read("k", "m", raw, 3).text == "caf\ufffd \U0001f600"


@pytest.mark.parametrize(
    ("status", "code", "words", "kind"),
    [
        (429, "tokens", "Request too large for m in organization o on tokens per min (TPM): Limit 9", RejectedError),
        (429, "billing_not_active", "Your account is not active", QuotaError),
        (400, "billing_hard_limit_reached", "Billing hard limit has been reached", QuotaError),
        (403, "forbidden", "The input was flagged by our content_policy", RefusedError),
    ],
)
def test_what_no_waiting_cures_is_not_tried_again(status: int, code: str, words: str, kind: type[LlmError]) -> None:
    found = Transport(Endpoint("http://127.0.0.1:1/v1")).failure(status, {}, {}, code, words)
    assert type(found.error) is kind and not found.retry
    assert found.error.fatal == (kind is QuotaError)


def test_retry_after_nothing_is_no_reason_to_hurry(tmp_path: Path) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def main(endpoint: FakeEndpoint) -> str:
        where, kept = Endpoint(endpoint.base_url, SecretStr("sk-fake")), SqliteResponses(tmp_path / "r.sqlite")
        client = Client(where, kept, Pacer(RateLimits()), lambda spend: None, sleep=sleep)
        answer = await client.answer(request(1))
        await client.close()
        return answer.text

    with FakeEndpoint(Behaviour()) as endpoint:
        endpoint.script(Fault.UNAVAILABLE, Fault.UNAVAILABLE, Fault.UNAVAILABLE)  # each says: in 20 ms
        assert asyncio.run(main(endpoint))
    assert len(slept) == 3 and slept[0] >= 0.25 and slept[2] >= 1.0
