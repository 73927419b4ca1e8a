"""Checkpoints of every kind into an installed model, or refused with the model that was there left as it was."""

from __future__ import annotations

import collections
import hashlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tasks import model_files
from tasks.embed.imagebind import checkpoint, installed, weights
from tasks.embed.imagebind.config import HUGE, TOWERS
from tasks.embed.imagebind.model import build_tower, official
from tasks.errors import BinderyError, MissingCapabilityError, UsageError
from tests.embed.imagebind.tiny import TINY, constructor, install_tiny, state_dict, tensor, write_tiny_checkpoint

torch.set_num_threads(2)
FC1 = "modality_trunks.audio.blocks.1.mlp.fc1.weight"
HEAD = "modality_heads.imu.3.weight"
MASK = "modality_preprocessors.text.mask"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def tiny_pth(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "checkpoint")


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and its checksum."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_installed(models: Path, tiny_pth: Path) -> None:
    assert installed.find(models) is None
    model = weights.convert(tiny_pth, models)
    assert installed.find(models) == installed.require(models) == model
    assert model.config == TINY and model.precision == "float32" and model.source == "tiny.pth"
    assert model.sha256 == hashlib.sha256(tiny_pth.read_bytes()).hexdigest()
    assert model.licence == "CC BY-NC-SA 4.0" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", model.added)
    assert {file.tower: file.sha256 for file in model.files} == {
        tower: hashlib.sha256(model.path(tower).read_bytes()).hexdigest() for tower in TOWERS
    }
    assert model.bytes == sum(model.path(tower).stat().st_size for tower in TOWERS)
    wanted = state_dict()
    found = {key: value for tower in TOWERS for key, value in load_file(model.path(tower)).items()}
    assert found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert {path.name for path in model.folder.iterdir()} == {"model.json", ".lock", model.path("imu").parent.name}
    assert len({model, installed.require(models)}) == 1  # can be the key of a cache


@pytest.mark.parametrize("tower", TOWERS)
def test_a_tower_has_its_weights_bit_by_bit(models: Path, tower: str) -> None:
    loaded = weights.load_tower(install_tiny(models), tower)
    made = build_tower(TINY, tower).fill(tensor)
    wanted = dict(made.named_buffers()) | dict(made.named_parameters())
    found = dict(loaded.named_buffers()) | dict(loaded.named_parameters())
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert loaded.scale == made.scale and not any(value.requires_grad for value in found.values())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads the memory map of Linux")
def test_weights_are_mapped(models: Path) -> None:
    model = install_tiny(models)
    tower = weights.load_tower(model, "text")
    maps = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [
        tuple(int(end, 16) for end in fields[0].split("-"))
        for fields in maps
        if len(fields) == 6 and fields[5] == str(model.path("text"))
    ]
    assert spans
    for name, value in tower.state_dict().items():
        assert any(low <= value.data_ptr() < high for low, high in spans), name
    assert not any(str(model.path("vision")) in fields[-1] for fields in maps)  # only what is needed


def test_bfloat16(models: Path) -> None:
    full = install_tiny(models)
    exact = {tower: weights.load_tower(full, tower) for tower in TOWERS}
    half = install_tiny(models, "bfloat16")
    assert half.precision == "bfloat16" and half.bytes < 0.55 * full.bytes and half.sha256 == full.sha256
    for tower in TOWERS:
        stored = load_file(half.path(tower))
        for name, (key, _) in official(exact[tower]).items():
            wide = exact[tower].state_dict()[name]
            narrow = (".blocks." in key and wide.dim() > 1) or "token_embedding" in key
            assert torch.equal(stored[key], wide.to(torch.bfloat16) if narrow else wide), key
        loaded = weights.load_tower(half, tower, dtype=torch.bfloat16)
        kinds = collections.Counter(value.dtype for value in loaded.parameters())
        assert set(kinds) == {torch.bfloat16, torch.float32} and loaded.norm.weight.dtype == torch.float32
        widened = {value.dtype for value in weights.load_tower(half, tower).parameters()}
        assert widened == {torch.float32} and loaded.scale == exact[tower].scale


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_checkpoint_of_half_precision(models: Path, tiny_pth: Path, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in state_dict().items()}
    torch.save(state, tiny_pth)
    model = weights.convert(tiny_pth, models)
    assert torch.equal(load_file(model.path("audio"))[FC1], state[FC1].float())


def test_a_checkpoint_in_the_format_before_torch_1_6(models: Path, tiny_pth: Path) -> None:
    torch.save(collections.OrderedDict(state_dict()), tiny_pth, _use_new_zipfile_serialization=False)
    model = weights.convert(tiny_pth, models)
    assert torch.equal(load_file(model.path("audio"))[FC1], state_dict()[FC1])


class Payload:
    """Pickles as a call of a function, as a malicious checkpoint would."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


class Command:
    """Of a module that torch knows to be dangerous, which it says in other words."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("false",)


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: {name: value for name, value in state.items() if name != key}


def having(key: str, change: Callable[[Tensor], object]) -> Callable[[dict[str, Any]], object]:
    return lambda state: {**state, key: change(state[key]) if key in state else change(torch.zeros(1))}


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_fill(0, torch.tensor([0]), value)


def kept_only(prefix: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: {name: value for name, value in state.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(FC1), rf"of 223 keys, 1 missing \({FC1}\)"),
        (having("extra", lambda value: value), r"of 223 keys, 1 unexpected \(extra\)"),
        (having(FC1, lambda value: value.T), rf"1 of another shape \({FC1} \(24, 96\) and not \(96, 24\)\)"),
        (having(FC1, lambda value: value.int()), rf"1 not plain floating-point tensors \({FC1} int32\)"),
        (having(FC1, lambda value: value.to_sparse()), rf"1 not plain floating-point tensors \({FC1} float32\)"),
        (having(HEAD, with_value(float("nan"))), rf"{HEAD} has values that are not finite"),
        (having(HEAD, with_value(float("inf"))), rf"{HEAD} has values that are not finite"),
        (having(MASK, torch.zeros_like), rf"{MASK} is not the mask of a causal text encoder"),
        (having(MASK, lambda value: value.T), rf"{MASK} is not the mask"),
        (kept_only("modality_heads"), r"of 223 keys, 205 missing \(.*, .*, .* and 202 more\)$"),
        (lambda state: {"state_dict": state}, "it is not a state dict of tensors: 'state_dict' is a dict"),
        (lambda state: list(state.values()), "it holds a list and not a state dict"),
        (lambda state: {}, "of 223 keys, 223 missing"),
    ],
)
def test_checkpoints_of_something_else(
    models: Path, tiny_pth: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    install_tiny(models)
    before = tree(models)
    torch.save(change(dict(state_dict())), tiny_pth)
    with pytest.raises(BinderyError, match=message) as caught:
        weights.convert(tiny_pth, models)
    assert caught.value.code == "checkpoint" and str(tiny_pth) in caught.value.message and caught.value.hint
    assert "give the sizes" not in caught.value.hint  # they are there
    assert tree(models) == before


def test_code_in_a_checkpoint_is_not_run(models: Path, tiny_pth: Path, tmp_path: Path) -> None:
    for legacy in (False, True):
        state = {**state_dict(), "payload": Payload(tmp_path / "was-run")}
        torch.save(state, tiny_pth, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(BinderyError, match=r"it holds code, which is not run$"):
            weights.convert(tiny_pth, models)
        torch.save({"command": Command()}, tmp_path / "command.pth", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(BinderyError, match=r"it holds code, which is not run$"):
            weights.convert(tmp_path / "command.pth", models)
        (tmp_path / "new.pth").write_bytes(pickle.dumps({"command": Command()}, protocol=4))
        with warnings.catch_warnings(), pytest.raises(BinderyError, match=r"may hold code, which is not run$"):
            warnings.simplefilter("error")
            weights.convert(tmp_path / "new.pth", models)
    assert not (tmp_path / "was-run").exists()
    torch.load(tiny_pth, weights_only=False)  # the payload works: it is the loading that is safe
    assert (tmp_path / "was-run").exists()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip_in_the_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "it is damaged, cut off, or something else"),
        (lambda data: b"", "it is damaged, cut off, or something else"),
        (lambda data: b"<html>not found</html>", "it is damaged, cut off, or something else"),
        (flip_in_the_middle, "it is damaged, .* in it fails its checksum"),
    ],
)
def test_damaged_checkpoints(models: Path, tiny_pth: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    tiny_pth.write_bytes(spoil(tiny_pth.read_bytes()))
    with pytest.raises(BinderyError, match=message) as caught:
        weights.convert(tiny_pth, models)
    assert caught.value.code == "checkpoint" and installed.find(models) is None


def test_a_truncated_checkpoint_of_the_old_format(models: Path, tiny_pth: Path) -> None:
    torch.save(state_dict(), tiny_pth, _use_new_zipfile_serialization=False)
    tiny_pth.write_bytes(cut(tiny_pth.read_bytes()))
    with pytest.raises(BinderyError, match="it is damaged, cut off, or something else"):
        weights.convert(tiny_pth, models)


def test_sizes_of_another_model(tmp_path: Path, tiny_pth: Path, models: Path) -> None:
    assert checkpoint.sizes(tiny_pth) == TINY
    beside = tiny_pth.with_suffix(".json")
    for change, message in (
        ({"audio_num_heads": 5}, "the audio tower cannot have 5 heads in a width of 24"),
        ({"imu_num_blocks": 0}, "the imu tower cannot have"),
        ({"vision_embed_dim": "wide"}, "does not hold the sizes of a model: invalid literal"),
    ):
        beside.write_bytes(orjson.dumps({**constructor(), **change}))
        with pytest.raises(UsageError, match=message):
            weights.convert(tiny_pth, models)
    beside.write_bytes(orjson.dumps({name: size for name, size in constructor().items() if name != "text_num_heads"}))
    with pytest.raises(UsageError, match="'text_num_heads' is missing"):
        weights.convert(tiny_pth, models)
    beside.unlink()
    assert checkpoint.sizes(tiny_pth) == HUGE
    with pytest.raises(BinderyError, match=r"of 1311 keys, 1088 missing .* 217 of another shape") as caught:
        weights.convert(tiny_pth, models)
    assert "tiny.json" in caught.value.hint
    with pytest.raises(UsageError, match="there is no file"):
        weights.convert(tmp_path / "nowhere.pth", models)
    with pytest.raises(UsageError, match="there is no precision 'int4'"):
        weights.convert(tiny_pth, models, "int4")  # type: ignore[arg-type]
    assert not models.exists()


def test_the_new_model_replaces_the_old(models: Path, tiny_pth: Path) -> None:
    old = install_tiny(models)
    reading = weights.load_tower(old, "imu")
    x = torch.zeros(1, 6, 2000)
    before = reading(x)
    (models / "imagebind" / "notes").mkdir()
    (models / "imagebind" / ".tmp-of-a-killed-process").mkdir()
    state = state_dict()
    torch.save({**state, HEAD: state[HEAD] * 2}, tiny_pth)
    new = weights.convert(tiny_pth, models)
    assert new.sha256 != old.sha256 and installed.require(models) == new
    folders = {path.name for path in new.folder.iterdir() if path.is_dir()}
    assert folders == {"notes", new.path("imu").parent.name}
    assert torch.equal(reading(x), before)  # who has the old one open keeps it
    np.testing.assert_allclose(weights.load_tower(new, "imu")(x), before * 2, rtol=1e-5)
    with pytest.raises(MissingCapabilityError, match="the imu tower of imagebind is missing or damaged"):
        old.path("imu")


def test_a_conversion_that_ends_early_changes_nothing(
    models: Path, tiny_pth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tiny(models, "bfloat16")
    before = tree(models)
    write, calls = weights._write, []

    def stop_at_the_third(*arguments: Any) -> Any:
        calls.append(arguments[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(weights, "_write", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        weights.convert(tiny_pth, models)
    assert len(calls) == 3 and tree(models) == before
    assert not list((models / "imagebind").glob(".tmp-*"))


def test_a_conversion_that_is_killed_changes_nothing(models: Path, tiny_pth: Path) -> None:
    install_tiny(models)
    before = tree(models)
    script = (
        "import os, sys; from pathlib import Path; from tasks.embed.imagebind import installed, weights\n"
        "installed.record = lambda model: os.kill(os.getpid(), 9)\n"
        "weights.convert(Path(sys.argv[1]), Path(sys.argv[2]), 'bfloat16')"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script, str(tiny_pth), str(models)], cwd=root, check=False)
    assert done.returncode == -9
    left = tree(models)
    assert {name: left[name] for name in before} == before and len(left) == len(before) + len(TOWERS)
    model = weights.convert(tiny_pth, models)
    assert installed.require(models) == model and len(tree(models)) == len(TOWERS) + 2


def test_one_change_at_a_time(models: Path, tiny_pth: Path) -> None:
    with installed.changing(models):
        for attempt in (lambda: weights.convert(tiny_pth, models), lambda: installed.remove(models)):
            with pytest.raises(BinderyError, match="another bindery is installing or removing") as caught:
                attempt()
            assert caught.value.code == "busy"
    assert weights.convert(tiny_pth, models) == installed.require(models)


def test_removing(models: Path) -> None:
    assert not installed.remove(models) and not models.exists()
    model = install_tiny(models)
    assert installed.remove(models) and installed.find(models) is None
    assert [path.name for path in model.folder.iterdir()] == [".lock"]
    assert not installed.remove(models)


def test_what_is_not_whole_is_told(models: Path) -> None:
    with pytest.raises(MissingCapabilityError, match=f"imagebind is not installed in {models}") as caught:
        installed.require(models)
    assert caught.value.hint == "bindery models add imagebind PATH.pth"
    model = install_tiny(models)
    path = model.path("depth")
    whole = path.read_bytes()
    path.write_bytes(b"\xff" * len(whole))
    with pytest.raises(MissingCapabilityError, match="the depth tower of imagebind cannot be read"):
        weights.load_tower(model, "depth")
    path.write_bytes(whole[:-1])
    with pytest.raises(MissingCapabilityError, match="the depth tower of imagebind is missing or damaged") as caught:
        installed.require(models)
    assert str(path) in caught.value.message
    path.unlink()
    with pytest.raises(MissingCapabilityError, match="the depth tower of imagebind is missing or damaged"):
        weights.load_tower(model, "depth")
    described = model.folder / "model.json"
    value = orjson.loads(described.read_bytes())
    for spoilt in (b"{", b"[]", orjson.dumps({**value, "files": []}), orjson.dumps({**value, "format": 9})):
        described.write_bytes(spoilt)
        with pytest.raises(MissingCapabilityError, match=r"the installed model cannot be read: .*model\.json"):
            installed.find(models)


def test_a_full_disk_is_told_before_the_work(models: Path, tiny_pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tiny_pth)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=70 * 2**20))
    with pytest.raises(
        BinderyError, match=r"the converted model needs 0\.0 GB in .*, where 0\.1 GB are free"
    ) as caught:
        weights.convert(tiny_pth, models)
    assert caught.value.code == "storage" and not models.exists()


def test_where_models_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert model_files.root(None) == model_files.DEFAULT_ROOT
    assert model_files.DEFAULT_ROOT.parts[-2:] == ("bindery", "models") and model_files.DEFAULT_ROOT.is_absolute()
    assert model_files.root(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_files.root("~/models") == tmp_path / "models"
    monkeypatch.chdir(tmp_path)
    assert model_files.root("models") == Path(os.getcwd()) / "models"
