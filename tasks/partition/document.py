"""The worker's side of the partition stage: one part of one document from bytes to a stage file, and their merge.

In: where the bytes are and which pages. Out: a stage file and a `StageRef`; rows never travel between processes.
"""

from __future__ import annotations

import collections
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from tasks import stage
from tasks.errors import DocumentError
from tasks.partition import audio, delimited, detect, image, mail, office, sensors, sheets, text, video
from tasks.partition.context import PartContext
from tasks.partition.finish import document_title, finish
from tasks.partition.hints import Hint, dumps, loads
from tasks.partition.pdf import reader as pdf
from tasks.rows import ElementRow, digest, from_table, to_table
from tasks.settings import Limits, PartitionSettings
from tasks.sources import open_source
from tasks.stage import Cost, StageInfo, StageOutput, StageRef
from tasks.storage import Storage
from tasks.work import DocumentWork
from tasks.worker import peak_mb

PART = "partition-part"
_HINT = "hint"

FAMILIES: dict[str, Callable[[Path, PartContext], list[ElementRow]]] = {
    detect.PDF: pdf.partition,
    detect.DOCX: office.partition_word,
    detect.PPTX: office.partition_slides,
    detect.XLSX: sheets.partition,
    detect.EML: mail.partition,
    "text/csv": delimited.partition,
    "text/tab-separated-values": delimited.partition,
    "text/html": text.partition_html,
    "text/markdown": text.partition_markdown,
    "text/plain": text.partition_plain,
    **dict.fromkeys(detect.IMAGES, image.partition),
    **dict.fromkeys(detect.AUDIO, audio.partition),
    **dict.fromkeys(detect.VIDEO, video.partition),
    "audio/mp4": video.partition,  # the same container, whatever is in it
    detect.DEPTH: sensors.partition_map,
    detect.THERMAL: sensors.partition_map,
    detect.IMU: sensors.partition_imu,
}
PAGED = frozenset({detect.PDF, "image/tiff"})


def count_pages(work: DocumentWork, limits: Limits) -> int:
    """The pages of a document of a PAGED type."""
    with open_source(work.uri, limits) as path:
        _check_unchanged(path, work)
        return pdf.count_pages(path) if work.media_type == detect.PDF else image.count_frames(path)


def partition_part(
    storage: Storage,
    work: DocumentWork,
    settings: PartitionSettings,
    limits: Limits,
    ocr: bool,
    key: str,
    pages: tuple[int, int] | None,
) -> StageRef:
    """Partition some pages (None: the whole document) and save them as a stage file under `key`.

    Raises DocumentError `changed_while_reading` where the bytes are no longer those of the document, `no_text` where
    it has neither text nor media.
    """
    first, last = pages if pages is not None else (1, None)
    context = PartContext(storage, settings, limits, work.media_type, ocr, first, last)
    started = time.perf_counter()
    with open_source(work.uri, limits) as path:
        _check_unchanged(path, work)
        rows = FAMILIES[work.media_type](path, context)
    info = StageInfo(context.title, context.pages, 0, tuple(context.warnings), dict(context.counts))
    cost = Cost(round(time.perf_counter() - started, 3), peak_mb())
    if pages is None:
        return stage.save(storage, "partition", key, _output(rows, context.hints, info), cost)
    table = to_table(rows, ElementRow)
    hints = [dumps(hint) for hint in context.hints] or [dumps(Hint())] * len(rows)
    table = table.append_column(_HINT, pa.array(hints, pa.string()))
    return stage.save(storage, PART, key, StageOutput(table, digest(rows, hints, info), info), cost)


def merge_parts(storage: Storage, key: str, parts: Sequence[StageRef], media_type: str) -> StageRef:
    """The document's stage file from those of its parts, in order."""
    started = time.perf_counter()
    rows: list[ElementRow] = []
    hints: list[Hint] = []
    counts: collections.Counter[str] = collections.Counter()
    for part in parts:
        table = stage.load(storage, part)
        rows += from_table(table, ElementRow)
        hints += map(loads, table.column(_HINT).to_pylist())
        counts.update(part.info.counts)
    warnings = tuple(dict.fromkeys(warning for part in parts for warning in part.info.warnings))
    info = StageInfo(parts[0].info.title, sum(part.info.pages for part in parts), 0, warnings, counts)
    seconds = sum(part.cost.seconds for part in parts) + time.perf_counter() - started
    cost = Cost(round(seconds, 3), max(peak_mb(), *(part.cost.peak_mb for part in parts)))
    known = media_type == detect.PDF or any(hint != Hint() for hint in hints)
    return stage.save(storage, "partition", key, _output(rows, hints if known else [], info), cost)


def _output(rows: Sequence[ElementRow], hints: Sequence[Hint], info: StageInfo) -> StageOutput:
    """The final rows and what is known of the document besides them."""
    known = collections.Counter(info.counts)
    final = finish(rows, hints, info.pages, known)
    characters = sum(len(row.text) for row in final)
    blank = info.counts.get("pages_blank", 0)
    if not final and not (info.pages and blank == info.pages):
        raise DocumentError("no_text", "no text, table or picture was found in it", "open it: it may be empty")
    if not final:
        raise DocumentError("no_text", f"all of its {info.pages} pages are blank", "nothing to index")
    counts = collections.Counter(row.category for row in final)
    counts.update({name: n for name, n in known.items() if n})
    if info.pages:
        counts["pages_out"] = len({row.page for row in final if row.page is not None})
    output = StageInfo(
        title=_title(info.title) or document_title(final),
        pages=info.pages,
        characters=characters,
        warnings=info.warnings,
        counts=dict(sorted(counts.items())),
    )
    return StageOutput(to_table(final, ElementRow), digest(final, output), output)


def _title(title: str) -> str:
    """A title from metadata, unless it is a file name or a program's default."""
    title = " ".join(title.split())[:200]
    if " " not in title and any(c in "_-." or c.isdigit() for c in title):
        return ""  # report_final-2: a file's name without its extension
    low = title.lower()
    is_file = low.rsplit(".", 1)[-1] in (
        "doc",
        "docx",
        "pdf",
        "ppt",
        "pptx",
        "xls",
        "xlsx",
        "tex",
        "dvi",
        "indd",
        "qxd",
    )
    meaningless = low in (
        "untitled",
        "title",
        "unknown",
        "none",
        "document",
        "presentation",
        "word document",
        "powerpoint presentation",
        "slide 1",
        "book1",
    )
    if is_file or meaningless or low.startswith(("microsoft word", "microsoft powerpoint")) or "\\" in title:
        return ""
    return title if sum(character.isalpha() for character in title) >= 3 else ""


def _check_unchanged(path: Path, work: DocumentWork) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != work.doc_id:
        raise DocumentError("changed_while_reading", "the file changed after it was listed", "run again")
