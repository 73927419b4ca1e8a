"""Files are classified by words and by examples; a file that cannot be read is a row of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows import cli
from tasks.classify import Classification, few_shot, read_examples, zero_shot
from tasks.embed import spaces
from tasks.errors import UsageError
from tests.lakes import FakeMediaSpace

SPACE = FakeMediaSpace()
LABELS = ("gull", "engine", "bell")


def file(folder: Path, name: str, words: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A gull in five modalities, and an engine."""
    names = ("a.png", "a.wav", "a.mp4", "a.depth.png", "a.imu.npy")
    return [*(file(tmp_path, name, "gull") for name in names), file(tmp_path, "b.thermal.tif", "engine")]


def best(result: Classification) -> list[str | None]:
    return [row.to_json(result.labels)["label"] for row in result.files]


def test_zero_shot_is_a_softmax_over_scaled_cosines(files: list[str]) -> None:
    result = zero_shot(SPACE, files, LABELS, temperature=0.05)
    assert best(result) == ["gull"] * 5 + ["engine"]
    modalities = ("image", "audio", "video", "depth", "imu", "thermal")
    assert tuple(row.modality for row in result.files) == modalities
    texts = SPACE.embed_texts(LABELS)
    for row, words in zip(result.files, ["gull"] * 5 + ["engine"], strict=True):
        assert row.modality is not None
        logits = 20 * texts @ SPACE.vector(row.modality, words)
        np.testing.assert_allclose(row.probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    assert result.method == "zero-shot" and result.notes == ()


def test_the_prompt_is_put_around_each_label(files: list[str]) -> None:
    result = zero_shot(SPACE, files[:1], LABELS, "photo of {}", 0.2)
    logits = 5 * SPACE.embed_texts([f"photo of {label}" for label in LABELS]) @ SPACE.vector("image", "gull")
    np.testing.assert_allclose(result.files[0].probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    sharp, flat = (zero_shot(SPACE, files[:1], LABELS, temperature=t).files[0].probabilities for t in (0.001, 1000))
    assert sharp[0] == pytest.approx(1) and flat == pytest.approx((1 / 3,) * 3, abs=1e-3)


def test_a_modality_can_be_forced(tmp_path: Path) -> None:
    odd = file(tmp_path, "a.dat", "bell")
    assert zero_shot(SPACE, [odd], LABELS).files[0].error is not None
    row = zero_shot(SPACE, [odd], LABELS, modality="thermal").files[0]
    assert row.modality == "thermal" and row.to_json(LABELS)["label"] == "bell"


def test_files_that_cannot_be_read_are_rows_with_their_error(tmp_path: Path, files: list[str]) -> None:
    given = [str(tmp_path / "none.png"), files[0], file(tmp_path, "bad.png", "broken"), str(tmp_path), files[5]]
    result = zero_shot(SPACE, given, LABELS)
    assert [row.file for row in result.files] == given
    assert [row.error and row.error.code for row in result.files] == ["no_file", None, "malformed", "no_file", None]
    assert best(result) == [None, "gull", None, None, "engine"]
    assert result.to_json()["files"][2] == {
        "file": given[2], "modality": "image", "label": None, "probabilities": None,
        "error": {"code": "malformed", "message": "it cannot be decoded", "hint": "fetch it again"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["one"]}, "fewer than two labels"),
        ({"labels": ["a", "a"]}, "empty or the same"),
        ({"labels": ["a", " "]}, "empty or the same"),
        ({"prompt": "a photo"}, "no place for the label"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
    ],
)
def test_labels_that_leave_no_choice(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        zero_shot(SPACE, [], **{"labels": LABELS, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Examples: three gulls, two engines; hidden files and a note beside them."""
    shown = {"gull": ("gull", "gull sea", "gull sky"), "engine": ("engine", "engine oil")}
    for label, pictures in shown.items():
        for number, words in enumerate(pictures):
            file(tmp_path, f"examples/{label}/{number}.png", words)
    file(tmp_path, "examples/gull/.DS_Store", "x")
    file(tmp_path, "examples/.git/x.png", "x")
    file(tmp_path, "examples/readme.txt", "x")
    return tmp_path / "examples"


def test_few_shot_learns_from_examples(folder: Path, files: list[str]) -> None:
    examples = read_examples(str(folder))
    assert {label: [Path(path).name for path in paths] for label, paths in examples.items()} == {
        "engine": ["0.png", "1.png"],
        "gull": ["0.png", "1.png", "2.png"],
    }
    result = few_shot(SPACE, files, examples)
    assert result.labels == ("engine", "gull") and result.method == "few-shot"
    assert best(result) == ["gull"] * 5 + ["engine"]
    assert result.notes == (
        "trained on 5 examples of 2 labels; leaving each out once, the others get 5 of 5 right",
    )  # fmt: skip
    assert list(read_examples(str(folder), ["gull"])) == ["gull"]


def test_examples_that_cannot_be_read_are_left_out_and_noted(folder: Path, files: list[str]) -> None:
    bad = file(folder, "engine/2.png", "broken")
    for name in ("0.png", "1.png"):
        (folder / "gull" / name).unlink()
    result = few_shot(SPACE, files[:1], read_examples(str(folder)))
    assert result.notes == (f"left out: {bad}: it cannot be decoded", "trained on 3 examples of 2 labels")
    file(folder, "gull/2.png", "broken")
    with pytest.raises(UsageError, match="label 'gull' has no example that can be read"):
        few_shot(SPACE, files, read_examples(str(folder)))


def test_folders_that_hold_no_examples(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        read_examples(str(folder / "none"))
    for label in ("boat", "../examples/gull", "", "."):
        with pytest.raises(UsageError, match="has no examples"):
            read_examples(str(folder), [label])
    with pytest.raises(UsageError, match="fewer than two labels"):
        few_shot(SPACE, [], read_examples(str(folder), ["gull"]))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    handler = signal.getsignal(signal.SIGTERM)
    code = cli.run(["classify", *arguments])
    signal.signal(signal.SIGTERM, handler)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, files: list[str]
) -> None:
    monkeypatch.setattr(spaces, "open_space", {"imagebind": SPACE}.__getitem__)
    code, out, _ = run(capsys, *files, "--labels", "gull, engine,bell", "--json")
    found = json.loads(out)
    assert code == 0 and found["schema_version"] == 1
    assert (found["method"], found["labels"], found["notes"]) == ("zero-shot", list(LABELS), [])
    assert [row["label"] for row in found["files"]] == ["gull"] * 5 + ["engine"]
    assert sum(found["files"][0]["probabilities"].values()) == pytest.approx(1)

    bad = file(tmp_path, "bad.png", "broken")
    code, out, _ = run(capsys, files[0], bad, "--labels", "gull,engine", "--temperature", "0.001")
    head, first, second = out.splitlines()
    assert code == 3 and head.split() == ["file", "gull", "engine"]
    assert first.split() == [files[0], "1.000", "0.000"] and second.split(maxsplit=1) == [bad, "! it cannot be decoded"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "a,b"], "no FILE given"),
        (["a.png"], "no labels to choose from"),
        (["a.png", "--examples", ".", "--prompt", "a {}"], "--prompt and --temperature"),
        (["a.png", "--examples", ".", "--temperature", "5"], "--prompt and --temperature"),
        (["a.png", "--examples", "/nowhere"], "there is no folder /nowhere"),
        (["a.png", "--labels", "a,b", "--modality", "smell"], "smell"),
    ],
)
def test_wrong_use_of_the_command(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, out, _ = run(capsys, *arguments, "--json")
    error = json.loads(out)["error"]
    assert code == 2 and error["code"] == "usage" and message in error["message"]


def test_without_the_model_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    spaces.open_space.cache_clear()
    monkeypatch.setenv("BINDERY_MODELS", str(tmp_path))
    code, out, _ = run(capsys, "a.png", "--labels", "a,b", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (1, "missing_capability") and "bindery models add imagebind" in error["hint"]
