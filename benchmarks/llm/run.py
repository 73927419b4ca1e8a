"""Chooses limits and systems, runs each against an endpoint of its own, and prints the table."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.llm import served
from benchmarks.llm.callers import SYSTEMS, Outcome
from benchmarks.llm.report import Row, markdown
from benchmarks.llm.work import Work

_LANGCHAIN_CALLS = 200  # more would take minutes
_TIMEOUT_SECONDS = 10.0
# Three in a hundred. Of garbage, empty and cut replies the endpoint has done its work: it bills them.
FAULTS = {
    "server_error": 0.008,
    "unavailable": 0.004,
    "timeout": 0.002,
    "drop": 0.005,
    "hang": 0.002,
    "garbage": 0.003,
    "empty": 0.003,
    "cut": 0.003,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """Which limit binds, per minute, and how many words a prompt has."""

    name: str
    requests: float
    tokens: float
    words: tuple[int, int]


def bounds(per_minute: float) -> list[Bound]:
    """The other limit is far away in each."""
    return [
        Bound("requests", per_minute, per_minute * 10_000, (50, 350)),
        Bound("tokens", per_minute * 10, per_minute * 1_000, (200, 1_750)),
    ]


def main() -> None:
    args = _arguments()
    rows = []
    busy, ours = machine.busy_seconds(), _used_seconds()
    for bound in bounds(args.per_minute):
        if bound.name not in args.bounds.split(","):
            continue
        for name in _systems(args.only):
            rows.append(_run(name, bound, args))
            print(f"{bound.name}: {name} done in {rows[-1].outcome.seconds:.1f} s", file=sys.stderr)
    others = max(0.0, machine.busy_seconds() - busy - _used_seconds() + ours)
    print(markdown(rows, machine.describe(), others, args.latency, sum(FAULTS.values())))
    if args.json:
        args.json.write_text(json.dumps([row.to_json() for row in rows], indent=1))


def _run(name: str, bound: Bound, args: argparse.Namespace) -> Row:
    calls = min(args.calls, _LANGCHAIN_CALLS) if name == "langchain" else args.calls
    behaviour: dict[str, Any] = {
        "requests_per_minute": bound.requests,
        "tokens_per_minute": bound.tokens,
        "latency": (args.latency, 0.4),
        "faults": FAULTS,
        "seed": args.seed,
    }
    with served.serve(behaviour) as server:
        work = Work(
            server.base_url,
            served.API_KEY,
            calls,
            *bound.words,
            args.in_flight,
            _TIMEOUT_SECONDS,
            bound.requests,
            bound.tokens,
        )
        command = [sys.executable, "-m", "benchmarks.llm.callers", name, json.dumps(dataclasses.asdict(work))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")
        outcome = Outcome(**json.loads(done.stdout.splitlines()[-1]))
        return Row(name, bound.name, calls, bound.requests, bound.tokens, outcome, server.finish())


def _used_seconds() -> float:
    """Processor time of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _systems(only: str | None) -> Sequence[str]:
    if only:
        names = only.split(",")
        if unknown := [name for name in names if name not in SYSTEMS]:
            raise SystemExit(f"no such system: {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
        return names
    installed = importlib.util.find_spec("langchain_openai") is not None
    return [name for name in SYSTEMS if name != "langchain" or installed]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm", description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000, help="per system and limit; LangChain makes 200 at most")
    parser.add_argument("--per-minute", type=float, default=9_000, help="calls per minute that the limits let through")
    parser.add_argument("--latency", type=float, default=0.8, help="the endpoint's median, in seconds")
    parser.add_argument(
        "--in-flight", type=int, default=400, help="calls at once: ours at most, the semaphore's places"
    )
    parser.add_argument("--only", help=f"a list of {', '.join(SYSTEMS)}; by default those that are installed")
    parser.add_argument("--bounds", default="requests,tokens", help="which limit binds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="all figures, to this file")
    return parser.parse_args()
