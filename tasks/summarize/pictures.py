"""Pictures as they are sent to a model: a file of a document in, a small PNG or JPEG without metadata out.

Pictures are untrusted: `render` is a module-level function so that a worker process can run it. What reaches the
endpoint are pixels that were decoded and encoded here. Pictures that say nothing are told by rules and not sent.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from tasks.errors import DocumentError
from tasks.llm.request import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

Nothing = Literal["tiny", "strip", "blank"]
Seen = Picture | Nothing
Call = Callable[..., Any]  # runs a module-level function, here or in a worker process

# What may be opened: nothing that runs another program, as EPS does.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_TINY_AREA, _TINY_SIDE = 64 * 64, 24  # pixels
_STRIP = 15  # times as long as wide: a rule, a border
_BLANK = 16  # of 255; with less between its darkest and its lightest, a picture shows nothing
_JPEG_QUALITY = 85
_PNG_FACTOR = 1.5  # a PNG, sharper on text and lines, may be this many times larger than the JPEG


def render(path: str, long_side: int, max_pixels: int) -> Seen:
    """The picture, at most `long_side` pixels a side, or why it shows nothing.

    Raises DocumentError: `malformed`, or `too_large` by its header.
    """
    from PIL import Image as Images

    Images.MAX_IMAGE_PIXELS = None  # the check below comes before any decoding, and names the setting
    Images.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Images.open(path, formats=[name for name in _FORMATS if name in Images.OPEN]) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise DocumentError(
                        "too_large",
                        f"{path}: the picture has {width} x {height} pixels, more than partition.max_pixels "
                        f"({max_pixels:,})",
                        "scale it down, or raise partition.max_pixels",
                    )
                if min(width, height) < _TINY_SIDE or width * height < _TINY_AREA:
                    return "tiny"
                if max(width, height) > _STRIP * min(width, height):
                    return "strip"
                shown = _upright(image, long_side)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DocumentError(
            "malformed", f"{path}: the picture cannot be decoded: {error}", "it may be cut off or damaged"
        ) from error
    darkest, lightest = shown.convert("L").getextrema()
    if float(lightest) - float(darkest) < _BLANK:  # type: ignore[arg-type]  # of one band they are numbers
        return "blank"
    return _encoded(shown)


def _upright(image: Image, long_side: int) -> Image:
    """RGB on white, turned as its camera said, scaled down where it is larger."""
    from PIL import Image as Images
    from PIL import ImageOps

    size = (long_side, long_side)
    orientation = image.getexif()
    if image.format == "JPEG" and image.mode in ("L", "RGB", "CMYK"):
        image.thumbnail(size, Images.Resampling.LANCZOS)  # decodes no more than it needs
    image = _rgb(image)
    image.thumbnail(size, Images.Resampling.LANCZOS)
    image.getexif().update(orientation)
    return ImageOps.exif_transpose(image)


def _rgb(image: Image) -> Image:
    from PIL import Image as Images

    if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would cut off instead of scaling
        numbers = image.convert("F")
        low, high = (float(value) for value in numbers.getextrema())  # type: ignore[arg-type]
        scale = 255 / (high - low) if high > low else 0.0
        return numbers.point(lambda value: value * scale + (-low * scale)).convert("L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Images.new("RGB", layer.size, "white")
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    return image.convert("RGB")


def _encoded(image: Image) -> Picture:
    """The sharper PNG where it is not much larger than the JPEG. Only pixels are kept, and name it."""
    image.info.clear()
    lossless, lossy = io.BytesIO(), io.BytesIO()
    image.save(lossless, "PNG", optimize=False)
    image.save(lossy, "JPEG", quality=_JPEG_QUALITY)
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    png, jpeg = lossless.getvalue(), lossy.getvalue()
    if len(png) <= _PNG_FACTOR * len(jpeg):
        return Picture(png, "image/png", *image.size, pixels)
    return Picture(jpeg, "image/jpeg", *image.size, pixels)
