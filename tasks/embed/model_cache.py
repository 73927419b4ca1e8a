"""The converted model on disk: built once per machine from verified weights, then mapped by every process.

`$XDG_CACHE_HOME/bindery/models/<name>/` holds `model.onnx` and its `weights.bin`. The folder appears whole, by a
rename. Where the cache cannot be written, the process has a temporary copy of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.errors import MissingCapabilityError
from tasks.model_files import cache_root

Convert = Callable[[Path], Any]  # weights file → onnx.ModelProto


def open_session(name: str, weights: Path, sha256: str, convert: Convert) -> Any:
    """An onnxruntime session over the converted model of this name (which must change with the conversion)."""
    folder = cache_root() / name
    if (folder / "model.onnx").is_file():
        try:
            return _session(folder)
        except Exception:  # noqa: BLE001  onnxruntime's errors have no common class; a damaged file is rebuilt below
            shutil.rmtree(folder, ignore_errors=True)
    verify_file(weights, sha256)
    built = _build(folder.parent, convert(weights))
    with contextlib.suppress(OSError):  # another process was first, or the cache is not writable: use our own copy
        built.rename(folder)
        return _session(folder)
    atexit.register(shutil.rmtree, built, ignore_errors=True)
    return _session(built)


def verify_file(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise MissingCapabilityError(
            f"{path} is not the file it should be (sha256 {found[:12]}…, not {sha256[:12]}…)", "install it again"
        )


def _build(parent: Path, model: Any) -> Path:
    import onnx

    try:
        parent.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(dir=parent, prefix=".tmp-"))
    except OSError:
        target = Path(tempfile.mkdtemp(prefix="bindery-model-"))
    # weights beside the graph can be mapped: measured 62 ms to load and 99 MB against 150 ms and 184 MB in one file
    onnx.save(model, target / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=1024)
    for name in ("weights.bin", "model.onnx"):
        with (target / name).open("rb") as file:
            os.fsync(file.fileno())
    return target


def _session(folder: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # a number, since 0 pins threads to cores, which containers refuse
    options.intra_op_num_threads = _cores()
    # waiting threads sleep: partition processes want the cores meanwhile, and a quiet machine is no slower
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # the graph is already made of fused operators
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
