"""The figures as Markdown: a line per kind and per system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.pdf_tables.distractors import DISTRACTORS
from benchmarks.pdf_tables.metrics import Score

RULED = ("ruled", "ruled_columns", "ruled_merged", "ruled_multiline")
_HEADER = ["pages", "tables", "precision", "recall", "cell F1", "GriTS top", "GriTS con", "header", "prose inside",
           "words lost", "ms/page"]  # fmt: skip
TARGETS = {"ruled": 0.95, "unruled": 0.90}


def groups(scores: Mapping[str, Score]) -> dict[str, Score]:
    """The sums that targets are about."""
    picks = {
        "ruled": [score for kind, score in scores.items() if kind in RULED],
        "unruled": [score for kind, score in scores.items() if kind not in RULED and kind not in DISTRACTORS],
        "no table": [score for kind, score in scores.items() if kind in DISTRACTORS],
    }
    return {name: sum(found, Score()) for name, found in picks.items() if found}


def markdown(scores: Mapping[str, Mapping[str, Score]], kinds: Sequence[str]) -> list[str]:
    lines = [_line(["what", "system", *_HEADER]), _line(["---"] * (len(_HEADER) + 2))]
    for kind in kinds:
        for system, found in scores.items():
            lines.append(_line([kind, system, *_cells(found[kind])]))
    sums = {system: groups(found) for system, found in scores.items()}
    for name in next(iter(sums.values()), {}):
        for system, found in sums.items():
            lines.append(_line([f"**{name}, all**", system, *_cells(found[name])]))
    joins = sum((score for score in scores.get("ours", {}).values()), Score())
    if joins.joins:
        lines += [
            "",
            f"Tables over several pages put together by ours, with all their rows: {joins.joined} of {joins.joins}",
        ]
    lines += ["", _line(["target of ours", "measured", "met"]), _line(["---"] * 3)]
    for name, score in sums.get("ours", {}).items():
        for what, value in (("cell F1", score.cell_f1), ("GriTS con", score.grits_con)):
            if name in TARGETS:
                lines.append(_target(f"{name}: {what} ≥ {TARGETS[name]:.2f}", value, value >= TARGETS[name]))
        if name == "no table":
            lines.append(
                _line(["no table found on pages without one", str(score.found), "NO" if score.found else "yes"])
            )
    return lines


def _target(what: str, value: float, met: bool) -> str:
    return _line([what, f"{value:.3f}", "yes" if met else "NO"])


def _cells(score: Score) -> list[str]:
    tables = f"{score.right}/{score.gold}" + (
        f" + {score.found - score.right} false" if score.found > score.right else ""
    )
    if not score.gold:
        figures = ["–"] * 6
    else:
        figures = [
            f"{value:.3f}"
            for value in (
                score.precision, score.recall, score.cell_f1, score.grits_top, score.grits_con, score.header_right,
            )
        ]  # fmt: skip
    return [str(score.pages), tables, *figures, f"{score.prose_rate:.2%}", f"{score.lost_rate:.2%}",
            f"{1000 * score.seconds / max(score.pages, 1):.1f}"]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
