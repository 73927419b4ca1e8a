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
_DETECTED_SIDE = 1344  # the detector sees the longer side at this: finding lines takes less than reading them
_MIN_SIDE = 8
_MIN_SCORE = 0.5
_INK = 48  # of 255, that a pixel differs from the paper
_MARGIN = 16  # pixels of paper around the ink
_MIN_READ_WIDTH = 32  # pixels of a line's picture; the engine's own 320 makes every cell of a table as dear as a word
_LONG_LINE = 16  # times as wide as high: such a line is read narrowed, in as much less time
_NARROWED = 0.75
_CROOKED = 0.12  # of a line's height between its ends
_UPRIGHT = 1.5  # times as high as wide: text that stands on end


class _Engine:
    """rapidocr's detector and recogniser, driven line by line.

    Its own pipeline sees margins, pads short lines and turns every line; `python -m benchmarks.pdf ocr` measures both.
    """

    def __init__(self, threads: int | None) -> None:
        from rapidocr import RapidOCR

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        parameters: dict[str, Any] = {
            "Global.use_cls": False,  # upside-down lines: rare, and dear
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Rec.rec_batch_num": 1,
        }
        if in_worker():
            import cv2

            cv2.setNumThreads(1)
            threads = 1
        if threads is not None:
            parameters["EngineConfig.onnxruntime.intra_op_num_threads"] = threads
            parameters["EngineConfig.onnxruntime.inter_op_num_threads"] = 1
        pipeline: Any = RapidOCR(params=parameters)
        self._detector = pipeline._load_det_model()
        self._recogniser = pipeline._load_rec_model()
        self._recogniser.rec_image_shape = [3, 48, _MIN_READ_WIDTH]

    def boxes(self, image: np.ndarray, longest: int) -> np.ndarray:
        """The corners of lines of text, clockwise from the top left; the detector sees at most `longest` pixels."""
        self._detector.limit_side_len = longest
        found = self._detector(image)
        return np.zeros((0, 4, 2)) if found.boxes is None else np.asarray(found.boxes, np.float32)

    def texts(self, lines: list[np.ndarray]) -> list[tuple[str, float]]:
        """What lines say, each with its score."""
        from rapidocr.ch_ppocr_rec.typings import TextRecInput

        found = self._recogniser(TextRecInput(img=lines, return_word_box=False))
        return list(zip(found.txts, found.scores, strict=True))


@functools.cache
def engine(threads: int | None = None) -> _Engine:
    """The one engine of this process; `threads` is for who measures, workers have one."""
    return _Engine(threads)


def read(picture: Image.Image, threads: int | None = None) -> list[Span]:
    """The lines of text in a picture, in its pixels; reading order is the layout's business."""
    small = fitted(picture, _LONG_SIDE)
    if small is None:
        return []
    image, scale = small
    left, top, right, bottom = _inked(np.asarray(image.convert("L")))
    if min(right - left, bottom - top) < _MIN_SIDE:
        return []
    pixels = np.ascontiguousarray(np.asarray(image)[top:bottom, left:right, ::-1])  # the engine takes BGR
    seen = min(1.0, _DETECTED_SIDE / max(image.size))
    corners = engine(threads).boxes(pixels, max(32, round(seen * max(pixels.shape[:2]))))
    kept = [(box, line) for box in corners if min((line := _line(pixels, box)).shape[:2]) > 1]
    if not kept:
        return []
    spans = []
    offset = np.array([left, top])
    for (box, _), (text, score) in zip(kept, engine(threads).texts([line for _, line in kept]), strict=True):
        text = clean(text).replace("\n", " ")
        if text and score >= _MIN_SCORE:
            (x0, y0), (x1, y1) = (box.min(axis=0) + offset) / scale, (box.max(axis=0) + offset) / scale
            spans.append(Span(text, float(x0), float(y0), float(x1), float(y1), float(y1 - y0) * 0.8))
    return spans


def fitted(picture: Image.Image, longest: int) -> tuple[Image.Image, float] | None:
    """A picture in RGB, at most `longest` pixels on its long side, small ones enlarged; and by how much it was scaled.

    None where it is too small to hold text.
    """
    image = picture if picture.mode == "RGB" else on_white(picture)
    if min(image.size) < _MIN_SIDE:
        return None
    scale = min(longest / max(image.size), max(1.0, min(2.0, _SHORT_SIDE / min(image.size))))
    if scale != 1.0:
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    return image, scale


def _inked(grey: np.ndarray) -> tuple[int, int, int, int]:
    """The box of what is not paper, with a margin: left, top, right, bottom."""
    ink = np.abs(grey.astype(np.int16) - int(np.median(grey))) > _INK
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    height, width = grey.shape
    return (
        max(0, int(columns[0]) - _MARGIN), max(0, int(rows[0]) - _MARGIN),
        min(width, int(columns[-1]) + 1 + _MARGIN), min(height, int(rows[-1]) + 1 + _MARGIN),
    )  # fmt: skip


def _line(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The picture of one line, level, and narrowed where it is long."""
    import cv2

    width = float(max(np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[2] - box[3])))
    height = float(max(np.linalg.norm(box[3] - box[0]), np.linalg.norm(box[2] - box[1])))
    if max(abs(box[1][1] - box[0][1]), abs(box[2][1] - box[3][1])) > _CROOKED * height:
        level = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        turn = cv2.getPerspectiveTransform(box, level)
        line = cv2.warpPerspective(pixels, turn, (round(width), round(height)), borderMode=cv2.BORDER_REPLICATE)
    else:
        (x0, y0), (x1, y1) = np.maximum(box.min(axis=0), 0).astype(int), np.ceil(box.max(axis=0)).astype(int)
        line = pixels[y0 : y1 + 1, x0 : x1 + 1]
    if line.shape[0] >= _UPRIGHT * line.shape[1]:
        line = np.rot90(line)
    if line.shape[1] > _LONG_LINE * line.shape[0]:
        line = cv2.resize(line, (round(line.shape[1] * _NARROWED), line.shape[0]), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(line)


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
