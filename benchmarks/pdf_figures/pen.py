"""A canvas that remembers where it drew: the extent of a figure is what its drawing calls covered.

Coordinates are points from the top left of the page, as everywhere in bindery.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Color = tuple[float, float, float]

PALETTE: tuple[Color, ...] = (
    (0.12, 0.47, 0.71),
    (1.0, 0.5, 0.05),
    (0.17, 0.63, 0.17),
    (0.84, 0.15, 0.16),
    (0.58, 0.4, 0.74),
    (0.55, 0.34, 0.29),
)
BLACK: Color = (0, 0, 0)
GREY: Color = (0.75, 0.75, 0.75)


class Pen:
    """Draws on a reportlab canvas; `extent` is the box of all since `begin`."""

    def __init__(self, canvas: Canvas, size: Point, rng: random.Random) -> None:
        self.canvas = canvas
        self.size = size
        self.rng = rng
        self._points: list[Point] = []

    def begin(self) -> None:
        self._points = []

    @property
    def extent(self) -> Box:
        xs, ys = [x for x, _ in self._points], [y for _, y in self._points]
        return max(0.0, min(xs)), max(0.0, min(ys)), min(self.size[0], max(xs)), min(self.size[1], max(ys))

    def covers(self, *points: Point) -> None:
        self._points += points

    def text(
        self, x: float, y: float, text: str, size: float = 8, font: str = "Helvetica", align: str = "left"
    ) -> None:
        """A line whose baseline is at y."""
        width = stringWidth(text, font, size)
        x0 = x - {"left": 0.0, "middle": width / 2, "right": width}[align]
        self.canvas.setFont(font, size)
        self.canvas.setFillColorRGB(0, 0, 0)
        self.canvas.drawString(x0, self.size[1] - y, text)
        self.covers((x0, y - 0.75 * size), (x0 + width, y + 0.2 * size))

    def line(self, a: Point, b: Point, color: Color = BLACK, width: float = 0.75) -> None:
        self.canvas.setStrokeColorRGB(*color)
        self.canvas.setLineWidth(width)
        self.canvas.line(a[0], self.size[1] - a[1], b[0], self.size[1] - b[1])
        self.covers(a, b)

    def rect(self, box: Box, fill: Color | None = None, stroke: Color | None = None, radius: float = 0) -> None:
        x0, y0, x1, y1 = box
        self._colors(fill, stroke)
        at = (x0, self.size[1] - y1, x1 - x0, y1 - y0)
        how = {"fill": int(fill is not None), "stroke": int(stroke is not None)}
        if radius:
            self.canvas.roundRect(*at, radius, **how)
        else:
            self.canvas.rect(*at, **how)
        self.covers((x0, y0), (x1, y1))

    def path(
        self, points: Sequence[Point], fill: Color | None = None, stroke: Color | None = None, width: float = 1.0
    ) -> None:
        """A polyline, or a polygon where it is filled."""
        self._colors(fill, stroke)
        self.canvas.setLineWidth(width)
        path = self.canvas.beginPath()
        for i, (x, y) in enumerate(points):
            (path.lineTo if i else path.moveTo)(x, self.size[1] - y)
        if fill is not None:
            path.close()
        self.canvas.drawPath(path, fill=int(fill is not None), stroke=int(stroke is not None))
        self.covers(*points)

    def circle(self, center: Point, radius: float, fill: Color | None = None, stroke: Color | None = None) -> None:
        self._colors(fill, stroke)
        x, y = center
        how = {"fill": int(fill is not None), "stroke": int(stroke is not None)}
        self.canvas.circle(x, self.size[1] - y, radius, **how)
        self.covers((x - radius, y - radius), (x + radius, y + radius))

    def wedge(self, center: Point, radius: float, start: float, sweep: float, fill: Color) -> None:
        self._colors(fill, (1, 1, 1))
        x, y = center[0], self.size[1] - center[1]
        self.canvas.wedge(x - radius, y - radius, x + radius, y + radius, start, sweep, fill=1, stroke=1)
        self.covers((center[0] - radius, center[1] - radius), (center[0] + radius, center[1] + radius))

    def picture(self, image: Image.Image, box: Box, encoding: str = "PNG", mask: str | None = None) -> None:
        """An image object over `box`, kept as a JPEG or as samples."""
        buffer = io.BytesIO()
        image.save(buffer, encoding, **({"quality": 90} if encoding == "JPEG" else {}))
        buffer.seek(0)
        x0, y0, x1, y1 = box
        source = ImageReader(buffer)
        self.canvas.drawImage(source, x0, self.size[1] - y1, x1 - x0, y1 - y0, mask=mask)
        self.covers((x0, y0), (x1, y1))

    def _colors(self, fill: Color | None, stroke: Color | None) -> None:
        if fill is not None:
            self.canvas.setFillColorRGB(*fill)
        if stroke is not None:
            self.canvas.setStrokeColorRGB(*stroke)
        self.canvas.setLineWidth(0.75)
