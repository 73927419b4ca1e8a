"""Character recall against the text layer, and reading order, as tables.

    python -m benchmarks.pdf text PATHS... [--seeds 3]

In: PDFs (folders are searched). Out: per document, how many of its text layer's characters and words its elements hold,
and, where it is tagged, how far its order is from the tree's; then the same for generated documents of known order.
"""

from __future__ import annotations

import argparse
import collections
import difflib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pypdfium2
from rapidfuzz.distance import Levenshtein

from benchmarks.pdf.made import KINDS, make
from benchmarks.pdf.pages import partitioned, pdfs, said
from benchmarks.pdf.recall import Recall, layer, recall
from benchmarks.pdf.tagged import logical_text
from tasks.errors import DocumentError
from tasks.partition.pdf.text.layer import page_text
from tasks.rows import ElementRow


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pdf text")
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--seeds", type=int, default=3, help="generated documents of each kind")
    parser.add_argument("--pages", type=int, default=10_000, help="of each document, at most")
    chosen = parser.parse_args(arguments)
    print(f"| {'document':44} | pages | usable | characters | recall | words | worst page | order | tree |")
    print("|---|---|---|---|---|---|---|---|---|")
    total = Recall(0, 0, 0, 0)
    for path in pdfs(chosen.paths):
        total += _document(path, chosen.pages)
    print(f"| {'all':44} | | | {total.characters:,} | {total.share:.4f} | {total.word_share:.4f} | | | |\n")
    print("| generated | pages | distance (characters) | distance (order of words) | recall |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        print(_generated(kind, chosen.seeds))
    return 0


def distances(truth: str, found: str) -> tuple[float, float]:
    """Normalised edit distance of characters, and of the order of the words that both have."""
    a, b = " ".join(truth.split()), " ".join(found.split())
    first, second = a.split(), b.split()
    common = collections.Counter(first) & collections.Counter(second)
    ours, theirs = _only(first, common), _only(second, common)
    return Levenshtein.normalized_distance(a, b), Levenshtein.normalized_distance(ours, theirs)


def _only(words: Sequence[str], common: collections.Counter[str]) -> list[str]:
    left = collections.Counter(common)
    kept = []
    for word in words:
        if left[word] > 0:
            left[word] -= 1
            kept.append(word)
    return kept


def _document(path: Path, most: int) -> Recall:
    try:
        made = partitioned(path)
    except DocumentError as error:
        print(f"| {path.name[:44]:44} | {error.code} | | | | | | | |")
        return Recall(0, 0, 0, 0)
    rows = made.by_page()
    sums = Recall(0, 0, 0, 0)
    worst, usable, orders = (1.0, 0), 0, []
    with pypdfium2.PdfDocument(path) as document:
        for number in range(1, min(len(document), most) + 1):
            page = document[number - 1]
            if page_text(page).usable:
                usable += 1
                found = recall(layer(page), rows.get(number, []))
                sums += found
                worst = min(worst, (found.share, number))
                truth = logical_text(page)
                if truth is not None:
                    body = [row for row in rows.get(number, []) if row.category not in ("Header", "Footer")]
                    orders.append(distances(truth, text_of(body)))
            page.close()
        pages = len(document)
    order = f"{sum(d for _, d in orders) / len(orders):.3f} | {len(orders)} pages" if orders else " | "
    low = f"{worst[0]:.3f} (p. {worst[1]})" if worst[1] else ""
    shares = f"{sums.characters:,} | {sums.share:.4f} | {sums.word_share:.4f}"
    print(f"| {path.name[:44]:44} | {pages} | {usable} | {shares} | {low} | {order} |")
    return sums


def text_of(rows: Sequence[ElementRow]) -> str:
    """What the rows say in order; a caption that a figure or table repeats counts where it stands."""
    captions = {row.text for row in rows if row.category == "FigureCaption"}
    lines = []
    for row in rows:
        words = said(row).split("\n") if row.media or row.html else [row.text]
        lines += [line for line in words if row.category == "FigureCaption" or line not in captions]
    return "\n".join(lines)


def _generated(kind: str, seeds: int) -> str:
    characters, orders, sums, pages = [], [], Recall(0, 0, 0, 0), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            path = Path(folder) / f"{seed}.pdf"
            texts = make(path, kind, seed)
            rows = partitioned(path).by_page()
            for number, truth in enumerate(texts, 1):
                a, b = distances(truth, text_of(rows.get(number, [])))
                characters.append(a)
                orders.append(b)
                sums += recall(truth, rows.get(number, []))
                pages += 1
    return f"| {kind} | {pages} | {sum(characters) / pages:.4f} | {sum(orders) / pages:.4f} | {sums.share:.4f} |"


def difference(truth: str, found: str) -> str:
    """What differs, for a person to read."""
    return "\n".join(difflib.unified_diff(truth.split("\n"), found.split("\n"), "truth", "found", lineterm="", n=1))
