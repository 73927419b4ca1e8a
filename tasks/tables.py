"""Reads and cuts tables: the rows of a table's HTML, lines of text that say for each value what it is, and parts of a
long one that each repeat its header.
"""

from __future__ import annotations

import dataclasses
import html as htmllib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from lxml import etree
from lxml import html as lxml_html

Count = Callable[[str], int]
CELL_GAP = " | "
_YEAR = re.compile(r"(?:19|20)\d\d")
_DIGIT = re.compile(r"\d")
_MOST_SPANNED = 200  # columns or rows of one cell: beyond, a span is a mistake or an attack
_MOST_REACHED = 1000  # columns from the left in which a cell may reach into rows below: a table of more is none
_MOST_NAMED = 3  # times as long as its cells a table may become by the names of its columns in every row
_NAMED_ANYHOW = 200  # characters


@dataclasses.dataclass(frozen=True, slots=True)
class TableCell:
    """A cell that is not empty: its text, and the columns it stands in, from `first` to before `end`."""

    text: str
    first: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its cells that are not empty, and those of rows above that reach into it, its own HTML, whether it is
    marked as a header.
    """

    cells: tuple[TableCell, ...]
    html: str
    header: bool

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(cell.text for cell in self.cells)

    @property
    def text(self) -> str:
        return CELL_GAP.join(self.texts)


@dataclasses.dataclass(frozen=True, slots=True)
class TablePart:
    """A table, or some of its rows under its header."""

    text: str
    html: str | None


def parse(html: str) -> list[TableRow]:
    """The rows of the outermost tables; a table within a cell counts as that cell's text. None where it is no table."""
    found: list[TableRow] = []
    for table in _tables(html):
        found += _rows(table.xpath("./tr | ./thead/tr | ./tbody/tr | ./tfoot/tr"))
    return found


def caption(html: str) -> str:
    """The caption of the first table that has one, on one line; empty where none has."""
    found = (element for table in _tables(html) for element in table.xpath("./caption"))
    return next((text for element in found if (text := " ".join(element.text_content().split()))), "")


def _tables(html: str) -> list[lxml_html.HtmlElement]:
    try:
        root = lxml_html.fromstring(html, parser=lxml_html.HTMLParser(huge_tree=True, encoding=None))
    except (etree.ParserError, ValueError):
        return []
    return [table for table in root.iter("table") if next(table.iterancestors("table"), None) is None]


def header_rows(rows: Sequence[TableRow]) -> int:
    """How many leading rows are the header: those marked as such, else the first."""
    marked = next((i for i, row in enumerate(rows) if not row.header), len(rows))
    return marked if 0 < marked < len(rows) else min(1, max(0, len(rows) - 1))


def column_names(rows: Sequence[TableRow]) -> dict[int, str]:
    """The name of each column: its header cells from top to bottom. Empty where the first row is not sure to be one.

    A first row that is not marked as a header is one if it has no figures and the rows below it mostly have.
    """
    head, body = rows[: header_rows(rows)], rows[header_rows(rows) :]
    if head and not head[0].header:
        values = [cell.text for row in body for cell in row.cells if cell.first]
        figures = sum(_DIGIT.search(value) is not None for value in values)
        if any(_DIGIT.search(_YEAR.sub("", cell.text)) for cell in head[0].cells) or 2 * figures <= len(values):
            return {}
    names: dict[int, list[str]] = {}
    for cell in (cell for row in head for cell in row.cells):
        for column in range(cell.first, cell.end):
            if cell.text not in names.setdefault(column, []):
                names[column].append(cell.text)
    return {column: " ".join(said) for column, said in names.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """A table as text: the lines above its body, and one for each row of it."""

    above: tuple[str, ...]
    body: tuple[str, ...]


def lines(rows: Sequence[TableRow]) -> Lines:
    """Lines that say of each value what it is, as in `Net sales | 2023: $1,234 | 2022: $1,100`.

    Where that would make the table much longer, and where columns have no names, rows are just their cells.
    """
    head, body = rows[: header_rows(rows)], rows[header_rows(rows) :]
    names = column_names(rows)
    values = [cell for row in body for cell in row.cells if cell.first]
    added = sum(len(names[cell.first]) + 2 for cell in values if cell.first in names)
    plain = sum(len(row.text) for row in body)
    if not added or added > (_MOST_NAMED - 1) * plain + _NAMED_ANYHOW:
        return Lines(tuple(row.text for row in head if row.cells), tuple(row.text for row in body))
    used = {0, *(cell.first for cell in values)}
    said = {names[column] for column in used if column in names}
    rest = dict.fromkeys(name for name in names.values() if name not in said)  # of columns without values
    above = CELL_GAP.join(filter(None, (names.get(0), *rest)))
    return Lines(
        (above,) if above else (), tuple(CELL_GAP.join(_named(cell, names) for cell in row.cells) for row in body)
    )


def _named(cell: TableCell, names: dict[int, str]) -> str:
    name = names.get(cell.first, "") if cell.first else ""
    return f"{name}: {cell.text}" if name and name != cell.text else cell.text


def beyond(text: str, rows: Sequence[TableRow], caption: str = "") -> str:
    """What of a table's `text` is in no row and not its caption: lines, or, where it has none of the rows', words."""
    read = lines(rows)
    in_rows = {_packed(line) for line in (*(row.text for row in rows), *read.above, *read.body)}
    found = [line.strip() for line in text.splitlines() if _packed(line) != _packed(caption)]
    others = [line for line in found if _packed(line) not in in_rows]
    said = _words(" ".join(found))
    known = {word for row in rows for word in _words(row.text)}
    if len(others) < len(found) or 2 * len(known.intersection(said)) <= len(
        known
    ):  # or it does not hold the rows at all
        return "\n".join(filter(None, others))
    return " ".join(word for word in said if word not in known and word not in _words(caption))


def linearise(caption: str, rows: Sequence[TableRow]) -> str:
    """The table as lines; its caption leads."""
    read = lines(rows)
    return "\n".join(filter(None, (caption, *read.above, *read.body)))


def wording(text: str, html: str | None) -> str:
    """What a table says in words: its caption, the names of its columns and rows, and years; no figures."""
    rows = [row for row in parse(html) if row.cells] if html else []
    if not rows:
        return _wording(tuple(line.split(CELL_GAP)) for line in text.splitlines())
    head = [row.texts for row in rows[: header_rows(rows)]]
    return _wording([(beyond(text, rows),), *head, *(row.texts for row in rows[len(head) :])])


def _wording(rows: Iterable[Sequence[str]]) -> str:
    """Lines of cells without those that have no letter and are no year, and without what the line before said too."""
    found: list[str] = []
    before: frozenset[str] = frozenset()
    for row in rows:
        cells = [cell for cell in row if any(map(str.isalpha, cell)) or _YEAR.fullmatch(cell.strip())]
        found.append(CELL_GAP.join(cell for cell in cells if cell not in before))
        before = frozenset(cells)
    return "\n".join(filter(None, found))


def split(
    text: str, html: str | None, limit: int, count: Count, cut: Callable[[str, int], list[str]], caption: str = ""
) -> list[TablePart]:
    """The whole table if it has at most `limit` tokens, else parts of whole rows, caption and header repeated.

    A single row beyond the limit is cut as text (`cut(text, limit)`), each piece a one-cell row. A caption or header
    that would crowd out the rows appears once.
    """
    rows = [row for row in parse(html) if row.cells] if html else []
    if not rows:
        rows = [_of_one(line) for line in text.splitlines() if line.strip() and _packed(line) != _packed(caption)]
    other = beyond(text, rows, caption)
    whole = linearise("\n".join(filter(None, (caption, other))), rows)
    if count(whole) <= limit:
        return [TablePart(whole, html)]
    repeated = caption if count(caption) < limit // 8 else ""
    if not repeated:
        other = f"{caption}\n{other}".strip()
    leading = [TablePart(piece, None) for piece in (cut(other, limit) if other else [])]
    return [*leading, *_parts(rows, limit, count, cut, html is not None, repeated)]


def _rows(found: Sequence[lxml_html.HtmlElement]) -> Iterator[TableRow]:
    """Rows with the columns that their cells stand in, after what spans columns and rows."""
    reaching: list[tuple[TableCell, int]] = []  # cells of rows above, and how many rows more they reach into
    for row in found:
        taken = {column for cell, _ in reaching for column in range(cell.first, cell.end)}
        markup = etree.tostring(row, encoding="unicode", method="html", with_tail=False)  # before `_text` changes it
        cells: list[TableCell] = []
        down: list[tuple[TableCell, int]] = []
        column = 0
        for element in row.xpath("./td | ./th"):
            while column in taken:
                column += 1
            cell = TableCell(_text(element), column, column + _span(element, "colspan"))
            column = cell.end
            cells.append(cell)
            if cell.first < _MOST_REACHED:
                down.append((cell, _span(element, "rowspan") - 1))
        in_head = row.getparent() is not None and row.getparent().tag == "thead"
        header = bool(cells) and (in_head or all(element.tag == "th" for element in row.xpath("./td | ./th")))
        here = sorted([*cells, *(cell for cell, _ in reaching)], key=lambda cell: cell.first)
        yield TableRow(tuple(cell for cell in here if cell.text), markup, header)
        reaching = [(cell, left - 1) for cell, left in reaching if left > 1] + [(c, left) for c, left in down if left]


def _span(element: lxml_html.HtmlElement, name: str) -> int:
    said = element.get(name, "1").strip()
    return min(max(int(said), 1), _MOST_SPANNED) if said.isascii() and said.isdigit() else 1


def _text(cell: lxml_html.HtmlElement) -> str:
    for block in cell.iter("br", "p", "div", "li", "td", "th"):
        if block is not cell:
            block.tail = f" {block.tail or ''}"  # so that the lines of a cell stay apart
    return " ".join(cell.text_content().split())


def _parts(
    rows: Sequence[TableRow],
    limit: int,
    count: Count,
    cut: Callable[[str, int], list[str]],
    with_html: bool,
    caption: str,
) -> Iterator[TablePart]:
    read, first = lines(rows), header_rows(rows)
    head, above, body = rows[:first], read.above, list(zip(rows[first:], read.body, strict=True))
    if sum(count(line) + 1 for line in above) > limit // 4:
        body = [*((row, row.text) for row in head), *body]
        head, above = (), ()
    above = (caption, *above) if caption else above
    room = limit - sum(count(line) + 1 for line in above)
    part: list[tuple[TableRow, str]] = []
    size = 0
    for row, line in _fitting(body, room, count, cut):
        row_size = count(line) + 1
        if part and size + row_size > room:
            yield _part(head, above, part, with_html, caption)
            part, size = [], 0
        part.append((row, line))
        size += row_size
    if part:
        yield _part(head, above, part, with_html, caption)


def _fitting(
    rows: Sequence[tuple[TableRow, str]], limit: int, count: Count, cut: Callable[[str, int], list[str]]
) -> Iterator[tuple[TableRow, str]]:
    for row, line in rows:
        if count(line) < limit:
            yield row, line
        else:
            yield from ((_of_one(piece), piece) for piece in cut(line, limit - 1))


def _part(
    head: Sequence[TableRow],
    above: Sequence[str],
    rows: Sequence[tuple[TableRow, str]],
    with_html: bool,
    caption: str,
) -> TablePart:
    text = "\n".join([*above, *(line for _, line in rows)])
    if not with_html:
        return TablePart(text, None)
    named = f"<caption>{htmllib.escape(caption, quote=False)}</caption>" if caption else ""
    shown = [*head, *(row for row, _ in rows)]
    body = "".join(row.html or f"<tr><td>{htmllib.escape(row.text)}</td></tr>" for row in shown)
    return TablePart(text, f"<table>{named}{body}</table>")


def _of_one(text: str) -> TableRow:
    return TableRow((TableCell(text.strip(), 0, 1),), "", False)


def _packed(line: str) -> str:
    return "".join(_words(line))


def _words(text: str) -> list[str]:
    return text.replace("|", " ").split()
