"""What a family module is given besides the bytes, and where it reports what is not a row."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

from PIL import Image

from tasks.lake import put_blob, put_file
from tasks.partition import ocr, tesseract
from tasks.partition.hints import Hint
from tasks.partition.spans import Span
from tasks.settings import Limits, PartitionSettings
from tasks.storage import Storage

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
}


@dataclasses.dataclass
class PartContext:
    """One part of a document at work: pages `first` to `last` (1-based, inclusive; None is to the end).

    A family sets `pages` and `title`, counts and warns; `hints` run parallel to its rows where a PDF's
    headings and tables are to be told from the whole document.
    """

    storage: Storage
    settings: PartitionSettings
    limits: Limits
    media_type: str
    ocr: bool = True
    first: int = 1
    last: int | None = None
    title: str = ""
    pages: int = 0
    warnings: list[str] = dataclasses.field(default_factory=list)
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    hints: list[Hint] = dataclasses.field(default_factory=list)

    def blob(self, data: bytes, media_type: str) -> str:
        """Keep raw media in the lake; returns its path."""
        return put_blob(self.storage, data, _EXTENSIONS[media_type])

    def keep(self, path: Path, extension: str) -> str:
        """Keep a whole file in the lake, however large it is; returns its path there."""
        return put_file(self.storage, path, extension)

    def read(self, picture: Image.Image) -> list[Span]:
        """The lines of text in a picture, in its pixels, by the OCR engine that the settings name."""
        if self.settings.ocr_engine == "tesseract":
            return tesseract.read(picture, self.settings.ocr_languages, self.limits.seconds_per_page)
        return ocr.read(picture)

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
