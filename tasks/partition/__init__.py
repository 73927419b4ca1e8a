"""The partition stage: a document's bytes become elements in unstructured's vocabulary and raw media in the lake.

In: `DocumentWork`. Out: `stages/partition/<key>.parquet` of ElementRows. Untrusted bytes are opened in worker processes
only (`document`), a large document part by part, so that a kill costs one part.

Nothing heavy is imported here: fast commands import `tasks.partition.detect` through this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tasks.partition.detect import AUDIO, DEPTH, DOCX, EML, IMAGES, IMU, PDF, PPTX, THERMAL, VIDEO, XLSX

if TYPE_CHECKING:
    from tasks.isolation import Workers
    from tasks.settings import Settings
    from tasks.stage import Recipe, StageRef
    from tasks.storage import Storage
    from tasks.work import DocumentWork

STAGE_VERSION = 3

# Per media type: the settings and capabilities that decide its rows. Anything else must not restage it.
_OCR = ("ocr",)
_HI_RES = frozenset((PDF, *IMAGES))  # the types whose pages that route takes apart
_PICTURES = ("min_picture_px", "max_pixels")
_TEXT = ("unstructured", "sentences", "encodings", "html", "markdown")
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    PDF: ((*_OCR, "ocr_dpi", *_PICTURES, "figure_dpi", "figure_pixels"), ("pdf", "ocr", "pictures")),
    DOCX: (_PICTURES, ("unstructured", "sentences", "docx", "pictures")),
    PPTX: (_PICTURES, ("unstructured", "sentences", "pptx", "pictures")),
    XLSX: (_PICTURES, ("xlsx", "pictures")),
    EML: (_PICTURES, (*_TEXT, "pictures")),
    "text/plain": ((), _TEXT),
    "text/markdown": (_PICTURES, (*_TEXT, "pictures")),
    "text/html": (_PICTURES, (*_TEXT, "pictures")),
    "text/csv": ((), ("encodings",)),
    "text/tab-separated-values": ((), ("encodings",)),
    **dict.fromkeys(IMAGES, ((*_OCR, "max_pixels"), ("ocr", "pictures"))),
    **dict.fromkeys(AUDIO, ((), ("audio",))),
    **dict.fromkeys(VIDEO, (("max_pixels",), ("video",))),
    "audio/mp4": (("max_pixels",), ("video",)),
    "audio/ogg": ((), ("audio", "video")),
    DEPTH: (("max_pixels",), ("pictures",)),
    THERMAL: (("max_pixels",), ("pictures",)),
    IMU: (("max_pixels",), ()),
}


def recipe(settings: Settings, capabilities: Mapping[str, str], media_type: str) -> Recipe:
    """What decides the output for documents of a type, besides their bytes."""
    from tasks.stage import Recipe

    wanted, needed = _NEEDS.get(media_type, ((), ()))  # a document of another type never gets this far
    chosen: dict[str, Any] = {name: getattr(settings.partition, name) for name in wanted}
    used = {name: capabilities[name] for name in needed if name in capabilities}
    if not settings.partition.ocr:
        used.pop("ocr", None)
        chosen.pop("ocr_dpi", None)
    if settings.partition.route == "hi_res" and media_type in _HI_RES:
        chosen |= {"route": "hi_res", "hi_res_dpi": settings.partition.hi_res.dpi}
        used["hi_res"] = capabilities["hi_res"]
    return Recipe("partition", STAGE_VERSION, chosen, used)


def partition_document(
    storage: Storage,
    document: DocumentWork,
    settings: Settings,
    recipe: Recipe,
    workers: Workers,
    on_pages: Callable[[int], None] | None = None,
) -> StageRef:
    """The document's elements: found if done, else made by the workers. `on_pages` hears of pages as they finish.

    Raises DocumentError where the document cannot be processed.
    """
    from tasks import stage
    from tasks.partition.document import PAGED, PART, count_pages, merge_parts, partition_part

    key = recipe.key(document.doc_id, document.media_type)
    done = stage.find(storage, "partition", key)
    if done is not None:
        return done
    limits = settings.limits
    name = document.uri.rsplit("/", 1)[-1]
    pages = 1
    if document.media_type in PAGED:
        pages = workers.call(count_pages, document, limits, seconds=limits.seconds_per_document, name=name)
    arguments = (storage, document, settings.partition, limits, settings.partition.ocr and "ocr" in recipe.capabilities)
    if pages <= limits.part_pages:
        seconds = limits.seconds_per_document + pages * limits.seconds_per_page
        ref = workers.call(partition_part, *arguments, key, None, seconds=seconds, name=name)
        if on_pages is not None:
            on_pages(pages)
        return ref

    def part(first: int) -> StageRef:
        last = min(first + limits.part_pages - 1, pages)
        part_key = f"{key}-{first}-{last}"
        found = stage.find(storage, PART, part_key)
        if found is None:
            seconds = limits.seconds_per_document + (last - first + 1) * limits.seconds_per_page
            what = f"{name}, pages {first}-{last}"
            found = workers.call(partition_part, *arguments, part_key, (first, last), seconds=seconds, name=what)
        if on_pages is not None:
            on_pages(last - first + 1)
        return found

    with ThreadPoolExecutor(limits.workers) as pool:
        running = [pool.submit(part, first) for first in range(1, pages + 1, limits.part_pages)]
        try:
            parts = tuple(future.result() for future in running)
        finally:
            for future in running:
                future.cancel()  # after a failure: what has not begun is not worth beginning
    seconds = limits.seconds_per_document + pages
    ref = workers.call(merge_parts, storage, key, parts, document.media_type, seconds=seconds, name=name)
    for ref_of_part in parts:
        storage.delete(ref_of_part.path)
    return ref
