"""Excel workbooks as elements: a page per sheet, tables in row groups, streamed by openpyxl.

Not by unstructured: it loads whole sheets into pandas, which rounds numbers to six digits and turns integers to floats.
"""

from __future__ import annotations

import datetime
import itertools
import posixpath
import re
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.elements import keep_picture
from tasks.partition.office import check_package
from tasks.partition.tables import row_groups
from tasks.rows import ElementRow

_MAX_COLUMNS = 1024
_NO_RESULT = re.compile(rb"</f>\s*(?:<v\s*/>|<v></v>|</c>)")
_EMPTY_ROWS_END = 10_000  # a sheet whose formatting reaches to row 1,048,576 ends where its content does
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_BLIP = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """Sheet by sheet: its name, its blocks of rows as tables or text, then its pictures."""
    check_package(path, context.limits)
    import openpyxl

    rows: list[ElementRow] = []
    # An open file, since openpyxl would judge a path by its extension, and a mail's attachment comes without one.
    with warnings.catch_warnings(), open(path, "rb") as file:
        warnings.simplefilter("ignore")  # about extensions openpyxl leaves out; values are not among them
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            context.title = clean(workbook.properties.title or "")
            pictures = _pictures(path)
            if _uncomputed(path):
                context.warn("some formulas have no computed values: open it in a spreadsheet program and save it")
            for page, sheet in enumerate(workbook.worksheets, 1):
                context.pages += 1
                found = list(_sheet_rows(sheet, page))
                found += _kept(pictures.get(page, []), page, context)
                if found:
                    rows.append(ElementRow(0, "Title", clean(sheet.title), page, level=0))
                    rows += found
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
            what = f"{type(error).__name__}: {error}"
            raise DocumentError(
                "malformed", f"the workbook cannot be read ({what})", "open it in a spreadsheet program and save it"
            ) from error
        finally:
            workbook.close()
    return rows


def _sheet_rows(sheet: Any, page: int) -> Iterator[ElementRow]:
    sheet.reset_dimensions()  # what a file declares about itself is often wrong
    for block in _blocks(_values(sheet)):
        first = list(itertools.islice(block, 3))
        if max(len(row) for row in first) == 1 and len(first) < 3:
            for row in first:
                yield ElementRow(0, "UncategorizedText", clean(row[0]), page)
        else:
            yield from row_groups(itertools.chain(first, block), page)


def _values(sheet: Any) -> Iterator[list[str]]:
    """Rows as text without their empty right ends; leading empty columns are kept, they align the blocks."""
    empty = 0
    for row in sheet.iter_rows():  # max_col would pad every row to it
        cells = [_text(cell) for cell in row[:_MAX_COLUMNS]]
        while cells and not cells[-1]:
            cells.pop()
        empty = 0 if cells else empty + 1
        if empty > _EMPTY_ROWS_END:
            return
        yield cells


def _blocks(rows: Iterable[list[str]]) -> Iterator[Iterator[list[str]]]:
    """Runs of rows that are not empty, each without the columns that are empty in its first rows' left."""
    for filled, run in itertools.groupby(rows, key=bool):
        if filled:
            head = list(itertools.islice(run, 50))
            left = min(next(i for i, cell in enumerate(row) if cell) for row in head)
            yield (row[left:] if not any(row[:left]) else row for row in itertools.chain(head, run))


def _text(cell: Any) -> str:
    """A cell as a reader sees it, without losing digits."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        form = str(getattr(cell, "number_format", "") or "")
        if form.endswith("%"):
            return f"{value * 100:.10g}%"
        return str(value) if isinstance(value, int) else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return str(value).strip()


def _uncomputed(path: Path) -> bool:
    """Whether a program wrote formulas and no results; their cells read as empty then, which must be said."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with archive.open(name) as part:
                    tail = b""
                    while chunk := part.read(1 << 20):
                        if _NO_RESULT.search(tail + chunk):
                            return True
                        tail = chunk[-32:]
    return False


def _kept(pictures: list[bytes], page: int, context: PartContext) -> list[ElementRow]:
    kept = [keep_picture(data, context) for data in pictures]
    return [ElementRow(0, "Image", "", page, media=k[0], media_type=k[1]) for k in kept if k is not None]


def _pictures(path: Path) -> dict[int, list[bytes]]:
    """The embedded pictures by sheet, from the package: openpyxl leaves them out when it streams."""
    found: dict[int, list[bytes]] = {}
    with zipfile.ZipFile(path) as archive:
        if not any(name.startswith("xl/drawings/") for name in archive.namelist()):
            return {}
        try:
            book = ET.fromstring(archive.read("xl/workbook.xml"))
            targets = _relations(archive, "xl/workbook.xml")
            sheets = [targets.get(s.get(_RELATION + "id", ""), "") for s in book.iter() if s.tag.endswith("}sheet")]
            worksheets = [sheet for sheet in sheets if "/worksheets/" in sheet]
            for page, sheet in enumerate(worksheets, 1):
                for drawing in _relations(archive, sheet).values():
                    if "/drawings/drawing" not in drawing or drawing not in archive.namelist():
                        continue
                    media = _relations(archive, drawing)
                    for blip in ET.fromstring(archive.read(drawing)).iter(_BLIP):
                        target = media.get(blip.get(_RELATION + "embed", ""))
                        if target in archive.namelist() and target is not None:
                            found.setdefault(page, []).append(archive.read(target))
        except (ET.ParseError, KeyError, zipfile.BadZipFile):  # the cells stand without their pictures
            return found
    return found


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """The parts a part refers to, by relation id."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return {}
    found = {}
    for relation in ET.fromstring(archive.read(relations)):
        target = relation.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        found[relation.get("Id", "")] = path
    return found
