"""The towers against the reference implementation's outputs for the same weights, and against each other."""

from __future__ import annotations

import functools
import gzip
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.embed.imagebind.config import HUGE, TOWERS
from tasks.embed.imagebind.model import Tower, build_tower, finish, official, trim
from tasks.embed.imagebind.weights import expected
from tests.embed.imagebind.tiny import TINY, tensor, unit

torch.set_num_threads(2)
DATA = Path(__file__).parents[2] / "data" / "imagebind"
SHARED = Path(__file__).parents[4] / "shared" / "golden" / "imagebind"
TOLERANCE = 6e-7  # max|difference| / norm; a wrong epsilon of a layer norm gives 1e-6 and more
EOS = 49_407
# case → tower, shape of the seeded input
CASES: dict[str, tuple[str, tuple[int, ...]]] = {
    "image": ("vision", (2, 3, 224, 224)),
    "video": ("vision", (1, 2, 3, 2, 224, 224)),
    "text": ("text", ()),
    "audio": ("audio", (2, 3, 1, 128, 204)),
    "depth": ("depth", (2, 1, 224, 224)),
    "thermal": ("thermal", (2, 1, 224, 224)),
    "imu": ("imu", (2, 6, 2000)),
    "image280": ("vision", (1, 3, 280, 280)),
}


@functools.cache
def golden() -> Mapping[str, np.ndarray]:
    with np.load(DATA / "model_tiny.npz") as file:
        return dict(file)


@functools.cache
def tiny(name: str, plain: bool = False, dtype: torch.dtype = torch.float32) -> Tower:
    return build_tower(TINY, name, plain=plain).fill(tensor, dtype=dtype)


def inputs(case: str) -> tuple[Tensor, int]:
    """The clips of a golden case, one per row, and how many items they are."""
    _, shape = CASES[case]
    if case == "text":
        x = torch.from_numpy(golden()["text/input_tokens"])
        return x, len(x)
    x = torch.from_numpy(unit(f"input:{case}", shape))
    return (x.flatten(0, 1) if case in ("audio", "video") else x), len(x)


def outputs(tower: Tower, head: Tensor, items: int) -> np.ndarray:
    """The official forward's: clips are averaged after scaling."""
    found = finish(head, tower.scale)
    return found.view(items, -1, found.shape[-1]).mean(dim=1).double().numpy()


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.linalg.norm(wanted, axis=-1).max())


def turned(found: np.ndarray, wanted: np.ndarray) -> float:
    """1 - cos of the worst row."""
    cosines = (found * wanted).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(wanted, axis=-1)
    return float(1 - cosines.min())


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, plain: bool) -> None:
    tower = tiny(CASES[case][0], plain)
    x, items = inputs(case)
    head = tower(x)
    assert error(head.numpy(), golden()[f"{case}/head"]) <= TOLERANCE
    assert error(outputs(tower, head, items), golden()[f"{case}/output"]) <= TOLERANCE
    assert error(tower.tokens(x)[:1].numpy(), golden()[f"{case}/tokens"]) <= 1e-6


@pytest.mark.parametrize("case", CASES)
def test_golden_stages(case: str) -> None:
    tower = tiny(CASES[case][0])
    x = tower.tokens(inputs(case)[0][:1])
    if tower.pre_norm is not None:
        x = tower.pre_norm(x)
    for index, block in enumerate(tower.blocks):
        x = block(x, case == "text")
        assert error(x.numpy(), golden()[f"{case}/block{index}"]) <= 1e-6, index
    assert error(x.numpy(), golden()[f"{case}/trunk"]) <= 1e-6


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("case", CASES)
def test_golden_in_double_precision(case: str, plain: bool) -> None:
    tower = tiny(CASES[case][0], plain, torch.float64)
    x, items = inputs(case)
    found = outputs(tower, tower(x if case == "text" else x.double()), items)
    assert error(found, golden()[f"{case}/output_float64"]) <= 1e-14


@pytest.mark.parametrize("case", CASES)
def test_golden_in_bfloat16(case: str) -> None:
    tower = tiny(CASES[case][0], dtype=torch.bfloat16)
    x, items = inputs(case)
    found = outputs(tower, tower(x), items)
    wanted = golden()[f"{case}/output"]
    assert tower.blocks[0].attn.in_proj_weight.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert turned(found, wanted) <= 1e-4 and error(found, wanted) > 1e-5


def test_scales() -> None:
    assert {name: round(tiny(name).scale, 4) for name in TOWERS} == {
        "vision": 1.0, "text": 100.0, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0,
    }  # fmt: skip


def test_keys_and_shapes_of_the_published_model() -> None:
    wanted = {
        key: tuple(shape)
        for key, shape in json.loads(gzip.decompress((DATA / "keys_huge.json.gz").read_bytes())).items()
    }
    assert expected(HUGE) == wanted and len(wanted) == 1311
    towers = [build_tower(HUGE, name) for name in TOWERS]
    learnt = sum(value.numel() for tower in towers for value in tower.parameters())
    assert learnt + 1 == 1_200_781_057  # in the reference text's scale is learnt too; the others' are constants there
    assert all(value.is_meta for tower in towers for value in tower.state_dict().values())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared golden files are not here")
@pytest.mark.parametrize(("file", "config"), [("keys_tiny.json", TINY), ("keys_huge.json", HUGE)])
def test_keys_of_the_reference(file: str, config: object) -> None:
    found = json.loads((SHARED / file).read_text())
    wanted = expected(TINY if config is TINY else HUGE)
    assert wanted == {key: tuple(shape) for key, shape in found["state_dict"].items()}
    buffers = [key for key in wanted if key.endswith(("mask", "log_logit_scale")) and ".text.1." not in key]
    assert sum(math.prod(shape) for key, shape in wanted.items() if key not in buffers) == found["num_params"]


def test_pixels_are_normalised_as_the_reference_does() -> None:
    pixels = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, 3, 224, 224), np.uint8))
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    wanted = (pixels.float() / 255 - mean) / std
    tower = tiny("vision")
    assert torch.equal(tower(pixels), tower(wanted))
    clip = torch.stack([pixels, pixels.flip(0)], dim=2)
    assert torch.equal(tower(clip), tower(torch.stack([wanted, wanted.flip(0)], dim=2)))


def test_a_picture_is_a_clip_of_two_equal_frames() -> None:
    x, _ = inputs("image")
    clip = x[:, :, None].expand(-1, -1, 2, -1, -1)
    assert error(tiny("vision")(clip).numpy(), tiny("vision", plain=True)(x).numpy()) <= TOLERANCE
    assert error(tiny("vision")(clip.roll(1, 0)).numpy(), tiny("vision")(clip).numpy()) > 1e-2


@pytest.mark.parametrize("size", [(14, 14), (140, 140), (280, 224), (230, 300)])
def test_pictures_of_other_sizes(size: tuple[int, int]) -> None:
    x = torch.from_numpy(unit("input:size", (1, 3, *size)))
    found = tiny("vision")(x)
    assert torch.isfinite(found).all()
    assert error(found.numpy(), tiny("vision", plain=True)(x).numpy()) <= TOLERANCE


def test_text_ends_at_its_last_eos() -> None:
    ids, _ = inputs("text")
    ends = ids.argmax(dim=1)
    assert trim(ids).shape == (len(ids), int(ends.max()) + 1)
    for row, end in zip(ids, ends, strict=True):
        alone = tiny("text")(row[None, : end + 1])
        assert error(tiny("text", plain=True)(row[None]).numpy(), alone.numpy()) <= TOLERANCE
    after = ids.clone()
    for row, end in zip(after, ends, strict=True):
        row[end + 1 :] = 1000  # what stands behind an EOS is not read
    assert error(tiny("text")(after).numpy(), tiny("text")(ids).numpy()) <= TOLERANCE


@pytest.mark.parametrize("name", TOWERS)
def test_no_items(name: str) -> None:
    x = pool(name)[:0]
    assert tiny(name)(x).shape == (0, TINY.dimension)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("vision", torch.zeros(1, 1, 224, 224)),
        ("vision", torch.zeros(1, 3, 3, 224, 224)),
        ("vision", torch.zeros(1, 3, 13, 224)),
        ("vision", torch.zeros(3, 224, 224)),
        ("text", torch.zeros(1, 78, dtype=torch.int64)),
        ("text", torch.zeros(1, 77)),
        ("audio", torch.zeros(1, 1, 128, 203)),
        ("depth", torch.zeros(1, 1, 224, 224, dtype=torch.uint8)),
        ("thermal", torch.zeros(1, 3, 224, 224)),
        ("imu", torch.zeros(1, 2000, 6)),
    ],
)
def test_inputs_of_another_shape_are_refused(name: str, x: Tensor) -> None:
    with pytest.raises(ValueError, match=f"the {name} tower takes items of shape"):
        tiny(name)(x)


def test_weights_of_another_shape_are_refused() -> None:
    def wrong(key: str, shape: tuple[int, ...]) -> Tensor:
        return tensor(key, (*shape[:-1], shape[-1] + 1) if "fc1.weight" in key else shape)

    with pytest.raises(
        ValueError, match=r"modality_trunks.imu.blocks.0.mlp.fc1.weight has shape \(32, 9\), not \(32, 8\)"
    ):
        build_tower(TINY, "imu").fill(wrong)


@pytest.mark.parametrize("name", TOWERS)
def test_it_compiles_in_one_graph(name: str) -> None:
    tower, x = tiny(name), pool(name)[:3]
    compiled: Callable[[Tensor], Tensor] = torch.compile(tower.encode, fullgraph=True, backend="eager")
    assert error(compiled(x).numpy(), tower.encode(x).numpy()) <= TOLERANCE
    torch.compiler.reset()


@functools.cache
def pool(name: str) -> Tensor:
    """Six different items of a tower."""
    if name != "text":
        shape = next(shape for tower, shape in CASES.values() if tower == name)
        shape = (1, 128, 204) if name == "audio" else shape[1:]
        return torch.from_numpy(unit(f"pool:{name}", (6, *shape)))
    rng = np.random.default_rng(5)
    rows = np.zeros((6, 77), np.int64)
    for row, end in zip(rows, (1, 2, 5, 19, 40, 76), strict=True):
        row[0], row[1:end], row[end] = EOS - 1, rng.integers(1, EOS - 1, end - 1), EOS
    return torch.from_numpy(rows)


@functools.cache
def alone(name: str) -> Tensor:
    return torch.cat([tiny(name)(item[None]) for item in pool(name)])


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(TOWERS),
    batch=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    padding=st.integers(0, 77),
)
def test_an_item_does_not_depend_on_its_neighbours(name: str, batch: list[int], padding: int) -> None:
    x = pool(name)[batch]
    if name == "text":
        ends = int(x.argmax(dim=1).max()) + 1
        x = x[:, : min(77, ends + padding)]
    found, wanted = finish(tiny(name)(x), 1.0), finish(alone(name)[batch], 1.0)
    assert float((found - wanted).abs().max()) <= 1e-5


def huge_inputs(case: str) -> Tensor:
    def clips(file: str, names: list[str]) -> np.ndarray:
        with np.load(SHARED / file) as arrays:
            return np.stack([arrays[name] for name in names])

    names = ["dog_{}", "car_{}", "bird_{}"]
    if case == "image":
        x = clips("pre_images_float32.npz", [*(name.format("image.jpg") for name in names), "syn_rgba_257x123.png"])
    elif case == "audio":
        x = clips("pre_audio.npz", [name.format("audio.wav") for name in names])
    elif case == "video":
        x = clips("pre_video.npz", ["crops_full"])[:, [0, 3]]  # which are the crops 0 and 14
    elif case == "text":
        rows = json.loads((SHARED / "pre_text_tokens.json").read_text())
        x = np.array([rows[index]["tokens"] for index in huge()["text_index"]])
    else:
        x = unit(f"input:{case}", CASES[case][1])
    return torch.from_numpy(x)


@functools.cache
def huge() -> Mapping[str, np.ndarray]:
    with np.load(SHARED / "model_huge.npz") as file:
        return dict(file)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared golden files are not here")
@pytest.mark.skipif(os.environ.get("RUN_SLOW") != "1", reason="minutes and 5 GB: RUN_SLOW=1 runs it")
@pytest.mark.parametrize("name", TOWERS)
def test_the_full_size(name: str) -> None:
    """The published sizes with weights of the recipe, in float32 both ways and in bfloat16."""
    weights = {key: tensor(key, shape) for key, shape in official(build_tower(HUGE, name)).values()}
    for plain, dtype in ((False, torch.float32), (True, torch.float32), (False, torch.bfloat16)):
        tower = build_tower(HUGE, name, plain=plain).fill(lambda key, shape: weights[key], dtype=dtype)
        for case in (case for case in CASES if CASES[case][0] == name and case in huge()):
            x = huge_inputs(case)
            rows = x.flatten(0, 1) if case in ("audio", "video") else x
            found, wanted = outputs(tower, tower(rows), len(x)), huge()[case]
            print(f"{case} {dtype} plain={plain}: {error(found, wanted):.1e}, 1-cos {turned(found, wanted):.1e}")
            if dtype == torch.float32:
                assert error(found, wanted) <= TOLERANCE
            assert turned(found, wanted) <= 1e-4
