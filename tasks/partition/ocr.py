"""Reading pictures: rapidocr (Chinese and English), offline as installed, one engine per process.

The dearest step of partitioning, so callers use it only where there is no usable text, and pictures are bounded first.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from PIL import Image

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.spans import Span
from tasks.worker import in_worker

_SHORT_SIDE = 480  # smaller pictures are enlarged: the detector misses small type
_LONG_SIDE = 2000  # pixels; an A4 page at 150 dpi has 1754
_MIN_SIDE = 8
_MIN_SCORE = 0.5


@functools.cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    parameters: dict[str, Any] = {
        "Global.use_cls": False,  # upside-down lines: rare, and a third of the time of short ones
        "Global.log_level": "error",
        "Global.max_side_len": _LONG_SIDE,
        # Measured on a dense page at 150 dpi, one thread: 9.2 s with the defaults, 5.7 s with these, the same text.
        "Det.limit_type": "max",
        "Det.limit_side_len": 1280,
        "Rec.rec_batch_num": 1,
    }
    if in_worker():
        import cv2

        cv2.setNumThreads(1)
        parameters["EngineConfig.onnxruntime.intra_op_num_threads"] = 1
        parameters["EngineConfig.onnxruntime.inter_op_num_threads"] = 1
    return RapidOCR(params=parameters)


def read(picture: Image.Image) -> list[Span]:
    """The lines of text in a picture, in its pixels; reading order is the layout's business."""
    image = picture if picture.mode == "RGB" else on_white(picture)
    if min(image.size) < _MIN_SIDE:
        return []
    scale = min(_LONG_SIDE / max(image.size), max(1.0, min(2.0, _SHORT_SIDE / min(image.size))))
    if scale != 1.0:
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    found = _engine()(np.asarray(image)[:, :, ::-1].copy())  # the engine takes BGR
    if found.boxes is None or found.txts is None:
        return []
    spans = []
    for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        text = clean(text).replace("\n", " ")
        if text and score >= _MIN_SCORE:
            (x0, y0), (x1, y1) = box.min(axis=0) / scale, box.max(axis=0) / scale
            spans.append(Span(text, float(x0), float(y0), float(x1), float(y1), float(y1 - y0) * 0.8))
    return spans


def on_white(picture: Image.Image) -> Image.Image:
    """The picture in RGB, transparent parts white as they are on paper; 16-bit grey scaled to 8."""
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    return picture.convert("RGB")


def check_pixels(size: tuple[int, int], most: int) -> None:
    """Refuse a picture by its header, before anything is decoded."""
    if size[0] * size[1] > most:
        raise DocumentError(
            "too_large",
            f"the picture has {size[0]} x {size[1]} pixels, more than partition.max_pixels ({most:,})",
            "scale it down, or raise partition.max_pixels",
        )
