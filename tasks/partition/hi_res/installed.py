"""What the route hi_res needs: its packages and its two models, looked at before any document and without loading them.

In: settings. Out: a line that names all that decides what the route finds, for the recipe.
"""

from __future__ import annotations

import importlib.util
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from tasks.errors import MissingCapabilityError
from tasks.model_files import checksum, remembered
from tasks.rows import content_id
from tasks.settings import HiResSettings

VERSION = 1  # part of the recipe: raise it when equal pages and models give other rows
BACKBONE = "resnet18"  # of all published table transformers
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_MODULES = ("unstructured_inference", "pdfminer", "pdf2image", "pi_heif", "matplotlib", "pandas", "rapidfuzz", "scipy")
_GET_PACKAGES = (
    "make setup-hi-res, or pip install 'bindery[hi-res]' && pip install --no-deps unstructured-inference==1.6.14"
)
_LAYOUT_REPOSITORY, _LAYOUT = "unstructuredio/yolo_x_layout", "yolox_l0.05.onnx"
_TABLE_REPOSITORY = "microsoft/table-transformer-structure-recognition"
_POINTER = b"version https://git-lfs"
_DIGITS = 16


def capability(settings: HiResSettings) -> str:
    """Versions and checksums, in one line. Raises MissingCapabilityError, with the way to get what is missing."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingCapabilityError(
            f"the route hi_res needs packages that are missing: {', '.join(missing)}", _GET_PACKAGES
        )
    layout, table = layout_model(settings), table_model(settings)
    packages = " ".join(f"{name} {version(name)}" for name in ("unstructured", "unstructured-inference"))
    return (
        f"bindery {VERSION} {packages} layout {_digest([layout])} tables {_digest([table / CONFIG, table / WEIGHTS])}"
    )


def layout_model(settings: HiResSettings) -> Path:
    """The layout model's file. Raises MissingCapabilityError."""
    path = Path(settings.layout_model or _LAYOUT)
    get = f"hf download {_LAYOUT_REPOSITORY} {_LAYOUT} --local-dir {shlex.quote(str(path.parent))}"
    _require(path, "layout model", get)
    return path


def table_model(settings: HiResSettings) -> Path:
    """The table model's folder. Raises MissingCapabilityError, for one that cannot be loaded, too."""
    folder = Path(settings.table_model or _TABLE_REPOSITORY)
    get = f"hf download {_TABLE_REPOSITORY} {CONFIG} {WEIGHTS} --local-dir {shlex.quote(str(folder))}"
    for name in (CONFIG, WEIGHTS):
        _require(folder / name, "table model", get)
    try:
        config: Any = orjson.loads((folder / CONFIG).read_bytes())
        kind = config["model_type"]
        backbone = config.get("backbone") if config.get("use_timm_backbone", True) else BACKBONE
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingCapabilityError(f"{folder / CONFIG} describes no model", get) from error
    if kind != "table-transformer" or backbone != BACKBONE:
        raise MissingCapabilityError(f"{folder} holds a model of kind {kind} on {backbone}, no table transformer", get)
    return folder


def _require(path: Path, what: str, get: str) -> None:
    """The hint is for a machine with a network: bindery itself asks no hub."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError as error:
        raise MissingCapabilityError(f"the route hi_res needs its {what}: {path}: {error.strerror}", get) from error
    if not start or start == _POINTER:
        raise MissingCapabilityError(f"{path} is no model but {'a Git LFS pointer' if start else 'empty'}", get)


def _digest(files: list[Path]) -> str:
    with remembered(files[0].parent) as known:
        return content_id([checksum(file, file.name, known) for file in files])[:_DIGITS]
