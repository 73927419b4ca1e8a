"""The table model's loader: published weights, by names of timm, in a model of transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tasks.partition.hi_res import installed
from tests.partition.hi_res_models import fake_tables, needs_hi_res

pytestmark = needs_hi_res


def test_the_backbone_is_what_the_published_names_say(tmp_path: Path) -> None:
    """The features of the loaded model, beside those of a ResNet-18 written down from the names in the file."""
    import torch
    from safetensors.torch import load_file, save_file
    from torch.nn import functional

    from tasks.partition.hi_res.table_model import table_agent

    untaught = fake_tables(tmp_path / "untaught")
    head = "model.backbone.conv_encoder.model."
    every = load_file(untaught / installed.WEIGHTS)
    for name in every:
        if name.startswith(head) and (".bn" in name or ".downsample.1" in name):
            every[name] = torch.rand_like(every[name]) + 0.5  # no two alike, as after training
    shutil.copytree(untaught, tmp_path / "tables")
    save_file(every, tmp_path / "tables" / installed.WEIGHTS, metadata={"format": "pt"})

    def convolved(x: Any, name: str, stride: int = 1, pad: int = 0) -> Any:
        return functional.conv2d(x, every[f"{head}{name}.weight"], None, stride, pad)

    def normal(x: Any, name: str) -> Any:
        of = f"{head}{name}"
        mean, variance = every[f"{of}.running_mean"], every[f"{of}.running_var"]
        return functional.batch_norm(x, mean, variance, every[f"{of}.weight"], every[f"{of}.bias"])

    def block(x: Any, name: str, stride: int) -> Any:
        y = functional.relu(normal(convolved(x, f"{name}.conv1", stride, 1), f"{name}.bn1"))
        y = normal(convolved(y, f"{name}.conv2", 1, 1), f"{name}.bn2")
        if f"{head}{name}.downsample.0.weight" in every:
            x = normal(convolved(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return functional.relu(x + y)

    pixels = torch.rand(1, 3, 96, 128)
    x = functional.relu(normal(convolved(pixels, "conv1", 2, 3), "bn1"))
    x = functional.max_pool2d(x, 3, 2, 1)
    for layer in (1, 2, 3, 4):
        for i in (0, 1):
            x = block(x, f"layer{layer}.{i}", 2 if layer > 1 and i == 0 else 1)
    model = table_agent(str(tmp_path / "tables")).model
    with torch.no_grad():
        ((found, _),) = model.model.backbone.conv_encoder(pixels, torch.ones(1, 96, 128))
    assert found.shape == x.shape == (1, 512, 3, 4)
    assert torch.allclose(found, x, rtol=1e-3, atol=1e-4)
