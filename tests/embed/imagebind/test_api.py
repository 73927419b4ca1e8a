"""numpy in, numpy out, on the tiny model (a fake: random weights, no quality)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks.embed.imagebind import audio, images, tokenizer
from tasks.embed.imagebind.api import ImageBind, classify
from tasks.errors import DocumentError, MissingCapabilityError, UsageError
from tasks.rows import Modality
from tests.embed.imagebind.tiny import install_tiny

LONG = " ".join(f"Part {number} of the valve is made of steel and is {number} mm long." for number in range(40))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    install_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def model(models: Path) -> Iterator[ImageBind]:
    with ImageBind.open(models, device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file of each kind, and broken ones."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(5)
    for number in range(3):
        pixels = random.integers(0, 256, (240 + 30 * number, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    soundfile.write(folder / "tone.wav", random.uniform(-1, 1, (16_000 * 9, 2)).astype(np.float32), 16_000)
    np.save(folder / "depth.npy", random.uniform(0.5, 5, (60, 80)).astype(np.float32))
    np.save(folder / "heat.npy", random.uniform(20, 40, (60, 80)).astype(np.float32))
    np.save(folder / "motion.npy", random.standard_normal((6, 2000)).astype(np.float32))
    film(folder / "film.mp4", random)
    return folder


def film(path: Path, random: np.random.Generator) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(24):
            pixels = np.kron(random.integers(0, 256, (4, 6, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def vector(result: np.ndarray | DocumentError) -> np.ndarray:
    assert isinstance(result, np.ndarray), result
    return result


SCALES = {"text": 100, "image": 1, "audio": 20, "depth": 5, "thermal": 10, "imu": 5}


def one_of_each(files: Path) -> dict[Modality, list[Any]]:
    return {
        "text": ["a dog"],
        "image": [files / "0.png"],
        "audio": [files / "tone.wav"],
        "video": [files / "film.mp4"],
        "depth": [files / "depth.npy"],
        "thermal": [files / "heat.npy"],
        "imu": [files / "motion.npy"],
    }


def test_every_modality_normalised_and_as_the_official_model_scales_it(model: ImageBind, files: Path) -> None:
    methods = {
        "text": model.embed_texts,
        "image": model.embed_images,
        "audio": model.embed_audio,
        "video": model.embed_videos,
        "depth": model.embed_depth,
        "thermal": model.embed_thermal,
        "imu": model.embed_imu,
    }
    for modality, items in one_of_each(files).items():
        embed: Any = methods[modality]
        found, scaled = embed(items), embed(items, normalize=False)
        assert found.shape == scaled.shape == (1, model.dimension) and found.dtype == scaled.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found), 1, rtol=1e-6)
        np.testing.assert_allclose(found, unit(scaled), rtol=0, atol=1e-6)
        length = float(np.linalg.norm(scaled))
        if modality in ("audio", "video"):  # a mean over clips, not normalised again
            assert 0 < length < SCALES.get(modality, 1) * 0.99999
        else:
            assert length == pytest.approx(SCALES[modality], rel=1e-5)


def test_a_sound_is_heard_in_the_three_clips_of_the_official_code(model: ImageBind, files: Path) -> None:
    waveform, rate = audio.load(files / "tone.wav")  # 9 s
    expected = model.encoder.encode("audio", [audio.clips(waveform, rate, 3)])
    np.testing.assert_array_equal(model.embed_audio([files / "tone.wav"], normalize=False), expected)
    np.testing.assert_array_equal(model.embed_audio([(waveform, rate)], normalize=False), expected)
    mono = model.embed_audio([(waveform[0], rate)])
    assert mono.shape == expected.shape and np.isfinite(mono).all()


def test_paths_pictures_and_arrays_are_the_same_picture(model: ImageBind, files: Path) -> None:
    path = files / "1.png"
    with Image.open(path) as picture:
        picture.load()
    pixels = np.asarray(picture)
    found = model.embed_images([path, str(path), picture, pixels, picture.convert("RGBA"), picture.convert("L")])
    expected = model.encoder.encode("image", [images.official(picture)[None]])[0]
    for vector in found[:5]:
        np.testing.assert_allclose(vector, unit(expected), rtol=0, atol=1e-6)
    assert np.abs(found[5] - found[0]).max() > 1e-4


def test_arrays_of_sensors_equal_their_files(model: ImageBind, files: Path) -> None:
    for name, embed in (("depth", model.embed_depth), ("heat", model.embed_thermal), ("motion", model.embed_imu)):
        values = np.load(files / f"{name}.npy")
        np.testing.assert_allclose(embed([values]), embed([files / f"{name}.npy"]), rtol=0, atol=1e-6)
    turned = model.embed_imu([np.load(files / "motion.npy").T])
    np.testing.assert_array_equal(turned, model.embed_imu([files / "motion.npy"]))
    ready = np.random.default_rng(0).standard_normal((1, 224, 224), dtype=np.float32)
    np.testing.assert_array_equal(
        model.embed_depth([ready], normalize=False), model.encoder.encode("depth", [ready[None]])
    )


def test_a_long_text_is_the_mean_direction_of_its_windows(model: ImageBind) -> None:
    pieces = tokenizer.windows(LONG)
    assert len(pieces) > 3
    directions = model.embed_texts(pieces)
    found = model.embed_texts(["short", LONG, "another"])
    np.testing.assert_allclose(found[1], unit(directions.mean(axis=0)), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[[0, 2]], model.embed_texts(["short", "another"]), rtol=0, atol=1e-5)
    assert np.linalg.norm(model.embed_texts([LONG], normalize=False)) == pytest.approx(100, rel=1e-4)
    changed = model.embed_texts([LONG + " Its end is of brass."])
    assert np.abs(changed - found[1]).max() > 1e-4  # nothing was cut off


def test_special_tokens_in_a_text_are_text(model: ImageBind) -> None:
    one, other = model.embed_texts(["<|endoftext|> a dog", "<|endoftext|> a submarine"])
    assert np.abs(one - other).max() > 1e-3
    assert np.isfinite(model.embed_texts([""])).all()


def test_errors_name_the_item(model: ImageBind, files: Path) -> None:
    broken = [files / "0.png", files / "cut.png", files / "1.png", files / "none.png"]
    found = model.try_embed("image", broken)
    assert [isinstance(result, DocumentError) for result in found] == [False, True, False, True]
    first, second = found[1], found[3]
    assert isinstance(first, DocumentError) and isinstance(second, DocumentError)
    assert first.code == "malformed" and str(first).startswith("item 1 (image): ") and "cut.png" in str(first)
    assert second.code == "unreadable" and "item 3" in str(second) and "none.png" in str(second)
    np.testing.assert_allclose(vector(found[2]), model.embed_images([files / "1.png"])[0], rtol=0, atol=1e-6)
    with pytest.raises(DocumentError, match=r"item 1 \(image\).*cut\.png"):
        model.embed_images(broken)
    odd = model.try_embed("imu", [np.zeros((5, 100)), np.full((6, 10), np.nan), np.array(["x"])])
    assert [result.code for result in odd if isinstance(result, DocumentError)] == [
        "wrong_shape",
        "malformed",
        "malformed",
    ]


def test_wrong_use_is_said_at_once(model: ImageBind) -> None:
    calls: list[Callable[[], object]] = [
        lambda: model.embed_texts("one text"),
        lambda: model.embed_images("one.png"),
        lambda: model.embed_texts([3]),  # type: ignore[list-item]
        lambda: model.embed_images([3]),  # type: ignore[list-item]
        lambda: model.embed_videos([np.zeros((2, 2))]),  # type: ignore[list-item]
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()


def test_worker_processes_give_the_same(models: Path, model: ImageBind, files: Path) -> None:
    paths = [files / name for name in ("0.png", "cut.png", "1.png", "2.png")]
    with ImageBind.open(models, device="cpu", decoders=1) as other:
        found = other.try_embed("image", paths)
    for ours, theirs in zip(found, model.try_embed("image", paths), strict=True):
        if isinstance(ours, DocumentError):
            assert isinstance(theirs, DocumentError) and (ours.code, str(ours)) == (theirs.code, str(theirs))
        else:
            np.testing.assert_allclose(ours, vector(theirs), rtol=0, atol=1e-6)
    assert sum(isinstance(result, DocumentError) for result in found) == 1


def test_many_files_need_no_processes(model: ImageBind, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script without `if __name__ == "__main__":` cannot have any."""
    monkeypatch.setattr(ImageBind, "_processes", lambda model: pytest.fail("started"))
    paths = [files / f"{number % 3}.png" for number in range(20)]
    np.testing.assert_allclose(model.embed_images(paths)[17], model.embed_images(paths[2:3])[0], rtol=0, atol=1e-6)


def test_classify_takes_texts_or_vectors(model: ImageBind, files: Path) -> None:
    pictures, labels = model.embed_images([files / "0.png", files / "1.png"]), ["a chart", "a logo", "a photo"]
    vectors = model.embed_texts(labels)
    found = model.classify(pictures, labels)
    np.testing.assert_array_equal(found, model.classify(pictures, vectors))
    np.testing.assert_array_equal(found, classify(pictures, vectors))
    powers = np.exp(100 * pictures.astype(np.float64) @ vectors.astype(np.float64).T)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_tables_of_the_official_example(model: ImageBind, files: Path) -> None:
    """softmax(vision · text) there has the scales in its vectors: of texts 100, of pictures 1."""
    texts = ["a dog", "a car"]
    scaled = classify(
        model.embed_images([files / "0.png"], normalize=False), model.embed_texts(texts, normalize=False), 1
    )
    np.testing.assert_allclose(scaled, model.classify(model.embed_images([files / "0.png"]), texts), rtol=1e-3)


def test_nothing_in_is_nothing_out(model: ImageBind) -> None:
    assert model.embed_texts([]).shape == model.embed_images([]).shape == (0, model.dimension)


def test_no_model_is_said_with_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingCapabilityError) as caught:
        ImageBind.open(tmp_path, device="cpu")
    assert "bindery models add imagebind" in caught.value.hint
