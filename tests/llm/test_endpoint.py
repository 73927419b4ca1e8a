"""The fake endpoint does what it is measured by: limits, a bill, answers that satisfy a schema, embeddings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pydantic
import pytest

from tests.llm import made_up
from tests.llm.endpoint import Behaviour, FakeEndpoint, Fault


class _Cell(pydantic.BaseModel):
    label: str
    value: float | None


class _Answer(pydantic.BaseModel):
    kind: str = pydantic.Field(pattern="^(chart|photo)$", json_schema_extra={"enum": ["chart", "photo"]})
    summary: str = pydantic.Field(max_length=30)
    share: int = pydantic.Field(ge=3, le=7)
    cells: list[_Cell] = pydantic.Field(min_length=1, max_length=2)
    sure: bool
    note: str | None
    parent: _Answer | None


def _body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def test_answers_satisfy_the_schema_with_the_prompts_own_words() -> None:
    schema = _Answer.model_json_schema()
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    text = made_up.answer(_body("Umsatz nach Region im März", response_format=wanted))
    found = _Answer.model_validate_json(text)
    assert found.summary == "Umsatz nach Region im März" and found.cells[0].label in found.summary
    assert made_up.answer(_body("Umsatz nach Region im März", response_format=wanted)) == text


def _post(url: str, path: str, bodies: list[dict[str, Any]]) -> list[int]:
    async def one(client: openai.AsyncOpenAI, body: dict[str, Any]) -> int:
        try:
            await client.post(path, body=body, cast_to=object)
            return 200
        except openai.APIStatusError as error:
            return error.status_code

    async def main() -> list[int]:
        async with openai.AsyncOpenAI(api_key="sk-fake", base_url=url, max_retries=0) as client:
            return await asyncio.gather(*(one(client, body) for body in bodies))

    return asyncio.run(main())


@pytest.mark.parametrize(
    "limits", [Behaviour(requests_per_minute=30, burst_seconds=20), Behaviour(tokens_per_minute=360, burst_seconds=20)]
)
def test_limits(limits: Behaviour) -> None:
    with FakeEndpoint(limits) as endpoint:
        found = _post(endpoint.base_url, "/chat/completions", [_body(f"question {n}") for n in range(30)])
        admitted = found.count(200)
        assert 10 <= admitted <= 15 and found.count(429) == 30 - admitted  # what the bucket holds: 10 or 120 tokens
        assert endpoint.bill()["calls"] == admitted
        assert endpoint.statuses() == {200: admitted, 429: 30 - admitted}


def test_what_fails_depends_on_the_seed_and_not_on_the_order() -> None:
    bodies = [_body(f"question {n}") for n in range(60)]
    shares = {Fault.SERVER_ERROR: 0.2, Fault.EMPTY: 0.2}
    found: list[set[str]] = []
    for seed, order in ((1, bodies), (1, bodies[::-1]), (2, bodies)):
        with FakeEndpoint(Behaviour(faults=shares, seed=seed)) as endpoint:
            _post(endpoint.base_url, "/chat/completions", order)
            found.append({call.hash for call in endpoint.calls if call.fault})
    assert found[0] == found[1] != found[2] and 10 < len(found[0]) < 40


def test_embeddings() -> None:
    with FakeEndpoint(Behaviour(dimension=256)) as endpoint:
        client = openai.OpenAI(api_key="sk-fake", base_url=endpoint.base_url)
        texts = ["quarterly sales by region", "sales by quarter and region", "a bell rings"]
        first, near, far = (row.embedding for row in client.embeddings.create(model="e", input=texts).data)
        client.close()
    assert len(first) == 256 and sum(value * value for value in first) == pytest.approx(1)
    assert (
        sum(a * b for a, b in zip(first, near, strict=True)) > 0.5 > sum(a * b for a, b in zip(first, far, strict=True))
    )
    assert json.loads(json.dumps(endpoint.bill()))["completion_tokens"] == 0 < endpoint.bill()["prompt_tokens"]
