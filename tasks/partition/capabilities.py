"""What partitioning would use, by version: read from package metadata, nothing heavy is imported.

What the settings ask for beyond the default is looked at here, once and before any document: a missing program, package
or model ends a command with one line.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version

from tasks.settings import PartitionSettings

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


def resolve_capabilities(settings: PartitionSettings | None = None) -> dict[str, str]:
    """What is here, as `name version` by purpose; a purpose whose package is absent is left out.

    Raises MissingCapabilityError for what the settings ask for by name and is not here.
    """
    settings = settings or PartitionSettings()
    found = {}
    for purpose, package in _PACKAGES.items():
        try:
            found[purpose] = f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    found["sentences"] = "bindery rules 2"
    if importlib.util.find_spec(_SPACY_MODEL) is not None:
        found["sentences"] = f"spacy {_SPACY_MODEL} {version(_SPACY_MODEL.replace('_', '-'))}"
    if settings.ocr and settings.ocr_engine == "tesseract":
        from tasks.partition import tesseract

        found["ocr"] = tesseract.capability(settings.ocr_languages)
    if settings.route == "hi_res":
        from tasks.partition.hi_res import installed

        found["hi_res"] = installed.capability(settings.hi_res)
    return found
