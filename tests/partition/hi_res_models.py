"""Stand-ins for the two models of the route hi_res, in the formats of the real ones: FakeLayout and FakeTables.

FakeLayout is an ONNX graph with YOLOX's input and output that finds the same boxes on every page. FakeTables is a table
transformer with random weights, saved under the names that published ones have.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.partition.hi_res import installed

_MISSING = [name for name in installed._MODULES if importlib.util.find_spec(name) is None]
needs_hi_res = pytest.mark.skipif(bool(_MISSING), reason=f"the extra hi-res is not installed: {', '.join(_MISSING)}")

INPUT = (1024, 768)  # height and width that YOLOX sees
CLASSES = (
    "Caption", "Footnote", "Formula", "List-item", "Page-footer", "Page-header", "Picture", "Section-header", "Table",
    "Text", "Title",
)  # fmt: skip

Found = tuple[str, tuple[float, float, float, float]]  # class, and box as shares of a page of 612 x 792


def fake_layout(path: Path, found: Sequence[Found], page: tuple[float, float] = (612.0, 792.0)) -> Path:
    """Write a layout model that finds these on pages of this size."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ratio = min(INPUT[0] / page[1], INPUT[1] / page[0])  # pages are fitted into the input, from the top left
    strides = np.concatenate([np.full(INPUT[0] // s * (INPUT[1] // s), s) for s in (8, 16, 32)])
    grids = np.concatenate([np.indices((INPUT[0] // s, INPUT[1] // s))[::-1].reshape(2, -1).T for s in (8, 16, 32)])
    output = np.full((1, len(strides), 5 + len(CLASSES)), -9.0, np.float32)
    output[..., 4:] = 0.0
    for i, (name, (x0, y0, x1, y1)) in enumerate(found):
        box = np.array([(x0 + x1) / 2 * page[0], (y0 + y1) / 2 * page[1], (x1 - x0) * page[0], (y1 - y0) * page[1]])
        center, size = box[:2] * ratio, box[2:] * ratio
        output[0, i, :2] = center / strides[i] - grids[i]
        output[0, i, 2:4] = np.log(size / strides[i])
        output[0, i, 4] = output[0, i, 5 + CLASSES.index(name)] = 0.97
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "FakeLayout",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *INPUT])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(output.shape))],
        [numpy_helper.from_array(output, "boxes"), numpy_helper.from_array(np.zeros((), np.float32), "zero")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


_SHAPE: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_queries": 16, "num_labels": 6,
}  # fmt: skip


def fake_tables(folder: Path) -> Path:
    """Save a table transformer with random weights, which sees no table anywhere."""
    import torch
    from transformers import ResNetConfig, TableTransformerConfig, TableTransformerForObjectDetection

    torch.manual_seed(1)
    resnet = ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic")
    resnet.out_features = ["stage4"]
    model = TableTransformerForObjectDetection(TableTransformerConfig(backbone_config=resnet, init_std=0.5, **_SHAPE))
    return save_tables(model, folder)


def teach(agent: Any, picture: Image.Image, wanted: Sequence[tuple[int, tuple[float, float, float, float]]]) -> None:
    """Solve for the last layers of an agent's model, so that it sees in this picture these classes at these boxes.

    Boxes are shares of the picture. Everything before the last layers stays random, and everything after is real.
    """
    import torch

    found = agent.get_structure(picture)
    hidden = found["last_hidden_state"][0].double()
    pad, (width, height) = found["pad_for_structure_detection"], picture.size
    logits = torch.full((len(hidden), 7), -6.0, dtype=torch.float64)
    boxes = torch.full((len(hidden), 4), 0.5, dtype=torch.float64)
    logits[:, 6] = 6.0
    for i, (kind, (x0, y0, x1, y1)) in enumerate(wanted):
        logits[i, 6], logits[i, kind] = -6.0, 6.0
        xs = [(x * width + pad) / (width + 2 * pad) for x in (x0, x1)]
        ys = [(y * height + pad) / (height + 2 * pad) for y in (y0, y1)]
        center = [sum(xs) / 2, sum(ys) / 2, xs[1] - xs[0], ys[1] - ys[0]]
        boxes[i] = torch.tensor(center, dtype=torch.float64).clamp(0.001, 0.999).logit()
    first, second, last = agent.model.bbox_predictor.layers
    with torch.no_grad():
        _solve(agent.model.class_labels_classifier, hidden, logits)
        for layer in (first, second):  # what is added keeps ReLU from cutting anything off
            layer.weight.copy_(torch.eye(hidden.shape[1]))
            layer.bias.fill_(10.0)
        _solve(last, hidden + 20.0, boxes)


def _solve(layer: Any, inputs: Any, outputs: Any) -> None:
    import torch

    with_bias = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], 1)
    found = torch.linalg.lstsq(with_bias, outputs, driver="gelsd").solution
    layer.weight.copy_(found[:-1].T)
    layer.bias.copy_(found[-1])


def save_tables(model: Any, folder: Path) -> Path:
    """As published: timm's names for the backbone, and its name in the configuration."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {published_name(name): value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "table-transformer", "backbone": "resnet18", "use_timm_backbone": True, **_SHAPE}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def published_name(name: str) -> str:
    """A weight's name in transformers as it is in published table transformers."""
    head = "model.backbone.conv_encoder.model."
    if not name.startswith(head):
        return name
    parts = name.removeprefix(head).split(".")
    if parts[0] == "embedder":
        kind = "conv1" if parts[2] == "convolution" else "bn1"
        return f"{head}{kind}.{parts[3]}"
    stage, block, rest = int(parts[2]) + 1, parts[4], parts[5:]
    if rest[0] == "shortcut":
        return f"{head}layer{stage}.{block}.downsample.{0 if rest[1] == 'convolution' else 1}.{rest[2]}"
    kind = ("conv" if rest[2] == "convolution" else "bn") + str(int(rest[1]) + 1)
    return f"{head}layer{stage}.{block}.{kind}.{rest[3]}"
