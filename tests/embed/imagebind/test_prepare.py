"""What decoding workers do: one array per part of a file, in the tower's form, and errors that name the file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks import recordings
from tasks.embed.imagebind import audio, images, prepare, sensors, video
from tasks.embed.media import MediaItem
from tasks.errors import DocumentError
from tasks.rows import Box, Modality
from tests.embed.imagebind.fixtures import PRE, VIDEO
from tests.embed.imagebind.test_images import empty_png
from tests.files import depth_map, make_array, make_video, make_wav, motion


def one(modality: Modality, path: Path, start: float | None = None, end: float | None = None) -> np.ndarray:
    (found,) = prepare.prepare([MediaItem(modality, str(path), start=start, end=end)])
    return found


def test_views_of_a_picture_in_order(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)).save(path)
    planned = images.views(900, 300, 3)
    items = [
        MediaItem("image", str(path), view.kind, Box.of(1, *view.box) if view.kind == "tile" else None)
        for view in planned
    ]
    assert [item.view for item in items] == ["crop", "letterbox", "tile", "tile", "tile"]
    found = prepare.prepare([*items, MediaItem("image", str(path))])
    picture = images.open_image(path)
    for array, view in zip(found, [*planned, planned[0]], strict=True):
        assert array.shape == (1, 3, 224, 224) and array.dtype == np.uint8 and array.flags.c_contiguous
        np.testing.assert_array_equal(array[0].transpose(1, 2, 0), images.render(picture, view))


def test_a_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = images.open_image

    def watched(path: str, max_pixels: int) -> Image.Image:
        opened.append(path)
        return original(path, max_pixels)

    monkeypatch.setattr(images, "open_image", watched)
    path = str(PRE / "syn_229x224.png")
    assert len(prepare.prepare([MediaItem("image", path, "crop"), MediaItem("image", path, "letterbox")])) == 2
    assert opened == [path]


def test_each_modality_in_the_form_of_its_tower(tmp_path: Path) -> None:
    depth_map().save(tmp_path / "map.png")
    Image.new("L", (64, 48), 90).save(tmp_path / "heat.png")
    imu = make_array(tmp_path / "imu.npy", motion(300))
    sound = PRE / "syn_3.1s_8k.wav"
    waveform, rate = audio.load(sound)
    for modality, path, expected in (
        ("audio", sound, audio.clips(waveform, rate, 3)),
        ("video", PRE / VIDEO, video.load(PRE / VIDEO)),
        ("depth", tmp_path / "map.png", sensors.load_depth(tmp_path / "map.png")),
        ("thermal", tmp_path / "heat.png", sensors.load_thermal(tmp_path / "heat.png")),
        ("imu", imu, sensors.load_imu(imu)),
    ):
        np.testing.assert_array_equal(one(modality, path), expected)  # type: ignore[arg-type]
    assert prepare.prepare([]) == []
    with pytest.raises(ValueError, match="text"):
        one("text", sound)


def test_parts_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000 * 30), 16_000)
    whole, rate = audio.load(path)
    first, second = prepare.prepare(
        [MediaItem("audio", str(path), start=0.0, end=10.0), MediaItem("audio", str(path), start=20.0, end=None)]
    )
    np.testing.assert_array_equal(first, audio.clips(whole[:, :160_000], rate, 5))
    np.testing.assert_array_equal(second, audio.clips(whole[:, 320_000:], rate, 5))
    assert one("audio", path).shape == (15, 1, 128, 204)
    film = make_video(tmp_path / "film.mp4", 6.0)
    np.testing.assert_array_equal(one("video", film, 3.0, 5.0), video.load(film, 3.0, 5.0))


def test_of_a_long_recording_clips_are_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000 * 60), 16_000)
    monkeypatch.setattr(prepare, "MAX_SECONDS", 20.0)
    found = one("audio", path)
    assert found.shape == (10, 1, 128, 204)
    whole, rate = audio.load(path)
    np.testing.assert_allclose(found[0], audio.clips(whole[:, :32_000], rate, 1)[0], atol=1e-5)
    np.testing.assert_allclose(found[-1], audio.clips(whole[:, -32_000:], rate, 1)[0], atol=1e-5)


def test_sizes_by_the_header(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(empty_png(30_000, 30_000))
    (tmp_path / "line.png").write_bytes(empty_png(9_000, 1))  # no pixels in it, and none are looked for
    (tmp_path / "text.png").write_bytes(b"no picture")
    names = ["huge.png", "line.png", "text.png", "absent.png"]
    found = prepare.image_sizes([str(tmp_path / name) for name in names])
    assert found[1] == (9_000, 1)
    errors = {name: error for name, error in zip(names, found, strict=True) if isinstance(error, DocumentError)}
    assert {name: error.code for name, error in errors.items()} == {
        "huge.png": "too_large", "text.png": "malformed", "absent.png": "unreadable",
    }  # fmt: skip
    assert all(name in error.message for name, error in errors.items())


def bad_files(folder: Path) -> dict[str, tuple[Modality, str]]:
    """Damaged and empty files, their modality and the code of their error."""
    data = (PRE / "syn_grey_301x200.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "huge.png").write_bytes(empty_png(30_000, 30_000))
    (folder / "cut.wav").write_bytes((PRE / "syn_3.1s_8k.wav").read_bytes()[:20])
    soundfile.write(folder / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan), 16_000, subtype="FLOAT")
    (folder / "cut.mp4").write_bytes((PRE / VIDEO).read_bytes()[:40_000])
    make_video(folder / "sound.mp4", 1.0, codec=None, sound="aac", form="mp4")
    make_array(folder / "five.npy", motion()[:, :5])
    make_array(folder / "flat.npy", np.ones(9))
    return {
        "cut.jpg": ("image", "malformed"),
        "huge.png": ("image", "too_large"),
        "absent.png": ("image", "unreadable"),
        "cut.wav": ("audio", "malformed"),
        "empty.wav": ("audio", "no_samples"),
        "nan.wav": ("audio", "malformed"),
        "absent.wav": ("audio", "unreadable"),
        "cut.mp4": ("video", "malformed"),
        "sound.mp4": ("video", "no_frames"),
        "five.npy": ("imu", "wrong_shape"),
        "flat.npy": ("depth", "wrong_shape"),
        "absent.npy": ("thermal", "unreadable"),
    }


def test_errors_name_the_file_and_travel(tmp_path: Path) -> None:
    cases = bad_files(tmp_path)
    for name, (modality, code) in cases.items():
        with pytest.raises(DocumentError) as caught:
            one(modality, tmp_path / name)
        error = pickle.loads(pickle.dumps(caught.value))
        assert (error.code, name in error.message) == (code, True), error
        assert error.hint


@pytest.mark.parametrize(
    ("name", "samples"), [("silence.wav", 48_000), ("brief.wav", 1_600), ("blip.wav", 10), ("click.wav", 4)]
)
def test_silence_and_short_sounds_have_finite_clips(name: str, samples: int, tmp_path: Path) -> None:
    path = make_wav(tmp_path / name, samples / 16_000, level=0)
    found = one("audio", path)
    assert found.shape == (3, 1, 128, 204) and np.isfinite(found).all()
    ((start, end),) = recordings.windows(samples / 16_000, 10.0, 5000)  # as the pipeline asks for it
    np.testing.assert_array_equal(one("audio", path, start, end), found)


def test_the_smallest_picture() -> None:
    (found,) = prepare.prepare([MediaItem("image", str(PRE / "syn_1x1.png"))])
    assert found.shape == (1, 3, 224, 224) and (found == found[:, :, :1, :1]).all()


def test_workers_do_not_load_torch() -> None:
    code = (
        "import sys; from tasks.embed.imagebind import prepare; from tasks.embed.media import MediaItem\n"
        "heavy = {'av', 'PIL', 'soundfile', 'tokenizers', 'ftfy'} & set(sys.modules); assert not heavy, heavy\n"
        "for modality, name in zip(('image', 'audio', 'video'), sys.argv[1:]):\n"
        "    prepare.prepare([MediaItem(modality, name)])\n"
        "assert 'torch' not in sys.modules and 'tasks.embed.imagebind.model' not in sys.modules\n"
    )
    paths = [str(PRE / name) for name in ("syn_229x224.png", "syn_3.1s_8k.wav", VIDEO)]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fork_server_has_what_workers_decode_with() -> None:
    """Else each worker imports it again."""
    code = (
        "import sys; import tasks.partition.preload; loaded = set(sys.modules)\n"
        "from tasks.embed.imagebind import prepare; from tasks.embed.media import MediaItem\n"
        "for modality, name in zip(('image', 'audio', 'video'), sys.argv[1:]):\n"
        "    prepare.prepare([MediaItem(modality, name)])\n"
        "print(sorted({name for name in set(sys.modules) - loaded if not name.startswith('tasks.')}))\n"
    )
    paths = [str(PRE / name) for name in ("syn_229x224.png", "syn_3.1s_8k.wav", VIDEO)]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[]\n")
