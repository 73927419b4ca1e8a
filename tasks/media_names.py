"""What names promise of pictures, recordings and what sensors measured. In: a file's name. Out: a modality, or None.

What a sensor measured looks like any picture or table, so its name says it, before the extension: `NAME.depth.png`.
Imports the standard library only, because fast commands use it on every file of a corpus.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.rows import Modality

# By extension: the modality, and what the name promises of the content.
MEDIA: dict[str, tuple[Modality, str]] = {
    ".png": ("image", "a PNG picture"),
    ".jpg": ("image", "a JPEG picture"),
    ".jpeg": ("image", "a JPEG picture"),
    ".tif": ("image", "a TIFF picture"),
    ".tiff": ("image", "a TIFF picture"),
    ".webp": ("image", "a WebP picture"),
    ".bmp": ("image", "a BMP picture"),
    ".wav": ("audio", "a WAV recording"),
    ".mp3": ("audio", "an MP3 recording"),
    ".flac": ("audio", "a FLAC recording"),
    ".m4a": ("audio", "an MPEG-4 recording"),
    ".m4b": ("audio", "an MPEG-4 recording"),
    ".ogg": ("audio", "an Ogg recording"),
    ".oga": ("audio", "an Ogg recording"),
    ".opus": ("audio", "an Ogg recording"),
    ".mp4": ("video", "an MPEG-4 video"),
    ".m4v": ("video", "an MPEG-4 video"),
    ".mov": ("video", "a QuickTime video"),
    ".mkv": ("video", "a Matroska video"),
    ".webm": ("video", "a WebM video"),
    ".avi": ("video", "an AVI video"),
}
_NO_DOCUMENTS: dict[str, Modality] = {".gif": "image"}  # what can be asked with, though it is not taken in
_TIFF, _JPEG = (".tif", ".tiff"), (".jpg", ".jpeg")
# By what stands before the extension: the modality, and the extensions that mean it.
_SENSORS: dict[str, tuple[Modality, frozenset[str]]] = {
    ".depth": ("depth", frozenset({".png", *_TIFF, ".npy"})),
    ".thermal": ("thermal", frozenset({".png", *_JPEG, *_TIFF, ".npy"})),
    ".imu": ("imu", frozenset({".npy", ".csv"})),
}


def sensor(name: str) -> Modality | None:
    """What a sensor measured, where the name says so."""
    stem, extension = os.path.splitext(name.lower())
    modality, extensions = _SENSORS.get(os.path.splitext(stem)[1], (None, frozenset()))
    return modality if extension in extensions else None


def modality(name: str) -> Modality | None:
    """The modality of a medium of this name."""
    extension = os.path.splitext(name.lower())[1]
    known = MEDIA[extension][0] if extension in MEDIA else _NO_DOCUMENTS.get(extension)
    return sensor(name) or known
