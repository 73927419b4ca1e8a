"""Prints what was measured: one table, systems side by side with their ratio, and what each made of the files."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.meter import Run, StageFigures

Runs = Mapping[str, Sequence[Run]]  # system → its runs, the first system is ours
Pick = Callable[[StageFigures], float]
TOTAL = "total"


def report(runs: Runs) -> list[str]:
    """The lines of the whole report."""
    repeats = max(len(found) for found in runs.values())
    lines = _stage_table(runs, _median, "medians of the runs" if repeats > 1 else "one run")
    if repeats > 1:
        lines += ["", *_stage_table(runs, _range, "smallest–largest")]
    return [*lines, "", *_memory(runs), "", *_results(runs), *_left_out(runs)]


def _stage_table(runs: Runs, show: Callable[[Sequence[float]], str], title: str) -> list[str]:
    measures: list[tuple[str, Pick]] = [
        ("wall s", lambda stage: stage.seconds),
        ("CPU s", lambda stage: stage.cpu_seconds),
    ]
    if show is _median:
        measures.append(("pages/s", lambda stage: stage.pages / stage.seconds if stage.seconds else 0.0))
    columns = [*runs, *_ratio_name(runs)]
    groups = ["", *(text for measure, _ in measures for text in [measure, *[""] * (len(columns) - 1)])]
    header = [title, *(column for _ in measures for column in columns)]
    rows = []
    for stage in _stages(runs):
        row = [stage]
        for _, pick in measures:
            values = [_values(found, stage, pick) for found in runs.values()]
            row += [show(value) if any(value) else "–" for value in values]
            if len(runs) == 2:
                row.append(_ratio(*values))
        rows.append(row)
    return _grid([groups, header], rows)


def _memory(runs: Runs) -> list[str]:
    """Peak resident MB: the sum would count shared pages twice, so parent and largest child stand apart."""
    groups = ["peak MB", *(text for name in runs for text in (name, ""))]
    header = ["", *(what for _ in runs for what in ("parent", "largest child"))]
    picks: list[Pick] = [lambda stage: stage.parent_mb, lambda stage: stage.child_mb]
    if len(runs) == 2:
        groups.append("")
        header.append("ratio of the larger")
    rows = []
    for stage in _stages(runs):
        values = [[_values(found, stage, pick) for pick in picks] for found in runs.values()]
        row = [stage, *(_whole(value) for system in values for value in system)]
        if len(runs) == 2:
            ours, peer = ([max(pair) for pair in zip(*system, strict=True)] for system in values)
            row.append(_ratio(ours, peer))
        rows.append(row)
    return _grid([groups, header], rows)


def _results(runs: Runs) -> list[str]:
    """What came out, which must be read beside the times: who reads less is sooner done."""
    names = ["documents", "pages", "pages_with_text", "chunks", "characters", "vectors"]
    rows = []
    for name in names:
        rows.append([name.replace("_", " "), *(f"{getattr(found[-1].result, name):,}" for found in runs.values())])
    return _grid([["made", *runs]], rows)


def _left_out(runs: Runs) -> list[str]:
    return [
        f"left out by {name}: {path.rsplit('/', 1)[-1]}: {reason}"
        for name, found in runs.items()
        for path, reason in sorted(found[-1].result.left_out.items())
    ]


def _stages(runs: Runs) -> list[str]:
    """In the order of the system that has most, with the total of all."""
    longest = max((found[0].stages for found in runs.values()), key=len)
    return [*longest, TOTAL]


def _values(runs: Sequence[Run], stage: str, pick: Pick) -> list[float]:
    """One figure of one stage in every run; none where the system has no such stage."""
    if stage == TOTAL:
        return [pick(_total(run)) for run in runs]
    return [pick(run.stages[stage]) for run in runs if stage in run.stages]


def _total(run: Run) -> StageFigures:
    stages = run.stages.values()
    return StageFigures(
        seconds=sum(stage.seconds for stage in stages),
        cpu_seconds=sum(stage.cpu_seconds for stage in stages),
        parent_mb=max(stage.parent_mb for stage in stages),
        child_mb=max(stage.child_mb for stage in stages),
        documents=run.result.documents,
        pages=run.result.pages,
    )


def _ratio_name(runs: Runs) -> list[str]:
    return ["ratio"] if len(runs) == 2 else []


def _ratio(ours: Sequence[float], peer: Sequence[float]) -> str:
    """Ours through the peer's, of medians: below 1 is less time or memory, and above 1 is more pages per second."""
    if not any(ours) or not any(peer):
        return "–"
    return f"{statistics.median(ours) / statistics.median(peer):.2f}"


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f}–{max(values):.2f}"


def _whole(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f}" if any(values) else "–"


def _grid(headers: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first to the left, a rule below the headers."""
    widths = [max(map(len, column)) for column in zip(*headers, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return [*map(line, headers), "─" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, rows)]
