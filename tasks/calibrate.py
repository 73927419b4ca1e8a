"""Calibrate: cosines of a query with vectors of several modalities in, scores in which they can be compared out.

In a space that several encoders share, each modality lies in a cone of its own (Liang et al., "Mind the Gap:
Understanding the Modality Gap in Multi-modal Contrastive Representation Learning", NeurIPS 2022): the cosine of two
unrelated texts is higher than that of a text and the picture that shows it, so that raw cosines would list one modality
after the other. Speaker verification has the same problem between recordings and solves it by scoring against a cohort
of others: t-norm (Auckenthaler, Carey and Lloyd-Thomas, "Score Normalization for Text-Independent Speaker Verification
Systems", Digital Signal Processing, 2000). Here, for one query and each modality,

    score = (cosine - mean) / (deviation x sqrt(1 + 1/n))

over n other chunks of that modality, drawn from the release (tasks.index.cohorts, at most 512 that show different
things). A chunk's cosine is that of its best vector, for those of the cohort as for the one that is scored: the best of
a picture's many views is higher than a recording's only one without being any nearer to the query. So the score says
by how many standard deviations a chunk is nearer to the query than such chunks are. The root is what the mean's own
error adds. Corrections by a bank of queries (CSLS: Conneau et al., 2018; QB-Norm: Bogolin et al., CVPR 2022) also act
on hubs within a modality, but need queries like those to come, which a lake does not have. Nor is anything corrected
within a modality: of two pictures, the one with more views has more chances, which is what its views are for.

Few others tell little about their deviation, so that it is drawn towards the one within all modalities together, which
counts as much as eight of them. A chunk and its copies are no part of its cohort, or the one relevant picture among
three would hide itself. Where nothing else of its modality is there, it counts as average, or by how far it is above
everything in the sample if that is more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tasks.index.cohorts import Cohort
from tasks.rows import Modality

SAME = 0.999  # bfloat16 takes up to 1e-4 of equal vectors' cosine
_PRIOR = 8
_LEAST_DEVIATION = 1e-4  # equal vectors differ by rounding


class Calibration:
    """The scale of each modality for one query."""

    def __init__(self, query: np.ndarray, cohorts: Mapping[Modality, Cohort]) -> None:
        self._cohorts = cohorts
        unit = np.asarray(query, np.float32)
        self._cosines = {name: _best(cohort.vectors @ unit, cohort.starts) for name, cohort in cohorts.items()}
        freedom = sum(max(0, len(cosines) - 1) for cosines in self._cosines.values())
        spread = sum(float(np.var(cosines)) * len(cosines) for cosines in self._cosines.values() if len(cosines))
        self._within = spread / freedom if freedom else 0.0

    def score(self, modality: Modality, chunk_id: str, cosine: float) -> float:
        """The calibrated score of the chunk, from the cosine of its best vector of this modality with the query."""
        others = self._others(modality, chunk_id)
        if not len(others):
            everything = np.concatenate([self._others(name, chunk_id) for name in self._cosines] or [others])
            return max(0.0, _score(cosine, everything, 0.0)) if len(everything) > 1 else 0.0
        return _score(cosine, others, self._within)

    def _others(self, modality: Modality, chunk_id: str) -> np.ndarray:
        if modality not in self._cosines:
            return np.zeros(0)
        own = self._cohorts[modality].members.get(chunk_id, ())
        return np.delete(self._cosines[modality], list(own)) if own else self._cosines[modality]


def _best(cosines: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The highest cosine of each member of a cohort."""
    return np.maximum.reduceat(cosines, starts).astype(np.float64) if len(starts) else np.zeros(0)


def _score(cosine: float, others: np.ndarray, within: float) -> float:
    count = len(others)
    prior = _PRIOR if within else 0
    variance = (float(np.var(others)) * count + prior * within) / max(1, count - 1 + prior)
    deviation = max(math.sqrt(variance), _LEAST_DEVIATION)
    return (cosine - float(others.mean())) / (deviation * math.sqrt(1 + 1 / count))
