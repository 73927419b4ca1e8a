"""Depth maps, thermal pictures and motion as ImageBind takes them: files or arrays in, float32 inputs out.

The authors published no loaders for these. What is certain: the shapes (1, 224, 224), (1, 224, 224) and (6, 2000), and
that depth goes in as disparity (paper, section 4). A float32 `.npy` of exactly that shape is used as it is, so that
other preparations can be tried. The rest is the best supported reading of what is public, with numbers as arguments:

- Depth. An author's code for SUN RGB-D (facebookresearch/omnivore, issue 12) has disparity = baseline · focal / depth;
  Omnivore's published transform clamps it to 75, divides by 75 and takes 0.0418 and 0.0295 as mean and deviation. In
  that code depth is the file's number / 1000. SUN's files hold eight times the millimetres, and the mean of true
  disparity over SUN is about eight times 0.0418 (others measured 0.318): so the model learnt from an eighth of the
  true disparity, and `unit` = 8 restores that. Depth beyond 8 m counts as 8 m, as in SUN's own toolbox and in the
  one report of the paper's accuracy (ImageBind issue 134). Scaling is bilinear. Of an unknown camera we assume the
  Kinect's numbers, at any resolution. Ours: what was not measured (0, NaN) gets the map's mean disparity; a map of
  8 bits is taken as relative disparity, near is bright, and standardised by itself.
- Thermal. One channel of 0 to 1, scaled as pictures are, not normalised: with normalisation LLVIP's accuracy fell from
  62.4, near the paper's, to 55.2 (ImageBind pull request 73). Ours: 16 bits and floats are stretched between their own
  1st and 99th percentile, as a camera's 8 bits are.
- Motion. The paper: accelerometer and gyroscope, clips of 5 s, 2000 steps, so 400 a second; the data come from Ego4D
  (m/s² with gravity, rad/s; IMU2CLIP, which prepared such data, has 200 a second, so that 2000 steps would be 10 s). No
  normalisation is published, and none is applied. Ours: without a rate, up to 2000 samples are one clip, stretched to
  2000; more are several clips. The order of the channels, acceleration first, is the paper's order of words.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from tasks import sensor_files
from tasks.embed.imagebind import images
from tasks.embed.imagebind.config import IMU_SAMPLES
from tasks.embed.imagebind.containers import naming
from tasks.errors import DocumentError

KINECT_BASELINE = 0.075  # metres
KINECT_FOCAL = 518.857901  # pixels of a picture of 640 x 480
_NEAREST, _FARTHEST = 0.01, 8.0  # metres
_DISPARITY_MAX, _DISPARITY_MEAN, _DISPARITY_STD = 75.0, 0.0418, 0.0295
_MILLIMETRES = 1000
IMU_SECONDS = 5.0


def load_depth(path: str | os.PathLike[str], max_pixels: int = images.MAX_PIXELS) -> np.ndarray:
    """(1, 1, 224, 224) of a `.npy` (floats in metres, whole numbers in millimetres) or a grey picture (16 bits in
    millimetres, 8 bits relative). Raises DocumentError naming the file."""
    plane = _map(path, max_pixels, colour=False)
    if plane.ndim == 3:
        return _as_input(path, plane)
    if plane.dtype == np.uint8:
        return relative_depth(plane)
    if not (plane > 0).any():
        raise DocumentError("no_samples", f"{path}: nothing in it was measured", "0 and NaN mean “not measured”")
    return depth(plane if plane.dtype.kind == "f" else plane.astype(np.float32) / _MILLIMETRES)


def load_thermal(path: str | os.PathLike[str], max_pixels: int = images.MAX_PIXELS) -> np.ndarray:
    """(1, 1, 224, 224) of a `.npy` or a picture; one in false colours counts by its brightness."""
    plane = _map(path, max_pixels, colour=True)
    if plane.ndim == 3:
        return _as_input(path, plane)
    if not np.isfinite(plane).any():
        raise DocumentError("malformed", f"{path}: none of its values is a finite number", "it may be damaged")
    return thermal(plane)


def load_imu(path: str | os.PathLike[str], rate: float | None = None) -> np.ndarray:
    """(clips, 6, 2000) of a `.npy` of (6, N) or (N, 6), or a `.csv` of six columns."""
    with naming(path):
        samples = sensor_files.motion(path, images.MAX_PIXELS)
    if not np.isfinite(samples).any():
        raise DocumentError("malformed", f"{path}: none of its values is a finite number", "it may be damaged")
    return imu(samples, rate)


def depth(
    metres: np.ndarray,
    baseline: float = KINECT_BASELINE,
    focal: float = KINECT_FOCAL,
    unit: float = 8.0,
    mean: float = _DISPARITY_MEAN,
    std: float = _DISPARITY_STD,
) -> np.ndarray:
    """(height, width) in metres → (1, 1, 224, 224). `baseline` in metres and `focal` in pixels are a camera's; see the
    module for `unit`."""
    metres = metres.astype(np.float32)
    measured = metres > 0
    safe = np.where(measured, np.clip(metres, _NEAREST, _FARTHEST), np.float32(1))
    disparity = np.minimum(baseline * focal / (unit * safe), _DISPARITY_MAX) / _DISPARITY_MAX
    disparity[~measured] = disparity[measured].mean() if measured.any() else mean
    found: np.ndarray = (_square(disparity, "bilinear") - np.float32(mean)) / np.float32(std)
    return found[None, None]


def relative_depth(near: np.ndarray) -> np.ndarray:
    """(height, width) of any scale, larger is nearer → (1, 1, 224, 224) of mean 0 and deviation 1."""
    shown = _square(near.astype(np.float32), "bilinear")
    spread = shown.std()
    found: np.ndarray = (shown - shown.mean()) / (spread if spread > 0 else np.float32(1))
    return found[None, None]


def thermal(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """(height, width) → (1, 1, 224, 224) of 0 to 1, where `low` is 0 and `high` is 1: those of 8 bits, or else the
    1st and 99th percentile."""
    if values.dtype == np.uint8 and low is None and high is None:
        grey: np.ndarray = _square(values, "bicubic") / np.float32(255)
        return grey[None, None]
    heat = values.astype(np.float32)
    finite = heat[np.isfinite(heat)]
    least = float(np.percentile(finite, 1)) if low is None else low
    most = float(np.percentile(finite, 99)) if high is None else high
    heat = np.nan_to_num((heat - least) / (most - least if most > least else 1), nan=0, posinf=1, neginf=0)
    shown: np.ndarray = np.clip(_square(np.clip(heat, 0, 1), "bicubic"), 0, 1)
    return shown[None, None]


def imu(samples: np.ndarray, rate: float | None = None) -> np.ndarray:
    """(6, N) → (clips, 6, 2000).

    With a `rate`: clips of 5 s at 400 samples a second, as many as leave nothing out; what the last lacks is zero.
    Without: see the module.
    """
    samples = _filled(samples.astype(np.float32))
    if rate is None:
        count = samples.shape[1]
        samples = samples if count >= IMU_SAMPLES else _stretched(samples, IMU_SAMPLES)
    else:
        samples = _stretched(samples, max(1, round(samples.shape[1] / rate * IMU_SAMPLES / IMU_SECONDS)))
    count = samples.shape[1]
    samples = np.pad(samples, ((0, 0), (0, max(0, IMU_SAMPLES - count))))
    clips = -(-count // IMU_SAMPLES)
    starts = [round(number * (count - IMU_SAMPLES) / (clips - 1)) for number in range(clips)] if clips > 1 else [0]
    return np.stack([samples[:, start : start + IMU_SAMPLES] for start in starts])


def _map(path: str | os.PathLike[str], max_pixels: int, colour: bool) -> np.ndarray:
    """(height, width) of a map, not turned and not scaled; or (1, 224, 224) to be used as it is."""
    with naming(path):
        if sensor_files.is_npy(path):
            return sensor_files.plane(sensor_files.array(path, max_pixels))
        with images.opened(path, max_pixels) as image:
            return sensor_files.pixels(image, colour)


def _as_input(path: str | os.PathLike[str], values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DocumentError("malformed", f"{path}: some of its values are no finite numbers", "it may be damaged")
    return np.array(values)[None]


def _square(values: np.ndarray, how: Literal["bilinear", "bicubic"]) -> np.ndarray:
    from PIL import Image

    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[how]
    return np.asarray(images.square(Image.fromarray(np.ascontiguousarray(values)), resampling))


def _filled(samples: np.ndarray) -> np.ndarray:
    """What is no number becomes what lies between its neighbours, in a channel without numbers 0."""
    for channel in samples:
        known = np.isfinite(channel)
        if not known.all():
            places = np.arange(len(channel))
            channel[~known] = np.interp(places[~known], places[known], channel[known]) if known.any() else 0
    return samples


def _stretched(samples: np.ndarray, count: int) -> np.ndarray:
    """The same movement in `count` samples, by straight lines between those that there are."""
    length = samples.shape[1]
    if count == length:
        return samples
    at = np.clip((np.arange(count) + 0.5) * (length / count) - 0.5, 0, length - 1)
    return np.stack([np.interp(at, np.arange(length), channel) for channel in samples]).astype(np.float32)
