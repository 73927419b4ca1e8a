"""Pictures as ImageBind sees them: a file in, uint8 views of 224 x 224 out, the official centre crop first.

The crop is the reference to the byte. It hides the ends of a wide chart and the small print of a large page, so that
documents get more views of one picture: a letterbox of all of it, and tiles.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import struct
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tasks.embed.imagebind.config import IMAGE_SIZE
from tasks.embed.media import ViewKind
from tasks.errors import DocumentError

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

Fractions = tuple[float, float, float, float]  # x0, y0, x1, y1 of a part of a picture, each 0 to 1
WHOLE: Fractions = (0.0, 0.0, 1.0, 1.0)
MAX_PIXELS = 100_000_000
# What may be opened: nothing that runs another program, as EPS does.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_LOSS = 0.1  # of the picture; what the crop may hide without a letterbox
_LARGE, _LONG = 2 * IMAGE_SIZE, 2  # the short side in pixels, and the proportion, from which there are tiles
_OVERLAP = 0.1  # of a tile's side, that neighbouring tiles share at least
_MAX_RESIZED = 200_000  # pixels; a longer resized side is never made, only the crop of it
_MEND = "it may be cut off or damaged; fetch it again"
_MEAN_COLOUR = (123, 117, 104)  # 255 times the mean that the model's input is normalised with: zero to the model


@dataclasses.dataclass(frozen=True, slots=True)
class ImageView:
    """A way to see a picture: `box` is the part of it that is shown."""

    kind: ViewKind
    box: Fractions


def open_image(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Image:
    """The picture decoded to RGB as the reference does it: the first frame, not turned by EXIF, alpha dropped.

    Raises DocumentError naming the file: `malformed`, or `too_large` by its header.
    """
    with opened(path, max_pixels) as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a palette's transparency, which goes as alpha does
        return image.convert("RGB")


def image_size(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height by the header. Raises DocumentError as `open_image` does."""
    with opened(path, max_pixels) as image:
        return image.size


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], max_pixels: int) -> Iterator[Image]:
    """The picture, of which nothing but the header is read yet; what fails inside is a DocumentError."""
    from PIL import Image as Images

    try:
        with _unchecked(path) as image:
            if image.width * image.height > max_pixels:
                raise DocumentError(
                    "too_large",
                    f"{path}: the picture has {image.width} x {image.height} pixels, more than "
                    f"partition.max_pixels ({max_pixels:,})",
                    "scale it down, or raise partition.max_pixels",
                )
            yield image
    except Images.DecompressionBombError as error:  # WebP and GIF check by themselves
        raise DocumentError("too_large", f"{path}: {error}", "scale it down") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DocumentError("malformed", f"{path}: the picture cannot be decoded: {error}", _MEND) from error


def _unchecked(path: str | os.PathLike[str]) -> Image:
    """As Pillow's own `open`, without its check of the size: that one can only be set for the whole process, and ours,
    which names the file, also comes before any decoding.
    """
    from PIL import Image as Images

    Images.init()  # so that each format is known, where Pillow was built with it
    with open(path, "rb") as file:
        head = file.read(16)
    for name in _FORMATS:
        kind, accepts = Images.OPEN.get(name, (None, None))
        accepted = accepts(head) if accepts is not None else True
        if kind is None or not accepted or isinstance(accepted, str):  # text: what Pillow was built without
            continue
        with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):  # as it says that it is another
            return kind(os.fspath(path), "")  # type: ignore[arg-type]  # it takes names, and closes what it opened
    raise OSError(f"it is none of {', '.join(_FORMATS)}")


def official(image: Image) -> np.ndarray:
    """The reference's view: the short side scaled to 224 and the centre cut out. (224, 224, 3) uint8 of RGB."""
    from PIL.Image import Resampling

    return np.asarray(square(image, Resampling.BICUBIC))


def square(image: Image, resampling: Resampling) -> Image:
    """The centre of a picture of any mode, 224 x 224 once its short side has 224.

    In two steps, across and then down, as Pillow 9 did it for the reference: by itself Pillow 13 chooses the order by
    the cost, and where sharp edges overshoot the order shows.
    """
    width, height = image.size
    columns, rows = _resized(width, height)
    left, top = (round((side - IMAGE_SIZE) / 2) for side in (columns, rows))
    down = (0.0, 0.0, float(IMAGE_SIZE), float(height))
    if rows > _MAX_RESIZED:  # only what is seen
        scale = height / rows
        first = max(0, int(top * scale - 2 * max(scale, 1)) - 1)
        last = min(height, math.ceil((top + IMAGE_SIZE) * scale + 2 * max(scale, 1)) + 1)
        image, height = image.crop((0, first, width, last)), last - first
        down = (0.0, top * scale - first, float(IMAGE_SIZE), (top + IMAGE_SIZE) * scale - first)
        rows, top = IMAGE_SIZE, 0
    if columns > _MAX_RESIZED:
        scale = width / columns
        across = (left * scale, 0.0, (left + IMAGE_SIZE) * scale, height)
        image = image.resize((IMAGE_SIZE, height), resampling, box=across)
    else:
        image = image.resize((columns, height), resampling).crop((left, 0, left + IMAGE_SIZE, height))
    return image.resize((IMAGE_SIZE, rows), resampling, box=down).crop((0, top, IMAGE_SIZE, top + IMAGE_SIZE))


def render(image: Image, view: ImageView) -> np.ndarray:
    """(224, 224, 3) uint8: the picture in this view. Tiles and letterboxes keep proportions, on a neutral ground."""
    if view.kind == "crop":
        return official(image)
    from PIL import Image as Images

    width, height = image.size
    x0, y0, x1, y1 = view.box
    left, top = min(int(x0 * width), width - 1), min(int(y0 * height), height - 1)
    right, bottom = (
        max(low + 1, min(math.ceil(end * side), side)) for low, end, side in ((left, x1, width), (top, y1, height))
    )
    across, down = right - left, bottom - top
    size = (
        max(1, round(IMAGE_SIZE * across / max(across, down))),
        max(1, round(IMAGE_SIZE * down / max(across, down))),
    )
    shown = image.resize((size[0], down), Images.Resampling.BICUBIC, box=(left, top, right, bottom))
    shown = shown.resize(size, Images.Resampling.BICUBIC)
    if size == (IMAGE_SIZE, IMAGE_SIZE):
        return np.asarray(shown)
    ground = Images.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), _MEAN_COLOUR)
    ground.paste(shown, ((IMAGE_SIZE - size[0]) // 2, (IMAGE_SIZE - size[1]) // 2))
    return np.asarray(ground)


def views(width: int, height: int, max_tiles: int) -> list[ImageView]:
    """How a picture of this size is seen: the official crop; all of it where that hides more than a tenth; and where
    it is large or long, at most `max_tiles` tiles. No pixel is in neither, unless the crop hides hardly any.
    """
    crop = _crop_box(width, height)
    found = [ImageView("crop", crop)]
    if 1 - (crop[2] - crop[0]) * (crop[3] - crop[1]) > _LOSS:
        found.append(ImageView("letterbox", WHOLE))
    columns, rows = _grid(width, height, max_tiles)
    if columns * rows > 1:
        across, down = _cells(columns), _cells(rows)
        found.extend(ImageView("tile", (x0, y0, x1, y1)) for y0, y1 in down for x0, x1 in across)
    return found


def _resized(width: int, height: int) -> tuple[int, int]:
    """The size whose short side is 224."""
    if width <= height:
        return IMAGE_SIZE, int(IMAGE_SIZE * height / width)
    return int(IMAGE_SIZE * width / height), IMAGE_SIZE


def _crop_box(width: int, height: int) -> Fractions:
    resized = _resized(width, height)
    left, top = (round((side - IMAGE_SIZE) / 2) for side in resized)
    box = (left / resized[0], top / resized[1], (left + IMAGE_SIZE) / resized[0], (top + IMAGE_SIZE) / resized[1])
    return tuple(round(value, 5) for value in box)  # type: ignore[return-value]  # four of them


def _grid(width: int, height: int, most: int) -> tuple[int, int]:
    """Columns and rows of tiles: near-square cells, many, and none with less detail than the model sees anyway."""
    short, long = sorted((width, height))
    if short < _LARGE and long < _LONG * short:
        return 1, 1
    finest = min(short, IMAGE_SIZE)

    def flaw(columns: int, rows: int) -> float:
        return abs(math.log(width * rows / (height * columns))) - math.log(columns * rows) / 2

    grids = [
        (columns, rows)
        for columns in range(1, min(most, round(width / finest)) + 1)
        for rows in range(1, min(most // columns, round(height / finest)) + 1)
    ]
    return min(grids, key=lambda grid: flaw(*grid), default=(1, 1))


def _cells(count: int) -> list[tuple[float, float]]:
    """`count` equal parts of 0 to 1 with an overlap."""
    side = 1 / (count - (count - 1) * _OVERLAP)
    starts = [number * side * (1 - _OVERLAP) for number in range(count)]
    return [(round(start, 5), round(min(1.0, start + side), 5)) for start in starts]
