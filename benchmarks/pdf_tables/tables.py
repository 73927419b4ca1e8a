"""Grids of cells of every kind of table that the benchmark knows, at random: content only, no places."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from benchmarks.pdf_tables import words
from benchmarks.pdf_tables.sheet import Cell, bold, width

Row = list[Cell | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A grid with the wishes that go with it: alignments and shares of the width per column."""

    grid: list[Row]
    align: list[str]
    header: int
    shares: list[float]  # of the widest line of each column, how much is given to it; 1 is no wrapping
    subtotals: tuple[int, ...] = ()
    caption: str = ""

    def widths(self, font: str, size: float, room: float, side: float, roomy: float = 1.0) -> list[float]:
        """Column widths: what the contents want, and a share of what is left over."""
        natural = []
        for c, share in enumerate(self.shares):
            most = 0.0
            for r, row in enumerate(self.grid):
                cell = row[c]
                if cell is not None and cell.columns == 1:
                    name = bold(font) if cell.bold else font
                    w = width(cell.text, name, size) + cell.indent
                    if r < self.header and c > 0:  # names of columns of figures wrap
                        w = max(0.55 * w, *(width(word, name, size) for word in cell.text.split() or [""]), 0.0)
                    w += width(cell.mark, font, 0.6 * size) + 1
                    number = cell.align == "number" or (not cell.align and self.align[c] == "number")
                    most = max(most, w + (width("$) %", font, size) if number else 0.0))
            natural.append(max(most * share, 2.2 * size) + 2 * side + 1)
        for row in self.grid:  # a header cell over several columns needs its room, too
            for c, cell in enumerate(row):
                if cell is not None and cell.columns > 1:
                    lack = width(cell.text, bold(font), size) + 2 * side + 2 - sum(natural[c : c + cell.columns])
                    for k in range(c, c + cell.columns):
                        natural[k] += max(0.0, lack) / cell.columns
        spare = room - sum(natural)
        if spare < 0 and self.shares[0] > 0.3:
            return [natural[0] + spare, *natural[1:]]
        grow = spare * roomy / len(natural)
        return [w + max(0.0, grow) for w in natural]


def financial(rng: random.Random, columns: int = 0, rows: int = 0, header: str = "years", leaders: bool = False,
              marks: bool = False, long: float = 0.12, sections: bool = True, empty: float = 0.0,
              percents: bool = True, chinese: bool = False) -> Table:  # fmt: skip
    """A statement: indented labels, figures, subtotals. `header`: years, spans (two levels), words, wrapped."""
    columns, rows = columns or rng.randint(2, 5), rows or rng.randint(6, 18)
    grid, head = _financial_header(rng, columns, header)
    columns = len(grid[0]) - 1
    percent_columns = {columns} if percents and columns > 2 and rng.random() < 0.3 else set()
    subtotals, since = [], 9
    labels = words.CHINESE if chinese else words.LABELS
    for r in range(rows):
        first = r == 0 or since == 0
        total = since > 2 and rng.random() < 0.25
        if sections and since > 1 and rng.random() < 0.15 and r < rows - 2:
            grid.append([Cell(rng.choice(words.SECTIONS), bold=True), *[Cell()] * columns])
            since = 0
            continue
        label = rng.choice(words.TOTALS) if total and not chinese else rng.choice(labels)
        if not total and not chinese and rng.random() < long:
            label = rng.choice(words.LONG_LABELS)
        currency = "$" if not chinese and (first or total) else ""
        cells: Row = [
            Cell(label, indent=0 if total else 8.0 * rng.randint(0, 2), leader=leaders,
                 mark=f"({rng.randint(1, 9)})" if marks and rng.random() < 0.3 else "")
        ]  # fmt: skip
        for c in range(1, columns + 1):
            if rng.random() < empty:
                cells.append(Cell())
            elif c in percent_columns:
                cells.append(Cell(words.percent(rng)))
            else:
                cells.append(Cell(words.amount(rng, currency=currency), bold=total and rng.random() < 0.5))
        if all(cell is not None and not cell.text for cell in cells[1:]):
            cells[-1] = Cell(words.amount(rng))
        if total:
            subtotals.append(len(grid))
        grid.append(cells)
        since += 1
    return Table(grid, ["left", *["number"] * columns], head, [0.85 if long else 1.0, *[1.0] * columns],
                 tuple(subtotals))  # fmt: skip


def _financial_header(rng: random.Random, columns: int, kind: str) -> tuple[list[Row], int]:
    year = rng.randint(2012, 2023)
    stub = rng.choice(["", "(in millions)", "Fiscal Year", "($ in thousands)"])
    if kind == "words":
        names = rng.sample(["Amount", "Actual", "Budget", "Change", "Forecast", "Prior", "Share"], columns)
        return [[Cell(stub), *(Cell(name, align="right", bold=True) for name in names)]], 1
    if kind == "wrapped":
        names = rng.sample(["Net interest income", "Gross carrying amount", "Less than one year", "Fair value level",
                            "Weighted average rate", "Total intrinsic value"], columns)  # fmt: skip
        return [[Cell(stub), *(Cell(name, align="center", bold=True) for name in names)]], 1
    align = rng.choice(["center", "right"])
    years = [Cell(str(year - i), align=align, bold=True) for i in range(columns)]
    if kind == "years":
        return [[Cell(stub), *years]], 1
    groups = 1 if columns < 4 else 2
    each = max(2, columns // groups)
    top: Row = [Cell()]
    for g, name in enumerate(rng.sample(words.PERIODS, groups)):
        top += [Cell(name, columns=each, align="center", bold=True), *[None] * (each - 1)]
        for i in range(each):
            if g * each + i < len(years):
                years[g * each + i] = Cell(str(year - i), align=align, bold=True)
    return [top, [Cell(stub), *years[: groups * each]]], 2


def listing(rng: random.Random, rows: int = 0, wrapped: bool = False) -> Table:
    """A table of words: names, places, dates, notes."""
    makers: dict[str, Callable[[], str]] = {
        "Name": lambda: rng.choice(words.PEOPLE),
        "Port": lambda: rng.choice(words.PLACES),
        "Position": lambda: rng.choice(words.ROLES),
        "Age": lambda: str(rng.randint(30, 70)),
        "Since": lambda: f"{rng.choice(['May', 'June', 'March'])} {rng.randint(1999, 2023)}",
        "Berths": lambda: str(rng.randint(2, 60)),
    }
    names = rng.sample(list(makers), rng.randint(3, 5))
    columns: list[tuple[str, Callable[[], str], float]] = [(name, makers[name], 1.0) for name in names]
    if wrapped:
        columns = [*columns[:2], ("Remarks", lambda: rng.choice(words.NOTES), 0.5)]
    grid: list[Row] = [[Cell(name, bold=True) for name, _, _ in columns]]
    for _ in range(rows or rng.randint(5, 12)):
        grid.append([Cell(make()) for _, make, _ in columns])
    return Table(grid, ["left"] * len(columns), 1, [share for _, _, share in columns])


def merged(rng: random.Random) -> Table:
    """Groups of rows under one cell, columns under a common header."""
    groups = rng.randint(2, 4)
    grid: list[Row] = [
        [Cell("Region", rows=2, bold=True), Cell("Port", rows=2, bold=True),
         Cell("Traffic", columns=2, align="center", bold=True), None],
        [None, None, Cell("Ships", bold=True), Cell("Boxes", bold=True)],
    ]  # fmt: skip
    for region in rng.sample(["North", "South", "East", "West", "Overseas"], groups):
        size = rng.randint(1, 4)
        for i in range(size):
            grid.append([
                Cell(region, rows=size) if i == 0 else None, Cell(rng.choice(words.PLACES)),
                Cell(words.amount(rng, negative=0)), Cell(words.amount(rng, negative=0)),
            ])  # fmt: skip
    if rng.random() < 0.6:
        grid.append([Cell("All regions", columns=2, bold=True), None, Cell(words.amount(rng)), Cell(words.amount(rng))])
    return Table(grid, ["left", "left", "right", "right"], 2, [1.0] * 4)


def sparse(table: Table, rng: random.Random, share: float) -> Table:
    """The table with some body cells emptied, none of the first column, no row or column left bare."""
    grid = [list(row) for row in table.grid]
    for r in range(table.header, len(grid)):
        for c in range(2, len(grid[r])):
            if rng.random() < share and (cell := grid[r][c]) is not None and cell.columns == cell.rows == 1:
                grid[r][c] = Cell()
    return dataclasses.replace(table, grid=grid)


def rows_of(table: Table, first: int, last: int) -> Table:
    """Body rows `first` to `last` under the header again."""
    head = table.header
    return dataclasses.replace(
        table, grid=[*table.grid[:head], *table.grid[head + first : head + last]],
        subtotals=tuple(head + s - head - first for s in table.subtotals if first < s - head < last),
    )  # fmt: skip


def captioned(rng: random.Random, titles: Sequence[str] = words.TITLES) -> str:
    title = rng.choice(titles)
    return f"Table {rng.randint(1, 30)}: {title}" if rng.random() < 0.5 else title
