"""What partitioning makes of one document, page by page, for a person to look at: `bindery inspect`.

In: a SOURCE and a range of pages. Out: an `Inspection` with elements, counts and warnings of each page, and a render of
it. Nothing of it needs a lake: a temporary one is given and forgotten. Pages are worked on in worker processes, one
part per page, so that counts are each page's own; rows are those of an ingest of these pages.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tasks import stage
from tasks.errors import BinderyError, DocumentError, UsageError
from tasks.isolation import Workers
from tasks.lake import put_blob
from tasks.partition import recipe
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.detect import PDF, ZIP, detect
from tasks.partition.document import PAGED, count_pages, merge_parts, partition_part
from tasks.rows import ElementRow, from_table
from tasks.settings import Limits, Settings
from tasks.sources import content_hash, open_source, root_uri, split_uri
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.work import DocumentWork

DEFAULT_PAGES = 20
_RENDER_PIXELS = 1_100_000
_KEY = "inspect"


@dataclasses.dataclass(frozen=True, slots=True)
class InspectedPage:
    """A page, or a whole document without pages (`number` is None then)."""

    number: int | None
    render: str | None
    """Where in the storage a picture of the page is."""
    elements: tuple[ElementRow, ...]
    counts: Mapping[str, int]
    warnings: tuple[str, ...]

    @property
    def characters(self) -> int:
        """Those that are no white space, as text layers are counted."""
        return sum(len("".join(element.text.split())) for element in self.elements)

    @property
    def layer(self) -> int | None:
        """Characters of the page's text layer, None where none was used."""
        return self.counts.get("characters_layer")


@dataclasses.dataclass(frozen=True, slots=True)
class Inspection:
    """A document, of whose `total` pages some were inspected."""

    source: str
    media_type: str
    title: str
    total: int
    pages: tuple[InspectedPage, ...]
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "media_type": self.media_type,
            "title": self.title,
            "total_pages": self.total,
            "counts": dict(self.counts),
            "pages": [
                {
                    "page": page.number,
                    "characters_in_layer": page.layer,
                    "characters": page.characters,
                    "counts": dict(page.counts),
                    "warnings": list(page.warnings),
                    "elements": [
                        {k: v for k, v in dataclasses.asdict(e).items() if k != "media"} for e in page.elements
                    ],
                }
                for page in self.pages
            ],
        }


def inspect(source: str, wanted: tuple[int, int | None] | None, settings: Settings, storage: Storage) -> Inspection:
    """Partition a document's pages `wanted` (first and last; None: the first twenty) into `storage`.

    Raises UsageError for what is no document, BinderyError with the document's own code where it cannot be processed.
    """
    work = _work(source, settings.limits)
    with Workers(settings.limits) as workers:
        try:
            return _inspect(work, wanted, settings, storage, workers)
        except DocumentError as error:
            raise BinderyError(f"{source}: {error.message}", error.hint, error.code) from error


def parse_pages(text: str) -> tuple[int, int | None]:
    """`3`, `2-5` or `4-` as first and last page."""
    first, dash, last = text.partition("-")
    if not first.isdigit() or int(first) < 1 or (last and (not last.isdigit() or int(last) < int(first))):
        raise UsageError(f"--pages {text} is no range of pages", "as in --pages 3, --pages 2-5 or --pages 4-")
    return int(first), int(last) if last else (None if dash else int(first))


def _work(source: str, limits: Limits) -> DocumentWork:
    """The document behind a SOURCE."""
    uri = root_uri(source)
    path, members = split_uri(uri)
    if path.is_dir():
        raise UsageError(f"{source} is a folder", "give one document of it")
    if not path.is_file():
        raise UsageError(f"{source} does not exist", "check the path")
    try:
        with open_source(uri, limits) as file:
            name = uri.rsplit("/", 1)[-1] if members else path.name
            found = detect(name, file)
            size, digest = file.stat().st_size, content_hash(file)
    except DocumentError as error:
        raise BinderyError(f"{source}: {error.message}", error.hint, error.code) from error
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror}"
        raise BinderyError(message, "check its permissions", "unreadable") from error
    if found.media_type == ZIP:
        raise UsageError(f"{source} is an archive", f"give one member of it, as in {source}!/1/NAME")
    if found.media_type is None:
        raise UsageError(f"{source} is no document that bindery reads: {found.reason}")
    return DocumentWork(digest, found.media_type, uri, size)


def _inspect(
    work: DocumentWork, wanted: tuple[int, int | None] | None, settings: Settings, storage: Storage, workers: Workers
) -> Inspection:
    limits = settings.limits
    name = os.path.basename(work.uri)
    found = recipe(settings, resolve_capabilities(settings.partition), work.media_type)
    ocr = settings.partition.ocr and "ocr" in found.capabilities
    seconds = limits.seconds_per_document + limits.seconds_per_page
    arguments = (storage, work, settings.partition, limits, ocr)
    if work.media_type not in PAGED:
        if wanted is not None:
            raise UsageError(f"--pages: a document of type {work.media_type} is inspected as a whole")
        ref = workers.call(partition_part, *arguments, _KEY, None, seconds=seconds, name=name)
        return _inspection(work, ref, {}, {}, 1, storage)
    total = workers.call(count_pages, work, limits, seconds=limits.seconds_per_document, name=name)
    first, last = _range(wanted, total)

    def page(number: int) -> tuple[StageRef, str]:
        what = f"{name}, page {number}"
        span = (number, number)
        ref = workers.call(partition_part, *arguments, f"{_KEY}-{number}", span, seconds=seconds, name=what)
        return ref, workers.call(show_page, storage, work, limits, number, seconds=seconds, name=what)

    numbers = range(first, last + 1)
    with ThreadPoolExecutor(limits.workers) as pool:
        done = dict(zip(numbers, pool.map(page, numbers), strict=True))
    parts = {number: ref for number, (ref, _) in done.items()}
    shown = {number: view for number, (_, view) in done.items()}
    ref = workers.call(merge_parts, storage, _KEY, tuple(parts.values()), work.media_type, seconds=seconds, name=name)
    return _inspection(work, ref, parts, shown, total, storage)


def _range(wanted: tuple[int, int | None] | None, total: int) -> tuple[int, int]:
    first, last = wanted if wanted is not None else (1, min(total, DEFAULT_PAGES))
    last = total if last is None else min(last, total)
    if first > total:
        raise UsageError(f"--pages: the document has {total} pages")
    return first, last


def _inspection(
    work: DocumentWork,
    ref: StageRef,
    parts: Mapping[int, StageRef],
    shown: Mapping[int, str],
    total: int,
    storage: Storage,
) -> Inspection:
    rows = from_table(stage.load(storage, ref), ElementRow)
    if not parts:
        whole = InspectedPage(None, None, tuple(rows), ref.info.counts, ref.info.warnings)
        return Inspection(work.uri, work.media_type, ref.info.title, total, (whole,), ref.info.counts)
    pages = tuple(
        InspectedPage(
            number,
            shown[number],
            tuple(row for row in rows if row.page == number),
            part.info.counts,
            part.info.warnings,
        )
        for number, part in parts.items()
    )
    return Inspection(work.uri, work.media_type, ref.info.title, total, pages, ref.info.counts)


def show_page(storage: Storage, work: DocumentWork, limits: Limits, number: int) -> str:
    """The worker's side: one page as a JPEG in the lake."""
    with open_source(work.uri, limits) as path:
        return _show_pdf(path, number, storage) if work.media_type == PDF else _show_frame(path, number, storage)


def _show_pdf(path: Path, number: int, storage: Storage) -> str:
    from tasks.partition.pdf.reader import load, open_pdf
    from tasks.partition.pdf.render import jpeg, render

    with open_pdf(path) as document:
        return put_blob(storage, jpeg(render(load(document, number)[1], 150, _RENDER_PIXELS), 75), "jpg")


def _show_frame(path: Path, number: int, storage: Storage) -> str:
    from PIL import ImageOps

    from tasks.partition.image import open_picture
    from tasks.partition.pdf.render import jpeg

    with open_picture(path) as image:
        image.seek(number - 1)
        upright = ImageOps.exif_transpose(image)
        scale = min(1.0, (_RENDER_PIXELS / max(1, upright.width * upright.height)) ** 0.5)
        small = upright.resize((max(1, round(upright.width * scale)), max(1, round(upright.height * scale))))
        return put_blob(storage, jpeg(small, 75), "jpg")
