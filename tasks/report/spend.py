"""What LLM calls cost, as reports and `bindery status` show it: rows of the ledger, or a forecast, in; totals out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import BaseModel

from tasks.errors import UsageError

if TYPE_CHECKING:
    from tasks.llm.ledger import SpendRow


class Spending(BaseModel):
    """A stage's calls of one model. `unpriced` are those whose price nobody knows; `dollars` is without them."""

    stage: str
    model: str
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0


class SpeechEstimate(BaseModel):
    """What there is to transcribe, at most, in the recordings whose length is known; the `unknown` ones come on top."""

    recordings: int = 0
    unknown: int = 0
    minutes: float = 0.0
    calls: int = 0
    dollars: float | None = 0.0


class Estimate(BaseModel):
    """What a run would ask about the `documents` whose chunks are known, if each answer took all that it may.

    The `unknown` documents are not read yet, and come on top. `dollars` is None where a model has no known price.
    `speech` is there where recordings are transcribed, and in none of the other figures; `summaries` says
    whether a model writes those.
    """

    documents: int = 0
    unknown: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = 0.0
    speech: SpeechEstimate | None = None
    summaries: bool = True


def totals(rows: Iterable[SpendRow]) -> list[Spending]:
    """By stage and model, in that order."""
    found: dict[tuple[str, str], list[SpendRow]] = {}
    for row in rows:
        found.setdefault((row.stage, row.model), []).append(row)
    return [
        Spending(
            stage=stage,
            model=model,
            calls=sum(row.calls for row in group),
            prompt_tokens=sum(row.prompt_tokens for row in group),
            completion_tokens=sum(row.completion_tokens for row in group),
            cached_tokens=sum(row.cached_tokens for row in group),
            dollars=float(sum((row.money for row in group), Decimal(0))),
            unpriced=sum(row.unpriced for row in group),
        )
        for (stage, model), group in sorted(found.items())
    ]


def spend_line(spending: Sequence[Spending]) -> str:
    """All of it in one line."""
    tokens = sum(each.prompt_tokens + each.completion_tokens for each in spending)
    unpriced = sum(each.unpriced for each in spending)
    return (
        f"{sum(each.calls for each in spending):,} calls, {tokens:,} tokens, "
        f"${sum(each.dollars for each in spending):.4f}"
        + (f" and {unpriced:,} calls of models without a known price" if unpriced else "")
    )


def _speech_line(estimate: SpeechEstimate) -> str:
    line = (
        f"transcripts: {estimate.calls:,} calls for {estimate.recordings:,} recordings of {estimate.minutes:,.1f} "
        f"minutes, at most {_money(estimate.dollars)}"
    )
    return line + (f"; {estimate.unknown:,} recordings are not read yet and come on top" if estimate.unknown else "")


def _money(dollars: float | None) -> str:
    return "an unknown price" if dollars is None else f"${dollars:.4f}"


def estimate_lines(estimate: Estimate | None) -> list[str]:
    """What a preview shows of it."""
    if estimate is None:
        return []
    speech = [_speech_line(estimate.speech)] if estimate.speech else []
    return [*speech, *([_summary_line(estimate)] if estimate.summaries else [])]


def _summary_line(estimate: Estimate) -> str:
    money = _money(estimate.dollars)
    line = (
        f"summaries: {estimate.calls:,} calls for {estimate.documents:,} documents, {estimate.prompt_tokens:,} tokens "
        f"to the model and at most {estimate.completion_tokens:,} from it, at most {money}"
    )
    return line + (f"; {estimate.unknown:,} documents are not read yet and come on top" if estimate.unknown else "")


def caps(max_spend: float | None, max_tokens: int | None) -> tuple[Decimal | None, int | None]:
    """--max-spend and --max-tokens as a run keeps them. Raises UsageError."""
    if max_spend is not None and not (math.isfinite(max_spend) and max_spend >= 0):
        raise UsageError(f"--max-spend {max_spend} is no amount of dollars", "give one such as --max-spend 2.50")
    if max_tokens is not None and max_tokens < 0:
        raise UsageError(f"--max-tokens {max_tokens} is no number of tokens", "give one such as --max-tokens 1000000")
    return None if max_spend is None else Decimal(str(max_spend)), max_tokens
