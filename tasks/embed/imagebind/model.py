"""ImageBind's towers on torch alone: batches of prepared inputs in, the heads' outputs out, before post-processing.

Written from the paper and the published state dict's keys and shapes. The fast way leaves out work that changes
nothing: a picture's two equal frames are one matrix product with the kernel summed over time, a batch of texts ends at
its last EOS, and of the last block only the token that leaves it is computed. `plain=True` does all of it, with torch's
own attention layer, as the peer to check against and to measure beside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.embed.imagebind import config as sizes
from tasks.embed.imagebind.blocks import Block, Norm
from tasks.embed.imagebind.config import ModelConfig, TowerConfig

Source = Callable[[str, tuple[int, ...]], Tensor]  # the tensor of an official key, which has this shape
_STEM_EPSILON = 1e-5
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_MAX_SCALE = 100.0
_PARTS = ("preprocessor", "trunk", "head", "postprocessor")  # of the state dict's keys


@dataclasses.dataclass(frozen=True, slots=True)
class _Stem:
    """How a tower makes tokens of an item: the item's shape, that of one patch's kernel, its stride, and its key."""

    item: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int
    key: str


def _square(size: int) -> tuple[int, int, int]:
    return (1, size, size)


_STEMS = {
    "vision": _Stem(
        (3, sizes.IMAGE_SIZE, sizes.IMAGE_SIZE),
        (3, sizes.IMAGE_FRAMES, sizes.IMAGE_PATCH, sizes.IMAGE_PATCH),
        sizes.IMAGE_PATCH,
        "rgbt_stem.proj.1",
    ),
    "text": _Stem((sizes.TEXT_TOKENS,), (), 1, "token_embedding"),
    "audio": _Stem(
        (1, sizes.MEL_BINS, sizes.MEL_FRAMES), _square(sizes.AUDIO_PATCH), sizes.AUDIO_STRIDE, "rgbt_stem.proj"
    ),
    "depth": _Stem(_square(sizes.MAP_SIZE), _square(sizes.MAP_PATCH), sizes.MAP_PATCH, "depth_stem.proj"),
    "thermal": _Stem(_square(sizes.MAP_SIZE), _square(sizes.MAP_PATCH), sizes.MAP_PATCH, "rgbt_stem.proj"),
    "imu": _Stem(
        (sizes.IMU_CHANNELS, sizes.IMU_SAMPLES),
        (sizes.IMU_CHANNELS * sizes.IMU_PATCH,),
        sizes.IMU_PATCH,
        "imu_stem.proj",
    ),
}


class Tower(nn.Module):
    """One modality's encoder, made without data by `build_tower`; `fill` gives it weights. See the module.

    `scale` is what the official forward multiplies the normalised output by. `residual` is the dtype of what flows
    between the blocks.
    """

    log_scale: Tensor
    mask: Tensor
    folded: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, size: TowerConfig, dimension: int, plain: bool) -> None:
        super().__init__()
        self.name, self.dimension, self.plain = name, dimension, plain
        self.stem, self.scale, self.residual = _STEMS[name], 1.0, torch.float32
        width, text, vision = size.width, name == "text", name == "vision"
        self.embed = nn.Parameter(torch.empty(*([sizes.VOCABULARY, width] if text else [width, *self.stem.kernel])))
        self.cls = None if text else nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, sizes.TOKENS[name], width))
        self.stem_norm = None if text or vision else Norm(width, _STEM_EPSILON)
        self.pre_norm = Norm(width) if vision else None
        self.blocks = nn.ModuleList(Block(width, size.heads, not (text or vision)) for _ in range(size.blocks))
        self.norm = Norm(width)
        self.projection = nn.Parameter(torch.empty(dimension, width))
        if text:
            self.register_buffer("mask", torch.empty(sizes.TEXT_TOKENS, sizes.TEXT_TOKENS))
        if not vision:
            self.register_buffer("log_scale", torch.empty(()))

    def fill(self, source: Source, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tower:
        """Take the weights from `source`, which is asked for one tensor at a time, and be ready to run.

        Of a narrow `dtype` are only the weights of large products: norms, positions and the head stay in float32, where
        they cost nothing.
        """
        wide = torch.float32 if dtype.itemsize < 4 else dtype
        state = {}
        for name, (key, shape) in official(self).items():
            value = source(key, shape)
            if value.shape != shape:
                raise ValueError(f"{key} has shape {tuple(value.shape)}, not {shape}")
            if name == "embed" and self.name == "vision":
                self._derive("folded", value.to(device, wide).sum(dim=2).flatten(1).to(dtype))
            narrow = name == "embed" or ("blocks." in name and ".norm_" not in name)
            state[name] = value.to(device, dtype if narrow else wide)
        self.load_state_dict(state, assign=True)
        self.requires_grad_(False).eval()
        self.residual = wide
        if self.name == "vision":
            self._derive("mean", torch.tensor(_MEAN, device=device))
            self._derive("std", torch.tensor(_STD, device=device))
        else:
            self.scale = min(float(self.log_scale.exp()), _MAX_SCALE)
        return self

    def _derive(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, dimension): the head's output for n items; each row depends on its own item alone.

        vision: (3, H, W), or (3, 2, H, W) as a clip of two frames, uint8 or normalised floats. text: ids of up to 77
        tokens, padded by zeros. audio: (1, 128, 204), depth and thermal: (1, 224, 224), imu: (6, 2000), floats.
        """
        self._check(x)
        if not len(x):
            return self.projection.new_empty(0, self.dimension)
        if self.name == "text":
            x = functional.pad(x, (0, sizes.TEXT_TOKENS - x.shape[1])) if self.plain else trim(x)
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """`forward` without checks, and with texts as long as they come: what to give to torch.compile."""
        blocks = cast(Sequence[Block], self.blocks)
        at = x.argmax(dim=1) if self.name == "text" else None
        x = self.tokens(x)
        if self.pre_norm is not None:
            x = self.pre_norm(x).to(self.residual)
        if self.plain:
            mask = None if at is None else self.mask.to(self.embed.dtype)
            for block in blocks:
                x = block.plain(x, mask)
            x = x[:, 0] if at is None else x[torch.arange(len(x), device=x.device), at]
        else:
            for block in blocks[:-1]:
                x = block(x, at is not None)
            x = blocks[-1].one(x, at)
        return functional.linear(self.norm(x), self.projection)

    def tokens(self, x: Tensor) -> Tensor:
        """(n, tokens, width): what the transformer reads."""
        if self.cls is None:
            return (functional.embedding(x, self.embed) + self.positions[:, : x.shape[1]]).to(self.residual)
        if x.dtype == torch.uint8:
            shape = (3, *[1] * (x.dim() - 2))
            x = (x.to(torch.float32) / 255 - self.mean.view(shape)) / self.std.view(shape)
        positions = self._positions(x)
        x = (self._convolved if self.plain else self._multiplied)(x.to(self.embed.dtype)).to(positions.dtype)
        if self.stem_norm is not None:
            x = self.stem_norm(x)
        return (torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + positions).to(self.residual)

    def _multiplied(self, x: Tensor) -> Tensor:
        """Patches as tokens, by one matrix product."""
        size, stride = self.stem.kernel[-1], self.stem.stride
        if self.name == "imu":
            return functional.linear(x.unfold(2, stride, stride).transpose(1, 2).flatten(2), self.embed)
        weight = self.folded if x.dim() == 4 and self.name == "vision" else self.embed.flatten(1)
        patches = x.unfold(-2, size, stride).unfold(-2, size, stride)  # (n, ..., rows, columns, size, size)
        return functional.linear(patches.flatten(1, -5).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2), weight)

    def _convolved(self, x: Tensor) -> Tensor:
        """Patches as tokens, by the convolution that the kernel is of; a picture becomes a clip of two equal frames."""
        if self.name == "imu":
            return self._multiplied(x)
        if self.name == "vision":
            clip = x if x.dim() == 5 else x[:, :, None].expand(-1, -1, sizes.IMAGE_FRAMES, -1, -1)
            return functional.conv3d(clip, self.embed, stride=self.stem.kernel[1:]).flatten(2).transpose(1, 2)
        return functional.conv2d(x, self.embed, stride=self.stem.stride).flatten(2).transpose(1, 2)

    def _positions(self, x: Tensor) -> Tensor:
        """The position embeddings, stretched for pictures of another size than the model was trained on."""
        if self.name != "vision" or x.shape[-2:] == self.stem.item[-2:]:
            return self.positions
        side = sizes.IMAGE_SIZE // sizes.IMAGE_PATCH
        factors = [length // sizes.IMAGE_PATCH / side for length in x.shape[-2:]]
        grid = self.positions[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
        grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([self.positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def _check(self, x: Tensor) -> None:
        shape, expected = tuple(x.shape[1:]), self.stem.item
        if self.name == "vision":
            frames = shape[1:-2] in ((), (sizes.IMAGE_FRAMES,))
            fits = len(shape) > 2 and shape[0] == 3 and frames and min(shape[-2:]) >= sizes.IMAGE_PATCH
        elif self.name == "text":
            fits = len(shape) == 1 and 1 <= shape[0] <= sizes.TEXT_TOKENS and x.dtype == torch.int64
        else:
            fits = shape == expected
        if not fits or (self.name not in ("text", "vision") and not x.is_floating_point()):
            raise ValueError(f"the {self.name} tower takes items of shape {expected}, got {shape} of {x.dtype}")


def build_tower(config: ModelConfig, tower: str, *, plain: bool = False) -> Tower:
    """A tower on the meta device: shapes without data, until `Tower.fill`."""
    with torch.device("meta"):
        return Tower(tower, config.tower(tower), config.dimension, plain)


def official(tower: Tower) -> dict[str, tuple[str, tuple[int, ...]]]:
    """For each parameter and buffer by our name: its key in the published state dict, and its shape."""
    stem, trunk, head, post = (f"modality_{part}s.{tower.name}." for part in _PARTS)
    text = tower.name == "text"
    names = {
        "embed": f"{stem}{tower.stem.key}.weight",
        "cls": f"{stem}cls_token",
        "positions": f"{stem}{'' if tower.name in ('text', 'imu') else 'pos_embedding_helper.'}pos_embed",
        "stem_norm": f"{stem}{tower.stem.key.split('.')[0]}.norm_layer",
        "mask": f"{stem}mask",
        "pre_norm": f"{trunk}pre_transformer_layer.0",
        "blocks": f"{trunk}blocks",
        "norm": f"{head}{'proj.0' if text else '0'}",
        "projection": f"{head}{'proj.1' if text else '3' if tower.name == 'imu' else '2'}.weight",
        "log_scale": f"{post}1.log_logit_scale",
    }
    found = {}
    for name, value in tower.state_dict().items():
        first, dot, rest = name.partition(".")
        found[name] = (names[first] + dot + rest, tuple(value.shape))
    return found


def trim(ids: Tensor) -> Tensor:
    """Texts without the padding that all of them have: nothing after an EOS, the largest id, changes its feature."""
    return ids[:, : int(ids.argmax(dim=1).max()) + 1]


def finish(head: Tensor, scale: float) -> Tensor:
    """What the official forward returns for a clip: the head's output, normalised and scaled."""
    return functional.normalize(head if head.dtype == torch.float64 else head.float(), dim=-1) * scale
