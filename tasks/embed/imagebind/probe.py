"""Classes from vectors: by the labels' own vectors (zero-shot), or by a linear probe on examples (few-shot)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tasks.errors import UsageError

TEMPERATURE = 0.01  # of unit vectors: the scale of 100 at which the model's texts were trained
_CONSTANT = 1e-7  # a dimension that varies less than this says nothing
_STEPS, _TOLERANCE = 1000, 1e-7


def classify(vectors: np.ndarray, label_vectors: np.ndarray, temperature: float = TEMPERATURE) -> np.ndarray:
    """(n, labels) probabilities: the softmax over labels of dot products divided by `temperature`.

    The default is for unit vectors: softmax(100 · cosine), as pictures and texts were trained to be compared. For
    scaled vectors (`normalize=False`) a temperature of 1 gives the tables of ImageBind's own example: the scales are
    in them.
    """
    vectors, label_vectors = _matrix(vectors, "vectors"), _matrix(label_vectors, "label vectors")
    if vectors.shape[1] != label_vectors.shape[1]:
        raise UsageError(f"vectors of {vectors.shape[1]} dimensions against labels of {label_vectors.shape[1]}")
    if not len(label_vectors):
        raise UsageError("there are no labels", "give at least one")
    if not temperature > 0:
        raise UsageError(f"a temperature of {temperature} is not above zero")
    return _softmax(vectors @ label_vectors.T / temperature)


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A linear classifier: `weights` (classes, dimension) and `bias` (classes,) apply to vectors as they are."""

    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """(n, classes), in the order of `labels`; each row sums to 1."""
        found = _matrix(vectors, "vectors")
        if found.shape[1] != self.weights.shape[1]:
            raise UsageError(f"vectors of {found.shape[1]} dimensions; the probe has {self.weights.shape[1]}")
        return _softmax(found @ self.weights.T + self.bias)

    def predict(self, vectors: np.ndarray) -> list[str]:
        """The most probable label of each."""
        return [self.labels[index] for index in self.probabilities(vectors).argmax(axis=1)]


def linear_probe(vectors: np.ndarray, labels: Sequence[str], l2: float = 1.0) -> Probe:
    """Multinomial logistic regression on examples and their labels.

    Each dimension is standardised. What is minimised is the sum of the examples' cross-entropies plus half of `l2`
    times the squared weights; it is convex, so equal examples give an equal probe. Give few examples a larger `l2`
    where probabilities come out too sure.
    """
    examples = _matrix(vectors, "vectors")
    if len(examples) != len(labels):
        raise UsageError(f"{len(examples)} vectors with {len(labels)} labels")
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise UsageError("a probe needs examples of two labels or more", "add a folder of examples for another label")
    if not l2 > 0:
        raise UsageError(f"l2 must be above zero, not {l2}")
    mean, spread = examples.mean(axis=0), examples.std(axis=0)
    spread[spread < _CONSTANT] = np.inf
    targets = np.array([names.index(label) for label in labels])
    weights, bias = _fit((examples - mean) / spread, targets, len(names), l2)
    weights = weights / spread
    return Probe(names, weights, bias - weights @ mean)


def _fit(examples: np.ndarray, targets: np.ndarray, classes: int, l2: float) -> tuple[np.ndarray, np.ndarray]:
    import torch

    x, y = torch.from_numpy(np.ascontiguousarray(examples)), torch.from_numpy(targets)
    weights = torch.zeros(classes, x.shape[1], dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights, bias],
        max_iter=_STEPS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        search.zero_grad()
        fit = torch.nn.functional.cross_entropy(x @ weights.T + bias, y, reduction="sum")
        total = fit + l2 / 2 * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.inference_mode(False), torch.enable_grad():
        search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), bias.detach().numpy()


def _matrix(values: np.ndarray, name: str) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2:
        raise UsageError(f"{name} must be of shape (n, dimension), not {found.shape}")
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise UsageError(f"{name}: row {bad[0]} has values that are not finite")
    return found


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
