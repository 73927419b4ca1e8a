"""Prices: the published ones, those of the settings, and none that is made up."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest

from tasks.errors import UsageError
from tasks.llm.prices import Usage, by_time, of_sound, price, priced
from tasks.settings import LlmSettings, Price

USAGE = Usage(prompt=1_000_000, completion=100_000, cached=400_000)


def test_published_prices_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a price was looked up over the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert price("gpt-4o", Usage(1000, 10)) == Decimal("0.0026")
    assert price("gpt-4o-2024-08-06", Usage(1000, 10)) == Decimal("0.0026")
    cached = price("gpt-4o", USAGE)
    whole = price("gpt-4o", Usage(USAGE.prompt, USAGE.completion))
    assert cached is not None and whole is not None
    assert cached == whole - Decimal("0.4") * Decimal("1.25")
    assert price("text-embedding-3-small", Usage(1_000_000)) == Decimal("0.02")


def test_the_endpoint_tells_whose_price_counts() -> None:
    azure = price("gpt-4o", Usage(1000, 10), base_url="https://mine.openai.azure.com/openai/v1")
    assert azure is not None and azure > 0
    assert price("gpt-4o", Usage(1000, 10), base_url="http://127.0.0.1:8000/v1") == Decimal("0.0026")


def test_a_batch_is_half_price() -> None:
    live, batch = price("gpt-4o", Usage(1000, 100)), price("gpt-4o", Usage(1000, 100), batch=True)
    assert live is not None and batch == live / 2
    own = {"m": Price(input=Decimal(3))}
    assert price("m", Usage(1_000_000), own, batch=True) == Decimal("1.5")
    dearer = {"m": Price(input=Decimal(3), output=Decimal(9), batch=Decimal("0.8"))}
    assert price("m", Usage(1_000_000, 1_000_000), dearer, batch=True) == Decimal("9.6")


def test_where_no_price_of_a_batch_is_published_it_is_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.llm.prices._total", lambda found: found)
    monkeypatch.setattr("tasks.llm.prices._published", lambda *_, **__: Decimal(4))
    assert price("m", Usage(1), batch=True) == 2 and price("m", Usage(1)) == 4
    monkeypatch.setattr("tasks.llm.prices._published", lambda *_, batch: Decimal(1 if batch else 4))
    assert price("m", Usage(1), batch=True) == 1


def test_prices_of_the_settings_come_first() -> None:
    own = {
        "gpt-4o": Price(input=Decimal(1), output=Decimal(2), cached=Decimal("0.1")),
        "mine": Price(input=Decimal(1), output=Decimal(2)),
        "free": Price(input=Decimal(0)),
    }
    assert price("gpt-4o", USAGE, own) == Decimal("0.6") + Decimal("0.04") + Decimal("0.2")
    assert price("mine", USAGE, own) == Decimal("1.2")  # cached input as input
    assert price("free", USAGE, own) == 0
    assert price("mine", Usage(prompt=10, cached=50), own) == Decimal("0.00001")  # odd usage counts once


def test_an_unknown_price_is_an_error_unless_allowed() -> None:
    assert price("my-deployment", USAGE) is None and price("my-deployment", USAGE, batch=True) is None
    with pytest.raises(UsageError, match="my-deployment") as caught:
        priced(LlmSettings(), "my-deployment", Usage())
    assert caught.value.code == "unknown_price" and "BINDERY_LLM__PRICES" in caught.value.hint
    assert priced(LlmSettings(allow_unknown_price=True), "my-deployment", USAGE) == 0
    known = LlmSettings(prices={"my-deployment": Price(input=Decimal(2))})
    assert priced(known, "my-deployment", Usage(500_000)) == 1


def test_usage_that_makes_no_sense_is_priced_all_the_same() -> None:
    sound = price("gpt-4o-transcribe", Usage(prompt=5, audio=50, seconds=1.0))
    assert sound is not None and sound > 0
    assert price("gpt-4o", Usage(prompt=10, completion=1, cached=50)) is not None
    assert price("gpt-4o", Usage()) == 0


def test_sound_is_priced_by_time_or_by_tokens() -> None:
    assert by_time("whisper-1") and not by_time("gpt-4o-transcribe") and not by_time("nobody-knows-it")
    assert price("whisper-1", of_sound(90, by_time("whisper-1"))) == Decimal("0.009")
    most = of_sound(60, by_time("gpt-4o-transcribe"))
    assert most == Usage(600, 600, audio=600, seconds=60)
    assert price("gpt-4o-transcribe", most) == (600 * 6 + 600 * 10) / Decimal(1_000_000)
    own = {"w": Price(minute=Decimal("0.12")), "t": Price(input=Decimal(5))}
    assert by_time("w", own) and not by_time("t", own)
    assert price("w", Usage(seconds=30.0), own) == Decimal("0.06")
    assert price("t", of_sound(10, timed=False), own) == Decimal("0.0005")


def test_a_price_says_something() -> None:
    for given in ({}, {"output": 1}):
        with pytest.raises(ValueError, match="minute"):
            Price.model_validate(given)
