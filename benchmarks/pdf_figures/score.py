"""What bindery finds on generated pages, against what was drawn there: recall and precision by class."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

import pypdfium2

from benchmarks.pdf_figures.pages import KINDS, Page
from tasks.partition.boxes import Box, iou
from tasks.partition.context import PartContext
from tasks.partition.pdf.drawings import page_drawings
from tasks.partition.pdf.figures.elements import page_figures
from tasks.partition.pdf.text.layer import page_text
from tasks.settings import Limits, PartitionSettings
from tasks.storage import LocalStorage

_ENOUGH = 0.7  # intersection over union


@dataclasses.dataclass(slots=True)
class Tally:
    """Of one class of figures: how many there are, how many were found, their boxes' overlap, right captions."""

    figures: int = 0
    found: int = 0
    overlap: float = 0.0
    captioned: int = 0
    captions: int = 0


@dataclasses.dataclass(slots=True)
class Score:
    """By class; `kept` figures in all, of which `wrong` are none, by what the page holds besides."""

    classes: dict[str, Tally]
    kept: int = 0
    wrong: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    misses: list[tuple[int, str, Box]] = dataclasses.field(default_factory=list)
    extras: list[tuple[int, Box]] = dataclasses.field(default_factory=list)

    @property
    def recall(self) -> float:
        return sum(t.found for t in self.classes.values()) / max(1, sum(t.figures for t in self.classes.values()))

    @property
    def precision(self) -> float:
        return 1 - sum(self.wrong.values()) / max(1, self.kept)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Found and all figures of each kind."""
        sums: dict[str, tuple[int, int]] = {}
        for name, tally in self.classes.items():
            found, figures = sums.get(KINDS[name], (0, 0))
            sums[KINDS[name]] = found + tally.found, figures + tally.figures
        return sums


def score(path: Path, gold: list[Page], lake: Path, least: float = _ENOUGH) -> Score:
    """Find the figures of a generated file. The tables' boxes are given: the table finder is not what is measured."""
    result = Score(collections.defaultdict(Tally))
    context = PartContext(LocalStorage(lake), PartitionSettings(), Limits(), "application/pdf", ocr=False)
    with pypdfium2.PdfDocument(path) as document:
        for number, page in enumerate(gold, start=1):
            handle = document[number - 1]
            text = page_text(handle)
            drawings = page_drawings(handle, text.view)
            found = page_figures(handle, number, text, drawings, page.tables, context)
            _compare(number, page, [(f.box, f.row.text) for f in found], result, least)
    return result


def _compare(number: int, page: Page, found: list[tuple[Box, str]], result: Score, least: float) -> None:
    """Match each figure with the one that was found on it, best first."""
    result.kept += len(found)
    pairs = sorted(
        ((iou(gold.box, box), g, f) for g, gold in enumerate(page.figures) for f, (box, _) in enumerate(found)),
        reverse=True,
    )
    matched: dict[int, int] = {}
    for overlap, g, f in pairs:
        if overlap >= least and g not in matched and f not in matched.values():
            matched[g] = f
    for g, gold in enumerate(page.figures):
        tally = result.classes[gold.name]
        tally.figures += 1
        tally.captions += bool(gold.caption)
        if g in matched:
            tally.found += 1
            box, text = found[matched[g]]
            tally.overlap += iou(gold.box, box)
            tally.captioned += bool(gold.caption) and gold.caption in text
        else:
            result.misses.append((number, gold.name, gold.box))
    for f, (box, _) in enumerate(found):
        if f not in matched.values():
            result.wrong[page.decoration or "beside figures"] += 1
            result.extras.append((number, box))
