"""Checkpoints: a .pth file in, its sizes and its state dict out, checked key by key; everything else is refused.

No code in it is ever run (`weights_only`), and its tensors are mapped, not read, until they are used.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tasks.embed.imagebind.config import HUGE, TOWERS, ModelConfig, TowerConfig
from tasks.errors import BinderyError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
MASK = "modality_preprocessors.text.mask"
_SHOWN = 3
_CODE = re.compile("unsupported (global|class)|was not an allowed global", re.I)
_NEW_PICKLE = "Unsupported operand 149"  # the frames of protocol 4 and later
# What the official constructor calls a tower's sizes, after the tower's name.
_SIZES = {"embed_dim": "width", "num_blocks": "blocks", "num_heads": "heads"}


def sizes(pth: Path) -> ModelConfig:
    """The published model's, unless a file beside it, named as it is but ending in .json, has those of another."""
    if pth.is_dir():
        raise UsageError(
            f"{pth} is a folder, not a checkpoint", f"give the path of a file, as {pth / 'imagebind_huge.pth'}"
        )
    if not pth.is_file():
        raise UsageError(f"there is no file {pth}", "give the path of imagebind_huge.pth")
    beside = _sizes_file(pth)
    return HUGE if beside is None else read_config(beside)


def _sizes_file(pth: Path) -> Path | None:
    beside = pth.with_suffix(".json")
    return beside if beside != pth and beside.is_file() else None


def read_config(path: Path) -> ModelConfig:
    """Sizes from a JSON file with arguments of the official constructor. Raises UsageError."""
    try:
        value = orjson.loads(path.read_bytes())
        towers = {
            tower: TowerConfig(**{ours: int(value[f"{tower}_{theirs}"]) for theirs, ours in _SIZES.items()})
            for tower in TOWERS
        }
        config = ModelConfig(dimension=int(value["out_embed_dim"]), **towers)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{path} does not hold the sizes of a model: {reason}", "it wants all of them") from error
    for tower in TOWERS:
        size = config.tower(tower)
        if min(config.dimension, size.width, size.blocks, size.heads) < 1 or size.width % size.heads:
            raise UsageError(f"{path}: the {tower} tower cannot have {size.heads} heads in a width of {size.width}")
    return config


def open_state(pth: Path, wanted: Shapes) -> Mapping[str, Tensor]:
    """The state dict of a checkpoint that has exactly these keys. Raises BinderyError, which says what is wrong."""
    state = _load(pth)
    _require_whole(pth)
    _check(state, wanted, pth)
    checked: Mapping[str, Tensor] = state
    return checked


def refused(pth: Path, flaw: str, hint: str = "add the published imagebind_huge.pth") -> BinderyError:
    return BinderyError(f"{pth} is not a checkpoint of ImageBind: {flaw}", hint, "checkpoint")


def _load(pth: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that it then refuses
            try:
                return torch.load(pth, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap can only be used" not in str(error):
                    raise
                return torch.load(pth, map_location="cpu", weights_only=True)  # the format before torch 1.6
    except (MemoryError, OSError):
        raise
    except Exception as error:  # what torch raises for a file that is no checkpoint has no common class
        raise refused(pth, _why_not_loaded(error)) from error


def _why_not_loaded(error: Exception) -> str:
    """Of what torch says only the reason: the rest is advice to load the file unsafely."""
    text = " ".join(str(error).split())
    if _CODE.search(text):
        return "it holds code, which is not run"
    if _NEW_PICKLE in text:
        return "it is pickled in a way that is not loaded safely, and may hold code, which is not run"
    reason = text.rpartition("WeightsUnpickler error: ")[2].partition(" Check the documentation")[0]
    return f"it is damaged, cut off, or something else ({type(error).__name__}: {reason[:100]})"


def _require_whole(pth: Path) -> None:
    """The archive's own checksums, which torch does not look at: a flaw in a tensor would be a flaw in all vectors."""
    if zipfile.is_zipfile(pth):
        with zipfile.ZipFile(pth) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise refused(pth, f"it is damaged, {damaged} in it fails its checksum", "get the file again")


def _check(state: object, wanted: Shapes, pth: Path) -> None:
    import torch

    if not isinstance(state, Mapping):
        raise refused(pth, f"it holds a {type(state).__name__} and not a state dict")
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise refused(pth, f"it is not a state dict of tensors: {key!r} is a {type(value).__name__}")
    flaws = [
        _listed("missing", [key for key in wanted if key not in state]),
        _listed("unexpected", [str(key) for key in state if key not in wanted]),
        _listed("of another shape", _differing_shapes(state, wanted)),
        _listed("not plain floating-point tensors", _differing_kinds(state, wanted)),
    ]
    if any(flaws):
        beside, name = _sizes_file(pth), pth.with_suffix(".json").name
        way = (
            f"give the sizes of another model in {name} beside it" if beside is None else f"correct the sizes in {name}"
        )
        hint = f"add the published imagebind_huge.pth, or {way}"
        raise refused(pth, f"of {len(wanted)} keys, " + "; ".join(flaw for flaw in flaws if flaw), hint)
    if not torch.equal(state[MASK].float(), torch.full(wanted[MASK], float("-inf")).triu(1)):
        raise refused(pth, f"{MASK} is not the mask of a causal text encoder")


def _differing_shapes(state: Mapping[str, Tensor], wanted: Shapes) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} and not {shape}"
        for key, shape in wanted.items()
        if key in state and tuple(state[key].shape) != shape
    ]


def _differing_kinds(state: Mapping[str, Tensor], wanted: Shapes) -> list[str]:
    import torch

    def plain(value: Tensor) -> bool:
        fine = value.dtype in (torch.float32, torch.bfloat16, torch.float16)
        return fine and value.layout == torch.strided and value.device.type == "cpu"

    found = {key: state[key] for key in wanted if key in state}
    return [f"{key} {str(value.dtype).removeprefix('torch.')}" for key, value in found.items() if not plain(value)]


def _listed(what: str, keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{more})" if keys else ""
