"""Milliseconds per page and memory, beside peers; how both grow with pages; what a second worker gains.

    python -m benchmarks.pdf speed PATHS... [--pages 40] [--repeat 3] [--peer-python PYTHON] [--long 1000] [--workers 2]

In: PDFs. All systems read the same first pages of each, every one in a process of its own, in turns; figures are the
medians of the turns. OCR is off. Then ours reads one document made as long as `--long` says, and the whole stage runs
with one worker and with several.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.meter import ROOT
from benchmarks.pdf.pages import pdfs
from benchmarks.pdf.reader import SYSTEMS, Figures
from tasks import partition
from tasks.isolation import Workers
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.detect import PDF
from tasks.settings import Limits, PartitionSettings, Settings
from tasks.storage import LocalStorage
from tasks.work import DocumentWork

_OURS = "ours, text", "ours, whole"
_BASE = "unstructured fast"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pdf speed")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--pages", type=int, default=40, help="of each document, at most: the slow systems are slow")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has the peers")
    parser.add_argument("--only", nargs="*", default=list(SYSTEMS), help="systems")
    parser.add_argument("--long", type=int, default=1000, help="pages of the long document; 0: none")
    parser.add_argument("--workers", type=int, default=2, help="1: do not compare")
    chosen = parser.parse_args(arguments)
    print(f"{machine.describe()}; load {machine.load():.1f}\n")
    with tempfile.TemporaryDirectory() as folder:
        files = [_first_pages(path, chosen.pages, Path(folder)) for path in pdfs(chosen.paths)]
        warm = _repeated(files[0], 1, Path(folder) / "warm.pdf")
        for path in files:
            print(_table(path, warm, chosen.only, chosen.repeat, chosen.peer_python))
        if chosen.long:
            print(_growth(files[0], warm, chosen.long, Path(folder)))
        if chosen.workers > 1:
            print(_workers(files[0], chosen.workers, Path(folder)))
    return 0


def _first_pages(path: Path, most: int, folder: Path) -> Path:
    from pypdf import PdfReader, PdfWriter

    out = folder / path.name
    with PdfWriter() as writer:
        for page in PdfReader(path).pages[:most]:
            writer.add_page(page)
        writer.write(out)
    return out


def _repeated(path: Path, pages: int, out: Path) -> Path:
    """A document of so many pages: those of another, again and again."""
    from pypdf import PdfReader, PdfWriter

    source = PdfReader(path).pages
    with PdfWriter() as writer:
        for i in range(pages):
            writer.add_page(source[i % len(source)])
        writer.write(out)
    return out


def _run(system: str, path: Path, warm: Path, peer_python: str) -> Figures | str:
    python = sys.executable if system in _OURS or system == "pypdfium2 plain text" else peer_python
    command = [python, "-m", "benchmarks.pdf.reader", system, str(path), str(warm)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return Figures(**json.loads(done.stdout.strip().splitlines()[-1]))


def _table(path: Path, warm: Path, systems: Sequence[str], repeat: int, peer_python: str) -> str:
    runs: dict[str, list[Figures]] = {system: [] for system in systems}
    errors: dict[str, str] = {}
    for _ in range(repeat):
        for system in systems:
            found = _run(system, path, warm, peer_python)
            if isinstance(found, str):
                errors[system] = found
            else:
                runs[system].append(found)
    base = _per_page(runs.get(_BASE, []), "wall")
    lines = [f"| {path.name} | pages | ms a page | CPU ms a page | peak MB | characters | times {_BASE} |"]
    lines.append("|---|---|---|---|---|---|---|")
    for system, figures in runs.items():
        if not figures:
            lines.append(f"| {system} | {errors.get(system, '')[:100]} |")
            continue
        wall, cpu = _per_page(figures, "wall"), _per_page(figures, "cpu")
        peak = statistics.median(f.peak_mb for f in figures)
        ratio = f"{base / wall:.1f} ×" if base else "–"
        first = figures[0]
        lines.append(
            f"| {system} | {first.pages} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {first.characters:,} | {ratio} |"
        )
    return "\n".join([*lines, ""])


def _per_page(figures: Sequence[Figures], what: str) -> float:
    return 1000 * statistics.median(getattr(f, what) / max(f.pages, 1) for f in figures) if figures else 0.0


def _growth(path: Path, warm: Path, most: int, folder: Path) -> str:
    lines = ["| pages of one document | ms a page | CPU ms a page | peak MB |", "|---|---|---|---|"]
    sizes = [size for size in (1, 10, 100, 1000, 10_000) if size < most]
    for size in [*sizes, most]:
        long = _repeated(path, size, folder / f"long-{size}.pdf")
        found = _run("ours, whole", long, warm, sys.executable)
        if isinstance(found, str):
            lines.append(f"| {size} | {found} |")
        else:
            wall, cpu = _per_page([found], "wall"), _per_page([found], "cpu")
            lines.append(f"| {size} | {wall:.1f} | {cpu:.1f} | {found.peak_mb:.0f} |")
    return "\n".join([*lines, ""])


def _workers(path: Path, most: int, folder: Path) -> str:
    """The stage itself, part by part in worker processes that were started before."""
    long = _repeated(path, 160, folder / "parts.pdf")
    seconds = {count: _stage_seconds(long, count, folder / f"lake-{count}") for count in (1, most)}
    lines = ["| workers | seconds for 160 pages | times one |", "|---|---|---|"]
    lines += [f"| {count} | {found:.1f} | {seconds[1] / found:.2f} × |" for count, found in seconds.items()]
    return "\n".join(lines)


def _stage_seconds(path: Path, count: int, lake: Path) -> float:
    settings = Settings(limits=Limits(workers=count), partition=PartitionSettings(ocr=False))
    recipe = partition.recipe(settings, resolve_capabilities(), PDF)
    with Workers(settings.limits) as workers:
        warm = _work(_repeated(path, count * settings.limits.part_pages, path.with_name("warm-parts.pdf")))
        partition.partition_document(LocalStorage(lake / "warm"), warm, settings, recipe, workers)
        start = time.perf_counter()
        partition.partition_document(LocalStorage(lake / "lake"), _work(path), settings, recipe, workers)
        return time.perf_counter() - start


def _work(path: Path) -> DocumentWork:
    return DocumentWork(hashlib.sha256(path.read_bytes()).hexdigest(), PDF, str(path), path.stat().st_size)
