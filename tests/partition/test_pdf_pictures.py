"""Embedded pictures come out as the reader sees them: turned, mirrored, masked, clipped, in any colour space, cut."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tasks.partition.context import PartContext
from tasks.partition.detect import PDF
from tasks.partition.pdf.content import View
from tasks.partition.pdf.render import region
from tasks.rows import ElementRow
from tests.files import make_pdf
from tests.partition.conftest import Partition

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 160, 30), (30, 30, 220), (230, 220, 30)
WHITE = (255, 255, 255)
PAGE = (612, 792)
Draw = Callable[[Canvas], None]


def quarters(size: int = 200) -> Image.Image:
    """Red and green above blue and yellow, with a grain that tells strips of one picture from two."""
    image = Image.new("RGB", (size, size))
    half = size // 2
    for color, at in ((RED, (0, 0)), (GREEN, (half, 0)), (BLUE, (0, half)), (YELLOW, (half, half))):
        image.paste(color, (*at, at[0] + half, at[1] + half))
    return image


def reader(image: Image.Image, form: str = "PNG") -> ImageReader:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 95} if form == "JPEG" else {}))
    buffer.seek(0)
    return ImageReader(buffer)


def write(path: Path, draw: Draw) -> Path:
    canvas = Canvas(str(path), pagesize=PAGE, invariant=1)
    for i in range(6):
        canvas.drawString(72, 720 - 14 * i, "The harbour was deepened so that larger ships could enter it.")
    draw(canvas)
    canvas.save()
    return path


def corners(row: ElementRow, context: PartContext) -> list[tuple[int, int, int]]:
    """The colours in the middle of each quarter of a kept picture: top left, top right, bottom left, bottom right."""
    assert row.media is not None
    image = Image.open(io.BytesIO(context.storage.read(row.media))).convert("RGB")
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            patch = pixels[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
            found.append((int(patch[0]), int(patch[1]), int(patch[2])))
    return found


def close(found: list[tuple[int, int, int]], expected: list[tuple[int, int, int]], by: int = 45) -> bool:
    return all(abs(a - b) <= by for f, e in zip(found, expected, strict=True) for a, b in zip(f, e, strict=True))


def placed(image: Image.Image, form: str = "PNG", mask: str | None = None) -> Draw:
    return lambda canvas: canvas.drawImage(reader(image, form), 150, 300, 200, 200, mask=mask)


def turned(angle: int) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.translate(250, 400)
        canvas.rotate(angle)
        canvas.drawImage(reader(quarters(), "JPEG"), -100, -100, 200, 200)

    return draw


def mirrored(canvas: Canvas) -> None:
    canvas.translate(500, 0)
    canvas.scale(-1, 1)
    canvas.drawImage(reader(quarters(), "JPEG"), 150, 300, 200, 200)


def in_forms(canvas: Canvas) -> None:
    canvas.beginForm("inner")
    canvas.drawImage(reader(quarters(), "JPEG"), 0, 0, 100, 100)
    canvas.endForm()
    canvas.beginForm("outer")
    canvas.scale(2, 2)
    canvas.doForm("inner")
    canvas.endForm()
    canvas.translate(150, 300)
    canvas.doForm("outer")


def clipped(canvas: Canvas) -> None:
    path = canvas.beginPath()
    path.rect(250, 300, 100, 200)
    canvas.clipPath(path, stroke=0, fill=0)
    canvas.drawImage(reader(quarters(), "JPEG"), 150, 300, 200, 200)


def faded(canvas: Canvas) -> None:
    canvas.setFillAlpha(0.5)
    canvas.drawImage(reader(quarters(), "JPEG"), 150, 300, 200, 200)


def see_through() -> Image.Image:
    image = quarters().convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (100, 100, 200, 200))
    image.putalpha(alpha)
    return image


UPRIGHT = [RED, GREEN, BLUE, YELLOW]
SHOWN: dict[str, tuple[Draw, list[tuple[int, int, int]], str]] = {
    "jpeg": (placed(quarters(), "JPEG"), UPRIGHT, "image/jpeg"),
    "samples": (placed(quarters()), UPRIGHT, "image/png"),
    "indexed": (placed(quarters().quantize(8)), UPRIGHT, "image/png"),
    "cmyk": (placed(quarters().convert("CMYK"), "JPEG"), UPRIGHT, "image/jpeg"),
    "soft mask": (placed(see_through(), mask="auto"), [RED, GREEN, BLUE, WHITE], "image/png"),
    "quarter turn": (turned(90), [GREEN, YELLOW, RED, BLUE], "image/jpeg"),
    "half turn": (turned(180), [YELLOW, BLUE, GREEN, RED], "image/jpeg"),
    "mirrored": (mirrored, [GREEN, RED, YELLOW, BLUE], "image/jpeg"),
    "in forms": (in_forms, UPRIGHT, "image/jpeg"),
    "clipped": (clipped, [GREEN, GREEN, YELLOW, YELLOW], "image/jpeg"),
    "faded": (faded, [(238, 142, 142), (142, 208, 142), (142, 142, 238), (242, 238, 142)], "image/jpeg"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_is_what_the_reader_sees(name: str, tmp_path: Path, partition: Partition) -> None:
    draw, expected, media_type = SHOWN[name]
    rows, context = partition(write(tmp_path / "a.pdf", draw), PDF, ocr=False)
    (row,) = [row for row in rows if row.category == "Image"]
    tolerance = 90 if name == "cmyk" else 45  # inks are not lights; inverted they would be 255 apart
    assert close(corners(row, context), expected, tolerance), corners(row, context)
    assert row.media_type == media_type
    assert (context.counts["pictures_found"], context.counts["pictures_kept"]) == (1, 1)


def test_one_bit_pictures(tmp_path: Path, partition: Partition) -> None:
    checks = Image.new("1", (200, 200), 1)
    checks.paste(0, (0, 0, 100, 100))
    rows, context = partition(write(tmp_path / "a.pdf", placed(checks)), PDF, ocr=False)
    (row,) = [row for row in rows if row.category == "Image"]
    assert close(corners(row, context), [(0, 0, 0), WHITE, WHITE, WHITE])


def test_bytes_that_show_what_is_seen_are_kept(tmp_path: Path, partition: Partition) -> None:
    buffer = io.BytesIO()
    quarters().save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(io.BytesIO(data)), 150, 300, 200, 200)
        canvas.drawImage(ImageReader(io.BytesIO(data)), 400, 300, 150, 150)

    rows, context = partition(write(tmp_path / "a.pdf", draw), PDF, ocr=False)
    images = [row for row in rows if row.category == "Image"]
    assert len(images) == 1 and images[0].media is not None
    assert context.storage.read(images[0].media) == data
    assert context.counts["pictures_dropped_duplicate"] == 1


def noise(seed: int, width: int = 300, height: int = 240) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def strips(count: int, of: list[Image.Image]) -> Draw:
    def draw(canvas: Canvas) -> None:
        top = 560.0
        for image in of:
            height = image.height // count
            for i in range(count):
                part = image.crop((0, i * height, image.width, (i + 1) * height))
                top -= height
                canvas.drawImage(reader(part), 150, top, image.width, height)

    return draw


@pytest.mark.parametrize("count", [3, 12])
def test_strips_are_one_picture(count: int, tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(write(tmp_path / "a.pdf", strips(count, [noise(1)])), PDF, ocr=False)
    (row,) = [row for row in rows if row.category == "Image"]
    box = row.boxes[0]
    assert [round(edge, 2) for edge in (box.x0, box.y0, box.x1, box.y1)] == [0.25, 0.29, 0.74, 0.6]
    assert context.counts["pictures_found"] == 1


def test_photographs_edge_to_edge_stay_two(tmp_path: Path, partition: Partition) -> None:
    rows, _ = partition(write(tmp_path / "a.pdf", strips(1, [noise(1), noise(2)])), PDF, ocr=False)
    assert len([row for row in rows if row.category == "Image"]) == 2


def test_what_shows_nothing_is_dropped_with_its_reason(tmp_path: Path, partition: Partition) -> None:
    invisible = quarters().convert("RGBA")
    invisible.putalpha(0)
    gradient = Image.linear_gradient("L").convert("RGB").resize((300, 400)).point(lambda v: 200 + v // 5)

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(reader(gradient, "JPEG"), 0, 0, *PAGE)
        canvas.drawImage(reader(Image.new("RGB", (100, 100), WHITE)), 100, 100, 100, 100)
        canvas.drawImage(reader(invisible), 300, 100, 100, 100, mask="auto")
        canvas.drawImage(reader(quarters(20)), 450, 100, 20, 20)
        for i in range(6):
            canvas.drawString(72, 720 - 14 * i, "The harbour was deepened so that larger ships could enter it.")

    rows, context = partition(write(tmp_path / "a.pdf", draw), PDF, ocr=False)
    assert [row for row in rows if row.category in ("Image", "Figure")] == []
    found = {name: n for name, n in context.counts.items() if name.startswith("pictures")}
    assert found == {
        "pictures_found": 4,
        "pictures_dropped_background": 1,
        "pictures_dropped_blank": 2,
        "pictures_dropped_small": 1,
    }


def test_pictures_that_are_too_large_are_refused_before_decoding(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(write(tmp_path / "a.pdf", placed(quarters(), "JPEG")), PDF, max_pixels=39_999)
    assert [row for row in rows if row.category == "Image"] == []
    assert context.counts["pictures_dropped_large"] == 1
    assert context.warnings == ["a picture of 200 x 200 pixels is more than partition.max_pixels allows"]


@pytest.mark.parametrize("box", [(10.0, 10.0, 10.0, 300.0), (612.0, 0.0, 612.0, 792.0), (0.0, 792.0, 612.0, 792.0)])
def test_a_region_thinner_than_a_pixel_is_drawn(tmp_path: Path, box: tuple[float, float, float, float]) -> None:
    with pypdfium2.PdfDocument(make_pdf(tmp_path / "a.pdf", [[(72, 720, 10, "Text")]])) as document:
        picture = region(document[0], View(0, 0, 612, 792, 0), box, 0.5, 100_000)
    assert min(picture.size) >= 1
