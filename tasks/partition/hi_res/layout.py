"""The layout model over one page, by unstructured's hi_res: a picture and what is written on it in, regions out.

unstructured finds boxes with YOLOX, gives each what is written in it, adds regions for what is written elsewhere, and
sorts all by its XY cut. Only a picture is shown to it: the file, which is untrusted, is opened by pdfium alone.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tasks.containers import scratch
from tasks.partition.boxes import Box
from tasks.partition.nlp import install
from tasks.partition.spans import Span
from tasks.worker import in_worker

_FOOTNOTE = 1  # of the model's classes


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """A part of a page: `category` in unstructured's vocabulary, its box in pixels of the picture."""

    category: str
    box: Box


def regions(picture: Image.Image, spans: Sequence[Span], model: str) -> list[Region]:
    """The regions of a page in reading order. `spans` are in pixels; `model` is the path of the layout model.

    None is empty but pictures: where nothing is written, unstructured leaves a region out.
    """
    name = _loaded(model)
    from unstructured.partition.image import partition_image

    from tasks.partition.hi_res import agent

    with tempfile.NamedTemporaryFile(prefix="bindery-", suffix=".png", dir=scratch()) as file, agent.reading(spans):
        picture.save(file, "PNG", compress_level=1)
        file.flush()
        elements = partition_image(
            filename=file.name, strategy="hi_res", hi_res_model_name=name, languages=["eng"], ocr_agent=agent.NAME
        )
    found = []
    for element in elements:
        where = element.metadata.coordinates
        if where is not None and where.points:
            xs, ys = zip(*where.points, strict=True)
            found.append(Region(element.category, (float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys)))))
    return found


@functools.cache
def _loaded(path: str) -> str:
    """Load the layout model where unstructured looks for it first; the name under which it is there."""
    install()
    import onnxruntime
    from unstructured_inference.constants import ElementType
    from unstructured_inference.models.base import models
    from unstructured_inference.models.yolox import YOLOX_LABEL_MAP, UnstructuredYoloXModel

    class Layout(UnstructuredYoloXModel):  # type: ignore[misc]
        """YOLOX with one thread in a worker, and boxes that do not reach over the page's edge: a negative coordinate
        would keep unstructured from sorting."""

        def initialize(self, model_path: str, label_map: dict[int, str]) -> None:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            if in_worker():
                options.intra_op_num_threads = options.inter_op_num_threads = 1
            self.model_path, self.layout_classes = model_path, label_map
            self.model = onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])

        def predict(self, x: Image.Image) -> Any:
            size = (*x.size, *x.size)
            found = super().predict(x)
            found.element_coords = np.clip(found.element_coords, 0.0, size)
            return found

    name = f"bindery:{path}"
    model = Layout()
    # As a footer, which unstructured makes of a footnote, its text would be no part of the document.
    model.initialize(path, {**YOLOX_LABEL_MAP, _FOOTNOTE: ElementType.TEXT})
    models[name] = model
    return name
