"""A folder with a sentence-transformers model in; what it is, without loading it, and a fingerprint of its files, out.

Only what the model is made of counts: neither where the folder lies nor what else is in it. Weights are read as
safetensors and nothing else, because the other formats can hold code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tasks.errors import MissingCapabilityError
from tasks.model_files import checksum, remembered
from tasks.rows import content_id

_WHAT = frozenset({".json", ".jsonl", ".txt", ".model", ".safetensors", ".spm", ".vocab"})
_UNSAFE = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"})
_OWN = "sentence_transformers."


@dataclasses.dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk. `dimension` is None where its files do not say."""

    path: Path
    fingerprint: str
    dimension: int | None


def read(path: Path) -> ModelFolder:
    """Raises MissingCapabilityError for a folder that is none, or holds a model that cannot be loaded safely."""
    if not path.is_dir():
        raise MissingCapabilityError(
            f"there is no folder {path}",
            "give the folder of a sentence-transformers model; if it was moved, ingest with --space path:FOLDER: "
            "nothing is embedded anew",
        )
    modules = _modules(path)
    for kind, place in modules:
        if not kind.startswith(_OWN):
            raise _unusable(path, f"its module {kind} is code of its own", "which is never run: use another model")
        _require_safe(path, place)
    if not any(file.suffix == ".safetensors" for _, place in modules for file in _files(path / place)):
        raise _unusable(path, "it has no weights (*.safetensors)", "download the model with its weights")
    return ModelFolder(path, _fingerprint(path, modules), _dimension(path, modules))


def _unusable(path: Path, why: str, hint: str) -> MissingCapabilityError:
    return MissingCapabilityError(f"{path} is no sentence-transformers model that can be used: {why}", hint)


def _modules(path: Path) -> list[tuple[str, str]]:
    """The type and the subfolder of each module, in order."""
    if not (path / "modules.json").is_file():
        raise _unusable(path, "it has no modules.json", "give the folder that SentenceTransformer.save has written")
    try:
        modules = [(str(module["type"]), str(module["path"])) for module in _json(path / "modules.json")]
    except (TypeError, KeyError, ValueError, OSError) as error:
        raise _unusable(path, f"its modules.json cannot be read ({type(error).__name__})", "get it again") from None
    for _, place in modules:
        # One without files of its own, such as Normalize, need not be there.
        inside = (path / place).resolve().is_relative_to(path.resolve())
        if not inside or ((path / place).exists() and not (path / place).is_dir()):
            raise _unusable(path, f"its module folder {place!r} is not in it", "get it again")
    if not modules:
        raise _unusable(path, "it has no modules", "get it again")
    return modules


def _require_safe(path: Path, place: str) -> None:
    files = _files(path / place)
    unsafe = sorted(file.name for file in files if file.suffix in _UNSAFE)
    if unsafe and not any(file.suffix == ".safetensors" for file in files):
        where = f"{place}/{unsafe[0]}".lstrip("/")
        hint = "load and save it once with SentenceTransformer(...).save(FOLDER, safe_serialization=True)"
        raise _unusable(path, f"its weights {where} are in a format that can hold code", hint)


def _files(folder: Path) -> list[Path]:
    """The files directly in a folder; hidden ones are of tools."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _json(file: Path) -> Any:
    return orjson.loads(file.read_bytes())


def _fingerprint(path: Path, modules: list[tuple[str, str]]) -> str:
    places = sorted({place for _, place in modules} | {""})
    named = {
        file.relative_to(path).as_posix(): file
        for place in places
        for file in _files(path / place)
        if file.suffix in _WHAT
    }
    with remembered(path) as known:
        return content_id(sorted((name, checksum(file, name, known)) for name, file in named.items()))


def _dimension(path: Path, modules: list[tuple[str, str]]) -> int | None:
    """As the last module that has one says; None where modules are of kinds that we do not know."""
    found: int | None = None
    try:
        for kind, place in modules:
            name = kind.rpartition(".")[2]
            if name == "Pooling":
                found = _pooled(_json(path / place / "config.json"))
            elif name == "Dense":
                found = int(_json(path / place / "config.json")["out_features"])
            elif name not in ("Transformer", "Normalize", "Dropout", "LayerNorm"):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def _pooled(config: Mapping[str, Any]) -> int | None:
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    if width is None:
        return None
    modes = config.get("pooling_mode")
    if modes is None:  # as versions before 6 wrote it
        count = sum(bool(on) for name, on in config.items() if name.startswith("pooling_mode_"))
    else:
        count = 1 if isinstance(modes, str) else len(modes)
    return int(width) * max(1, count)
