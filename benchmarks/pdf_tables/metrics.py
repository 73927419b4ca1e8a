"""Compares the tables found on pages with those that are there.

detection   a found table is right where its box and a gold table's overlap by IoU 0.7 or more, one to one
cell F1     a cell is right with the same row, column, spans and text (white space aside)
GriTS       topology and content (see `grits`); 0 for a gold table that was not found
prose       the share of the prose's words that lie inside found tables
lost        the share of the words within gold tables that lie in a found table's box and are in none of its cells
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from benchmarks.pdf_tables.gold import GoldPage, GoldTable, Rect
from benchmarks.pdf_tables.grits import grits
from tasks.partition.pdf.content import Word
from tasks.partition.pdf.tables.cells import Table

MATCH = 0.7


@dataclasses.dataclass(slots=True)
class Score:
    """Sums over pages; the properties are the figures."""

    gold: int = 0
    found: int = 0
    right: int = 0
    exact: int = 0  # tables whose cells are all right
    gold_cells: int = 0
    found_cells: int = 0
    right_cells: int = 0
    topology: float = 0.0
    content: float = 0.0
    headers: int = 0
    prose_words: int = 0
    prose_inside: int = 0
    words: int = 0
    lost: int = 0
    seconds: float = 0.0
    pages: int = 0
    joins: int = 0  # tables over several pages, and how many of them were put together with all their rows
    joined: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    @property
    def precision(self) -> float:
        return _share(self.right, self.found)

    @property
    def recall(self) -> float:
        return _share(self.right, self.gold)

    @property
    def cell_f1(self) -> float:
        return _share(2 * self.right_cells, self.gold_cells + self.found_cells)

    @property
    def grits_top(self) -> float:
        return _share(self.topology, self.gold)

    @property
    def grits_con(self) -> float:
        return _share(self.content, self.gold)

    @property
    def header_right(self) -> float:
        return _share(self.headers, self.gold)

    @property
    def prose_rate(self) -> float:
        return self.prose_inside / self.prose_words if self.prose_words else 0.0

    @property
    def lost_rate(self) -> float:
        return self.lost / self.words if self.words else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def score_page(gold: GoldPage, found: Sequence[Table], words: Sequence[Word]) -> Score:
    score = Score(gold=len(gold.tables), found=len(found), pages=1)
    for table, other in _matched(gold.tables, found):
        score = score + _score_table(table, other)
    inside = [table.box for table in found]
    for word in words:
        middle = ((word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2)
        if any(_holds(box, middle) for box in gold.prose):
            score.prose_words += 1
            score.prose_inside += any(_holds(box, middle) for box in inside)
    score.words, score.lost = _lost(gold.tables, found, words)
    return score


def _matched(gold: Sequence[GoldTable], found: Sequence[Table]) -> Iterable[tuple[GoldTable, Table | None]]:
    pairs = sorted(((iou(g.box, f.box), i, j) for i, g in enumerate(gold) for j, f in enumerate(found)), reverse=True)
    taken: dict[int, int] = {}
    for overlap, i, j in pairs:
        if overlap >= MATCH and i not in taken and j not in taken.values():
            taken[i] = j
    for i, table in enumerate(gold):
        yield table, found[taken[i]] if i in taken else None


def _score_table(gold: GoldTable, found: Table | None) -> Score:
    wanted = [(c.row, c.column, c.row_span, c.column_span, bare(c.text)) for c in gold.cells]
    if found is None:
        return Score(gold_cells=len(wanted))
    have = [(c.row, c.column, c.row_span, c.column_span, bare(c.text)) for c in found.cells if c.text.strip()]
    same = sum((collections.Counter(wanted) & collections.Counter(have)).values())
    topology, content = grits(wanted, (gold.rows, gold.columns), have, (found.rows, found.columns))
    return Score(
        right=1, gold_cells=len(wanted), found_cells=len(have), right_cells=same, topology=topology, content=content,
        exact=same == len(wanted) == len(have), headers=found.header_rows == gold.header_rows,
    )  # fmt: skip


def _lost(gold: Sequence[GoldTable], found: Sequence[Table], words: Sequence[Word]) -> tuple[int, int]:
    """Words within gold tables, and how many of them a found table covers without having them in a cell."""
    held: collections.Counter[str] = collections.Counter()
    for table in found:
        held.update("".join(bare(cell.text) for cell in table.cells))
    total = lost = 0
    for word in words:
        middle = ((word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2)
        if any(_holds(t.box, middle) for t in gold) and word.text.strip(" .…"):
            total += 1
            if any(_holds(t.box, middle) for t in found):
                need = collections.Counter(bare(word.text))
                if need <= held:
                    held -= need
                else:
                    lost += 1
    return total, lost


def bare(text: str) -> str:
    return "".join(text.split())


def iou(a: Rect, b: Rect) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def _holds(box: Rect, point: tuple[float, float]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]
