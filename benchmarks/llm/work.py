"""The calls that every system makes: number → prompt. Equal numbers give equal prompts, different ones different."""

from __future__ import annotations

import dataclasses
import random

MODEL = "gpt-4o-mini"
INSTRUCTION = "Summarize the text in one sentence."
MAX_TOKENS = 64
# Plain words of one token each, nearly.
_TEXT = (
    "revenue margin quarter growth cost market product customer region segment report table increase decline forecast "
    "capital expense income balance cash share price volume supply demand contract service research plant energy water "
    "steel paper power network storage model test result value level change risk policy audit board staff office"
)
_WORDS = _TEXT.split()


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """How many calls, of `shortest` to `longest` words, to which endpoint. All of it is in the JSON of the process."""

    base_url: str
    api_key: str
    calls: int
    shortest: int
    longest: int
    in_flight: int
    timeout_seconds: float
    requests_per_minute: float
    tokens_per_minute: float


def prompt(work: Work, number: int) -> str:
    dice = random.Random(number)
    words = dice.choices(_WORDS, k=dice.randint(work.shortest, work.longest))
    return f"Report {number}: {' '.join(words)}"
