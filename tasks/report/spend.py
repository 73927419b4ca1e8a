"""What LLM calls cost, as reports and `bindery status` show it: rows of the ledger, or a forecast, in; totals out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, computed_field

from tasks.errors import UsageError
from tasks.settings import Lane

if TYPE_CHECKING:
    from tasks.llm.ledger import SpendRow

_K = TypeVar("_K")


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


class Forecast(BaseModel):
    """What a stage would ask a model about one kind of chunk or recording, if each answer took all that it may.

    `minutes` are of sound. Texts to embed go several to a call: `calls` is then the most that it can be. `dollars` is
    None where the model has no known price.
    """

    stage: str
    model: str
    kind: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    minutes: float = 0.0
    dollars: float | None


class Estimate(BaseModel):
    """What a run would ask about the `documents` whose chunks are known.

    The `unknown` documents are not read or heard yet, and what is not known of them comes on top. `in_batches` calls
    are on their way. `dollars`, at the price of the `lane`, is None where a price is not known.
    """

    lane: Lane = "live"

    documents: int = 0
    unknown: int = 0
    in_batches: int = 0
    lines: list[Forecast] = []

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def calls(self) -> int:
        return sum(line.calls for line in self.lines)

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def prompt_tokens(self) -> int:
        return sum(line.prompt_tokens for line in self.lines)

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def completion_tokens(self) -> int:
        return sum(line.completion_tokens for line in self.lines)

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def minutes(self) -> float:
        return round(sum(line.minutes for line in self.lines), 2)

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def dollars(self) -> float | None:
        known = [line.dollars for line in self.lines if line.dollars is not None]
        return sum(known, 0.0) if len(known) == len(self.lines) else None


class RunSpending(BaseModel):
    """What one run spent."""

    run: str
    spend: list[Spending]


class DocumentSpending(BaseModel):
    """What one document cost in all runs and stages. `sources` hold it; none where readers do not see it."""

    doc_id: str
    sources: list[str]
    calls: int
    tokens: int
    dollars: float


def totals(rows: Iterable[SpendRow]) -> list[Spending]:
    """By stage and model, in that order."""
    found = _grouped(rows, lambda row: (row.stage, row.model))
    return [
        Spending(
            stage=stage,
            model=model,
            calls=sum(row.calls for row in group),
            prompt_tokens=sum(row.prompt_tokens for row in group),
            completion_tokens=sum(row.completion_tokens for row in group),
            cached_tokens=sum(row.cached_tokens for row in group),
            dollars=_dollars(group),
            unpriced=sum(row.unpriced for row in group),
        )
        for (stage, model), group in sorted(found.items())
    ]


def by_run(rows: Iterable[SpendRow]) -> list[RunSpending]:
    """The newest run first."""
    found = _grouped(rows, lambda row: row.run)
    return [RunSpending(run=run, spend=totals(group)) for run, group in sorted(found.items(), reverse=True)]


def by_document(rows: Iterable[SpendRow], sources: Mapping[str, list[str]]) -> list[DocumentSpending]:
    """The dearest first. `sources` of each document, by doc_id."""
    found = [
        DocumentSpending(
            doc_id=doc_id,
            sources=sources.get(doc_id, []),
            calls=sum(row.calls for row in group),
            tokens=sum(row.prompt_tokens + row.completion_tokens for row in group),
            dollars=_dollars(group),
        )
        for doc_id, group in _grouped(rows, lambda row: row.doc_id).items()
    ]
    return sorted(found, key=lambda each: (-each.dollars, -each.tokens, each.doc_id))


def _grouped(rows: Iterable[SpendRow], key: Callable[[SpendRow], _K]) -> dict[_K, list[SpendRow]]:
    found: dict[_K, list[SpendRow]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _dollars(rows: Iterable[SpendRow]) -> float:
    return float(sum((row.money for row in rows), Decimal(0)))


def spend_line(spending: Sequence[Spending]) -> str:
    """All of it in one line."""
    tokens = sum(each.prompt_tokens + each.completion_tokens for each in spending)
    unpriced = sum(each.unpriced for each in spending)
    return (
        f"{sum(each.calls for each in spending):,} calls, {tokens:,} tokens, "
        f"${sum(each.dollars for each in spending):.4f}"
        + (f" and {unpriced:,} calls of models without a known price" if unpriced else "")
    )


def estimate_line(estimate: Estimate) -> str:
    line = f"to ask: {estimate_words(estimate)}, for {estimate.documents:,} documents"
    line += f"; {estimate.in_batches:,} more are in batches already" if estimate.in_batches else ""
    read = "read or heard" if estimate.minutes else "read"
    return line + (f"; {estimate.unknown:,} documents are not {read} yet and come on top" if estimate.unknown else "")


def estimate_words(estimate: Estimate) -> str:
    """Calls, tokens, minutes of sound and the most that they may cost."""
    money = "an unknown price" if estimate.dollars is None else f"${estimate.dollars:.4f}"
    parts = [f"{estimate.calls:,} calls"]
    if estimate.minutes:
        parts.append(f"{estimate.minutes:,.1f} minutes of sound")
    if estimate.prompt_tokens or not estimate.minutes:
        parts.append(
            f"{estimate.prompt_tokens:,} tokens to models and at most {estimate.completion_tokens:,} from them"
        )
    batches = (" in batches, but for the sound" if estimate.minutes else " in batches") * (estimate.lane == "batch")
    return ", ".join([*parts, f"at most {money}{batches}"])


def caps(max_spend: float | None, max_tokens: int | None) -> tuple[Decimal | None, int | None]:
    """--max-spend and --max-tokens as a run keeps them. Raises UsageError."""
    if max_spend is not None and not (math.isfinite(max_spend) and max_spend >= 0):
        raise UsageError(f"--max-spend {max_spend} is no amount of dollars", "give one such as --max-spend 2.50")
    if max_tokens is not None and max_tokens < 0:
        raise UsageError(f"--max-tokens {max_tokens} is no number of tokens", "give one such as --max-tokens 1000000")
    return None if max_spend is None else Decimal(str(max_spend)), max_tokens
