"""all-MiniLM-L6-v2 as we run it: equal to the reference, independent of neighbours, nothing cut off."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.embed import minilm, model_cache
from tasks.embed.minilm import MAX_TOKENS, MiniLM
from tasks.errors import MissingCapabilityError

TEXTS = [
    "",
    "Net revenue rose by 12% in 2022.",
    "营业收入同比增长百分之十二。",
    "naïve café, ÉCOLE — “quoted” 😀",
    "The quick brown fox jumps over the lazy dog. " * 24,
]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> MiniLM:
    """The space with a model cache of its own, so that the conversion is tested too."""
    try:
        found = minilm.open_space()
    except MissingCapabilityError as error:
        pytest.skip(error.message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found.embed_texts(["load"])
    return found


@pytest.fixture(scope="module")
def exact(space: MiniLM) -> MiniLM:
    """The model in float32 instead of 8 bits."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = MiniLM(space._model)
    graph = minilm.graph(space.weights, ranges=None)
    found.__dict__["_session"] = onnxruntime.InferenceSession(graph.SerializeToString())
    return found


def test_eight_bits_keep_the_direction(space: MiniLM, exact: MiniLM) -> None:
    texts = [window for text in TEXTS for window in space.windows(text)]
    cosines = (space.embed_texts(texts) * exact.embed_texts(texts)).sum(axis=1)
    assert cosines.min() > 0.97 and cosines.mean() > 0.985
    assert cosines.max() < 1, "the graph is not of integers"


def test_equal_to_transformers(exact: MiniLM) -> None:
    space = exact
    torch = pytest.importorskip("torch", reason="the reference needs torch")
    transformers = pytest.importorskip("transformers", reason="the reference needs transformers")
    model = transformers.AutoModel.from_pretrained(space._model, local_files_only=True).eval()
    ids = [space._tokenizer.encode(text).ids for text in TEXTS]
    assert max(map(len, ids)) > 240
    for text, tokens in zip(TEXTS, ids, strict=True):
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([tokens])).last_hidden_state[0].numpy()
        mean = hidden.mean(axis=0)
        assert np.abs(space.embed_texts([text])[0] - mean / np.linalg.norm(mean)).max() <= 1e-5


def test_tokens_are_those_of_the_reference(space: MiniLM) -> None:
    transformers = pytest.importorskip("transformers", reason="the reference needs transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(space._model, local_files_only=True)
    assert [space._tokenizer.encode(text).ids for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]


def test_special_tokens_in_text_are_text(space: MiniLM) -> None:
    assert space._tokenizer.encode("[SEP]", add_special_tokens=False).tokens == ["[", "sep", "]"]


def test_shape_and_meaning(space: MiniLM) -> None:
    vectors = space.embed_texts(["How much did sales grow?", *TEXTS[1:2], "A recipe for apple pie."])
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert space.embed_texts([]).shape == (0, 384)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=120) | st.sampled_from(TEXTS), min_size=1, max_size=12), st.integers(0, 99))
def test_a_vector_does_not_depend_on_its_neighbours(space: MiniLM, texts: list[str], seed: int) -> None:
    together = space.embed_texts(texts)
    order = np.random.default_rng(seed).permutation(len(texts))
    shuffled = space.embed_texts([texts[i] for i in order])
    alone = np.concatenate([space.embed_texts([text]) for text in texts])
    assert np.abs(together - alone).max() <= 1e-5
    assert np.abs(together[order] - shuffled).max() <= 1e-5


def test_no_windows_for_nothing_and_one_for_little(space: MiniLM) -> None:
    assert space.windows(" \n\t") == []
    assert space.windows(TEXTS[1]) == [TEXTS[1]]


def test_windows_end_at_sentences_and_overlap(space: MiniLM) -> None:
    text = "".join(f"Sentence number {i} says something else. " for i in range(120))
    windows = space.windows(text)
    assert len(windows) == 4
    assert all(window.endswith(".") for window in windows[:-1])
    for left, right in itertools.pairwise(windows):
        assert right[:30] in left


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["word ", "antidisestablishmentarianism", "3.14 ", "公司", "。", "\n", "x" * 150, "é\u0301", "😀"]
        )
        | st.text(max_size=20),
        max_size=300,
    ).map("".join),
    st.integers(1, 4),
)
def test_windows_fit_and_hold_every_token(space: MiniLM, text: str, times: int) -> None:
    text *= times
    windows = space.windows(text)
    assert all(len(space._tokenizer.encode(window)) <= MAX_TOKENS for window in windows)
    whole = space._tokenizer.encode(text, add_special_tokens=False).ids
    covered: list[int] = []
    for window in windows:  # each continues the text within what it shares with the last, as far on as it fits
        ids = space._tokenizer.encode(window, add_special_tokens=False).ids
        start = next(
            (
                s
                for s in range(len(covered), max(0, len(covered) - 2 * MAX_TOKENS) - 1, -1)
                if whole[s : s + len(ids)] == ids
            ),
            None,
        )
        assert start is not None
        covered = whole[: max(len(covered), start + len(ids))]
    assert len(covered) == len(whole) or not windows


def test_a_long_text_is_the_mean_of_its_windows(space: MiniLM) -> None:
    text = "Interest income rose. " * 100 + "The dog ate the homework. " * 100
    mean = space.embed_texts(space.windows(text)).sum(axis=0)
    np.testing.assert_allclose(space.embed_texts([text])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"something else")
    with pytest.raises(MissingCapabilityError, match="not the file it should be"):
        model_cache.open_session("other", weights, minilm.WEIGHTS_SHA256, minilm.graph)


@pytest.mark.parametrize("damage", ["graph", "weights", "read-only"])
def test_a_damaged_or_unwritable_cache_is_no_obstacle(
    space: MiniLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    expected = space.embed_texts(TEXTS[:2])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if damage == "read-only":
        (tmp_path / "bindery").write_text("a file where the folder should be")
    else:
        MiniLM(space._model).embed_texts(["x"])
        (folder,) = (tmp_path / "bindery" / "models").iterdir()
        (folder / {"graph": "model.onnx", "weights": "weights.bin"}[damage]).write_bytes(b"\x00" * 10)
    np.testing.assert_array_equal(MiniLM(space._model).embed_texts(TEXTS[:2]), expected)


def test_the_code_of_the_model_package_is_never_imported(space: MiniLM) -> None:
    assert minilm.PACKAGE not in sys.modules
