"""Builds the ONNX graph of a BERT sentence encoder from its weights: ids and lengths in, unit vectors out.

Written with onnxruntime's fused operators (`com.microsoft`), which its own optimiser would otherwise have to find at
each start. Mean pooling over the real tokens and the L2 norm are part of the graph.

Where the ranges of its activations are given, the large products are of 8-bit integers (Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018). The ranges are constants, not taken
from each batch, so that a vector does not depend on its neighbours; weights have 7 bits and a scale per column, so that
pairs of products do not overflow the 16 bits in which processors without VNNI add them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
_EPSILON = 1e-12  # of BERT's layer norms
_WEIGHT_MAX = 63
Range = tuple[float, float]  # the least and the largest value of an activation
INPUTS = ("attention", "projection", "intermediate", "output")  # of a layer: what its four products are given


class _Graph:
    """Nodes and constants under construction; each method adds nodes and returns the name of their output."""

    def __init__(self, weights: Mapping[str, np.ndarray], ranges: Sequence[Sequence[Range]] | None) -> None:
        self.weights = weights
        self.ranges = ranges
        self.inputs: list[str] = []  # what each product is given, layer by layer, in the order of INPUTS
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, op: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        output = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], domain=domain, **attributes))
        return output

    def weight(self, key: str) -> str:
        return self.constant(key, self.weights[key])

    def linear(self, x: str, key: str) -> tuple[str, str]:
        """x · Wᵀ, and the name of the bias, which the next fused operator adds."""
        weight = self.weights[f"{key}.weight"].T
        bias = self.weight(f"{key}.bias")
        if self.ranges is None:
            self.inputs.append(x)
            return self.add("MatMul", x, self.constant(f"{key}.weight", weight)), bias
        x, scale, zero = self.quantized(x)
        whole, scales = self.whole(key, weight)
        return self.add("MatMulIntegerToFloat", x, whole, scale, scales, zero, domain="com.microsoft"), bias

    def quantized(self, x: str) -> tuple[str, str, str]:
        """x in 8 bits by the range of the next product's input, with its scale and zero point."""
        assert self.ranges is not None
        low, high = self.ranges[len(self.inputs) // len(INPUTS)][len(self.inputs) % len(INPUTS)]
        self.inputs.append(x)
        step = (high - low) / 255
        scale = self.constant(f"{x}.scale", np.array(step, np.float32))
        zero = self.constant(f"{x}.zero", np.array(np.clip(round(-low / step), 0, 255), np.uint8))
        return self.add("QuantizeLinear", x, scale, zero), scale, zero

    def whole(self, key: str, weight: np.ndarray) -> tuple[str, str]:
        """A weight (inputs, outputs) in 7 bits, and the scale of each column."""
        scales = np.abs(weight).max(axis=0) / _WEIGHT_MAX
        return (
            self.constant(f"{key}.whole", np.round(weight / scales).astype(np.int8)),
            self.constant(f"{key}.scales", scales.astype(np.float32)),
        )

    def skip_norm(self, x: str, skip: str, bias: str, key: str) -> str:
        return self.add(
            "SkipLayerNormalization",
            x,
            skip,
            self.weight(f"{key}.weight"),
            self.weight(f"{key}.bias"),
            bias,
            domain="com.microsoft",
            epsilon=_EPSILON,
        )

    def layer(self, x: str, prefix: str, heads: int) -> str:
        parts = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
        packed = np.concatenate([self.weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        attended = self.attention(x, f"{prefix}.qkv", packed, bias, heads)
        projected, bias_name = self.linear(attended, f"{prefix}.attention.output.dense")
        x = self.skip_norm(projected, x, bias_name, f"{prefix}.attention.output.LayerNorm")
        hidden, bias_name = self.linear(x, f"{prefix}.intermediate.dense")
        hidden = self.add("BiasGelu", hidden, bias_name, domain="com.microsoft")  # exact, with erf
        projected, bias_name = self.linear(hidden, f"{prefix}.output.dense")
        return self.skip_norm(projected, x, bias_name, f"{prefix}.output.LayerNorm")

    def attention(self, x: str, key: str, packed: np.ndarray, bias: np.ndarray, heads: int) -> str:
        bias_name = self.constant(f"{key}.bias", bias)
        if self.ranges is None:
            self.inputs.append(x)
            inputs = [x, self.constant(f"{key}.weight", packed), bias_name, "lengths"]
            return self.add("Attention", *inputs, domain="com.microsoft", num_heads=heads)
        x, scale, zero = self.quantized(x)
        whole, scales = self.whole(key, packed)
        inputs = [x, whole, bias_name, scale, scales, "lengths", zero]
        return self.add("QAttention", *inputs, domain="com.microsoft", num_heads=heads)

    def embeddings(self, max_tokens: int) -> str:
        words = self.add("Gather", self.weight("embeddings.word_embeddings.weight"), "ids")
        # every token is of type 0, so that row joins the positions once and for all
        places = self.weights["embeddings.position_embeddings.weight"][:max_tokens]
        places = places + self.weights["embeddings.token_type_embeddings.weight"][0]
        zero = self.constant("zero", np.array([0]))
        width = self.add("Shape", "ids", start=1)
        places_name = self.add("Slice", self.constant("places", places), zero, width, zero)
        summed = self.add("Add", words, places_name)
        norm = "embeddings.LayerNorm"
        return self.add(
            "LayerNormalization", summed, self.weight(f"{norm}.weight"), self.weight(f"{norm}.bias"), epsilon=_EPSILON
        )

    def pooled(self, x: str, max_tokens: int) -> str:
        """The mean over the first `lengths` tokens of each row, scaled to unit length."""
        zero, axis = self.constant("zero", np.array([0])), self.constant("axis", np.array([1]))
        width = self.add("Shape", "ids", start=1)
        steps = self.add("Slice", self.constant("steps", np.arange(max_tokens, dtype=np.int32)), zero, width, zero)
        column = self.add("Unsqueeze", "lengths", axis)
        mask = self.add("Cast", self.add("Less", steps, column), to=TensorProto.FLOAT)
        total = self.add("MatMul", self.add("Unsqueeze", mask, axis), x)  # (batch, 1, width) · (batch, width, hidden)
        # the norm undoes the division by the count
        return self.add("LpNormalization", self.add("Squeeze", total, axis), name="vectors", axis=1, p=2)


def build(
    weights: Mapping[str, np.ndarray],
    layers: int,
    heads: int,
    max_tokens: int,
    ranges: Sequence[Sequence[Range]] | None = None,
    show_inputs: bool = False,
) -> onnx.ModelProto:
    """ids int64 (batch, width), lengths int32 (batch) → vectors float32 (batch, hidden), each of length 1.

    `ranges` are those of each layer's INPUTS; with them the products are of integers. `show_inputs` makes these inputs
    outputs as well, to find their ranges.
    """
    graph = _Graph(weights, ranges)
    x = graph.embeddings(max_tokens)
    for index in range(layers):
        x = graph.layer(x, f"encoder.layer.{index}", heads)
    graph.pooled(x, max_tokens)
    hidden = weights["embeddings.LayerNorm.weight"].shape[0]
    shown = graph.inputs if show_inputs else []
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "width"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [
                helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", hidden]),
                *(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in shown),
            ],
            list(graph.constants.values()),
        ),
        opset_imports=_OPSET,
        ir_version=10,
    )
