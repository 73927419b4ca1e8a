"""Runs every system over the generated documents and over the pages that were read by hand, and prints the tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pdf_tables import real
from benchmarks.pdf_tables.distractors import DISTRACTORS
from benchmarks.pdf_tables.gold import GoldDocument
from benchmarks.pdf_tables.make import MAKERS, document
from benchmarks.pdf_tables.metrics import Score, score_page
from benchmarks.pdf_tables.report import markdown
from benchmarks.pdf_tables.systems import System, page_words, systems
from tasks.partition.pdf.tables.joins import continues, join


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pdf_tables", description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="documents of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", nargs="*", help="some kinds only")
    parser.add_argument("--only", nargs="*", help="some systems only")
    parser.add_argument("--filings", type=Path, help="folder with the filings that were read by hand")
    wanted = parser.parse_args(arguments)
    available, notes = systems()
    chosen = {name: run for name, run in available.items() if not wanted.only or name in wanted.only}
    kinds = wanted.kinds or [*MAKERS, *DISTRACTORS]
    scores: dict[str, dict[str, Score]] = {name: {} for name in chosen}
    for kind in kinds:
        documents = [document(kind, seed) for seed in range(wanted.seed, wanted.seed + wanted.each)]
        words = [page_words(made.pdf) for made in documents]
        for name, system in chosen.items():
            total = Score()
            for made, pages in zip(documents, words, strict=True):
                total = total + score_document(made, system, pages)
            scores[name][kind] = total
    print("\n".join([*markdown(scores, kinds), "", *notes]))
    if wanted.filings:
        print("\n".join(["", *real.report(chosen, wanted.filings)]))


def score_document(made: GoldDocument, system: System, words: Sequence[Sequence[object]]) -> Score:
    """All pages of a document, and whether its table over several pages was put together."""
    total = Score()
    tables = []
    for gold, (found, seconds), page in zip(made.pages, system(made.pdf), words, strict=True):
        score = score_page(gold, found, page)  # type: ignore[arg-type]
        score.seconds = seconds
        total = total + score
        tables.append(found)
    if made.joined:
        total.joins = 1
        size = (612.0, 792.0)
        whole = tables[0][-1] if tables[0] else None
        for found in tables[1:]:
            if whole is not None and found and continues(whole, found[0], size):
                whole = join([whole, found[0]])
        total.joined = int(whole is not None and whole.rows == made.joined)
    return total
