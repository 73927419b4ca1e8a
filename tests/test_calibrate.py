"""Calibrated ranking equals its definition computed by brute force, and makes up for the gap between modalities."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tasks.calibrate import Calibration
from tasks.index import Wanted, cohorts, open_reader, tables
from tasks.index.cohorts import Cohort
from tasks.lake import Lake
from tasks.query import Query, Term
from tasks.result import SearchResult
from tasks.retrieve import retrieve
from tasks.rows import Kind, Modality, VectorRow, content_id
from tests.lakes import (
    MEDIA_DIMENSION,
    MEDIA_SPACES,
    MODALITIES,
    FakeMediaSpace,
    chunk,
    document,
    media_vector,
    new_lake,
    open_fake,
    publish_to,
    source,
)

MANY: tuple[Modality, ...] = ("text", "text", "text", "image", "audio", "video")
CONCEPTS = ("gull", "engine", "bell", "rain", "train", "violin", "surf", "siren")


@dataclasses.dataclass(frozen=True)
class World:
    """A lake whose chunks show one or two of the concepts in one modality, with its vectors and a file of each."""

    lake: Lake
    vectors: list[VectorRow]
    folder: Path

    def search(self, query: str | Query, k: int = 10, spaces: Sequence[str] = ("fakebind",)) -> SearchResult:
        return retrieve(self.lake, query, k=k, spaces=spaces, open_space=open_fake)

    def file(self, words: str) -> str:
        path = self.folder / words.replace(" ", "-")
        path.write_text(words, encoding="utf-8")
        return str(path)

    def term(self, modality: Modality, words: str, weight: float = 1.0) -> Term:
        if modality == "text":
            return Term(words, weight=weight)
        return Term(path=self.file(words), modality=modality, weight=weight)


def build(folder: Path, shown: Sequence[tuple[Modality, str]]) -> World:
    """`shown`: modality and words of each chunk."""
    lake = new_lake(folder)
    documents, vectors, sources = [], [], []
    for start in range(0, len(shown), 40):
        doc, rows, held = f"document {start}", [], []
        for number, (modality, words) in enumerate(shown[start : start + 40], start):
            kind: Kind = "table" if modality == "text" else modality
            media = None if modality == "text" else f"blobs/{number}"
            rows.append(chunk(doc, number - start, f"no words of it {number}", kind, media=media))
            held.append(media_vector(rows[-1], modality, words))
            if number % 5 == 0:  # a chunk of two vectors: its summary says something else
                held.append(media_vector(rows[-1], "text", f"summary {number}", window=int(modality == "text")))
        documents.append(document(lake.storage, doc, rows, media=held))
        sources.append(source(f"/data/{doc}", doc))
        vectors += held
    publish_to(lake, Wanted(sources, documents, MEDIA_SPACES))
    return World(lake, vectors, folder)


def shown(count: int) -> list[tuple[Modality, str]]:
    """Half of it text, little of IMU; each concept in each modality at least once where there is room."""
    draw = random.Random(4)
    pairs: list[tuple[Modality, str]] = [(m, c) for c in CONCEPTS for m in MODALITIES]
    while len(pairs) < count:
        modality = draw.choice(MANY)
        pairs.append((modality, " ".join(sorted(draw.sample([*CONCEPTS, "harbour", "crane", "buoy"], 2)))))
    return pairs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("calibrate"), shown(160))


def brute_force(query: np.ndarray, vectors: Sequence[VectorRow], most: int = 512) -> list[tuple[str, float, float]]:
    """(chunk id, calibrated score, cosine), best first, as the definition has it."""
    best_of: dict[Modality, dict[str, float]] = {}  # the cosine of each chunk's best vector
    first: dict[tuple[Modality, str], str] = {}  # what names the thing that it shows
    for row in vectors:
        known = best_of.setdefault(row.modality, {})
        known[row.chunk_id] = max(known.get(row.chunk_id, -1.0), float(row.vector @ query))
        if row.window == 0:
            first[row.modality, row.chunk_id] = row.item
    cohorts: dict[Modality, dict[str, float]] = {}
    for modality, known in best_of.items():
        shown = {first[modality, chunk_id]: known[chunk_id] for chunk_id in sorted(known, reverse=True)}
        cohorts[modality] = dict(sorted(shown.items())[:most])
    squares = sum(sum((c - np.mean(list(g.values()))) ** 2 for c in g.values()) for g in cohorts.values())
    within = squares / sum(len(g) - 1 for g in cohorts.values())
    best: dict[str, tuple[float, float]] = {}
    for modality, known in best_of.items():
        for chunk_id, cosine in known.items():
            own = first[modality, chunk_id]
            others = np.array([c for item, c in cohorts[modality].items() if item != own])
            spread = ((others - others.mean()) ** 2).sum()
            deviation = np.sqrt((spread + 8 * within) / (len(others) - 1 + 8))
            score = (cosine - others.mean()) / (deviation * np.sqrt(1 + 1 / len(others)))
            rival = best.get(chunk_id, (-np.inf, -1.0))
            best[chunk_id] = max(rival, (score, cosine), key=lambda pair: (pair[1] > 0.999, pair[0]))
    return sorted(((c, *pair) for c, pair in best.items()), key=lambda each: (each[2] < 0.999, -each[1], each[0]))


def assert_ranked(found: SearchResult, expected: Sequence[tuple[str, float, float]]) -> None:
    assert [hit.chunk.chunk_id for hit in found.hits] == [chunk_id for chunk_id, _, _ in expected]
    signals = [hit.signals for hit in found.hits]
    assert {(len(by), by[0].name) for by in signals} == {(1, "vector:fakebind")}
    ranks = [by[0].rank for by in signals]
    assert ranks[0] == 1 and ranks == sorted(ranks)
    for (_, score, _), (_, other, _), step in zip(expected, expected[1:], np.diff(ranks), strict=False):
        assert step in (0, 1) and (step == 1 or score == pytest.approx(other, abs=1e-6))  # copies have one rank
    scores = np.array([(by[0].calibrated, by[0].score) for by in signals], np.float64)
    np.testing.assert_allclose(scores, np.array([pair for _, *pair in expected]), atol=1e-4)


@pytest.mark.parametrize("modality", [m for m in MODALITIES if m != "text"])
def test_the_ranking_equals_brute_force(world: World, modality: Modality) -> None:
    found = world.search(Query((world.term(modality, "gull"),)), k=25)
    expected = brute_force(FakeMediaSpace().vector(modality, "gull"), world.vectors)
    assert_ranked(found, expected[:25])
    assert found.hits[0].signals[0].score == pytest.approx(1, abs=1e-5)  # the file itself


def test_sums_of_terms_rank_as_their_vector_does(world: World) -> None:
    terms = [world.term("image", "gull", 2), world.term("audio", "bell", 0.5), world.term("video", "rain", -0.75)]
    space = FakeMediaSpace()
    total = 2 * space.vector("image", "gull") + 0.5 * space.vector("audio", "bell")
    total = total - 0.75 * space.vector("video", "rain")
    found = world.search(Query(tuple(terms)), k=25)
    assert_ranked(found, brute_force(total / np.linalg.norm(total), world.vectors)[:25])
    assert found.query.count("*") == 3 and [term.weight for term in found.terms] == [2, 0.5, -0.75]


def test_a_sample_stands_for_many_vectors(tmp_path: Path) -> None:
    """As large lakes are searched, in small: through a vector index, with a sample of each modality."""
    with patch.object(tables, "INDEX_ROWS", 300), patch.object(cohorts, "_COHORT", 24):
        world = build(tmp_path, shown(400))
        for modality in MANY[3:5]:
            found = world.search(Query((world.term(modality, "gull"),)), k=20)
            query = FakeMediaSpace().vector(modality, "gull")
            assert_ranked(found, brute_force(query, world.vectors, most=24)[:20])
        drawn = open_reader(world.lake).cohorts("fakebind")
        assert len(drawn["text"].starts) == 24 < len({r.item for r in world.vectors if r.modality == "text"})
        assert open_reader(world.lake).cohorts("fakebind") is drawn


def test_each_modality_finds_every_other(world: World) -> None:
    shows = {row.chunk_id for row in world.vectors if row.item == content_id("fakebind", row.modality, "siren")}
    for asked in MODALITIES:
        hits = world.search(Query((world.term(asked, "siren"),)), k=25).hits
        assert {signal.name for hit in hits for signal in hit.signals} == {"vector:fakebind"}
        first = {hit.modality: hit.chunk.chunk_id for hit in reversed(hits)}
        assert set(first) == set(MODALITIES) and set(first.values()) == shows, asked


def test_raw_cosines_would_list_one_modality_first(world: World) -> None:
    query = FakeMediaSpace().vector("text", "violin")
    raw = sorted(world.vectors, key=lambda row: -float(row.vector @ query))
    assert {row.modality for row in raw[:20]} == {"text"}
    found = world.search("violin", k=7).hits
    assert {hit.modality for hit in found} == set(MODALITIES)
    assert all(hit.similarity == 0.0 for hit in found)  # cosines of this space are no evidence for an answer


def test_calibrated_scores_are_standard_where_nothing_is_relevant() -> None:
    """Unrelated vectors score as a standard normal does, whatever the modality's mean and spread."""
    draw = np.random.default_rng(0)
    gaps: dict[Modality, tuple[float, float, int]] = {"text": (0.7, 0.1, 400), "image": (0.1, 0.05, 100)}
    gaps["imu"] = (0.0, 0.1, 4)
    scores: dict[Modality, list[float]] = {modality: [] for modality in gaps}
    for _ in range(60):
        cosines = {m: draw.normal(mean, deviation, count) for m, (mean, deviation, count) in gaps.items()}
        cohorts = {modality: cohort(modality, *values) for modality, values in cosines.items()}
        calibration = Calibration(QUERY, cohorts)
        for modality, values in cosines.items():
            scores[modality] += [calibration.score(modality, f"{modality}{i}", c) for i, c in enumerate(values)]
    for found in scores.values():
        assert abs(np.mean(found)) < 0.1 and 0.9 < np.std(found) < 1.1


QUERY = np.array([1.0, 0.0])


def cohort(name: str, *cosines: float) -> Cohort:
    """Chunks name0, name1 ... with these cosines to QUERY."""
    vectors = np.array([[cosine, 0] for cosine in cosines], np.float32).reshape(-1, 2)
    return Cohort(vectors, np.arange(len(cosines)), {f"{name}{i}": (i,) for i in range(len(cosines))})


def test_small_cohorts() -> None:
    texts = cohort("t", *np.linspace(0.4, 0.6, 21))
    one = Calibration(QUERY, {"text": texts, "image": cohort("i", 0.3)})
    assert one.score("image", "i0", 0.3) == 0.0  # nothing to compare with: average
    alone = Calibration(QUERY, {"text": texts, "image": cohort("i", 0.9)})
    assert alone.score("image", "i0", 0.9) > 4  # above everything
    two = Calibration(QUERY, {"text": texts, "image": cohort("i", 0.3, 0.1)})
    assert two.score("image", "i0", 0.3) == pytest.approx(-two.score("image", "i1", 0.1))
    assert two.score("image", "i0", 0.3) > 1.5
    three = Calibration(QUERY, {"text": texts, "image": cohort("i", 0.4, 0.1, 0.1)})
    assert three.score("image", "i0", 0.4) > 3  # as part of its own cohort it could not be above 1.2
    nothing = Calibration(QUERY, {"image": cohort("i", 0.5)})
    assert nothing.score("image", "i0", 0.5) == 0.0
    equal = Calibration(QUERY, {"image": cohort("i", 0.5, 0.5, 0.5)})
    assert equal.score("image", "i0", 0.5) == pytest.approx(0.0, abs=1e-2)
    unknown = Calibration(QUERY, {"text": texts})
    assert unknown.score("audio", "a0", 0.45) == 0.0


def test_a_chunk_is_compared_with_the_best_views_of_others_and_not_with_its_own() -> None:
    vectors = np.array([[0.5, 0], [0.52, 0], [0.48, 0], [0.1, 0], [0.07, 0], [0.12, 0]], np.float32)
    members = {"wide": (0,), "copy of it": (0,), "a": (1,), "b": (2,)}
    calibration = Calibration(QUERY, {"image": Cohort(vectors, np.array([0, 3, 5]), members)})
    within = np.var([0.52, 0.1, 0.12]) * 3 / 2
    spread = np.sqrt((np.var([0.1, 0.12]) * 2 + 8 * within) / (1 + 8))
    for chunk_id in ("wide", "copy of it"):
        score = calibration.score("image", chunk_id, 0.52)
        assert score == pytest.approx((0.52 - 0.11) / (spread * np.sqrt(1.5)), rel=1e-5)


def publish_vectors(folder: Path, shown: Sequence[tuple[Modality, Sequence[np.ndarray]]], copies: int = 1) -> Lake:
    """A lake of these chunks with these vectors; the first is there so many times."""
    lake = new_lake(folder)
    rows, vectors = [], []
    for number, (modality, views) in enumerate([*[shown[0]] * (copies - 1), *shown]):
        place = f"blobs/{max(0, number - copies + 1)}"
        rows.append(chunk("all", number, "", "image" if modality == "image" else "audio", media=place))
        for window, vector in enumerate(views):
            row = media_vector(rows[-1], modality, f"{place} {window}", window)
            vectors.append(dataclasses.replace(row, vector=vector))
    publish_to(
        lake, Wanted([source("/all", "all")], [document(lake.storage, "all", rows, media=vectors)], MEDIA_SPACES)
    )
    return lake


def directions(draw: np.random.Generator, count: int, center: np.ndarray | None = None) -> list[np.ndarray]:
    found = draw.normal(size=(count, MEDIA_DIMENSION)) + (0 if center is None else center)
    return list((found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32))


def test_many_views_are_no_advantage_over_another_modality(tmp_path: Path) -> None:
    """Pictures of eleven views, which lie together, and recordings of one, all of them unrelated to the query."""
    draw = np.random.default_rng(3)
    pictures = [directions(draw, 11, 1.5 * draw.normal(size=MEDIA_DIMENSION)) for _ in range(120)]
    shown: list[tuple[Modality, Sequence[np.ndarray]]] = [("image", views) for views in pictures]
    shown += [("audio", [vector]) for vector in directions(draw, 120)]
    lake = publish_vectors(tmp_path, shown)
    first: list[Modality | None] = []
    for query in directions(draw, 25):
        with patch.object(FakeMediaSpace, "embed_texts", lambda self, texts, query=query: np.stack([query])):
            hits = retrieve(lake, "anything", k=20, spaces=("fakebind",), open_space=open_fake).hits
        first += [hit.modality for hit in hits]
    assert len(first) == 500 and 0.4 < first.count("image") / 500 < 0.62


def test_copies_take_no_place_in_the_sample(tmp_path: Path) -> None:
    """A logo on most pages: the sample is of as many other pictures as it has room for, in few steps."""
    draw = np.random.default_rng(5)
    shown: list[tuple[Modality, Sequence[np.ndarray]]] = [("image", directions(draw, 3)) for _ in range(41)]
    lake = publish_vectors(tmp_path, shown, copies=1500)
    with patch.object(cohorts, "_COHORT", 30):
        found = open_reader(lake).cohorts("fakebind")["image"]
    assert len(found.starts) == 30 and found.vectors.shape == (90, MEDIA_DIMENSION)
    cohorts_of_all = cohorts.sample(open_reader(lake)._table("vectors_fakebind"), MEDIA_DIMENSION)
    assert len(cohorts_of_all["image"].starts) == 41 and len(cohorts_of_all["image"].members) == 1540
    with patch.object(cohorts, "_VECTORS", 50):
        bounded = cohorts.sample(open_reader(lake)._table("vectors_fakebind"), MEDIA_DIMENSION)["image"]
    assert len(bounded.starts) == 16 and len(bounded.vectors) == 48
    np.testing.assert_array_equal(bounded.vectors, cohorts_of_all["image"].vectors[:48])
