"""Raster figures: every way in which producers put pixels on a page, and mixtures with vector drawings."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.pdf_figures.charts import axes
from benchmarks.pdf_figures.pen import BLACK, PALETTE, Box, Pen


def photo(rng: random.Random, width: int = 480, height: int = 320) -> Image.Image:
    """Something like a photograph: soft shapes of many colours, with grain."""
    noise = np.random.default_rng(rng.getrandbits(32))
    coarse = Image.fromarray(noise.integers(20, 236, (5, 7, 3), dtype=np.uint8))
    soft = coarse.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3))
    grain = noise.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8))


def _photo_of(pen: Pen, box: Box) -> Image.Image:
    scale = pen.rng.uniform(1.2, 3.0)
    return photo(pen.rng, round((box[2] - box[0]) * scale), round((box[3] - box[1]) * scale))


def jpeg(pen: Pen, box: Box) -> None:
    pen.picture(_photo_of(pen, box), box, "JPEG")


def grey(pen: Pen, box: Box) -> None:
    pen.picture(_photo_of(pen, box).convert("L"), box, "JPEG")


def cmyk(pen: Pen, box: Box) -> None:
    pen.picture(_photo_of(pen, box).convert("CMYK"), box, "JPEG")


def indexed(pen: Pen, box: Box) -> None:
    pen.picture(_photo_of(pen, box).quantize(16), box)


def bilevel(pen: Pen, box: Box) -> None:
    pen.picture(_photo_of(pen, box).convert("1"), box)


def masked(pen: Pen, box: Box) -> None:
    """A soft mask that fades the edges."""
    image = _photo_of(pen, box).convert("RGBA")
    x = np.linspace(-1, 1, image.width)[None, :] ** 8
    y = np.linspace(-1, 1, image.height)[:, None] ** 8
    image.putalpha(Image.fromarray((255 * (1 - np.maximum(x, y) * 0.8)).astype(np.uint8)))
    pen.picture(image, box, mask="auto")


def turned(pen: Pen, box: Box) -> None:
    """A picture that the page turns by a quarter."""
    width, height = box[2] - box[0], box[3] - box[1]
    image = _photo_of(pen, (0, 0, height, width))
    pen.canvas.saveState()
    pen.canvas.translate(box[2], pen.size[1] - box[3])
    pen.canvas.rotate(90)
    pen.picture(image, (0, pen.size[1] - width, height, pen.size[1]), "JPEG")
    pen.canvas.restoreState()
    pen.begin()
    pen.covers((box[0], box[1]), (box[2], box[3]))


def mirrored(pen: Pen, box: Box) -> None:
    pen.canvas.saveState()
    pen.canvas.translate(box[0] + box[2], 0)
    pen.canvas.scale(-1, 1)
    pen.picture(_photo_of(pen, box), box, "JPEG")
    pen.canvas.restoreState()


def in_form(pen: Pen, box: Box) -> None:
    name = f"form{pen.rng.getrandbits(40)}"
    pen.canvas.beginForm(name, 0, 0, *pen.size)
    pen.picture(_photo_of(pen, box), box, "JPEG")
    pen.canvas.endForm()
    pen.canvas.doForm(name)


def clipped(pen: Pen, box: Box) -> None:
    """The middle of a larger picture, seen through a clip."""
    x0, y0, x1, y1 = box
    pen.canvas.saveState()
    path = pen.canvas.beginPath()
    path.rect(x0, pen.size[1] - y1, x1 - x0, y1 - y0)
    pen.canvas.clipPath(path, stroke=0, fill=0)
    grown = (x0 - 0.3 * (x1 - x0), y0 - 0.2 * (y1 - y0), x1 + 0.3 * (x1 - x0), y1 + 0.4 * (y1 - y0))
    pen.picture(_photo_of(pen, grown), grown, "JPEG")
    pen.canvas.restoreState()
    pen.begin()
    pen.covers((x0, y0), (x1, y1))


def faded(pen: Pen, box: Box) -> None:
    pen.canvas.saveState()
    pen.canvas.setFillAlpha(0.5)
    pen.picture(_photo_of(pen, box), box, "JPEG")
    pen.canvas.restoreState()


def strips(pen: Pen, box: Box) -> None:
    """One picture that its producer cut into strips."""
    image, count = _photo_of(pen, box), pen.rng.choice((3, 6, 20))
    _tiles(pen, image, box, 1, count)


def tiles(pen: Pen, box: Box) -> None:
    _tiles(pen, _photo_of(pen, box), box, pen.rng.randint(2, 4), pen.rng.randint(2, 4))


def annotated(pen: Pen, box: Box) -> None:
    """A photograph with arrows, a ring and words drawn on it."""
    pen.picture(_photo_of(pen, box), box, "JPEG")
    for _ in range(3):
        x, y = pen.rng.uniform(box[0] + 20, box[2] - 80), pen.rng.uniform(box[1] + 20, box[3] - 30)
        pen.line((x + 20, y + 15), (x, y), PALETTE[3], 1.5)
        pen.path([(x, y), (x + 7, y + 1), (x + 2, y + 7)], fill=PALETTE[3])
        pen.text(x + 22, y + 18, "crack", 8)
    pen.circle((box[0] + 40, box[3] - 40), 15, stroke=PALETTE[1])


def heatmap(pen: Pen, box: Box) -> None:
    """Pixels between vector axes."""
    plot = axes(pen, box)
    cells = np.random.default_rng(pen.rng.getrandbits(32)).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    pen.picture(Image.fromarray(cells).resize((240, 160), Image.Resampling.NEAREST), plot)
    pen.rect(plot, stroke=BLACK)


RASTERS: dict[str, Callable[[Pen, Box], None]] = {
    "jpeg": jpeg,
    "grey": grey,
    "cmyk": cmyk,
    "indexed": indexed,
    "bilevel": bilevel,
    "masked": masked,
    "turned": turned,
    "mirrored": mirrored,
    "in a form": in_form,
    "clipped": clipped,
    "faded": faded,
}
TILED: dict[str, Callable[[Pen, Box], None]] = {"strips": strips, "tiles": tiles}
MIXED: dict[str, Callable[[Pen, Box], None]] = {"annotated": annotated, "heatmap": heatmap}


def _tiles(pen: Pen, image: Image.Image, box: Box, columns: int, rows: int) -> None:
    width, height = -(-image.width // columns), -(-image.height // rows)
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            part = image.crop((left, top, min(left + width, image.width), min(top + height, image.height)))
            x0 = box[0] + left / image.width * (box[2] - box[0])
            y0 = box[1] + top / image.height * (box[3] - box[1])
            x1 = x0 + part.width / image.width * (box[2] - box[0])
            y1 = y0 + part.height / image.height * (box[3] - box[1])
            pen.picture(part, (x0, y0, x1, y1))
