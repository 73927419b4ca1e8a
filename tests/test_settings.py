"""The settings of the openai profile: what it needs, and a key that is in nothing that is kept or shown."""

from __future__ import annotations

import traceback
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from tasks.errors import MissingCapabilityError, UsageError
from tasks.settings import LlmSettings, Price, Settings, load_settings

CANARY = "sk-canary-8f1d"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings file, and no key of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, ["a model", "an endpoint"]),
        ({"BINDERY_LLM__MODEL": "m"}, ["an endpoint"]),
        ({"OPENAI_API_KEY": CANARY}, ["a model"]),
        ({"BINDERY_LLM__BASE_URL": "http://127.0.0.1:11434/v1"}, ["a model"]),
    ],
)
def test_the_openai_profile_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: list[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MissingCapabilityError) as caught:
        load_settings(profile="openai")
    said = caught.value.message
    assert [name for name in ("a model", "an endpoint") if name in said] == named
    assert "\n" not in said and caught.value.hint and CANARY not in said
    assert load_settings(profile="local").profile == "local"


@pytest.mark.parametrize(
    "endpoint", [{"OPENAI_API_KEY": CANARY}, {"BINDERY_LLM__API_KEY": CANARY}, {"BINDERY_LLM__BASE_URL": "http://h/v1"}]
)
def test_a_model_and_an_endpoint_are_enough(monkeypatch: pytest.MonkeyPatch, endpoint: dict[str, str]) -> None:
    for name, value in {"BINDERY_LLM__MODEL": "small", **endpoint}.items():
        monkeypatch.setenv(name, value)
    llm = load_settings(profile="openai").llm
    assert (llm.model_of("text"), llm.model_of("image")) == ("small", "small")
    assert llm.key() == (SecretStr(CANARY) if "BINDERY_LLM__BASE_URL" not in endpoint else None)


def test_pictures_can_have_a_model_of_their_own() -> None:
    llm = LlmSettings(model="small", vision_model="seer")
    assert [llm.model_of(kind) for kind in ("text", "table", "image")] == ["small", "small", "seer"]
    with pytest.raises(MissingCapabilityError, match="model"):
        LlmSettings().model_of("text")


def test_the_key_is_in_no_dump_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_LLM__API_KEY", CANARY)
    settings = Settings()
    assert settings.llm.key() == SecretStr(CANARY)
    for shown in (
        repr(settings),
        str(settings),
        repr(settings.llm),
        settings.model_dump_json(),
        str(settings.model_dump()),
    ):
        assert CANARY not in shown and "api_key" not in shown.replace("api_key_block", "")
    assert settings.model_dump()["llm"]["max_in_flight"] == settings.llm.max_in_flight  # the rest is there


def test_a_setting_that_is_not_valid_does_not_show_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_LLM__API_KEY", CANARY)
    monkeypatch.setenv("BINDERY_LLM__IMAGE_PX", "3")
    with pytest.raises(UsageError, match=r"llm\.image_px") as caught:
        load_settings()
    assert CANARY not in str(caught.value) + caught.value.hint


def test_a_misspelt_key_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_LLM__APIKEY", CANARY)
    with pytest.raises(UsageError, match=r"llm\.apikey") as caught:
        load_settings()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_prices_and_no_temperature_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_LLM__PRICES", '{"m": {"input": 0.15, "output": "0.6"}}')
    monkeypatch.setenv("BINDERY_LLM__TEMPERATURE", "none")
    llm = load_settings().llm
    assert llm.prices == {"m": Price(input=Decimal("0.15"), output=Decimal("0.6"))} and llm.temperature is None


def test_a_variable_that_should_be_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_SUMMARIZE__KINDS", "text")
    with pytest.raises(UsageError, match="BINDERY_SUMMARIZE__ is no JSON"):
        load_settings()
