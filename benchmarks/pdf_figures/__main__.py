"""Figures of PDFs: recall and precision on generated pages by class; what is kept in real documents, page by page.

python -m benchmarks.pdf_figures                                # 10 files of 60 generated pages
python -m benchmarks.pdf_figures --decks FOLDER --draw OUT      # real documents; pages with boxes as PNGs in OUT
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.pdf_figures import decks
from benchmarks.pdf_figures.pages import KINDS, write
from benchmarks.pdf_figures.score import Score, Tally, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10, help="generated files, each with a seed of its own")
    parser.add_argument("--pages", type=int, default=60, help="pages of each")
    parser.add_argument("--seed", type=int, default=100, help="the first seed")
    parser.add_argument("--iou", type=float, default=0.7, help="overlap that counts as found")
    parser.add_argument("--decks", type=Path, help="a folder of PDFs, instead of generated ones")
    parser.add_argument("--draw", type=Path, help="with --decks: write pages with boxes here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.decks is not None:
            _decks(options.decks, options.draw, Path(folder))
        else:
            _generated(options, Path(folder))


def _generated(options: argparse.Namespace, folder: Path) -> None:
    results, seconds = [], 0.0
    for seed in range(options.seed, options.seed + options.files):
        path = folder / f"{seed}.pdf"
        gold = write(path, seed, options.pages)
        started = time.perf_counter()
        results.append(score(path, gold, folder / "lake", options.iou))
        seconds += time.perf_counter() - started
    total = _together(results)
    print(f"{'class':14s} {'kind':8s} {'figures':>8s} {'found':>6s} {'recall':>7s} {'IoU':>6s} {'captions':>9s}")
    for name, tally in sorted(total.classes.items(), key=lambda item: (KINDS[item[0]], item[0])):
        overlap = tally.overlap / max(1, tally.found)
        print(
            f"{name:14s} {KINDS[name]:8s} {tally.figures:8d} {tally.found:6d} {tally.found / tally.figures:7.3f} "
            f"{overlap:6.3f} {f'{tally.captioned}/{tally.captions}':>9s}"
        )
    for kind, (found, figures) in sorted(total.by_kind().items()):
        print(f"{'all ' + kind:23s} {figures:8d} {found:6d} {found / figures:7.3f}")
    wrong = ", ".join(f"{n} {where}" for where, n in sorted(total.wrong.items())) or "none"
    print(f"recall {total.recall:.3f}, precision {total.precision:.3f} of {total.kept} kept at IoU ≥ {options.iou}")
    print(f"kept and no figure: {wrong}")
    print(f"{1000 * seconds / (options.files * options.pages):.0f} ms a page")


def _together(results: list[Score]) -> Score:
    total = Score({})
    for result in results:
        for name, tally in result.classes.items():
            into = total.classes.setdefault(name, Tally())
            into.figures += tally.figures
            into.found += tally.found
            into.overlap += tally.overlap
            into.captioned += tally.captioned
            into.captions += tally.captions
        total.kept += result.kept
        total.wrong.update(result.wrong)
    return total


def _decks(folder: Path, out: Path | None, lake: Path) -> None:
    for deck in decks.read_all(folder, lake):
        print("\n".join(decks.lines(deck)))
        if out is not None:
            path = next(p for p in sorted(folder.rglob("*.pdf")) if p.name == deck.name)
            decks.draw(path, deck, out)


if __name__ == "__main__":
    main()
