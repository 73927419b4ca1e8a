"""The table: what each system got out of the limit, and what it lost, paid twice and used on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.llm.callers import Outcome
from benchmarks.llm.served import Served
from tasks.llm.buckets import BURST_SECONDS

_HEADER = ["limit", "system", "calls", "seconds", "of the limit", "429s", "lost", "billed again", "CPU ms per call"]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One system at one limit, as both sides saw it."""

    system: str
    bound: str
    calls: int
    requests_per_minute: float
    tokens_per_minute: float
    outcome: Outcome
    served: Served

    @property
    def share(self) -> float:
        """Of what the limit lets through while calls wait: from the first call's arrival to that of the last that had
        not been made before. The limit is its rate over that time, and a burst of half a second."""
        seconds = max(at for at, _, first in self.served.arrivals if first)
        admitted = [size if self.bound == "tokens" else 1 for at, size, _ in self.served.arrivals if at <= seconds]
        rate = (self.tokens_per_minute if self.bound == "tokens" else self.requests_per_minute) / 60
        return sum(admitted) / (rate * (seconds + BURST_SECONDS))

    @property
    def limited(self) -> float:
        return self.served.limited / self.served.requests

    @property
    def lost(self) -> int:
        return self.calls - self.outcome.answered

    @property
    def billed_again(self) -> float:
        return self.served.billed_again / self.calls

    @property
    def cpu_ms(self) -> float:
        return self.outcome.cpu_seconds / self.calls * 1e3

    def to_json(self) -> dict[str, Any]:
        figures = {name: getattr(self, name) for name in ("share", "limited", "lost", "billed_again", "cpu_ms")}
        return {**figures, **dataclasses.asdict(self)}


def markdown(rows: Sequence[Row], where: str, others: float, latency: float, faults: float) -> str:
    lines = [
        f"- {where}",
        f"- the fake endpoint answers in {latency:g} s (median) and fails {faults:.1%} of the requests",
        *(f"- {name}: {version}" for name, version in sorted({(row.system, row.outcome.version) for row in rows})),
        f"- meanwhile other processes used {others:.0f} s of the processors",
        "",
        *_table(_HEADER, [_cells(row) for row in rows]),
    ]
    if targets := [cells for row in rows if row.system == "ours" for cells in _targets(row)]:
        lines += ["", *_table(["target", "measured", "met"], targets)]
    for row in rows:
        if row.outcome.errors:
            errors = ", ".join(f"{count} × {name}" for name, count in sorted(row.outcome.errors.items()))
            lines += ["", f"Lost by {row.system} at the limit of {row.bound}: {errors}."]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    return [
        f"{row.requests_per_minute:,.0f} requests/min"
        if row.bound == "requests"
        else f"{row.tokens_per_minute:,.0f} tokens/min",
        row.system,
        f"{row.calls:,}",
        f"{row.outcome.seconds:.1f}",
        f"{row.share:.1%}",
        f"{row.limited:.2%}",
        str(row.lost),
        f"{row.billed_again:.2%}",
        f"{row.cpu_ms:.1f}",
    ]


def _targets(row: Row) -> list[list[str]]:
    found = [
        (f"{row.bound}: of the limit ≥ 97%", f"{row.share:.1%}", row.share >= 0.97),
        (f"{row.bound}: 429s ≤ 0.1%", f"{row.limited:.2%}", row.limited <= 0.001),
        (f"{row.bound}: lost 0", str(row.lost), row.lost == 0),
        (f"{row.bound}: billed again ≤ 1.5%", f"{row.billed_again:.2%}", row.billed_again <= 0.015),
    ]
    return [[what, measured, "yes" if met else "NO"] for what, measured, met in found]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return [line(header), line(["---"] * len(header)), *map(line, rows)]
