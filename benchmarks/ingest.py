"""Measures an ingest, stage by stage, beside a peer on the same files.

python -m benchmarks.ingest FOLDER [--peer article] [--repeat N] [--sample N] [--no-ocr] [--json FILE]

files ──► bindery (a process) ──┐
      └─► peer (a process) ─────┴──► wall, CPU, pages/s, memory per stage, side by side
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import machine, table
from benchmarks.channel import Job
from benchmarks.files import Choice, choose
from benchmarks.meter import ROOT, Run, SystemFailedError, measure

OURS = "bindery"
PEERS = {"article": "benchmarks.peers.article"}
_PEER_INSTALL = "pip install -e '.[peers]' && pip install --no-deps unstructured-inference==1.6.14"


@dataclasses.dataclass(frozen=True, slots=True)
class System:
    """A system under measurement. `main` is called in a fresh interpreter that imports nothing else.

    Not by `python -m`: every worker process of bindery would then import that module again.
    """

    name: str
    python: str
    module: str
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-c", f"from {self.module} import main; main()", *arguments]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    if not folder.is_dir():
        sys.exit(f"benchmarks.ingest: {folder} is not a folder")
    ours = {**os.environ, "BINDERY_PARTITION__OCR": "false"} if options.no_ocr else dict(os.environ)
    systems = [System(OURS, sys.executable, "benchmarks.bindery", ours)]
    if options.peer:
        peer = System(options.peer, options.peer_python, PEERS[options.peer], dict(os.environ))
        _check(peer)
        systems.append(peer)
    choice = choose(folder, options.sample, pdf_only=bool(options.peer))
    if not choice.files:
        sys.exit(f"benchmarks.ingest: there is no {'PDF' if options.peer else 'file'} in {folder}")
    before = machine.load()
    try:
        for system in systems:
            subprocess.run(
                system.command("--warm-up"),
                cwd=ROOT,
                env=dict(system.environment),
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        runs = _rounds(systems, choice, options.repeat)
    except (SystemFailedError, subprocess.CalledProcessError) as error:
        sys.exit(f"benchmarks.ingest: {error}")
    for line in _heading(folder, choice, runs, before):
        print(line)
    print(*table.report(runs), sep="\n")
    if options.json:
        _write(Path(options.json), folder, choice, runs, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--peer", choices=PEERS, help="run this beside bindery; both get the folder's PDFs")
    parser.add_argument(
        "--peer-python", default=sys.executable, metavar="PATH", help="interpreter with the peer's packages"
    )
    parser.add_argument("--repeat", type=_positive, default=1, metavar="N", help="rounds, in alternating order")
    parser.add_argument("--sample", type=_positive, metavar="N", help="this many files, evenly spread")
    parser.add_argument("--no-ocr", action="store_true", help="bindery without OCR, which no peer does")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _check(peer: System) -> None:
    """End with one line where the peer cannot run."""
    try:
        found = subprocess.run(
            peer.command("--check"), cwd=ROOT, env=dict(peer.environment), capture_output=True, text=True
        )
    except OSError as error:
        sys.exit(f"benchmarks.ingest: {peer.python} cannot be run: {error.strerror}")
    if found.returncode:
        sys.exit(f"benchmarks.ingest: {peer.python}: {_last_line(found.stderr) or 'ended without a word'}")
    if lacking := found.stdout.split():
        sys.exit(
            f"benchmarks.ingest: {peer.python} lacks {', '.join(lacking)}, which the peer {peer.name!r} needs: "
            f"install the extra 'peers' ({_PEER_INSTALL}), or name an interpreter that has it with --peer-python"
        )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _rounds(systems: Sequence[System], choice: Choice, repeat: int) -> dict[str, list[Run]]:
    """Every system once per round, in an order that turns, so that a slow spell of the machine hits all alike."""
    runs: dict[str, list[Run]] = {system.name: [] for system in systems}
    for number in range(repeat):
        for system in systems if number % 2 == 0 else reversed(systems):
            print(f"round {number + 1} of {repeat}: {system.name} …", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="bindery-benchmark-") as folder:
                job = Job(choice.files, choice.pages, folder)
                runs[system.name].append(measure(system.command(), job, system.environment))
    return runs


def _heading(folder: Path, choice: Choice, runs: Mapping[str, Sequence[Run]], before: float) -> list[str]:
    rounds = len(runs[OURS])
    lines = [
        f"ingest of {folder}: {len(choice.files)} files, {sum(choice.pages)} PDF pages, {rounds} round(s)",
        f"machine: {machine.describe()}; load {before:.1f} before and {machine.load():.1f} after",
    ]
    for name, found in runs.items():
        result = found[-1].result
        versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
        others = [run.others_cpu_seconds for run in found]
        lines.append(f"{name}: {'; '.join([*result.notes, versions])}")
        lines.append(f"  meanwhile other processes used {min(others):.1f}–{max(others):.1f} CPU s a run")
    lines += [f"left out by both: {Path(path).name}: {why}" for path, why in sorted(choice.left_out.items())]
    return [*lines, ""]


def _write(path: Path, folder: Path, choice: Choice, runs: Mapping[str, Sequence[Run]], before: float) -> None:
    content = {
        "folder": str(folder),
        "machine": machine.describe(),
        "load": [before, machine.load()],
        "choice": dataclasses.asdict(choice),
        "runs": {name: [dataclasses.asdict(run) for run in found] for name, found in runs.items()},
    }
    path.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
