"""Reads and cuts tables: the rows of a table's HTML as text, and parts of a long one that each repeat its header."""

from __future__ import annotations

import dataclasses
import html as htmllib
import re
from collections.abc import Callable, Iterator, Sequence

from lxml import etree
from lxml import html as lxml_html

Count = Callable[[str], int]
CELL_GAP = " | "
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclasses.dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the text of its cells that are not empty, its own HTML, and whether it is marked as a header."""

    cells: tuple[str, ...]
    html: str
    header: bool

    @property
    def text(self) -> str:
        return CELL_GAP.join(self.cells)


@dataclasses.dataclass(frozen=True, slots=True)
class TablePart:
    """A table, or some of its rows under its header."""

    text: str
    html: str | None


def parse(html: str) -> list[TableRow]:
    """The rows of the outermost tables; a table within a cell counts as that cell's text. None where it is no table."""
    try:
        root = lxml_html.fromstring(html, parser=lxml_html.HTMLParser(huge_tree=True, encoding=None))
    except (etree.ParserError, ValueError):
        return []
    tables = root.xpath("descendant-or-self::table[not(ancestor::table)]")
    found = [row for table in tables for row in table.xpath("./tr | ./thead/tr | ./tbody/tr | ./tfoot/tr")]
    return [_row(row) for row in found]


def header_rows(rows: Sequence[TableRow]) -> int:
    """How many leading rows are the header: those marked as such, else the first."""
    marked = next((i for i, row in enumerate(rows) if not row.header), len(rows))
    return marked if 0 < marked < len(rows) else min(1, max(0, len(rows) - 1))


def linearise(text: str, rows: Sequence[TableRow]) -> str:
    """The table as lines of cells; what `text` holds beyond the cells (a caption, say) leads."""
    lines = [row.text for row in rows if row.cells]
    if not lines:
        return text.strip()
    beyond = _beyond(text, rows)
    return "\n".join([beyond, *lines] if beyond else lines)


def wording(text: str) -> str:
    """What a table's lines of cells say in words: cells without a letter are left out, but for years.

    Of each line what the line before said too is left out as well: labels that a table repeats in row after row.
    """
    lines: list[str] = []
    before: frozenset[str] = frozenset()
    for line in text.splitlines():
        cells = [cell for cell in line.split(CELL_GAP) if any(map(str.isalpha, cell)) or _YEAR.fullmatch(cell.strip())]
        lines.append(CELL_GAP.join(cell for cell in cells if cell not in before))
        before = frozenset(cells)
    return "\n".join(filter(None, lines))


def split(
    text: str, html: str | None, limit: int, count: Count, cut: Callable[[str, int], list[str]]
) -> list[TablePart]:
    """The whole table if it has at most `limit` tokens, else parts of whole rows with the header repeated.

    A single row beyond the limit is cut as text (`cut(text, limit)`), each piece a one-cell row.
    """
    rows = parse(html) if html else []
    whole = linearise(text, rows)
    if count(whole) <= limit:
        return [TablePart(whole, html)]
    lines = [row for row in rows if row.cells]
    if not lines:
        lines = [TableRow((line.strip(),), "", False) for line in whole.splitlines() if line.strip()]
    parts = list(_parts(lines, limit, count, cut, with_html=html is not None))
    if beyond := _beyond(text, lines):
        leading = [TablePart(piece, None) for piece in cut(beyond, limit)]
        parts = [*leading, *parts]
    return parts


def _beyond(text: str, rows: Sequence[TableRow]) -> str:
    """The words of `text` that are in no cell."""
    known = {word for row in rows for word in _words(row.text)}
    return " ".join(word for word in _words(text) if word not in known)


def _row(row: lxml_html.HtmlElement) -> TableRow:
    cells = row.xpath("./td | ./th")
    in_head = row.getparent() is not None and row.getparent().tag == "thead"
    header = bool(cells) and (in_head or all(cell.tag == "th" for cell in cells))
    markup = etree.tostring(row, encoding="unicode", method="html", with_tail=False)
    for block in row.iter("br", "p", "div", "li", "td", "th"):
        block.tail = f" {block.tail or ''}"  # so that the lines of a cell stay apart
    texts = (" ".join(cell.text_content().split()) for cell in cells)
    return TableRow(tuple(text for text in texts if text), markup, header)


def _parts(
    rows: Sequence[TableRow], limit: int, count: Count, cut: Callable[[str, int], list[str]], with_html: bool
) -> Iterator[TablePart]:
    header = [row for row in rows[: header_rows(rows)] if row.cells]
    head_size = sum(count(row.text) + 1 for row in header)
    if head_size > limit // 4:  # a header that would crowd out the rows appears once
        header, head_size, body = [], 0, list(rows)
    else:
        body = list(rows[header_rows(rows) :])
    part: list[TableRow] = []
    size = head_size
    for row in _fitting(body, limit - head_size, count, cut):
        row_size = count(row.text) + 1
        if part and size + row_size > limit:
            yield _part([*header, *part], with_html)
            part, size = [], head_size
        part.append(row)
        size += row_size
    if part:
        yield _part([*header, *part], with_html)


def _fitting(
    rows: Sequence[TableRow], limit: int, count: Count, cut: Callable[[str, int], list[str]]
) -> Iterator[TableRow]:
    for row in rows:
        if count(row.text) < limit:
            yield row
        else:
            yield from (TableRow((piece,), "", False) for piece in cut(row.text, limit - 1))


def _part(rows: Sequence[TableRow], with_html: bool) -> TablePart:
    text = "\n".join(row.text for row in rows if row.cells)
    if not with_html:
        return TablePart(text, None)
    body = "".join(row.html or f"<tr><td>{htmllib.escape(row.text)}</td></tr>" for row in rows)
    return TablePart(text, f"<table>{body}</table>")


def _words(text: str) -> list[str]:
    return text.replace("|", " ").split()
