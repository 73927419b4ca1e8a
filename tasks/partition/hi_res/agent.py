"""What unstructured's hi_res asks its OCR for, answered with what bindery has read already, by whatever way.

unstructured makes agents itself, by the name of their class, so that they can be told of a page only through `reading`.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from unstructured.partition.utils import constants
from unstructured.partition.utils.ocr_models.ocr_interface import OCRAgent
from unstructured_inference.inference.elements import TextRegions
from unstructured_inference.inference.layoutelement import LayoutElements

from tasks.partition.spans import Span

_read: contextvars.ContextVar[Sequence[Span]] = contextvars.ContextVar("read", default=())


class Source(enum.Enum):
    """Where a region's text is from, as unstructured wants to know it."""

    BINDERY = "bindery"


class ReadAlready(OCRAgent):
    """An OCR agent that looks at no picture. Texts are those of the page that is at work."""

    def __init__(self, language: str) -> None:
        self.language = language

    def get_layout_from_image(self, image: Image.Image) -> TextRegions:
        spans = _read.get()
        boxes = np.array([(s.x0, s.y0, s.x1, s.y1) for s in spans], float).reshape(-1, 4)
        texts = np.array([s.text for s in spans], object)
        return TextRegions(element_coords=boxes, texts=texts, sources=np.array([Source.BINDERY] * len(spans)))

    def get_layout_elements_from_image(self, image: Image.Image) -> LayoutElements:
        raise NotImplementedError("hi_res asks for regions only")

    def get_text_from_image(self, image: Image.Image) -> str:
        return "\n".join(span.text for span in _read.get())

    def is_text_sorted(self) -> bool:
        return False


NAME = f"{ReadAlready.__module__}.{ReadAlready.__qualname__}"
if ReadAlready.__module__ not in constants.OCR_AGENT_MODULES_WHITELIST:
    constants.OCR_AGENT_MODULES_WHITELIST.append(ReadAlready.__module__)


@contextlib.contextmanager
def reading(spans: Sequence[Span]) -> Iterator[None]:
    """In the block, agents give these spans, in pixels of the page's picture."""
    token = _read.set(spans)
    try:
        yield
    finally:
        _read.reset(token)
