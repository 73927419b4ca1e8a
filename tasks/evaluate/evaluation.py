"""What an evaluation says: per question where its gold was found, and the means over questions, in all and by group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import UsageError
from tasks.evaluate.intervals import mean
from tasks.evaluate.metrics import MEASURES, measured

DOCUMENT = "document."  # what stands before the name of a measure of documents instead of pages
_REQUIRED = re.compile(r"([a-z.]+@\d+)\s*=\s*([0-9.]+)")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Page(_Model):
    """A page of a source; None where the format has no pages."""

    source: str
    page: int | None


class QuestionResult(_Model):
    """`page_ranks` and `document_ranks` are those of the gold, None for what was not among the first; `found` are the
    first pages."""

    id: str
    question: str
    groups: tuple[str, ...]
    page_ranks: tuple[int | None, ...]
    document_ranks: tuple[int | None, ...]
    found: tuple[Page, ...]
    seconds: float

    def measures(self) -> dict[str, float]:
        """By name; those of pages only where gold pages are known."""
        documents = {f"{DOCUMENT}{name}": value for name, value in measured(self.document_ranks).items()}
        return {**(measured(self.page_ranks) if self.page_ranks else {}), **documents}


class Measure(_Model):
    """The mean of a measure over `questions`, with its 95 % interval."""

    group: str
    name: str
    value: float
    low: float
    high: float
    questions: int


class Evaluation(_Model):
    """Of one release. `unanswerable` questions have no gold, and were left out; `missing` are gold documents that the
    release does not hold."""

    release: int
    spaces: tuple[str, ...]
    questions: tuple[QuestionResult, ...]
    measures: tuple[Measure, ...]
    unanswerable: int = 0
    missing: tuple[str, ...] = ()

    def value(self, name: str, group: str = "all") -> Measure:
        """A measure by name. Raises UsageError where there is none."""
        found = next((each for each in self.measures if (each.group, each.name) == (group, name)), None)
        if found is None:
            raise UsageError(f"there is no measure {name!r}", f"measures: {', '.join(MEASURES)}, document.hit@5 ...")
        return found


def read(path: Path) -> Evaluation:
    """What `bindery evaluate --json` printed. Raises UsageError."""
    try:
        value = orjson.loads(path.read_bytes())
        return Evaluation(**{name: value[name] for name in Evaluation.model_fields})
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "bindery evaluate ... --json > FILE") from error
    except (orjson.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no evaluation", "write one: bindery evaluate ... --json > FILE") from error


def summarized(results: Sequence[QuestionResult]) -> tuple[Measure, ...]:
    """Means of every measure: of all questions first, then of each group in the order of its name."""
    groups = ["all", *sorted({group for result in results for group in result.groups})]
    return tuple(measure for group in groups for measure in _means(group, [r for r in results if _belongs(r, group)]))


def differences(before: Evaluation, after: Evaluation) -> tuple[Measure, ...]:
    """after − before, paired by question id. Raises UsageError where they have no question in common."""
    earlier = {result.id: result for result in before.questions}
    pairs = [(earlier[result.id], result) for result in after.questions if result.id in earlier]
    if not pairs:
        raise UsageError("the two evaluations have no question in common", "compare evaluations of the same questions")
    changes = [
        {name: value - old for name, value in new_measures.items() if (old := old_measures.get(name)) is not None}
        for old_measures, new_measures in ((one.measures(), other.measures()) for one, other in pairs)
    ]
    return tuple(_averaged("all", changes))


def required(texts: Iterable[str]) -> list[tuple[str, float]]:
    """`hit@5=0.8` and its like. Raises UsageError."""
    found: list[tuple[str, float]] = []
    for text in texts:
        match = _REQUIRED.fullmatch(text.strip())
        if match is None or match[1].removeprefix(DOCUMENT) not in MEASURES:
            raise UsageError(f"--require {text!r} is no measure and number", "such as --require hit@5=0.8")
        try:
            found.append((match[1], float(match[2])))
        except ValueError:
            raise UsageError(f"--require {text!r}: {match[2]!r} is no number", "such as --require hit@5=0.8") from None
    return found


def below(evaluation: Evaluation, requirements: Iterable[tuple[str, float]]) -> list[Measure]:
    """The measures that do not reach what is required of them."""
    return [found for name, least in requirements if (found := evaluation.value(name)).value < least]


def _belongs(result: QuestionResult, group: str) -> bool:
    return group == "all" or group in result.groups


def _means(group: str, results: Sequence[QuestionResult]) -> Iterable[Measure]:
    return _averaged(group, [result.measures() for result in results])


def _averaged(group: str, rows: Sequence[dict[str, float]]) -> Iterable[Measure]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [_measure(group, name, [row[name] for row in rows if name in row]) for name in names]


def _measure(group: str, name: str, values: Sequence[float]) -> Measure:
    found = mean(values)
    return Measure(group=group, name=name, value=found.value, low=found.low, high=found.high, questions=found.count)
