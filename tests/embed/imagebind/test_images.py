"""Pictures as the model sees them: the official crop to the byte, and views that leave nothing out."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.embed.imagebind import images
from tasks.embed.imagebind.images import ImageView, official, open_image, render, views
from tasks.errors import DocumentError
from tests.embed.imagebind.fixtures import EXPECTED, PRE, SHARED, cut

SIDES = st.integers(1, 9) | st.integers(10, 5000) | st.sampled_from([224, 225, 447, 448, 449, 100_000])


@pytest.mark.parametrize(("name", "sha256"), EXPECTED["images"].items())
def test_equal_to_the_reference(name: str, sha256: str) -> None:
    pixels = official(open_image(PRE / name))
    assert pixels.shape == (224, 224, 3) and pixels.dtype == np.uint8
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == sha256


@pytest.mark.skipif(not SHARED.exists(), reason="the golden fixtures are not here")
def test_equal_to_all_of_the_reference() -> None:
    with np.load(SHARED / "pre_images_uint8.npz") as expected:
        assert len(expected.files) == 20
        for name in expected.files:
            np.testing.assert_array_equal(official(open_image(SHARED / "assets" / name)), expected[name], name)


def test_the_floats_of_the_reference() -> None:
    """What travels as uint8 and is normalised on the device gives the official tensor bit by bit."""
    if not SHARED.exists():
        pytest.skip("the golden fixtures are not here")
    mean = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
    std = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)
    with np.load(SHARED / "pre_images_float32.npz") as expected:
        for name in expected.files:
            pixels = official(open_image(SHARED / "assets" / name)).astype(np.float32)
            found = ((pixels / np.float32(255) - mean) / std).transpose(2, 0, 1)
            np.testing.assert_array_equal(found, expected[name], name)


@pytest.mark.parametrize("size", [(250, 578), (249, 507), (594, 264), (300, 300)])
def test_scaled_across_and_then_down(size: tuple[int, int]) -> None:
    """As Pillow 9.4 does; Pillow 13 by itself goes the other way for the first two."""
    noise = np.random.default_rng(0).integers(0, 2, (size[1], size[0], 3), dtype=np.uint8) * 255
    picture = Image.fromarray(noise)
    scaled = [int(224 * side / min(size)) for side in size]
    expected = picture.resize((scaled[0], size[1]), Image.Resampling.BICUBIC)
    expected = expected.resize((scaled[0], scaled[1]), Image.Resampling.BICUBIC)
    left, top = (round((side - 224) / 2) for side in scaled)
    np.testing.assert_array_equal(official(picture), np.asarray(expected)[top : top + 224, left : left + 224])


@pytest.mark.parametrize("size", [(900, 5), (5, 900), (301, 200), (200, 301), (2, 3), (1, 1)])
def test_the_crop_of_a_very_long_picture_is_the_same(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    expected = official(picture)
    monkeypatch.setattr(images, "_MAX_RESIZED", 0)
    assert np.abs(official(picture).astype(int) - expected).max() <= 1


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, st.integers(0, 64))
def test_views(width: int, height: int, most: int) -> None:
    found = views(width, height, most)
    assert found == views(width, height, most)
    assert found[0].kind == "crop" and [view.kind for view in found[1:]] == sorted(view.kind for view in found[1:])
    tiles = [view.box for view in found if view.kind == "tile"]
    assert len(tiles) <= most and len(tiles) != 1
    for x0, y0, x1, y1 in (view.box for view in found):
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
        assert (round(x0, 5), round(y0, 5), round(x1, 5), round(y1, 5)) == (x0, y0, x1, y1)
    shown = (found[0].box[2] - found[0].box[0]) * (found[0].box[3] - found[0].box[1])
    whole = [view for view in found if view.kind == "letterbox"]
    assert [view.box for view in whole] == ([(0.0, 0.0, 1.0, 1.0)] if shown < 0.9 else [])
    if tiles:
        columns, rows = len({box[0] for box in tiles}), len({box[1] for box in tiles})
        assert columns * rows == len(tiles)
        for axis, count in ((0, columns), (1, rows)):
            spans = sorted({(box[axis], box[axis + 2]) for box in tiles})
            assert spans[0][0] == 0 and spans[-1][1] == 1
            share = 1 / (count - 0.1 * (count - 1))
            for left, right in itertools.pairwise(spans):
                assert left[1] - right[0] == pytest.approx(0.1 * share, abs=2e-5)  # a tenth of a tile, and no gap


@pytest.mark.parametrize(
    ("size", "most", "grid"),
    [
        ((640, 360), 9, None),
        ((2480, 3508), 9, (2, 3)),
        ((1920, 1080), 9, (4, 2)),
        ((4000, 4000), 9, (3, 3)),
        ((4000, 4000), 4, (2, 2)),
        ((900, 300), 9, (3, 1)),
        ((300, 900), 9, (1, 3)),
        ((460, 460), 64, (2, 2)),
        ((900, 5), 9, (9, 1)),
        ((4000, 4000), 0, None),
        ((4000, 4000), 1, None),
        ((223, 223), 9, None),
    ],
)
def test_tiles_are_near_square_and_no_finer_than_the_model_sees(
    size: tuple[int, int], most: int, grid: tuple[int, int] | None
) -> None:
    tiles = [view.box for view in views(*size, most) if view.kind == "tile"]
    found = len({box[0] for box in tiles}), len({box[1] for box in tiles})
    assert (found if tiles else None) == grid


def test_a_wide_picture_in_its_views() -> None:
    """Black, then red, green and blue parts, then white: the crop shows only the green."""
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    picture = Image.fromarray(np.repeat(np.repeat(np.array([colours], np.uint8), 300, axis=1), 300, axis=0))
    found = views(*picture.size, 5)
    assert [view.kind for view in found] == ["crop", "letterbox", *["tile"] * 5]
    crop, whole, *tiles = (render(picture, view) for view in found)
    assert (crop[:, 5:-5] == colours[2]).all()
    assert (whole[0] == images._MEAN_COLOUR).all() and (whole[-1] == images._MEAN_COLOUR).all()
    assert [tuple(whole[112, 22 + 45 * i]) for i in range(5)] == colours
    assert (whole[:, :, 0].mean(axis=1) != images._MEAN_COLOUR[0]).sum() == pytest.approx(224 / 5, abs=1)
    assert [tuple(tile[112, 112]) for tile in tiles] == colours
    assert all(tile.shape == (224, 224, 3) and tile.dtype == np.uint8 for tile in (crop, whole, *tiles))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 12))
def test_every_pixel_is_in_a_view(width: int, height: int, most: int) -> None:
    """Where the crop hides more than a tenth, each pixel is in the letterbox; the tiles hold each by themselves."""
    found = views(width, height, most)
    counted = np.zeros((height, width), int)
    for x0, y0, x1, y1 in (view.box for view in found if view.kind == "tile"):
        counted[int(y0 * height) : math.ceil(y1 * height), int(x0 * width) : math.ceil(x1 * width)] += 1
    kinds = {view.kind for view in found}
    assert "tile" not in kinds or counted.min() >= 1
    x0, y0, x1, y1 = found[0].box
    assert kinds - {"crop"} or (x1 - x0) * (y1 - y0) >= 0.9
    picture = Image.new("RGB", (width, height), "red")
    assert all(render(picture, view).shape == (224, 224, 3) for view in found)


def test_a_tile_shows_its_part() -> None:
    gradient = np.broadcast_to(np.linspace(0, 255, 1000).astype(np.uint8)[None, :, None], (1000, 1000, 3))
    picture = Image.fromarray(np.ascontiguousarray(gradient))
    tile = render(picture, ImageView("tile", (0.25, 0.5, 0.5, 0.75)))
    assert tile[100, 0, 0] == pytest.approx(0.25 * 255, abs=2) and tile[100, -1, 0] == pytest.approx(0.5 * 255, abs=2)


@pytest.mark.parametrize("name", ["syn_grey_301x200.jpg", "syn_229x224.png", "syn_1203x801.webp"])
def test_a_truncated_picture_is_malformed(name: str, tmp_path: Path) -> None:
    path = cut(PRE / name, tmp_path / name, 0.5)
    with pytest.raises(DocumentError, match=name) as caught:
        open_image(path)
    assert caught.value.code == "malformed"


def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(empty_png(30_000, 30_000))
    for call in (open_image, images.image_size):
        with pytest.raises(DocumentError, match=r"huge\.png.*30000 x 30000.*100,000,000") as caught:
            call(path)
        assert caught.value.code == "too_large"
    assert images.image_size(path, max_pixels=10**9) == (30_000, 30_000)


def empty_png(width: int, height: int) -> bytes:
    """The header of a PNG, and no pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_line_of_a_million_pixels_does_not_grow(tmp_path: Path) -> None:
    Image.new("L", (1_000_000, 1), 90).save(tmp_path / "line.png")
    picture = open_image(tmp_path / "line.png")
    for view in views(*picture.size, 3):
        assert (render(picture, view) == 90).all(axis=2).any()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty.png"),
        (b"no picture", "text.png"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "program.eps"),
    ],
)
def test_what_is_no_picture_is_malformed(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DocumentError, match=name) as caught:
        open_image(tmp_path / name)
    assert caught.value.code == "malformed"


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (official(open_image(tmp_path / "a.gif")) == (255, 0, 0)).all()


def test_pillow_keeps_its_guard_for_everybody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that uses the model opens pictures of its own."""
    path = tmp_path / "huge.png"
    path.write_bytes(empty_png(30_000, 30_000))
    guard = 89_478_485
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", guard)  # Pillow's own, which tests of partition took away
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and ours warns of nothing
        assert images.image_size(path, max_pixels=10**9) == (30_000, 30_000)
        with pytest.raises(DocumentError, match="30000 x 30000"):
            open_image(path)
    assert guard == Image.MAX_IMAGE_PIXELS
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


def test_a_picture_that_a_plugin_itself_refuses_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.webp"
    Image.new("RGB", (60, 40)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DocumentError, match=r"a\.webp") as caught:
        open_image(path)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"])
def test_every_format_opens_as_pillow_opens_it(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)).save(path, form)
    with Image.open(path) as expected, images.opened(path, 600) as found:
        assert found.format == expected.format == form
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
        file = found.fp  # type: ignore[attr-defined]  # of the class for files
    assert file is None or file.closed
