"""Classes from vectors: against numpy's own arithmetic, and against the conditions of an optimum."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.embed.imagebind.probe import classify, linear_probe
from tasks.errors import UsageError


def unit(seed: int, count: int, dimension: int = 24) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def clusters(seed: int, each: int, classes: int = 3, dimension: int = 24) -> tuple[np.ndarray, list[str]]:
    """Unit vectors around one direction per class; the directions are the same for every seed."""
    random = np.random.default_rng(seed)
    centres = unit(99, classes, dimension)
    found = np.repeat(centres, each, axis=0) + 0.15 * random.standard_normal((classes * each, dimension))
    labels = [name for name in ("chart", "logo", "photo")[:classes] for _ in range(each)]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32), labels


def test_classify_is_the_softmax_of_100_cosines() -> None:
    vectors, labels = unit(1, 5), unit(2, 3)
    powers = np.exp(100 * (vectors.astype(np.float64) @ labels.T.astype(np.float64)))
    expected = powers / powers.sum(axis=1, keepdims=True)
    found = classify(vectors, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_a_temperature_of_one_uses_the_scales_as_they_are() -> None:
    vectors, labels = 20 * unit(1, 5), 100 * unit(2, 3)  # no overflow, though e to the 2000 has one
    np.testing.assert_allclose(classify(vectors, labels, 1), classify(unit(1, 5), unit(2, 3), 1 / 2000), atol=1e-4)


def test_classify_refuses_what_has_no_answer() -> None:
    vectors, labels = unit(1, 5), unit(2, 3)
    broken = vectors.copy()
    broken[3, 0] = np.nan
    with pytest.raises(UsageError, match="row 3"):
        classify(broken, labels)
    for arguments in ((vectors[0], labels), (vectors, labels[:, :4]), (vectors, labels[:0]), (vectors, labels, 0)):
        with pytest.raises(UsageError):
            classify(*arguments)
    assert classify(vectors[:0], labels).shape == (0, 3)


def test_a_probe_learns_what_can_be_separated() -> None:
    vectors, labels = clusters(1, 8)
    probe = linear_probe(vectors, labels)
    others, truth = clusters(2, 30)
    assert probe.labels == ("chart", "logo", "photo")
    assert np.mean(np.array(probe.predict(others)) == truth) > 0.95
    probabilities = probe.probabilities(others)
    assert probabilities.shape == (90, 3) and (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("l2", [0.1, 1.0, 50.0])
def test_a_probe_is_at_the_optimum(l2: float) -> None:
    """There, for standardised x, the gradients are zero: sum of (p - y) x + l2 w, and sum of p - y."""
    vectors, labels = clusters(3, 6)
    vectors[:, 5] = 0.25  # a dimension that says nothing
    probe = linear_probe(vectors, labels, l2)
    deviation = vectors.astype(np.float64).std(axis=0)
    deviation[5] = np.inf
    standard = (vectors - vectors.astype(np.float64).mean(axis=0)) / deviation
    weights = probe.weights * np.where(np.isinf(deviation), 0, deviation)
    excess = probe.probabilities(vectors) - (np.array(labels)[:, None] == np.array(probe.labels))
    np.testing.assert_allclose(excess.T @ standard + l2 * weights, 0, atol=1e-6)
    np.testing.assert_allclose(excess.sum(axis=0), 0, atol=1e-6)
    assert np.abs(weights).max() > 1e-3 and not probe.weights[:, 5].any()


def test_a_probe_does_not_depend_on_the_order_of_examples() -> None:
    vectors, labels = clusters(4, 5)
    order = np.random.default_rng(0).permutation(len(labels))
    first, second = linear_probe(vectors, labels), linear_probe(vectors[order], [labels[index] for index in order])
    assert first.labels == second.labels
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-5)


def test_one_example_each_is_enough_to_start() -> None:
    vectors, labels = clusters(5, 1)
    assert linear_probe(vectors, labels).predict(vectors) == labels


def test_a_probe_refuses_what_it_cannot_learn_from() -> None:
    vectors, labels = clusters(6, 3)
    with pytest.raises(UsageError, match="two labels"):
        linear_probe(vectors, ["photo"] * len(labels))
    with pytest.raises(UsageError, match="9 vectors with 8 labels"):
        linear_probe(vectors, labels[:-1])
    with pytest.raises(UsageError):
        linear_probe(vectors, labels, l2=0)
    with pytest.raises(UsageError, match="dimensions"):
        linear_probe(vectors, labels).predict(vectors[:, :7])
