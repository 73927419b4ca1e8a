"""Ranks of gold items in (from 1, None: not found), measures of retrieval out, each of one question and from 0 to 1.

Relevance is binary. nDCG is Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (TOIS 2002),
with the logarithm to base 2 from the first rank on; MRR's reciprocal rank is 0 beyond `DEPTH`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

DEPTH = 10
CUTS = (1, 3, 5, 10)


def hit(found: Sequence[int | None], k: int) -> float:
    """1 where any gold item is among the first k."""
    return float(any(rank is not None and rank <= k for rank in found))


def recall(found: Sequence[int | None], k: int) -> float:
    """The share of the gold items that are among the first k."""
    return sum(rank is not None and rank <= k for rank in found) / len(found)


def reciprocal_rank(found: Sequence[int | None]) -> float:
    return max((1 / rank for rank in found if rank is not None and rank <= DEPTH), default=0.0)


def ndcg(found: Sequence[int | None], k: int) -> float:
    gain = sum(1 / math.log2(rank + 1) for rank in found if rank is not None and rank <= k)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(found)) + 1))
    return gain / ideal


def _measures() -> dict[str, Callable[[Sequence[int | None]], float]]:
    found: dict[str, Callable[[Sequence[int | None]], float]] = {}
    for k in CUTS:
        found[f"hit@{k}"] = lambda ranks, k=k: hit(ranks, k)  # type: ignore[misc]
    for k in CUTS[2:]:
        found[f"recall@{k}"] = lambda ranks, k=k: recall(ranks, k)  # type: ignore[misc]
    return {**found, f"mrr@{DEPTH}": reciprocal_rank, f"ndcg@{DEPTH}": lambda ranks: ndcg(ranks, DEPTH)}


MEASURES: Mapping[str, Callable[[Sequence[int | None]], float]] = _measures()


def measured(found: Sequence[int | None]) -> dict[str, float]:
    """Every measure of one question, from the ranks of its gold items (at least one)."""
    return {name: measure(found) for name, measure in MEASURES.items()}
