"""Weights: a checkpoint in, one safetensors file per tower out; and from those, towers that are ready to run.

Tensors pass through one at a time, so that a conversion needs little memory however large the model is.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import orjson

from tasks.embed.imagebind import checkpoint, installed
from tasks.embed.imagebind.checkpoint import Shapes
from tasks.embed.imagebind.config import TOWERS, ModelConfig
from tasks.embed.imagebind.installed import Installed, Precision, TowerFile
from tasks.errors import BinderyError, MissingCapabilityError, UsageError
from tasks.progress import report
from tasks.storage import sync_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tasks.embed.imagebind.model import Tower

_SPARE_BYTES = 64 * 2**20  # of the disk, beside the files


def expected(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Key and shape of everything in the published state dict, for a model of these sizes."""
    return {key: shape for tower in TOWERS for key, shape in _tower_keys(config, tower).items()}


def convert(pth: Path, models: Path, precision: Precision = "float32") -> Installed:
    """Make a checkpoint the installed model. The one that was there stays until this one is complete.

    A model of other sizes than the published one brings them along, see `checkpoint.sizes`.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"there is no precision {precision!r}", f"one of {', '.join(get_args(Precision))}")
    config = checkpoint.sizes(pth)
    wanted = expected(config)
    _require_space(wanted, models, precision)
    report("phase", label=f"checking {pth.name}")
    state = checkpoint.open_state(pth, wanted)
    with pth.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    name = f"{sha256[:12]}-{precision}-{secrets.token_hex(3)}"
    with installed.changing(models) as folder:
        installed.sweep_unfinished(folder)
        work = folder / f"{installed.TEMPORARY}{name}"
        work.mkdir()
        try:
            files = []
            for tower in TOWERS:
                report("phase", label=f"converting the {tower} tower")
                target = work / f"{tower}.safetensors"
                digest, size = _write(target, _tower_keys(config, tower), state, precision, pth)
                files.append(TowerFile(tower, f"{name}/{target.name}", digest, size))
            sync_folder(work)
            work.rename(folder / name)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        model = Installed(folder, config, sha256, precision, tuple(files), installed.LICENCE, pth.name, now)
        installed.record(model)
    return model


def load_tower(
    model: Installed,
    tower: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    plain: bool = False,
) -> Tower:
    """One tower, ready to run, in float32 unless told otherwise. On a CPU, weights that are stored so are mapped: they
    are read when they are used, and processes share them."""
    import torch
    from safetensors import SafetensorError, safe_open

    from tasks.embed.imagebind.model import build_tower

    path = model.path(tower)
    try:
        with safe_open(path, "pt") as file:
            return build_tower(model.config, tower, plain=plain).fill(
                lambda key, shape: file.get_tensor(key), device, dtype or torch.float32
            )
    except (SafetensorError, ValueError, OSError) as error:
        raise MissingCapabilityError(
            f"the {tower} tower of imagebind cannot be read ({path}): {error}", installed.HOW_TO_ADD
        ) from error


def _tower_keys(config: ModelConfig, tower: str) -> dict[str, tuple[int, ...]]:
    from tasks.embed.imagebind.model import build_tower, official

    return dict(official(build_tower(config, tower)).values())


def _require_space(wanted: Shapes, models: Path, precision: Precision) -> None:
    needed = sum(math.prod(shape) * _stored(key, shape, precision).itemsize for key, shape in wanted.items())
    folder = next(folder for folder in (models, *models.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise BinderyError(
            f"the converted model needs {needed / 1e9:.1f} GB in {models}, where {free / 1e9:.1f} GB are free",
            "make room, choose another folder with BINDERY_MODELS, or take --precision bfloat16",
            "storage",
        )


def _write(path: Path, keys: Shapes, state: Mapping[str, Tensor], precision: Precision, pth: Path) -> tuple[str, int]:
    """A durable safetensors file of these keys; its sha256 and size."""
    ordered = sorted(keys, key=lambda key: (-math.prod(keys[key]), key))  # scalars last: what is large is aligned
    types = {key: _stored(key, keys[key], precision) for key in ordered}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in ordered:
        start, end = end, end + math.prod(keys[key]) * types[key].itemsize
        header[key] = {
            "dtype": "BF16" if types[key].itemsize == 2 else "F32", "shape": keys[key], "data_offsets": [start, end]
        }  # fmt: skip
    text = orjson.dumps(header)
    text += b" " * (-(len(text) + 8) % 64)
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for part in itertools.chain([len(text).to_bytes(8, "little"), text], _contents(ordered, types, state, pth)):
            file.write(part)
            digest.update(part)
            size += len(part)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _contents(
    keys: Iterable[str], types: Mapping[str, torch.dtype], state: Mapping[str, Tensor], pth: Path
) -> Iterator[bytes | memoryview]:
    import torch

    for key in keys:
        value = state[key].detach()
        if key != checkpoint.MASK and not torch.isfinite(value).all():
            raise checkpoint.refused(pth, f"{key} has values that are not finite")
        yield value.to(types[key]).contiguous().reshape(-1).view(torch.uint8).numpy().data


def _stored(key: str, shape: tuple[int, ...], precision: Precision) -> torch.dtype:
    """Only the matrices of large products are ever narrow: the rest takes no room, and would lose more."""
    import torch

    large = len(shape) > 1 and (".blocks." in key or "token_embedding" in key)
    return torch.bfloat16 if large and precision == "bfloat16" else torch.float32
