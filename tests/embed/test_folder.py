"""A model on disk: equal to what sentence-transformers gives, with its prompts, by its files alone, running no code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import model_files
from tasks.embed import folder, model_folder
from tasks.embed.folder import FolderSpace, open_folder
from tasks.embed.spaces import PromptedSpace, embed_query
from tasks.errors import MissingCapabilityError
from tasks.settings import ComputeSettings
from tests.embed.toy_folder import DIMENSION, MOST_TOKENS, PASSAGE, QUERY, e5_prompts, save_toy_folder

CPU = ComputeSettings(device="cpu")
TEXTS = ["the buoy is in the harbour", "北京市的价格是多少", "radar gauge, north quay", "sales"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_folder(tmp_path_factory.mktemp("models") / "plain")


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_folder(tmp_path_factory.mktemp("models") / "模型 prompted", e5_prompts())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(path: Path) -> FolderSpace:
    return open_folder(str(path), CPU)


def reference(path: Path, texts: list[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(path), device="cpu", local_files_only=True)
    return np.asarray(model.encode(texts, prompt="", normalize_embeddings=True))


def test_equal_to_sentence_transformers(plain: Path) -> None:
    space = opened(plain)
    found = space.embed_texts(TEXTS)
    assert found.dtype == np.float32 and found.shape == (4, DIMENSION) and space.dimension == DIMENSION
    np.testing.assert_allclose(found, reference(plain, TEXTS), atol=1e-5)
    np.testing.assert_allclose(space.embed_texts(TEXTS[::-1])[::-1], found, atol=1e-5)
    np.testing.assert_allclose(embed_query(space, TEXTS[0]), found[0], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_half_precision_differs_by_rounding(plain: Path) -> None:
    found = open_folder(str(plain), ComputeSettings(device="cpu", precision="bfloat16")).embed_texts(TEXTS)
    assert found.dtype == np.float32 and np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert (found * reference(plain, TEXTS)).sum(axis=1).min() > 0.99


def test_queries_and_documents_get_their_prompts(prompted: Path) -> None:
    space = opened(prompted)
    assert isinstance(space, PromptedSpace)
    text = TEXTS[0]
    as_query, as_passage, bare = reference(prompted, [f"{QUERY}{text}", f"{PASSAGE}{text}", text])
    np.testing.assert_allclose(embed_query(space, text), as_query, atol=1e-5)
    np.testing.assert_allclose(space.embed_texts([text])[0], as_passage, atol=1e-5)
    assert np.abs(as_query - as_passage).max() > 0.001 < np.abs(as_passage - bare).max()


def test_windows_hold_all_and_fit(prompted: Path) -> None:
    space = opened(prompted)
    assert space.windows(" \n") == [] and space.windows(TEXTS[0]) == TEXTS[:1]
    long = " ".join(f"gauge {number} is on the quay." for number in range(40)) + "".join(
        f"港口浮标{number}验潮仪价格" for number in range(12)
    )
    pieces = space.windows(long)
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(prompted, local_files_only=True)
    assert len(pieces) > 5 and all(len(tokenizer(PASSAGE + piece)["input_ids"]) <= MOST_TOKENS for piece in pieces)
    place = 0
    for piece in pieces:  # each begins before the last one ends, or where it ended
        begin = long.find(piece, max(0, place - 110))
        assert 0 <= begin <= place
        place = begin + len(piece)
    assert place == len(long)
    mean = space.embed_texts(pieces).sum(axis=0)
    np.testing.assert_allclose(space.embed_texts([long])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_opening_loads_nothing(plain: Path) -> None:
    code = (
        "import sys; from tasks.embed.spaces import Spaces; space = Spaces().open(sys.argv[1]); "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'openai'}; "
        "print(space.dimension, *sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, f"path:{plain}"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (run.stdout.split(), run.stderr) == ([str(DIMENSION)], "")


def test_the_fingerprint_is_of_the_model_alone(plain: Path, prompted: Path, tmp_path: Path) -> None:
    first = opened(plain).fingerprint
    moved = tmp_path / "elsewhere" / "名字"
    shutil.copytree(plain, moved)
    (moved / "README.md").write_text("more about it")
    (moved / "onnx").mkdir()
    (moved / "onnx" / "model.json").write_text("{}")
    assert opened(moved).fingerprint == first != opened(prompted).fingerprint
    assert opened(moved).name != opened(plain).name
    weights = moved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(1, 1))
    assert opened(moved).fingerprint != first


def test_large_files_are_read_once(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(plain, model)
    weights = model / "model.safetensors"
    assert weights.stat().st_size > model_files._SMALL
    os.utime(weights, (1e9, 1e9))
    hashed: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        hashed.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    found = [model_folder.read(model).fingerprint for _ in range(3)]
    assert len(set(found)) == 1 and hashed.count(weights.name) == 1 and hashed.count("config.json") > 3
    (remembered,) = (cache / "bindery" / "models" / "checksums").iterdir()
    remembered.write_text("not what was written")
    assert model_folder.read(model).fingerprint == found[0] and hashed.count(weights.name) == 2
    os.utime(weights, (2e9, 1.1e9))
    assert model_folder.read(model).fingerprint == found[0] and hashed.count(weights.name) == 3
    weights.touch()  # so young that it may change within its time stamp
    for _ in range(2):
        model_folder.read(model)
    assert hashed.count(weights.name) == 5


def _no_modules(model: Path) -> None:
    (model / "modules.json").unlink()


def _broken_modules(model: Path) -> None:
    (model / "modules.json").write_text("[1]")


def _own_code(model: Path) -> None:
    _change_modules(model, type="modeling_own.Transformer")


def _outside(model: Path) -> None:
    _change_modules(model, path="../plain")


def _no_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def _pickled(model: Path) -> None:
    _no_weights(model)
    (model / "pytorch_model.bin").write_bytes(b"")


def _change_modules(model: Path, **changes: str) -> None:
    modules = json.loads((model / "modules.json").read_text())
    (model / "modules.json").write_text(json.dumps([{**modules[0], **changes}, *modules[1:]]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_modules, "it has no modules.json"),
        (_broken_modules, "modules.json cannot be read"),
        (_own_code, "its module modeling_own.Transformer is code of its own"),
        (_outside, "'../plain' is not in it"),
        (_no_weights, "it has no weights"),
        (_pickled, "pytorch_model.bin are in a format that can hold code"),
        (shutil.rmtree, "there is no folder"),
    ],
)
def test_a_folder_that_is_none(plain: Path, tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(plain, model)
    damage(model)
    with pytest.raises(MissingCapabilityError, match=said) as caught:
        opened(model)
    assert str(model) in caught.value.message and caught.value.hint


class _Evil:
    def __init__(self, sign: Path) -> None:
        self._sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._sign,))


def test_no_pickle_is_opened(plain: Path, tmp_path: Path) -> None:
    model, sign = tmp_path / "model", tmp_path / "was-run"
    shutil.copytree(plain, model)
    evil = pickle.dumps(_Evil(sign))
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin"):
        (model / name).write_bytes(evil)
    opened(model).embed_texts(TEXTS)
    assert not sign.exists()
    pickle.loads(evil)
    assert sign.exists()


def test_a_model_that_is_no_longer_what_its_files_said(plain: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(plain, model)
    pooling = model / "1_Pooling" / "config.json"
    pooling.write_text('{"word_embedding_dimension": 128, "pooling_mode_mean_tokens": true}')
    assert opened(model).embed_texts(["gauge"]).shape == (1, 128)  # as versions before 6 wrote it
    pooling.write_text('{"embedding_dimension": 128, "pooling_mode": ["mean", "cls"]}')
    assert opened(model).dimension == 256 == opened(model).embed_texts(["gauge"]).shape[1]


def test_one_space_for_a_process(plain: Path) -> None:
    assert opened(plain) is opened(plain) and folder.open_folder(str(plain), ComputeSettings()) is not opened(plain)
