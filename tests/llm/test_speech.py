"""Sound as a request: its form on the wire, its key, and what is made of replies that say more or less."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from pydantic import SecretStr

from tasks.llm import speech
from tasks.llm.client import Client, Endpoint, Retries, Spend
from tasks.llm.errors import RejectedError
from tasks.llm.pacer import Pacer, RateLimits
from tasks.llm.responses import SqliteResponses
from tasks.llm.speech import Said, Speech
from tests.llm import spoken
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


def flac(path: Path, *words: str | float) -> Speech:
    samples = spoken.say(words)
    soundfile.write(path, samples, 16_000, format="FLAC")
    return Speech("hearer", path, f"digest of {words}", len(samples) / 16_000)


def answers(endpoint: FakeEndpoint, path: Path, *requests: Speech) -> tuple[list[Any], list[Spend]]:
    spent: list[Spend] = []

    async def main() -> list[Any]:
        with SqliteResponses(path) as responses:
            where = Endpoint(endpoint.base_url, SecretStr(endpoint.behaviour.api_key))
            retries = Retries(base_seconds=0.01)
            client = Client(where, responses, Pacer(RateLimits()), spent.append, retries=retries)
            try:
                return await asyncio.gather(*map(client.answer, requests), return_exceptions=True)
            finally:
                await client.close()

    return asyncio.run(main()), spent


def test_a_sound_is_sent_as_a_form_and_kept(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    request = dataclasses.replace(flac(tmp_path / "a.flac", "tide", "gauge"), language="en", prompt="Harborview")
    [answer], [spend] = answers(endpoint, tmp_path / "r.sqlite", request)
    assert answer.text == "Tide gauge." and (answer.key, answer.model) == (request.key(), "hearer")
    [call] = endpoint.calls
    sent = {name: value for name, value in call.body.items() if name != "file"}
    assert sent == {"model": "hearer", "response_format": "verbose_json", "language": "en", "prompt": "Harborview"}
    assert bytes.fromhex(call.body["file"]["sound"]) == request.sound.read_bytes()
    assert spend == Spend(request.key(), "", "hearer", 0, 0, 0, (), 1.0, 0, "transcribe")
    again, nothing = answers(endpoint, tmp_path / "r.sqlite", request)
    assert again == [answer] and nothing == [] and len(endpoint.calls) == 1


def test_the_key_is_what_shapes_the_answer(tmp_path: Path) -> None:
    base = Speech("m", tmp_path / "a", "d", 1.0)
    changes: list[dict[str, Any]] = [{"model": "n"}, {"digest": "e"}, {"language": "de"}, {"prompt": "p"}]
    keys = {dataclasses.replace(base, **change).key() for change in changes}
    assert len(keys) == 4 and base.key() not in keys
    assert dataclasses.replace(base, sound=tmp_path / "b").key() == base.key()


def test_a_model_without_segments_is_asked_once_with_them(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.behaviour = Behaviour(audio_formats=("json",), audio_by_tokens=True)
    requests = [flac(tmp_path / f"{number}.flac", word) for number, word in enumerate(spoken.WORDS[:3])]
    [first], _ = answers(endpoint, tmp_path / "r.sqlite", requests[0])
    assert first.text == "Harbour." and [call.status for call in endpoint.calls] == [400, 200]
    found, spent = answers(endpoint, tmp_path / "r.sqlite", *requests)
    assert [each.text for each in found] == ["Harbour.", "Crane.", "Buoy."]
    assert {(each.prompt_tokens, each.audio_tokens, each.seconds) for each in spent} == {(10, 10, 1.0)}


def test_no_words_are_an_answer(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    request = flac(tmp_path / "a.flac", 1.0)
    [answer], [spend] = answers(endpoint, tmp_path / "r.sqlite", request)
    assert answer.text == "" and speech.said(answer.raw, 1.0) == ("english", []) and spend.seconds == 1.0
    assert answers(endpoint, tmp_path / "r.sqlite", request)[0] == [answer] and len(endpoint.calls) == 1


def test_replies_that_are_no_transcript_are_billed_and_tried_again(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.script(Fault.GARBAGE, Fault.ODD)
    [answer], spent = answers(endpoint, tmp_path / "r.sqlite", flac(tmp_path / "a.flac", "tide"))
    assert answer.text == "Tide."
    assert 3 == len(endpoint.calls) == len(spent) == endpoint.bill()["calls"]
    assert sum(each.seconds for each in spent) == endpoint.billed_seconds()


def test_what_the_endpoint_cannot_read_is_this_sound_s_fault(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no flac")
    [answer], spent = answers(endpoint, tmp_path / "r.sqlite", Speech("m", tmp_path / "a.flac", "d", 1.0))
    assert isinstance(answer, RejectedError) and not answer.fatal and spent == []


def reply(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_segments_are_read_leniently() -> None:
    likely = {"start": 0, "end": 1.5, "text": " Tide.", "avg_logprob": -0.1}
    raw = reply(text="x", language="english", segments=[{"start": 2, "end": 3, "text": "Gauge."}, likely])
    assert speech.said(raw, 10.0) == (
        "english", [Said(" Tide.", 0.0, 1.5, round(math.exp(-0.1), 3)), Said("Gauge.", 2.0, 3.0)],
    )  # fmt: skip
    assert speech.said(reply(text=" Tide. "), 10.0) == ("", [Said(" Tide. ", 0.0, 10.0, exact=False)])
    assert speech.said(reply(text="Tide.", segments=[]), 10.0)[1] == [Said("Tide.", 0.0, 10.0, exact=False)]
    assert speech.said(reply(text="Tide.", segments=None), 10.0)[1] == [Said("Tide.", 0.0, 10.0, exact=False)]
    assert speech.said(reply(text=""), 10.0) == ("", [])
    beyond = [{"start": -4, "end": 99, "text": "a"}, {"start": 5, "end": 2, "text": "b"}, {"text": "c"}, 7, {}]
    assert [(one.text, one.start, one.end, one.exact) for one in speech.said(reply(segments=beyond), 10.0)[1]] == [
        ("a", 0.0, 10.0, True), ("b", 0.0, 10.0, False), ("c", 0.0, 10.0, False),
    ]  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"[]", b"7", b"<html>", reply(text=7), reply(segments="none"), reply(error="x")])
def test_what_is_no_transcript_is_said_so(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no transcript"):
        speech.said(raw, 1.0)


@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        ({"type": "duration", "seconds": 9}, (9.0, 0)),
        ({"type": "tokens", "input_tokens": 5, "input_token_details": {"audio_tokens": 4}}, (3.0, 4)),
        ({"seconds": "many"}, (3.0, 0)),
        (None, (3.0, 0)),
    ],
)
def test_what_a_reply_was_billed(usage: object, billed: tuple[float, int], tmp_path: Path) -> None:
    assert speech.billed(Speech("m", tmp_path, "d", 2.2), reply(text="", usage=usage)) == billed
