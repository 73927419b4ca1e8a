"""Depth maps, thermal pictures and motion: their sizes and ranges, and what is refused before it is read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import DocumentError
from tasks.partition.detect import DEPTH, IMU, THERMAL
from tasks.rows import ElementRow
from tests.files import depth_map, encoded, make_array, motion, picture
from tests.partition.conftest import Partition


def npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


METRES = np.array([[0.4, np.nan, 1.0], [0.0, 7.94, -1.0]], np.float32)


@pytest.mark.parametrize(
    ("data", "extension", "text"),
    [
        (encoded(depth_map()), "png", "Depth map, 64 × 48, 0.4–7.9 m"),
        (encoded(depth_map(), "TIFF"), "tiff", "Depth map, 64 × 48, 0.4–7.9 m"),
        (npy(METRES), "npy", "Depth map, 3 × 2, 0.4–7.9 m"),
        (npy(METRES[None]), "npy", "Depth map, 3 × 2, 0.4–7.9 m"),
        (npy(METRES[..., None].astype(">f8")), "npy", "Depth map, 3 × 2, 0.4–7.9 m"),
        (encoded(Image.fromarray(METRES), "TIFF"), "tiff", "Depth map, 3 × 2, 0.4–7.9 m"),
        (encoded(Image.fromarray(np.array([[7, 250]], np.uint8))), "png", "Depth map, 2 × 1, relative, 7–250 of 255"),
        (npy(-np.ones((1, 224, 224), np.float32)), "npy", "Depth map, 224 × 224, prepared for a model"),
    ],
)
def test_a_depth_map(tmp_path: Path, partition: Partition, data: bytes, extension: str, text: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    (row,), context = partition(path, DEPTH)
    assert row == ElementRow(0, "Image", text, media=row.media, media_type=DEPTH, origin="metadata")
    assert row.media is not None and row.media.endswith(f".{extension}")
    assert context.storage.read(row.media) == data


@pytest.mark.parametrize(
    ("data", "extension", "text"),
    [
        (npy(np.array([[21.25, 36.5]])), "npy", "Thermal picture, 2 × 1, values 21.25–36.5"),
        (encoded(depth_map()), "png", "Thermal picture, 64 × 48, values 0–7900"),
        (encoded(Image.new("RGB", (4, 2), (90, 90, 90)), "PNG"), "png", "Thermal picture, 4 × 2, values 90–90"),
        (encoded(Image.new("RGB", (4, 2), "white"), "JPEG"), "jpg", "Thermal picture, 4 × 2, values 255–255"),
    ],
)
def test_a_thermal_picture(tmp_path: Path, partition: Partition, data: bytes, extension: str, text: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    (row,), _ = partition(path, THERMAL)
    assert row == ElementRow(0, "Image", text, media=row.media, media_type=THERMAL, origin="metadata")
    assert row.media is not None and row.media.endswith(f".{extension}")


@pytest.mark.parametrize(
    ("data", "extension", "samples"),
    [
        (npy(motion(200)), "npy", 200),
        (npy(motion(200).T), "npy", 200),
        (npy(np.asfortranarray(motion(9).astype(np.int16))), "npy", 9),
        (b"ax,ay,az,gx,gy,gz\n" + b"1,2,3,4,5,6\n" * 12, "csv", 12),
        ("\ufeff".encode() + b"1e-3, 2,-3,4,nan,6\r\n" * 12, "csv", 12),
    ],
)
def test_motion(tmp_path: Path, partition: Partition, data: bytes, extension: str, samples: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    (row,), context = partition(path, IMU)
    text = f"Motion recording (IMU), {samples} samples, 6 channels"
    assert row == ElementRow(0, "Imu", text, media=row.media, media_type=IMU, origin="metadata")
    assert row.media is not None and row.media.endswith(f".{extension}")
    assert context.storage.read(row.media) == data


def claimed(shape: str, kind: str = "<f8", length: int | None = None) -> bytes:
    """A `.npy` header that claims this, and eight numbers."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    size = len(header) if length is None else length
    return b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little") + header + bytes(64)


@pytest.mark.parametrize(
    ("media_type", "data", "code", "says"),
    [
        (IMU, npy(motion(200)[:, :5]), "wrong_shape", "expected 6 channels: an array of (N, 6) or (6, N), found (200,"),
        (IMU, npy(motion(60).reshape(-1)), "wrong_shape", "found (360,)"),
        (IMU, npy(motion(7)), "wrong_shape", "expected at least 8 samples, found (7, 6)"),
        (IMU, b"1,2,3\n" * 20, "wrong_shape", "found (20, 3)"),
        (IMU, b"1,2,3,4,5,6\n1,2\n", "malformed", "not a table of numbers"),
        (IMU, b"word\nword\n", "malformed", "not a table of numbers"),
        (IMU, npy(np.full((20, 6), np.nan)), "malformed", "none of its values is a finite number"),
        (IMU, npy(motion(20).astype(np.complex64)), "malformed", "complex64, not real numbers"),
        (IMU, npy(motion(200))[:900], "malformed", "cut off: 900 of 4928 bytes"),
        (IMU, npy(np.array([{"a": 1}], dtype=object)), "malformed", "pickled Python objects"),
        (IMU, claimed("(1000000, 6)"), "malformed", "cut off"),
        (IMU, claimed("(10000000000, 6)"), "too_large", "60,000,000,000 values"),
        (IMU, claimed("(-1, 6)"), "malformed", "its shape is (-1, 6)"),
        (IMU, claimed("(8, 0)"), "wrong_shape", "at least one value"),
        (IMU, claimed("(8,)", length=2**31), "malformed", "its header has 2147483648 bytes"),
        (IMU, claimed("(" * 60), "malformed", "not an .npy file that can be read"),
        (IMU, b"\x93NUMPY", "malformed", "not an .npy file that can be read"),
        (IMU, b"\x93NUMPY\x09\x00" + bytes(200), "malformed", "not an .npy file that can be read"),
        (DEPTH, encoded(picture()), "wrong_shape", "expected a depth map of one channel, found 3 (RGB)"),
        (DEPTH, npy(np.zeros((3, 4, 5))), "wrong_shape", "an array of (height, width), found (3, 4, 5)"),
        (DEPTH, npy(np.full((4, 4), np.nan, np.float32)), "malformed", "none of its values is a finite number"),
        (DEPTH, npy(np.full((1, 224, 224), np.inf, np.float32)), "malformed", "none of its values is a finite number"),
        (DEPTH, npy(np.zeros((4, 4), np.uint16)), "no_samples", "nothing in it was measured"),
        (DEPTH, encoded(depth_map())[:150], "malformed", "cannot be decoded"),
        (DEPTH, encoded(depth_map((2000, 60))), "too_large", "2000 x 60 pixels"),
        (THERMAL, npy(np.zeros((400, 400))), "too_large", "160,000 values"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, partition: Partition, media_type: str, data: bytes, code: str, says: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(DocumentError) as caught:
        partition(path, media_type, max_pixels=100_000 if says != "cut off" else 100_000_000)
    assert caught.value.code == code and says in caught.value.message and caught.value.hint


def test_one_map_is_one_picture(tmp_path: Path, partition: Partition) -> None:
    depth_map().save(tmp_path / "a", "TIFF", save_all=True, append_images=[depth_map()])
    with pytest.raises(DocumentError) as caught:
        partition(tmp_path / "a", DEPTH)
    assert (caught.value.code, caught.value.message) == ("wrong_shape", "expected one picture, found 2 in one file")


def test_a_range_is_found_across_blocks(tmp_path: Path, partition: Partition) -> None:
    values = np.full((2100, 1000), 2.0, np.float32)
    values[-1, -1], values[0, 0] = 9.0, 0.5
    (row,), _ = partition(make_array(tmp_path / "a", values), DEPTH)
    assert row.text == "Depth map, 1000 × 2100, 0.5–9.0 m"
