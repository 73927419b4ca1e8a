"""The ranges of the local text model's activations, as tasks/embed/minilm.py has them.

    python -m benchmarks.embedding.ranges

Measured on this repository's own texts and the sample corpus. All but 1 in 100,000 of the values of a product's input
lie within; the few beyond are clipped, which costs less than a coarser step for all others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from tasks.embed import bert, minilm

ROOT = Path(__file__).parents[2]
_WITHIN = 99.999
_SUFFIXES = (".md", ".txt", ".csv", ".html", ".jsonl", ".py")
_TEXTS = 600


def texts(model: minilm.MiniLM) -> list[str]:
    """Windows of our own documents, in English, Chinese and numbers."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*")), *sorted((ROOT / "data").rglob("*"))]
    found = [path.read_text("utf-8") for path in files if path.suffix in _SUFFIXES]
    windows = [window for text in found for window in model.windows(text)]
    order = np.random.default_rng(0).permutation(len(windows))
    return [windows[index] for index in order[:_TEXTS]]


def measure(model: minilm.MiniLM) -> list[list[tuple[float, float]]]:
    """(low, high) of each layer's inputs, in the order of bert.INPUTS."""
    graph = minilm.graph(model.weights, ranges=None, show_inputs=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    names = [output.name for output in session.get_outputs()[1:]]
    values: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for text in texts(model):
        ids = np.array([model.token_ids(text)], dtype=np.int64)
        lengths = np.array([ids.shape[1]], dtype=np.int32)
        for name, found in zip(names, session.run(names, {"ids": ids, "lengths": lengths}), strict=True):
            sample = found.ravel()
            values[name].append(np.concatenate([np.partition(sample, 20)[:20], np.partition(sample, -20)[-20:]]))
            values[name][-1] = np.append(values[name][-1], sample.size)  # the extremes, and of how many
    return _in_layers([_range(values[name]) for name in names])


def _range(parts: list[np.ndarray]) -> tuple[float, float]:
    total = sum(int(part[-1]) for part in parts)
    extremes = np.sort(np.concatenate([part[:-1] for part in parts]))
    beyond = min(round(total * (1 - _WITHIN / 100)), len(extremes) // 2 - 1)
    return round(float(min(0.0, extremes[beyond])), 4), round(float(max(0.0, extremes[-1 - beyond])), 4)


def _in_layers(ranges: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    size = len(bert.INPUTS)
    return [ranges[start : start + size] for start in range(0, len(ranges), size)]


def main() -> None:
    print("RANGES = (")
    for layer in measure(minilm.open_space()):
        print(f"    ({', '.join(f'({low:g}, {high:g})' for low, high in layer)}),")
    print(")")


if __name__ == "__main__":
    main()
