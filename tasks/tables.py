"""Reads and cuts tables: the rows of a table's HTML as text, and parts of a long one that each repeat its header."""

from __future__ import annotations

import dataclasses
import html as htmllib
from collections.abc import Callable, Iterator, Sequence

from lxml import etree
from lxml import html as lxml_html

Count = Callable[[str], int]


@dataclasses.dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the text of its cells that are not empty, its own HTML, and whether it is marked as a header."""

    cells: tuple[str, ...]
    html: str
    header: bool

    @property
    def text(self) -> str:
        return " | ".join(self.cells)


@dataclasses.dataclass(frozen=True, slots=True)
class TablePart:
    """A table, or some of its rows under its header."""

    text: str
    html: str | None


def parse(html: str) -> list[TableRow]:
    """The rows of the outermost tables; a table within a cell counts as that cell's text. None where it is no table."""
    found = [row for table in _tables(html) for row in table.xpath("./tr | ./thead/tr | ./tbody/tr | ./tfoot/tr")]
    return [_row(row) for row in found]


def caption(html: str) -> str:
    """The caption of the first table that has one, on one line; empty where none has."""
    found = (element for table in _tables(html) for element in table.xpath("./caption"))
    return next((text for element in found if (text := " ".join(element.text_content().split()))), "")


def _tables(html: str) -> list[lxml_html.HtmlElement]:
    try:
        root = lxml_html.fromstring(html, parser=lxml_html.HTMLParser(huge_tree=True, encoding=None))
    except (etree.ParserError, ValueError):
        return []
    found: list[lxml_html.HtmlElement] = root.xpath("descendant-or-self::table[not(ancestor::table)]")
    return found


def header_rows(rows: Sequence[TableRow]) -> int:
    """How many leading rows are the header: those marked as such, else the first."""
    marked = next((i for i, row in enumerate(rows) if not row.header), len(rows))
    return marked if 0 < marked < len(rows) else min(1, max(0, len(rows) - 1))


def linearise(text: str, rows: Sequence[TableRow], caption: str = "") -> str:
    """The table as lines of cells under its caption; what `text` holds beyond both stands between."""
    lines = [row.text for row in rows if row.cells]
    if not lines:
        return text.strip() if caption in " ".join(text.split()) else f"{caption}\n{text}".strip()
    return "\n".join(filter(None, (caption, _beyond(text, rows, caption), *lines)))


def split(
    text: str, html: str | None, limit: int, count: Count, cut: Callable[[str, int], list[str]], caption: str = ""
) -> list[TablePart]:
    """The whole table if it has at most `limit` tokens, else parts of whole rows, caption and header repeated.

    A single row beyond the limit is cut as text (`cut(text, limit)`), each piece a one-cell row. A caption or header
    that would crowd out the rows appears once.
    """
    rows = parse(html) if html else []
    whole = linearise(text, rows, caption)
    if count(whole) <= limit:
        return [TablePart(whole, html)]
    lines = [row for row in rows if row.cells]
    if not lines:
        lines = [TableRow((line.strip(),), "", False) for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if line.text != caption]
    beyond = _beyond(text, lines, caption)
    repeated = caption if count(caption) < limit // 8 else ""
    if not repeated:
        beyond = f"{caption} {beyond}".strip()
    body = limit - count(repeated) - 1 if repeated else limit
    parts = [_part(group, repeated, html is not None) for group in _groups(lines, body, count, cut)]
    return [*(TablePart(piece, None) for piece in (cut(beyond, limit) if beyond else [])), *parts]


def _beyond(text: str, rows: Sequence[TableRow], caption: str) -> str:
    """The words of `text` that are in no cell and not in the caption."""
    known = {word for row in rows for word in _words(row.text)} | set(_words(caption))
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


def _groups(
    rows: Sequence[TableRow], limit: int, count: Count, cut: Callable[[str, int], list[str]]
) -> Iterator[list[TableRow]]:
    """The rows in groups that fit, each under the header."""
    header = [row for row in rows[: header_rows(rows)] if row.cells]
    head_size = sum(count(row.text) + 1 for row in header)
    if head_size > limit // 4:
        header, head_size, body = [], 0, list(rows)
    else:
        body = list(rows[header_rows(rows) :])
    group: list[TableRow] = []
    size = head_size
    for row in _fitting(body, limit - head_size, count, cut):
        row_size = count(row.text) + 1
        if group and size + row_size > limit:
            yield [*header, *group]
            group, size = [], head_size
        group.append(row)
        size += row_size
    if group:
        yield [*header, *group]


def _fitting(
    rows: Sequence[TableRow], limit: int, count: Count, cut: Callable[[str, int], list[str]]
) -> Iterator[TableRow]:
    for row in rows:
        if count(row.text) < limit:
            yield row
        else:
            yield from (TableRow((piece,), "", False) for piece in cut(row.text, limit - 1))


def _part(rows: Sequence[TableRow], caption: str, with_html: bool) -> TablePart:
    text = "\n".join([*filter(None, [caption]), *(row.text for row in rows if row.cells)])
    if not with_html:
        return TablePart(text, None)
    named = f"<caption>{htmllib.escape(caption, quote=False)}</caption>" if caption else ""
    body = "".join(row.html or f"<tr><td>{htmllib.escape(row.text)}</td></tr>" for row in rows)
    return TablePart(text, f"<table>{named}{body}</table>")


def _words(text: str) -> list[str]:
    return text.replace("|", " ").split()
