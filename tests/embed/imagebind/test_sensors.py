"""Depth, thermal pictures and motion: every format, the numbers behind them, ready inputs, and wrong shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.embed.imagebind import sensors
from tasks.errors import DocumentError
from tests.embed.imagebind.fixtures import cut
from tests.files import depth_map, encoded, make_array, motion

KINECT = 0.075 * 518.857901  # baseline and focal length of the camera whose numbers the model learnt from


def standard(metres: float) -> float:
    """The model's input for a distance, by hand."""
    return (KINECT / (8 * metres) / 75 - 0.0418) / 0.0295


def room(height: int = 480, width: int = 640) -> np.ndarray:
    """A wall at 4 m, and before it something at 1.5 m."""
    metres = np.full((height, width), 4.0, np.float32)
    metres[height // 4 : height // 2, width // 4 : width // 2] = 1.5
    return metres


def test_depth_becomes_standardised_disparity() -> None:
    found = sensors.depth(room())
    assert found.shape == (1, 1, 224, 224) and found.dtype == np.float32
    assert found[0, 0, 180, 180] == pytest.approx(standard(4.0), abs=1e-5)
    assert found[0, 0, 80, 50] == pytest.approx(standard(1.5), abs=1e-5)
    assert standard(1.5) > standard(4.0)


def test_depth_in_every_form_is_the_same(tmp_path: Path) -> None:
    metres = room()
    millimetres = (metres * 1000).astype(np.uint16)
    Image.fromarray(millimetres).save(tmp_path / "map.png")
    Image.fromarray(millimetres).save(tmp_path / "map.tiff")
    Image.fromarray(metres).save(tmp_path / "floats.tiff")
    arrays = {
        "m.npy": metres,
        "m64.npy": metres.astype(float),
        "mm.npy": millimetres,
        "mm32.npy": millimetres.astype(np.int32),
        "channel.npy": metres[None],
        "last.npy": metres[..., None],
    }
    for name, values in arrays.items():
        make_array(tmp_path / name, values)
    expected = sensors.depth(metres)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 9
    for path in files:
        np.testing.assert_allclose(sensors.load_depth(path), expected, atol=1e-5, err_msg=path.name)


def test_depth_does_not_depend_on_the_resolution_of_a_camera() -> None:
    large, small = sensors.depth(room(960, 1280)), sensors.depth(room())
    assert np.abs(large - small).mean() < 0.01
    assert large[0, 0, 180, 180] == pytest.approx(standard(4.0), abs=1e-5)


def test_the_numbers_of_a_camera_are_arguments() -> None:
    plane = np.full((100, 100), 2.0, np.float32)
    found = sensors.depth(plane, baseline=0.1, focal=300, unit=1, mean=0.2, std=0.5)
    np.testing.assert_allclose(found, (0.1 * 300 / 2 / 75 - 0.2) / 0.5, rtol=1e-5)


def test_what_was_not_measured_is_the_mean_and_far_is_8_m() -> None:
    metres = np.full((448, 448), 2.0, np.float32)
    metres[:, 224:] = 30.0
    expected = sensors.depth(metres)
    for missing in (0.0, np.nan, -1.0):
        metres[400:] = missing
        found = sensors.depth(metres)
        np.testing.assert_allclose(found[0, 0, :198], expected[0, 0, :198], atol=1e-6)
        np.testing.assert_allclose(found[0, 0, 202:], (standard(2.0) + standard(8.0)) / 2, atol=1e-5)
    metres[:] = np.inf
    np.testing.assert_allclose(sensors.depth(metres), standard(8.0), atol=1e-5)


def test_a_map_of_which_nothing_was_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"none\.npy.*measured") as caught:
        sensors.load_depth(make_array(tmp_path / "none.npy", np.zeros((60, 80), np.uint16)))
    assert caught.value.code == "no_samples"


def test_relative_depth_is_standardised_by_itself(tmp_path: Path) -> None:
    near = np.zeros((100, 100), np.uint8)
    near[:, 50:] = 200
    Image.fromarray(near).save(tmp_path / "map.png")
    found = sensors.load_depth(tmp_path / "map.png")
    assert found.mean() == pytest.approx(0, abs=1e-5) and found.std() == pytest.approx(1, abs=1e-5)
    assert found[0, 0, 0, 0] < 0 < found[0, 0, 0, -1]
    assert (sensors.relative_depth(np.full((9, 9), 7, np.uint8)) == 0).all()


def test_thermal_of_8_bits_is_scaled_like_a_picture(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (256, 320), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "heat.png")
    found = sensors.load_thermal(tmp_path / "heat.png")
    expected = Image.fromarray(grey).resize((280, 256), Image.Resampling.BICUBIC)
    expected = expected.resize((280, 224), Image.Resampling.BICUBIC).crop((28, 0, 252, 224))
    assert found.shape == (1, 1, 224, 224) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0, 0], np.asarray(expected, np.float32) / 255)
    np.testing.assert_array_equal(sensors.load_thermal(make_array(tmp_path / "heat.npy", grey)), found)
    Image.fromarray(grey).convert("RGB").save(tmp_path / "colour.png")
    np.testing.assert_array_equal(sensors.load_thermal(tmp_path / "colour.png"), found)


def test_thermal_of_more_bits_is_stretched(tmp_path: Path) -> None:
    kelvin = np.full((300, 300), 29_300, np.uint16)  # hundredths
    kelvin[100:200, 100:200] = 31_000
    Image.fromarray(kelvin).save(tmp_path / "heat.png")
    for path in (tmp_path / "heat.png", make_array(tmp_path / "heat.npy", kelvin / 100)):
        found = sensors.load_thermal(path)[0, 0]
        assert (found[:60, :60] == 0).all() and (found[90:130, 90:130] == 1).all()
        assert found.min() >= 0 and found.max() <= 1
    found = sensors.thermal(kelvin, low=28_000, high=32_000)[0, 0]
    assert found[0, 0] == pytest.approx(0.325, abs=1e-4) and found[112, 112] == pytest.approx(0.75, abs=1e-4)


def test_thermal_without_contrast_or_with_holes_is_finite(tmp_path: Path) -> None:
    values = np.full((50, 60), 300.0)
    assert (sensors.thermal(values) == 0).all()
    values[10:20] = np.nan
    values[20:30] = np.inf
    values[30:40] = 310
    found = sensors.thermal(values)
    assert np.isfinite(found).all() and 0 <= found.min() < found.max() <= 1
    with pytest.raises(DocumentError, match=r"nan\.npy") as caught:
        sensors.load_thermal(make_array(tmp_path / "nan.npy", values * np.nan))
    assert caught.value.code == "malformed"


def test_inputs_that_are_ready_stay_as_they_are(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ready = random.normal(size=(1, 224, 224)).astype(np.float32)
    path = make_array(tmp_path / "ready.npy", ready)
    np.testing.assert_array_equal(sensors.load_depth(path), ready[None])
    np.testing.assert_array_equal(sensors.load_thermal(path), ready[None])
    moved = random.normal(size=(6, 2000)).astype(np.float32)
    np.testing.assert_array_equal(sensors.load_imu(make_array(tmp_path / "imu.npy", moved)), moved[None])
    np.testing.assert_array_equal(sensors.load_imu(make_array(tmp_path / "turned.npy", moved.T)), moved[None])
    ready[0, 3, 3] = np.nan
    with pytest.raises(DocumentError, match=r"nan\.npy"):
        sensors.load_depth(make_array(tmp_path / "nan.npy", ready))


def test_motion_from_every_form_is_the_same(tmp_path: Path) -> None:
    samples = motion(500)
    expected = sensors.imu(samples.T)
    assert expected.shape == (1, 6, 2000) and expected.dtype == np.float32
    lines = [",".join(f"{value:.9g}" for value in row) for row in samples]
    (tmp_path / "plain.csv").write_text("\n".join(lines))
    (tmp_path / "named.csv").write_text("\ufeff" + "\r\n".join(["ax,ay,az,gx,gy,gz", *lines]) + "\r\n")
    make_array(tmp_path / "rows.npy", samples)
    make_array(tmp_path / "columns.npy", samples.T.astype(float))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    for path in files:
        np.testing.assert_allclose(sensors.load_imu(path), expected, atol=1e-6, err_msg=path.name)


def test_motion_without_a_rate() -> None:
    swing = motion(200).T
    short = sensors.imu(swing)[0]
    np.testing.assert_allclose(short[:, 4:-5:10] * 0.5 + short[:, 5:-4:10] * 0.5, swing, atol=0.02)
    long = motion(5000).T
    found = sensors.imu(long)
    assert found.shape == (3, 6, 2000)
    for clip, start in zip(found, (0, 1500, 3000), strict=True):
        np.testing.assert_array_equal(clip, long[:, start : start + 2000])


def test_motion_with_a_rate_is_brought_to_that_of_the_model() -> None:
    times = np.arange(500) / 50
    wave = np.sin(2 * np.pi * times)[None].repeat(6, axis=0)
    found = sensors.imu(wave, rate=50)  # 10 s are two clips of 5 s
    assert found.shape == (2, 6, 2000)
    expected = np.sin(2 * np.pi * (np.arange(4000) + 0.5) / 400 - np.pi / 50)
    np.testing.assert_allclose(np.concatenate(found, axis=1)[0, 5:-5], expected[5:-5], atol=0.02)
    brief = sensors.imu(wave[:, :50], rate=50)  # and of 1 s the rest is zero
    assert brief.shape == (1, 6, 2000) and (brief[:, :, 400:] == 0).all() and (brief[0, 0, 5:390] != 0).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.none() | st.floats(1, 2000))
def test_clips_of_motion_leave_nothing_out(count: int, rate: float | None) -> None:
    samples = np.arange(6 * count, dtype=np.float32).reshape(6, count)
    found = sensors.imu(samples, rate)
    assert found.shape[1:] == (6, 2000) and np.isfinite(found).all()
    total = count if rate is None else max(1, round(count / rate * 400))
    assert len(found) == max(1, -(-total // 2000))
    if rate is None and count >= 2000:
        assert set(samples[0]) == set(found[:, 0].ravel())


def test_samples_that_are_no_numbers_are_filled() -> None:
    samples = np.tile(np.arange(2000, dtype=np.float32), (6, 1))
    samples[0, 10:20] = np.nan
    samples[1] = np.nan
    found = sensors.imu(samples)[0]
    np.testing.assert_allclose(found[0], np.arange(2000))
    assert (found[1] == 0).all()


def refused(load: Any, path: Path) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        load(path)
    assert str(path) in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("load", "shape"),
    [
        ("depth", (3, 40, 40)), ("depth", (40,)), ("depth", (2, 1, 40, 40)), ("thermal", (40, 40, 3)),
        ("imu", (5, 100)), ("imu", (100, 7)), ("imu", (6,)), ("imu", (1, 6, 2000)), ("imu", (6, 0)),
    ],
)  # fmt: skip
def test_wrong_shapes(load: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = make_array(tmp_path / "wrong.npy", np.ones(shape, np.float32))
    error = refused(getattr(sensors, f"load_{load}"), path)
    assert error.code == "wrong_shape"
    assert "expected" in error.message and f"found {shape}" in error.message


def test_a_coloured_map_is_no_depth(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "colour.png")
    error = refused(sensors.load_depth, tmp_path / "colour.png")
    assert error.code == "wrong_shape" and "one channel, found 3 (RGB)" in error.message


def test_damaged_files(tmp_path: Path) -> None:
    whole = make_array(tmp_path / "whole.npy", np.ones((100, 100)))
    (tmp_path / "map.png").write_bytes(encoded(depth_map()))
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    make_array(tmp_path / "complex.npy", np.ones((4, 4), complex))
    (tmp_path / "words.csv").write_text("a,b,c,d,e,f\n1,2,three,4,5,6\n")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "junk.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + b"{" * 118)
    for path, load in (
        (cut(whole, tmp_path / "cut.npy", 0.5), sensors.load_thermal),
        (cut(tmp_path / "map.png", tmp_path / "cut.png", 0.7), sensors.load_depth),
        (pickled, sensors.load_depth),
        (tmp_path / "complex.npy", sensors.load_thermal),
        (tmp_path / "words.csv", sensors.load_imu),
        (tmp_path / "empty.npy", sensors.load_depth),
        (tmp_path / "junk.npy", sensors.load_imu),
    ):
        assert refused(load, path).code == "malformed"


def test_a_header_that_claims_too_much_is_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "claims.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (200_000, 200_000)}
        )
    assert refused(sensors.load_depth, path).code == "too_large"
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + 4 * 200_000**2)  # sparse: takes no room on the disk
    error = refused(sensors.load_depth, path)
    assert error.code == "too_large" and "40,000,000,000 values" in error.message
