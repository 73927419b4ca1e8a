"""What decoding workers do: the parts of one file in, each as the array that its tower takes out. Without torch.

Pictures are uint8, normalised on the device; everything else is float32. An array's first dimension are the clips whose
outputs are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.embed.imagebind import audio, images, sensors, video
from tasks.embed.media import MediaItem
from tasks.errors import DocumentError

MAX_SECONDS = 300.0  # of a recording that is heard without gaps; of a longer one, clips spread evenly


def prepare(items: Sequence[MediaItem], max_pixels: int = images.MAX_PIXELS) -> list[np.ndarray]:
    """One array (clips, ...) for each of the items, which are of one file and modality.

    Raises DocumentError naming the file: `unreadable`, `malformed`, `too_large`, `no_frames`, `no_samples`,
    `wrong_shape`.
    """
    if not items:
        return []
    path = items[0].path
    try:
        with open(path, "rb"):
            pass
        match items[0].modality:
            case "image":
                return _views(path, items, max_pixels)
            case "audio":
                return [sound(path, item.start, item.end) for item in items]
            case "video":
                return [video.load(path, item.start, item.end) for item in items]
            case "depth":
                return [sensors.load_depth(path, max_pixels)] * len(items)
            case "thermal":
                return [sensors.load_thermal(path, max_pixels)] * len(items)
            case "imu":
                return [sensors.load_imu(path)] * len(items)
    except OSError as error:
        raise DocumentError("unreadable", f"{path}: {error.strerror or error}", "check that it is there") from error
    raise ValueError(f"a {items[0].modality} is nothing that is decoded from a file")


def image_sizes(paths: Sequence[str], max_pixels: int = images.MAX_PIXELS) -> list[tuple[int, int] | DocumentError]:
    """Width and height of each picture by its header, or why it has none."""
    found: list[tuple[int, int] | DocumentError] = []
    for path in paths:
        try:
            with open(path, "rb"):
                pass
            found.append(images.image_size(path, max_pixels))
        except DocumentError as error:
            found.append(error)
        except OSError as error:
            found.append(DocumentError("unreadable", f"{path}: {error.strerror}", "check that it is there"))
    return found


def sound(path: str, start: float | None = None, end: float | None = None) -> np.ndarray:
    """(clips, 1, 128, 204): a recording, or its seconds from `start` to `end`, with nothing left out up to 300 s."""
    try:
        seconds = (audio.duration(path) if end is None else end) - (start or 0.0)
        if seconds <= MAX_SECONDS:
            waveform, rate = audio.load(path, start, end)
            return audio.clips(waveform, rate, audio.clip_count(waveform.shape[1] / rate))
        count = audio.clip_count(MAX_SECONDS)
        starts = (start or 0.0) + np.linspace(0, seconds - audio.CLIP_SECONDS, count)
        loaded = (audio.load(path, float(at), float(at) + audio.CLIP_SECONDS) for at in starts)
        return np.concatenate([audio.clips(waveform, rate, 1) for waveform, rate in loaded])
    except DocumentError as error:
        if str(path) in error.message:
            raise
        raise DocumentError(error.code, f"{path}: {error.message}", error.hint) from error


def _views(path: str, items: Sequence[MediaItem], max_pixels: int) -> list[np.ndarray]:
    """(1, 3, 224, 224) uint8 each; the picture is decoded once."""
    image = images.open_image(path, max_pixels)
    found = []
    for item in items:
        box = (item.box.x0, item.box.y0, item.box.x1, item.box.y1) if item.box else images.WHOLE
        pixels = images.render(image, images.ImageView(item.view or "crop", box))
        found.append(np.ascontiguousarray(pixels.transpose(2, 0, 1))[None])
    return found
