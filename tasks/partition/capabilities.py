"""The libraries that partitioning would use, by version: read from package metadata, nothing heavy is imported."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = {
    "pdf": "pypdfium2",
    "unstructured": "unstructured",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "xlsx": "openpyxl",
    "pictures": "pillow",
    "audio": "soundfile",
    "video": "av",
    "encodings": "charset-normalizer",
    "html": "lxml",
    "markdown": "markdown",
    "ocr": "rapidocr",
}
_SPACY_MODEL = "en_core_web_sm"


def resolve_capabilities() -> dict[str, str]:
    """What is installed, as `name version` by purpose; a purpose whose package is absent is left out."""
    found = {}
    for purpose, package in _PACKAGES.items():
        try:
            found[purpose] = f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    found["sentences"] = "bindery rules 2"
    if importlib.util.find_spec(_SPACY_MODEL) is not None:
        found["sentences"] = f"spacy {_SPACY_MODEL} {version(_SPACY_MODEL.replace('_', '-'))}"
    return found
