"""The Office files: a handbook (docx), a slide deck (pptx), two workbooks (xlsx), each as a file's bytes."""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import docx
import openpyxl
import pptx
from docx.shared import Cm
from openpyxl.styles import Font
from pptx.util import Cm as SlideCm
from pptx.util import Pt

from . import facts, media

MADE = datetime(2026, 2, 2, 9, 0)
_ZIP_DATE = (2026, 2, 2, 9, 0, 0)
_XML_DATE = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def handbook() -> bytes:
    """Installation and maintenance of the TG-400: headings, prose, lists, a table, a picture (docx)."""
    low, high = facts.TEMPERATURE_C
    document = docx.Document()
    document.core_properties.author = facts.COMPANY
    document.core_properties.title = "TG-400 handbook"
    document.add_heading("TG-400 radar tide gauge: installation and maintenance", level=0)
    document.add_paragraph("Handbook, edition 7, October 2025. For trained field crews.")

    document.add_heading("Choosing the place", level=1)
    document.add_paragraph(
        f"Keep {facts.CLEARANCE_M} m between the beam and the nearest wall, ladder or moored boat. The antenna must "
        "hang at least 0.3 m above the highest water ever observed and no more than 30 m above the lowest. Avoid "
        "places where fishing nets dry on the railing: wet nets reflect the beam."
    )
    document.add_heading("Mounting", level=1)
    for step in (
        "Fix the mounting arm MA-2 with four M10 bolts and tighten them to 32 Nm.",
        "Hang the gauge on the arm and level it with the bubble on its lid; a tilt of up to 1 degree is allowed.",
        "Lay the cable in a drip loop. The cable may be up to 120 m long.",
        "Attach the caution sign to the railing, where it can be read from the water.",
    ):
        document.add_paragraph(step, style="List Number")

    document.add_heading("Wiring", level=1)
    document.add_paragraph("Connect the four wires to the terminals of the HL-9 as in the figure, then close the lid.")
    document.add_picture(io.BytesIO(media.wiring_diagram()), width=Cm(13))
    document.add_paragraph("Figure 1. Wires of the TG-400 and terminals of the HL-9", style="Caption")

    document.add_heading("Maintenance", level=1)
    document.add_paragraph(f"The gauge works from {low} °C to +{high} °C and asks for little:")
    rows = [(task, f"{months} months", f"{minutes} min", tool) for task, months, minutes, tool in facts.MAINTENANCE]
    header = ("Task", "Every", "Time on site", "Tool")
    table = document.add_table(rows=0, cols=len(header), style="Table Grid")
    for row in (header, *rows):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_heading("Before you leave", level=1)
    document.add_paragraph(
        "Wait for three green blinks of the logger. Photograph the gauge from the left and from the right, and send "
        "both pictures to HarborView with the station code. A station without pictures is not accepted."
    )
    return _saved(document)


def roadmap_slides() -> bytes:
    """The HarborView roadmap: titles, bullets, a table, a picture, speaker notes (pptx)."""
    deck = pptx.Presentation()
    deck.core_properties.author = facts.COMPANY
    deck.core_properties.title = "HarborView roadmap"
    title_layout, bullet_layout, bare_layout = deck.slide_layouts[0], deck.slide_layouts[1], deck.slide_layouts[5]

    slide = deck.slides.add_slide(title_layout)
    slide.shapes.title.text = "HarborView: where we are, where we go"
    slide.placeholders[1].text = "Sales meeting, Halden, 16 January 2026"

    slide = deck.slides.add_slide(bullet_layout)
    slide.shapes.title.text = "Why customers subscribe"
    _fill_bullets(
        slide,
        (
            "One place for all gauges, also those of other makers",
            "A surge alert reaches the harbour office within 40 seconds",
            "Data are kept for 25 years",
            "Availability in 2025: 99.93 %",
        ),
    )
    _add_notes(slide, "The price of 360 euros for a station and year stays fixed until the end of June 2027.")

    slide = deck.slides.add_slide(bare_layout)
    slide.shapes.title.text = "Growth"
    slide.shapes.add_picture(io.BytesIO(media.subscriptions_chart()), SlideCm(3), SlideCm(4.5), width=SlideCm(19))
    _add_notes(slide, "The last bar includes the 210 stations of the Canadian ports, which joined in August.")

    slide = deck.slides.add_slide(bare_layout)
    slide.shapes.title.text = "Releases"
    rows = [("Release", "Month", "Main feature"), *facts.ROADMAP]
    frame = slide.shapes.add_table(len(rows), 3, SlideCm(2), SlideCm(4.5), SlideCm(21), SlideCm(8))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            cell = frame.table.cell(row, column)
            cell.text = text
            cell.text_frame.paragraphs[0].font.size = Pt(18)

    slide = deck.slides.add_slide(bullet_layout)
    slide.shapes.title.text = "What we ask of you"
    _fill_bullets(
        slide,
        (
            "Offer a free trial of 60 days with every TG-400",
            "Send feature requests to Noor Valdis before 1 March",
            "Do not promise forecasts before release 6.0",
        ),
    )
    return _saved(deck)


def shipments_workbook() -> bytes:
    """Two sheets: shipments by region and quarter, and the price list (xlsx)."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Shipments 2025"
    rows = [(region, *quarters, sum(quarters)) for region, quarters in facts.SHIPMENTS.items()]
    total = ("Total", *facts.SHIPPED_BY_QUARTER, facts.SHIPPED)
    _fill_sheet(sheet, ("Region", "Q1", "Q2", "Q3", "Q4", "2025"), [*rows, total])
    prices = [(item.code, item.kind, item.price_eur) for item in facts.PRODUCTS]
    header = ("Item", "Description", "Price EUR")
    _fill_sheet(book.create_sheet("Price list"), header, [*prices, *facts.ACCESSORIES])
    return _saved(book)


def order_workbook() -> bytes:
    """The attachment of the order confirmation (xlsx)."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "PO-7718"
    lines: list[Sequence[Any]] = [(item, units, price, units * price) for item, units, price in facts.ORDER_LINES]
    lines += [
        ("Sum", None, None, facts.ORDER_GROSS),
        (f"Discount {facts.ORDER_DISCOUNT_PERCENT} %", None, None, facts.ORDER_NET - facts.ORDER_GROSS),
        ("Net total", None, None, facts.ORDER_NET),
        ("Payment", "45 days net", None, None),
    ]
    _fill_sheet(sheet, ("Item", "Units", "Unit price EUR", "Amount EUR"), lines)
    return _saved(book)


def _fill_sheet(sheet: Any, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    for row in (header, *rows):
        sheet.append(list(row))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for column, width in zip("ABCDEF", (22, 44 if len(header) == 3 else 12, 16, 14, 12, 12), strict=True):
        sheet.column_dimensions[column].width = width


def _fill_bullets(slide: Any, bullets: Sequence[str]) -> None:
    body = slide.placeholders[1].text_frame
    body.text = bullets[0]
    for bullet in bullets[1:]:
        body.add_paragraph().text = bullet


def _add_notes(slide: Any, text: str) -> None:
    slide.notes_slide.notes_text_frame.text = text


def _saved(document: Any) -> bytes:
    """The document's bytes with one date everywhere: in the zip directory and in the core properties."""
    raw, fixed = io.BytesIO(), io.BytesIO()
    document.save(raw)
    stamp = MADE.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _XML_DATE.sub(rb"\g<1>" + stamp, content)
            target.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()
