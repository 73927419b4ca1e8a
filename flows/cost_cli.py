"""`bindery cost`: what an ingest would ask of models and pay at most, or what a lake has paid so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows import terminal
from flows.search_options import Json, Lake, lake_uri
from tasks.errors import UsageError

if TYPE_CHECKING:
    from tasks.cost import Paid
    from tasks.report.spend import Estimate

_FORECAST = ("stage", "model", "kind", "calls", "tokens in", "tokens out", "dollars")
_PAID = ("run", "stage", "model", "calls", "tokens in", "tokens out", "dollars")


def cost(
    *sources: str,
    lake: Lake = None,
    profile: Annotated[
        Literal["local", "openai"] | None,
        Parameter(help="local asks no model; openai: summaries by one. [default: as configured]"),
    ] = None,
    restage: Annotated[bool, Parameter(negative=(), help="Of an ingest with --restage.")] = False,
    read: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Read new documents first, on this machine: exact calls. Publishes nothing and asks no model.",
        ),
    ] = False,
    space: Annotated[list[str] | None, Parameter(negative=(), help="Of an ingest with these spaces only.")] = None,
    top: Annotated[int, Parameter(help="Without SOURCE: how many of the dearest documents to name.")] = 10,
    json: Json = False,
) -> int:
    """With SOURCE: what `bindery ingest` of them would ask of models, by stage, model and kind of chunk, and what that
    costs at most. Without: what the lake has paid, by run, stage and model, and for which documents.

    Parameters
    ----------
    sources
        Files and folders, as for `bindery ingest`.
    """
    if sources:
        return _forecast(sources, lake, profile, restage, read, space, json)
    if read or restage:
        raise UsageError("--read and --restage are about what an ingest would pay", "bindery cost SOURCE...")
    from tasks.cost import paid

    found = paid(lake_uri(lake), max(0, top))
    if json:
        terminal.print_json(found.model_dump(mode="json"))
    else:
        _print_paid(found)
    return 0


def _forecast(
    sources: Sequence[str],
    lake: str | None,
    profile: str | None,
    restage: bool,
    read: bool,
    spaces: list[str] | None,
    json: bool,
) -> int:
    from tasks import cost, ingest

    options = ingest.plan_options(False, restage, True, True, None)
    with terminal.progress():
        found = cost.forecast(sources, options, lake, profile, spaces, read)
    if json:
        terminal.print_json(found.model_dump(mode="json"))
        return 0
    for one in found.unread:
        terminal.note(f"! {one.source}: {one.stage}: {one.message}")
    if found.estimate is None and found.restage_estimate is None:
        print("no model is asked: nothing to pay")
    if found.estimate is not None:
        _print_estimate(found.estimate, "")
        if found.estimate.unknown and not read:
            terminal.note("  → --read reads them first, on this machine: nothing is published, and no model is asked")
    if found.restage_estimate is not None and found.restage_estimate.documents + found.restage_estimate.unknown:
        _print_estimate(found.restage_estimate, "with --restage: ")
    return 0


def _print_estimate(estimate: Estimate, label: str) -> None:
    from tasks.report.spend import estimate_line

    if estimate.lines:
        sound = any(line.minutes for line in estimate.lines)
        rows = [
            (line.stage, line.model, line.kind, line.calls, line.prompt_tokens, line.completion_tokens)
            + (line.minutes,) * sound
            + (line.dollars,)
            for line in estimate.lines
        ]
        _print_table((*_FORECAST[:-1], *("minutes",) * sound, _FORECAST[-1]), rows)
    print(label + estimate_line(estimate))


def _print_paid(found: Paid) -> None:
    from tasks.report.spend import spend_line

    if not found.runs:
        print("nothing was paid so far")
        return
    rows = [
        (run.run, each.stage, each.model, each.calls, each.prompt_tokens, each.completion_tokens, each.dollars)
        for run in found.runs
        for each in run.spend
    ]
    _print_table(_PAID, rows)
    print(f"spent: {spend_line(found.spend)}")
    for document in found.documents:
        name = document.sources[0] if document.sources else f"document {document.doc_id[:12]}"
        more = f" and {len(document.sources) - 1} more" if len(document.sources) > 1 else ""
        terminal.say(f"  ${document.dollars:.4f}  {document.calls:,} calls  {name}{more}")


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str | int | float | None]]) -> None:
    """Words to the left, numbers to the right."""
    rows = list(rows)
    shown = [list(heads), *([_cell(value) for value in row] for row in rows)]
    wide = [max(len(row[column]) for row in shown) for column in range(len(heads))]
    words = [all(isinstance(row[column], str) for row in rows) for column in range(len(heads))]
    for row in shown:
        cells = (
            f"{cell:<{width}}" if left else f"{cell:>{width}}"
            for cell, width, left in zip(row, wide, words, strict=True)
        )
        terminal.say("  ".join(cells).rstrip())


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
