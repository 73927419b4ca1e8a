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


class EmbeddingEstimate(BaseModel):
    """What the spaces of an endpoint would be asked about the same documents, each embedded alone."""

    texts: int = 0
    calls: int = 0
    tokens: int = 0
    dollars: float | None = 0.0


class Estimate(BaseModel):
    """What a run would ask about the `documents` whose chunks are known, if each answer took all that it may.

    The `unknown` documents are not read yet, and come on top. `dollars` is None where a model has no known price.
    `summaries`: whether a model would write them, which all but `embedding` is about.
    """

    summaries: bool = True

    documents: int = 0
    unknown: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = 0.0
    embedding: EmbeddingEstimate | None = None


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


def estimate_lines(estimate: Estimate) -> list[str]:
    """A line for each stage that costs something."""
    lines: list[str] = []
    if estimate.summaries:
        lines.append(
            f"summaries: {estimate.calls:,} calls for {estimate.documents:,} documents, {estimate.prompt_tokens:,} "
            f"tokens to the model and at most {estimate.completion_tokens:,} from it, "
            f"at most {_money(estimate.dollars)}"
        )
    if (of := estimate.embedding) is not None:
        lines.append(
            f"embeddings: at most {of.calls:,} calls for {of.texts:,} texts of {estimate.documents:,} documents, "
            f"{of.tokens:,} tokens, {_money(of.dollars)}"
        )
    above = f"; {estimate.unknown:,} documents are not read yet and come on top" if estimate.unknown else ""
    return [line + above for line in lines]


def _money(dollars: float | None) -> str:
    return "an unknown price" if dollars is None else f"${dollars:.4f}"


def caps(max_spend: float | None, max_tokens: int | None) -> tuple[Decimal | None, int | None]:
    """--max-spend and --max-tokens as a run keeps them. Raises UsageError."""
    if max_spend is not None and not (math.isfinite(max_spend) and max_spend >= 0):
        raise UsageError(f"--max-spend {max_spend} is no amount of dollars", "give one such as --max-spend 2.50")
    if max_tokens is not None and max_tokens < 0:
        raise UsageError(f"--max-tokens {max_tokens} is no number of tokens", "give one such as --max-tokens 1000000")
    return None if max_spend is None else Decimal(str(max_spend)), max_tokens
