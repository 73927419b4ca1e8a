"""The fake endpoint as a process of its own, and what it saw: `python -m benchmarks.llm.served BEHAVIOUR` → JSON lines.

The first line is its address; the second, once standard input has ended, is what was asked of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any

from benchmarks.llm.work import MODEL
from tasks import tokens
from tests.llm.endpoint import Behaviour, FakeEndpoint

API_KEY = "sk-fake"


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """One system's calls, from the endpoint's side. Seconds are since the first arrived."""

    requests: int
    limited: int  # 429s
    billed: int
    billed_again: int  # bills beyond the first of each call
    tokens: int  # of all that was admitted
    arrivals: list[tuple[float, int, bool]]  # of what was admitted: seconds, its tokens, whether it is a call's first


@contextlib.contextmanager
def serve(behaviour: Mapping[str, Any]) -> Iterator[_Server]:
    command = [sys.executable, "-m", "benchmarks.llm.served", json.dumps(behaviour)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the fake endpoint did not start")
        yield _Server(address, process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait()


@dataclasses.dataclass(frozen=True, slots=True)
class _Server:
    base_url: str
    stdin: IO[str]
    stdout: IO[str]

    def finish(self) -> Served:
        self.stdin.close()
        found = json.loads(self.stdout.readline())
        return Served(**{**found, "arrivals": [tuple(one) for one in found["arrivals"]]})


def _summary(endpoint: FakeEndpoint) -> Served:
    calls = sorted(endpoint.calls, key=lambda call: call.arrived)
    sizes = {call.hash: call.prompt_tokens + call.completion_tokens for call in calls if call.billed}
    usual = sum(sizes.values()) // max(1, len(sizes))
    seen: set[str] = set()
    arrivals = []
    for call in calls:
        if call.status != 429:  # a fault takes its tokens from the bucket as an answer does
            arrivals.append((call.arrived - calls[0].arrived, sizes.get(call.hash, usual), call.hash not in seen))
            seen.add(call.hash)
    return Served(
        requests=len(calls),
        limited=sum(call.status == 429 for call in calls),
        billed=sum(call.billed for call in calls),
        billed_again=endpoint.billed_twice(),
        tokens=sum(size for _, size, _ in arrivals),
        arrivals=arrivals,
    )


def main() -> None:
    given = json.loads(sys.argv[1])
    given["latency"] = tuple(given["latency"])
    assert tokens.count(MODEL) > 0  # reads the ranks
    with FakeEndpoint(Behaviour(**given, api_key=API_KEY), count=tokens.count) as endpoint:
        print(endpoint.base_url, flush=True)
        sys.stdin.read()
        print(json.dumps(dataclasses.asdict(_summary(endpoint))), flush=True)


if __name__ == "__main__":
    main()
