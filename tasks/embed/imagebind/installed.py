"""What is installed of ImageBind: `<models>/imagebind/model.json` in, `Installed` out; and taking it away again.

`model.json` names the files of one conversion, which are in a folder of their own. It is replaced by a rename, so that
readers see the old model or the new one, whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from tasks.embed.imagebind.config import TOWERS, ModelConfig
from tasks.errors import BinderyError, MissingCapabilityError
from tasks.storage import sync_folder

Precision = Literal["float32", "bfloat16"]
NAME = "imagebind"
LICENCE = "CC BY-NC-SA 4.0"
LICENCE_URL = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
HOW_TO_ADD = "bindery models add imagebind PATH.pth"
TEMPORARY = ".tmp-"
_FORMAT = 1
_CONVERSION = re.compile(rf"[0-9a-f]{{12}}-({'|'.join(get_args(Precision))})-[0-9a-f]{{6}}")


@dataclasses.dataclass(frozen=True, slots=True)
class TowerFile:
    """One tower's weights: a safetensors file, by its path below the model's folder."""

    tower: str
    path: str
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Installed:
    """A converted checkpoint. `sha256` is that of the .pth file, `source` its name, `added` when it was converted."""

    folder: Path
    config: ModelConfig
    sha256: str
    precision: Precision
    files: tuple[TowerFile, ...]
    licence: str
    source: str
    added: str

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def path(self, tower: str) -> Path:
        """The file of a tower. Raises MissingCapabilityError where it is not what was installed."""
        file = next(file for file in self.files if file.tower == tower)
        path = self.folder / file.path
        try:
            whole = path.stat().st_size == file.bytes
        except OSError:
            whole = False
        if not whole:
            raise MissingCapabilityError(f"the {tower} tower of imagebind is missing or damaged ({path})", HOW_TO_ADD)
        return path

    def to_json(self) -> dict[str, Any]:
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "folder"}
        files = [dataclasses.asdict(file) for file in self.files]
        return {"format": _FORMAT, **found, "config": self.config.to_json(), "files": files}


def find(models: Path) -> Installed | None:
    """The installed model, if there is one. Raises MissingCapabilityError where its description cannot be read."""
    path = models / NAME / "model.json"
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise _unreadable(path, error) from error
    try:
        if value["format"] != _FORMAT:
            raise ValueError(f"its format is {value['format']}, not {_FORMAT}")
        return Installed(
            folder=path.parent,
            config=ModelConfig.from_json(value["config"]),
            files=_files(value["files"]),
            **{name: str(value[name]) for name in ("sha256", "precision", "licence", "source", "added")},  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def require(models: Path) -> Installed:
    """The installed model. Raises MissingCapabilityError, with how to get it, where there is none or parts are gone."""
    found = find(models)
    if found is None:
        raise MissingCapabilityError(f"the model imagebind is not installed in {models}", HOW_TO_ADD)
    for tower in TOWERS:
        found.path(tower)
    return found


def record(model: Installed) -> None:
    """Make this the installed model, durably, and take away what earlier ones left; called while holding `changing`."""
    path, temporary = model.folder / "model.json", model.folder / f"{TEMPORARY}model.json"
    with temporary.open("wb") as file:
        file.write(orjson.dumps(model.to_json(), option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(model.folder)
    _sweep(model.folder, {Path(file.path).parts[0] for file in model.files})


def remove(models: Path) -> bool:
    """Take the installed model away; says whether there was one."""
    folder = models / NAME
    if not folder.is_dir():
        return False
    with changing(models):
        existed = (folder / "model.json").exists()
        (folder / "model.json").unlink(missing_ok=True)
        _sweep(folder, set())
    return existed


@contextlib.contextmanager
def changing(models: Path) -> Iterator[Path]:
    """Be the only process that changes the model in the block; gives its folder. Another one fails at once."""
    folder = models / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another bindery is installing or removing the model in {folder}"
            raise BinderyError(message, "wait until it has ended", "busy") from error
        yield folder


def sweep_unfinished(folder: Path) -> None:
    """Take away what conversions that were killed left. Call it while holding `changing`."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sweep(folder: Path, keep: set[str]) -> None:
    """Only what a conversion made: somebody may keep files of their own there."""
    sweep_unfinished(folder)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in keep and _CONVERSION.fullmatch(path.name):
            shutil.rmtree(path)


def _files(values: list[dict[str, Any]]) -> tuple[TowerFile, ...]:
    files = tuple(TowerFile(**value) for value in values)
    if sorted(file.tower for file in files) != sorted(TOWERS):
        raise ValueError("it does not name a file for each tower")
    return files


def _unreadable(path: Path, error: Exception) -> MissingCapabilityError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return MissingCapabilityError(f"the installed model cannot be read: {path}: {reason}", HOW_TO_ADD)
