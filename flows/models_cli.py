"""`bindery models`: which models are installed, and how those that are not come here."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from flows import terminal
from flows.search_options import Json
from tasks import model_files
from tasks.embed.imagebind import fetch as download
from tasks.embed.imagebind import installed
from tasks.errors import BinderyError, MissingCapabilityError, UsageError

if TYPE_CHECKING:
    from tasks.embed.imagebind.installed import Installed

Name = Literal["imagebind"]
Precision = Annotated[
    Literal["float32", "bfloat16"], Parameter(help="Of the weights on disk; bfloat16 takes half the room.")
]
Models = Annotated[
    str | None, Parameter(help="Folder of installed models. [default: BINDERY_MODELS, or the user's data folder]")
]

models_app = App(
    name="models", help="Models: what is installed, and getting what is not.", result_action="return_value"
)


@models_app.command
def add(name: Name, path: Path, *, precision: Precision = "float32", models: Models = None, json: Json = False) -> int:
    """Install a model from a checkpoint file, which is checked key by key; no code in it is run.

    Parameters
    ----------
    name
        The model.
    path
        The file, as imagebind_huge.pth. A model of other sizes has them in a file beside it that ends in .json.
    """
    from tasks.embed.imagebind.weights import convert

    with terminal.progress():
        model = convert(path, _root(models), precision)
    _show(model, json)
    return 0


@models_app.command
def fetch(
    name: Name,
    *,
    accept_license: Annotated[bool, Parameter(negative=(), help="Accept the licence without being asked.")] = False,
    url: Annotated[str, Parameter(help="Where the checkpoint is.")] = download.URL,
    precision: Precision = "float32",
    force: Annotated[bool, Parameter(negative=(), help="Also where the model is installed already.")] = False,
    keep: Annotated[bool, Parameter(negative=(), help="Keep the downloaded file after it was added.")] = False,
    models: Models = None,
    json: Json = False,
) -> int:
    """Download a model and install it, once its licence was accepted. A download that was stopped goes on.

    Parameters
    ----------
    name
        The model.
    """
    folder = _root(models)
    if not force and (there := _whole(folder)) is not None:
        terminal.note(f"{name} is installed already, in {there.folder}; --force downloads it again")
        _show(there, json)
        return 0
    for line in download.NOTICE:
        terminal.note(line)
    if not accept_license and not _agreed():
        raise UsageError("the licence was not accepted, so nothing was downloaded", "--accept-license accepts it")
    from tasks.embed.imagebind.weights import convert

    with terminal.progress():
        path = download.fetch(url, folder)
        try:
            model = convert(path, folder, precision)
        except BinderyError as error:
            if error.code == "checkpoint":  # it will not get better
                download.discard(folder)
            raise
    if not keep:
        download.discard(folder)
    _show(model, json)
    return 0


@models_app.command(name="list")
def list_models(*, models: Models = None, json: Json = False) -> int:
    """The models that bindery can use: what is installed, and how to get what is not."""
    found = [_minilm(), _imagebind(_root(models))]
    if json:
        terminal.print_json({"models": found})
        return 0
    for model in found:
        _print(model)
    return 0


@models_app.command
def remove(name: Name, *, models: Models = None, json: Json = False) -> int:
    """Take an installed model away. The index keeps what was embedded with it.

    Parameters
    ----------
    name
        The model.
    """
    folder = _root(models)
    existed = installed.remove(folder)
    if json:
        terminal.print_json({"removed": existed})
    else:
        terminal.note(f"{name} is removed from {folder}" if existed else f"{name} is not installed in {folder}")
    return 0


def _root(models: str | None) -> Path:
    from tasks.settings import load_settings

    return model_files.root(load_settings(models=models).models)


def _whole(folder: Path) -> Installed | None:
    try:
        return installed.require(folder)
    except MissingCapabilityError:
        return None


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    terminal.note("Do you accept this licence? Type yes:")
    return sys.stdin.readline().strip().lower() == "yes"


def _show(model: Installed, json: bool) -> None:
    found = _described(model)
    if json:
        terminal.print_json({"model": found})
    else:
        _print(found)


def _imagebind(folder: Path) -> dict[str, Any]:
    """What `list` says of ImageBind: where files are missing or damaged, it is not installed and `flaw` says why."""
    missing: dict[str, Any] = {"name": installed.NAME, "installed": False, "licence": installed.LICENCE}
    missing |= {
        "folder": str(folder / installed.NAME),
        "get": f"{installed.HOW_TO_ADD}, or bindery models fetch imagebind",
    }
    try:
        return missing if installed.find(folder) is None else _described(installed.require(folder))
    except MissingCapabilityError as error:
        return {**missing, "flaw": error.message}


def _described(model: Installed) -> dict[str, Any]:
    return {
        "name": installed.NAME,
        "installed": True,
        "licence": model.licence,
        "folder": str(model.folder),
        "sha256": model.sha256,
        "precision": model.precision,
        "bytes": model.bytes,
        "towers": [file.tower for file in model.files],
        "dimension": model.config.dimension,
        "source": model.source,
        "added": model.added,
    }


def _minilm() -> dict[str, Any]:
    """It comes with the set-up, as a package that holds its files."""
    from tasks.embed import minilm

    found: dict[str, Any] = {"name": minilm.MiniLM.name, "installed": True, "built_in": True, "licence": "Apache-2.0"}
    try:
        minilm.open_space()
    except MissingCapabilityError as error:
        return {**found, "installed": False, "get": error.hint}
    spec = importlib.util.find_spec(minilm.PACKAGE)
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return {
        **found,
        "folder": str(folder),
        "sha256": minilm.WEIGHTS_SHA256,
        "precision": "float32",
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "towers": ["text"],
        "dimension": minilm.MiniLM.dimension,
    }


def _print(model: Mapping[str, Any]) -> None:
    if not model["installed"]:
        print(f"{model['name']}  not installed  ({model['licence']})")
        if "flaw" in model:
            print(f"  {model['flaw']}")
        print(f"  → {model['get']}")
        return
    size, towers = f"{model['bytes'] / 1e6:,.0f} MB", ", ".join(model["towers"])
    built_in = ", built in" if model.get("built_in") else ""
    print(f"{model['name']}  {model['sha256'][:12]}, {model['precision']}, {size}  ({model['licence']}{built_in})")
    print(f"  {towers}; {model['dimension']} dimensions")
    print(f"  {model['folder']}")
