"""`bindery inspect`: what partitioning makes of one document, as a page to look at."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows import terminal
from flows.search_options import Json
from tasks.errors import UsageError

_MOST_DRAWN = 200  # pages in one file that a browser is to open


def inspect(
    source: str,
    *,
    html: Annotated[Path | None, Parameter(help="Write the pages with boxes drawn on them to this file.")] = None,
    pages: Annotated[
        str | None, Parameter(help="Which pages of a PDF or TIFF: 3, 2-5 or 4-. [default: the first 20]")
    ] = None,
    json: Json = False,
) -> int:
    """Show what is found in one document: elements, tables, pictures, reading order, and what was dropped and why.

    Nothing is ingested, and no lake is needed. With --html you get one self-contained file: each page with a coloured
    box around every element, numbered in reading order, beside what was read there.

    Parameters
    ----------
    source
        A document: a file, or a member of a mail or archive as `search` names it (mail.eml!/2/table.xlsx).
    """
    from tasks.containers import run_scratch
    from tasks.inspect import inspect as look
    from tasks.inspect import parse_pages
    from tasks.settings import load_settings
    from tasks.storage import LocalStorage

    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        raise UsageError(f"--html {html} is not the name of a file in a folder that exists")
    wanted = parse_pages(pages) if pages is not None else None
    settings = load_settings()
    with tempfile.TemporaryDirectory(prefix="bindery-inspect-") as folder, run_scratch():
        storage = LocalStorage(folder)
        found = look(source, wanted, settings, storage)
        if html is not None:
            from tasks.report.inspect import render_inspection

            if len(found.pages) > _MOST_DRAWN:
                raise UsageError(
                    f"--html: {len(found.pages)} pages do not fit into one file to look at",
                    f"draw at most {_MOST_DRAWN}, as in --pages 1-{_MOST_DRAWN}",
                )

            html.write_text(render_inspection(storage, found), encoding="utf-8")
            terminal.note(f"wrote {html}")
    if json:
        terminal.print_json(found.to_json())
    else:
        terminal.print_inspection(found)
        if found.pages[-1].number is not None and found.pages[-1].number < found.total and wanted is None:
            terminal.note(f"the first {len(found.pages)} of {found.total} pages; --pages 1- is all of them")
        if html is None:
            terminal.note("--html FILE draws it")
    return 0
