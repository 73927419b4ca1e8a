"""Files are classified by words and by examples; a file that cannot be read is a row of its own."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows import cli, terminal
from tasks import classify as task
from tasks.classify import Classified, Classifier, classify, few_shot, read_examples, zero_shot
from tasks.embed import spaces
from tasks.embed.media import Call, MediaItem, call_here
from tasks.errors import DocumentError, UsageError
from tasks.rows import Modality
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


def best(classifier: Classifier, files: list[str]) -> list[str | None]:
    return [row.to_json(classifier.labels)["label"] for row in classify(SPACE, files, classifier)]


def zero(files: list[str], *options: Any, modality: Modality | None = None, **named: Any) -> list[Classified]:
    return list(classify(SPACE, files, zero_shot(SPACE, LABELS, *options, **named), modality))


def test_zero_shot_is_a_softmax_over_scaled_cosines(files: list[str]) -> None:
    classifier = zero_shot(SPACE, LABELS, temperature=0.05)
    rows = list(classify(SPACE, files, classifier))
    assert best(classifier, files) == ["gull"] * 5 + ["engine"]
    modalities = ("image", "audio", "video", "depth", "imu", "thermal")
    assert tuple(row.modality for row in rows) == modalities
    texts = SPACE.embed_texts(LABELS)
    for row, words in zip(rows, ["gull"] * 5 + ["engine"], strict=True):
        assert row.modality is not None
        logits = 20 * texts @ SPACE.vector(row.modality, words)
        np.testing.assert_allclose(row.probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    assert classifier.method == "zero-shot" and classifier.notes == ()


def test_the_prompt_is_put_around_each_label(files: list[str]) -> None:
    result = zero(files[:1], "photo of {}", 0.2)
    logits = 5 * SPACE.embed_texts([f"photo of {label}" for label in LABELS]) @ SPACE.vector("image", "gull")
    np.testing.assert_allclose(result[0].probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    sharp, flat = (zero(files[:1], temperature=t)[0].probabilities for t in (0.001, 1000))
    assert sharp[0] == pytest.approx(1) and flat == pytest.approx((1 / 3,) * 3, abs=1e-3)


def test_a_modality_can_be_forced(tmp_path: Path) -> None:
    odd = file(tmp_path, "a.dat", "bell")
    assert zero([odd])[0].error is not None
    row = zero([odd], modality="thermal")[0]
    assert row.modality == "thermal" and row.to_json(LABELS)["label"] == "bell"


def test_files_that_cannot_be_read_are_rows_with_their_error(tmp_path: Path, files: list[str]) -> None:
    given = [str(tmp_path / "none.png"), files[0], file(tmp_path, "bad.png", "broken"), str(tmp_path), files[5]]
    classifier = zero_shot(SPACE, LABELS)
    rows = list(classify(SPACE, given, classifier))
    assert [row.file for row in rows] == given
    assert [row.error and row.error.code for row in rows] == ["no_file", None, "malformed", "no_file", None]
    assert best(classifier, given) == [None, "gull", None, None, "engine"]
    assert rows[3].error is not None and rows[3].error.message == "it is a folder, not a file"
    assert classifier.to_json(rows)["files"][2] == {
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
        zero_shot(SPACE, **{"labels": LABELS, **options})


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
    result = few_shot(SPACE, examples)
    assert result.labels == ("engine", "gull") and result.method == "few-shot"
    assert best(result, files) == ["gull"] * 5 + ["engine"]
    assert result.notes == (
        "trained on 5 examples of 2 labels; leaving each out once, the others get 5 of 5 right",
    )  # fmt: skip
    assert list(read_examples(str(folder), ["gull"])) == ["gull"]
    rows = list(classify(SPACE, [files[0], str(folder / "none.wav")], result))
    assert result.to_json(rows)["notes"] == list(result.notes)  # of the modality of the examples, or not classified
    rows = list(classify(SPACE, [files[1], *files], result))
    said = result.to_json(rows)["notes"][1:]
    advice = "while all examples are image; do not rely on these probabilities"
    assert said[0] == f"{files[1]} and 1 more: audio, {advice}" and said[1] == f"{files[2]}: video, {advice}"
    assert len(said) == 5 and result.doubts(rows) == said


def test_examples_that_cannot_be_read_are_left_out_and_noted(folder: Path) -> None:
    bad = file(folder, "engine/2.png", "broken")
    for name in ("0.png", "1.png"):
        (folder / "gull" / name).unlink()
    result = few_shot(SPACE, read_examples(str(folder)))
    assert result.notes == (f"left out: {bad}: it cannot be decoded", "trained on 3 examples of 2 labels")
    file(folder, "gull/2.png", "broken")
    with pytest.raises(UsageError, match="label 'gull' has no example that can be read"):
        few_shot(SPACE, read_examples(str(folder)))


def test_folders_that_hold_no_examples(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        read_examples(str(folder / "none"))
    for label in ("boat", "../examples/gull", "", "."):
        with pytest.raises(UsageError, match="has no examples"):
            read_examples(str(folder), [label])
    for labels in ({}, read_examples(str(folder), ["gull"])):
        with pytest.raises(UsageError, match="fewer than two labels") as caught:
            few_shot(SPACE, labels)
        assert caught.value.hint == "examples are FOLDER/LABEL/FILE, of two labels at least"


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
    assert run(capsys, bad, "--labels", "gull,engine")[0] == 1  # none worked

    for words in ("gull", "engine"):
        file(tmp_path, f"examples/{words}/0.png", words)
    for options in ([], ["--json"]):
        _, out, err = run(capsys, *files[:2], "--examples", str(tmp_path / "examples"), *options)
        assert f"{files[1]}: audio, while all examples are image" in err and files[0] not in err
    assert "while all examples are image" in json.loads(out)["notes"][-1]


def test_rows_are_shown_as_they_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Rows of the first files are out, and their number is said, before the last ones are looked at."""
    shown: list[tuple[str, str]] = []

    class Watched(FakeMediaSpace):
        def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
            shown.append(capsys.readouterr())
            return super().embed_media(items, call)

    names = [file(tmp_path, f"{number:02d}.png", "gull" if number % 3 else "engine") for number in range(20)]
    monkeypatch.setattr(spaces, "open_space", {"imagebind": Watched()}.__getitem__)
    monkeypatch.setattr(terminal, "_PLAIN_SECONDS", -1.0)
    monkeypatch.setattr(task, "_MOST_TOGETHER", 8)
    code, *last = run(capsys, *names, "--labels", "gull,engine")
    shown.append((last[0], last[1]))
    rows = [[line.split()[0] for line in out.splitlines()] for out, _ in shown]
    assert code == 0 and rows == [["file"], names[:8], names[8:16], names[16:]]
    said = [err.splitlines()[-1] for _, err in shown]
    assert said == [f"bindery: classify {done} of 20" for done in (0, 8, 16, 20)]

    shown.clear()
    code, out, err = run(capsys, *names, "--labels", "gull,engine", "--json")
    labels = [row["label"] for row in json.loads(out)["files"]]
    assert labels == ["gull" if number % 3 else "engine" for number in range(20)] and "classify 20 of 20" in err

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(capsys, *names, "--labels", "gull,engine")[2] == ""


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
