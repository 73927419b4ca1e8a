"""Small real files of every format, made in the test that needs them."""

from __future__ import annotations

import io
import wave
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PNG_SIZE = (120, 80)


def picture(
    text: str = "", size: tuple[int, int] = PNG_SIZE, color: str = "steelblue", type_size: int = 28
) -> Image.Image:
    """A picture; with `text` it is dark on white, large enough to read."""
    image = Image.new("RGB", size, "white" if text else color)
    draw = ImageDraw.Draw(image)
    if text:
        font = ImageFont.load_default(size=type_size)
        for i, line in enumerate(text.split("\n")):
            draw.text((30, 30 + i * type_size * 1.6), line, fill="black", font=font)
    else:
        draw.ellipse((10, 10, size[0] - 10, size[1] - 10), fill="orange")
    return image


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def make_pdf(
    path: Path, pages: Sequence[Sequence[tuple[float, float, float, str]]], extra: str = "", info: str = ""
) -> Path:
    """A PDF from operators. A page is (x, y, size, text) with y from the bottom of 612 x 792; size < 0 is bold.

    `extra` is raw page content that goes before the text of every page.
    """
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", _FONT % "Helvetica", _FONT % "Helvetica-Bold"]
    kids = []
    for lines in pages:
        content = extra + "".join(
            f"BT /{'B' if size < 0 else 'F'} {abs(size)} Tf {x} {y} Td ({_escaped(text)}) Tj ET\n"
            for x, y, size, text in lines
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}endstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F 3 0 R /B 4 0 R >> >> "
            f"/Contents {len(objects)} 0 R >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< {info} >>")
    out = "%PDF-1.4\n"
    offsets = []
    for i, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{i} 0 obj\n{body}\nendobj\n"
    start = len(out)
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{start}\n%%EOF\n"
    path.write_bytes(out.encode("latin-1"))
    return path


_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def make_scan(path: Path, texts: list[str]) -> Path:
    """A PDF whose pages are pictures of text."""
    pages = [picture(text, (1000, 600), type_size=40) for text in texts]
    pages[0].save(path, "PDF", save_all=True, append_images=pages[1:], resolution=120)
    return path


def add_picture(path: Path, image: Image.Image, box: tuple[float, float, float, float]) -> Path:
    """Place a JPEG on the first page of a PDF: box is left, bottom, width, height in points."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        page = document[0]
        placed = pypdfium2.PdfImage.new(document)
        placed.load_jpeg(io.BytesIO(encoded(image, "JPEG")), pages=[page], inline=True)
        placed.set_matrix(pypdfium2.PdfMatrix().scale(box[2], box[3]).translate(box[0], box[1]))
        page.insert_obj(placed)
        page.gen_content()
        buffer = io.BytesIO()
        document.save(buffer)
    path.write_bytes(buffer.getvalue())
    return path


def encrypt_pdf(source: Path, path: Path) -> Path:
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=source)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path)
    return path


def make_docx(path: Path) -> Path:
    import docx

    document = docx.Document()
    document.core_properties.title = "Harbour report"
    document.add_heading("Findings", level=1)
    document.add_paragraph("The harbour was deepened in 1998. Traffic has doubled since then.")
    document.add_picture(io.BytesIO(encoded(picture())))
    document.add_paragraph("Depth by year", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("Year", "Metres"), ("1998", "14.5")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.save(str(path))
    return path


def make_pptx(path: Path) -> Path:
    import pptx
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    presentation = pptx.Presentation()
    for number in (1, 2):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = f"Slide number {number}"
        slide.notes_slide.notes_text_frame.text = f"Remember to mention the harbour on slide {number}."
    slide.shapes.add_picture(io.BytesIO(encoded(picture())), Inches(1), Inches(2), Inches(3), Inches(2))
    data = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["Q1", "Q2"]
    data.add_series("Sales", (1.5, 2.25))  # type: ignore[no-untyped-call]
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(5), Inches(2), Inches(3), Inches(3), data)
    presentation.save(str(path))
    return path


def make_xlsx(path: Path, rows: int = 2) -> Path:
    import datetime

    import openpyxl
    from openpyxl.drawing.image import Image as SheetImage

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Budget"
    sheet.append(["Item", "Amount", "Share", "Day"])
    for i in range(rows):
        sheet.append([f"item {i}", 1234567.125 + i, 0.125, datetime.date(2024, 1, 1 + i % 28)])
        sheet.cell(i + 2, 3).number_format = "0.0%"
    sheet.append([])
    sheet.append(["All amounts in euro"])
    other = book.create_sheet("Pictures")
    other["A1"] = "Harbour"
    other.add_image(SheetImage(io.BytesIO(encoded(picture()))), "B2")
    book.save(path)
    return path


def make_eml(path: Path, html: bool = True) -> Path:
    message = EmailMessage()
    message["Subject"] = "Größe of the harbour"
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Bob <bob@example.org>"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message.set_content("Plain words about the harbour.")
    if html:
        message.add_alternative("<html><body><p>The harbour was opened on Monday.</p></body></html>", subtype="html")
    message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="table.csv")
    path.write_bytes(message.as_bytes())
    return path


def make_wav(path: Path, seconds: float = 0.5, rate: int = 16_000, level: int = 0x1000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(level.to_bytes(2, "little") * int(seconds * rate))
    return path


def make_video(
    path: Path,
    seconds: float = 2.0,
    *,
    codec: str | None = "mpeg4",
    sound: str | None = None,
    size: tuple[int, int] = (64, 48),
    form: str | None = None,
    title: str = "",
    early_index: bool = False,
    said: np.ndarray | None = None,
) -> Path:
    """A video of ten frames a second in which a bar grows; without a `codec`, only its sound: a tone, or `said` at
    48 kHz."""
    import av

    options = {"movflags": "+faststart"} if early_index else {}
    with av.open(str(path), "w", format=form, options=options) as container:
        if title:
            container.metadata["title"] = title
        pictures: Any = container.add_stream(codec, rate=10) if codec else None
        tone: Any = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        if pictures is not None:
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuv420p"
            for number in range(round(seconds * 10)):
                pixels = np.full((size[1], size[0], 3), 40, np.uint8)
                pixels[:, : 4 + number % size[0]] = (200, 120, 40)
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(pictures.encode(None))
        if tone is not None:
            hum = np.sin(np.arange(round(seconds * 48_000)) / 20).astype(np.float32) / 3
            wave_form = (hum if said is None else said)[None]
            for start in range(0, wave_form.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(wave_form[:, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48_000, start
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


def make_array(path: Path, values: np.ndarray) -> Path:
    with open(path, "wb") as file:
        np.save(file, values)
    return path


def depth_map(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Millimetres in 16 bits: 400 in the first row to 7900 in the last, and a corner that was not measured."""
    rows = np.linspace(400, 7900, size[1]).round().astype(np.uint16)
    values = np.repeat(rows[:, None], size[0], axis=1)
    values[:5, :5] = 0
    return Image.fromarray(values)


def motion(samples: int = 200) -> np.ndarray:
    """(samples, 6) float32: a slow swing."""
    times = np.arange(samples)[:, None] / 50
    swing: np.ndarray = np.sin(times * np.arange(1, 7)[None]).astype(np.float32)
    return swing


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
