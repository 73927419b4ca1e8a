"""The annual report 2025 as a PDF of six pages: prose, a ruled and an unruled table, a photograph, a chart, a scan."""

import io

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from . import facts, media

NAVY = colors.HexColor(media.NAVY)
TEAL = colors.HexColor(media.TEAL)
TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=24, leading=30, textColor=NAVY, spaceAfter=16)
HEADING = ParagraphStyle("heading", fontName="Helvetica-Bold", fontSize=15, leading=19, textColor=NAVY, spaceAfter=7)
SUBHEADING = ParagraphStyle("subheading", parent=HEADING, fontSize=12, leading=15, spaceBefore=8, spaceAfter=4)
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10.5, leading=15, spaceAfter=9)
CELL = ParagraphStyle("cell", fontName="Helvetica", fontSize=9.5, leading=12)
CAPTION = ParagraphStyle("caption", fontName="Helvetica-Oblique", fontSize=9, leading=12, spaceBefore=5, spaceAfter=12)
TEXT_WIDTH = A4[0] - 4.4 * cm


def annual_report() -> bytes:
    out = io.BytesIO()
    document = BaseDocTemplate(
        out, pagesize=A4, title="Annual report 2025", author=facts.COMPANY, subject="Tide gauges", invariant=1
    )
    frame = Frame(2.2 * cm, 2.2 * cm, TEXT_WIDTH, A4[1] - 4.6 * cm, 0, 0, 0, 0)
    document.addPageTemplates(
        [
            PageTemplate("text", [frame], onPage=_draw_running_lines),
            PageTemplate("scan", [frame], onPage=_draw_scan),
        ]
    )
    pages = [_year_in_brief(), _instruments(), _finances(), _field_work(), _shipments()]
    story: list[Flowable] = []
    for page in pages:
        story += [*page, PageBreak()]
    story[-1:] = [NextPageTemplate("scan"), PageBreak(), Spacer(1, 1)]
    document.build(story)
    return out.getvalue()


def _year_in_brief() -> list[Flowable]:
    profit_before, profit = facts.OPERATING_PROFIT[1:]
    growth = facts.TOTAL_REVENUE[2] / facts.TOTAL_REVENUE[1] - 1
    return [
        Paragraph("Annual report 2025", TITLE),
        Paragraph("1. The year in brief", HEADING),
        Paragraph(
            f"{facts.COMPANY} makes tide gauges, data loggers and the HarborView service. The company was founded in "
            "1987 by two harbour pilots and still has its workshop on the old quay in Halden. In 2025 revenue rose by "
            f"{growth:.1%} to EUR {facts.TOTAL_REVENUE[2]:,} thousand, and operating profit from EUR {profit_before:,} "
            f"thousand to EUR {profit:,} thousand.",
            BODY,
        ),
        Paragraph(
            f"We shipped {facts.SHIPPED:,} instruments, more than in any year before. Radar gauges carried the growth: "
            "many ports replaced their float gauges before the new national datum came into force. At the end of the "
            f"year {facts.CONNECTED_STATIONS[2]:,} stations sent their data to HarborView, against "
            f"{facts.CONNECTED_STATIONS[1]:,} a year earlier.",
            BODY,
        ),
        Paragraph("A word from the chief executive", SUBHEADING),
        Paragraph(
            "“A tide gauge earns its keep on the one night in ten years when the water comes. In the storm of 11 "
            "January 2025 every one of our stations on the Skagerrak stayed on air, and the highest level, 3.42 m, was "
            "measured at Torsnes. I thank the crews who went out the next morning.” "
            f"{facts.CEO}, chief executive",
            BODY,
        ),
        Paragraph("What changed", SUBHEADING),
        Paragraph(
            "The TG-400 received a second antenna supplier, which ended the delivery delays of the spring. The service "
            "centre in Ningbo opened on 5 May 2025 and repairs instruments for East Asia. The TG-200 will be built "
            "until the end of 2027; spare parts will be kept for ten years after that.",
            BODY,
        ),
        Paragraph("Outlook", SUBHEADING),
        Paragraph(
            "For 2026 the board expects revenue between EUR 29 million and EUR 31 million. The largest risk is the "
            "price of quartz cells for the PX-50, which come from a single supplier.",
            BODY,
        ),
    ]


def _instruments() -> list[Flowable]:
    header = ("Model", "Kind", "Principle", "Accuracy", "Range", "Power")
    rows = [(p.code, p.kind, p.principle, p.accuracy, p.span, f"{p.power_w} W") for p in facts.PRODUCTS]
    table = Table([header, *rows], colWidths=[width * cm for width in (1.9, 3.5, 4.2, 2.2, 2.6, 1.9)])
    table.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.7, colors.black),
            ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#dfe7f0")),
            ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9.5),
            ("FONT", (0, 1), (-1, -1), "Helvetica", 9.5),
            ("TOPPADDING", (0, 0), (-1, -1), 5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ]
    )
    low, high = facts.TEMPERATURE_C
    return [
        Paragraph("2. Instruments", HEADING),
        Paragraph(
            "Four instruments make up the catalogue. Table 1 gives the figures that customers ask for first; the "
            "prices are in the price list.",
            BODY,
        ),
        Paragraph("Table 1. Technical data of the instruments", CAPTION),
        table,
        Spacer(1, 14),
        Paragraph("TG-400", SUBHEADING),
        Paragraph(
            f"The radar gauge looks at the water from above and touches nothing. It works from {low} °C to +{high} °C, "
            "averages 240 readings a minute, and its housing is tight to IP68. It is the only gauge in the catalogue "
            "that needs no stilling well and no diver.",
            BODY,
        ),
        Paragraph("PX-50", SUBHEADING),
        Paragraph(
            "The pressure gauge lies on the sea bed, where ice and ships do not reach it. Since March 2025 its housing "
            "is made of titanium grade 5 instead of bronze, which doubles the time between two dives to six years.",
            BODY,
        ),
        Paragraph("HL-9", SUBHEADING),
        Paragraph(
            "The data logger takes four gauges, stores eleven years of one-minute values, and sounds the surge alarm, "
            f"two tones of {facts.SURGE_TONES_HZ[0]} Hz and {facts.SURGE_TONES_HZ[1]} Hz in turn.",
            BODY,
        ),
    ]


def _finances() -> list[Flowable]:
    """The table is set as in a statement of accounts: columns by alignment only, no rule anywhere."""
    rows = [("EUR thousand", *map(str, facts.YEARS)), ("Revenue", "", "", "")]
    rows += [("    " + segment, *map(_thousands, values)) for segment, values in facts.REVENUE.items()]
    margins = [f"{p / r:.1%}" for p, r in zip(facts.OPERATING_PROFIT, facts.TOTAL_REVENUE, strict=True)]
    rows += [
        ("Total revenue", *map(_thousands, facts.TOTAL_REVENUE)),
        ("Operating costs", *(f"({cost:,})" for cost in facts.OPERATING_COSTS)),
        ("Operating profit", *map(_thousands, facts.OPERATING_PROFIT)),
        ("Operating margin", *margins),
    ]
    table = Table(rows, colWidths=[7.4 * cm, 2.8 * cm, 2.8 * cm, 2.8 * cm])
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), "Helvetica", 10),
            ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
            *(("FONT", (0, row), (-1, row), "Helvetica-Bold", 10) for row in (0, 1, 7, 9)),
        ]
    )
    return [
        Paragraph("3. Finances", HEADING),
        Paragraph(
            "Revenue grew in every segment. Subscriptions to HarborView grew fastest, from a small base; radar gauges "
            "brought in the largest sum. Operating costs rose more slowly than revenue, because the new test bench "
            "halved the time that a gauge spends in calibration.",
            BODY,
        ),
        Paragraph("Table 2. Revenue by segment and operating profit, 2023 to 2025", CAPTION),
        table,
        Spacer(1, 14),
        Paragraph("Investments", SUBHEADING),
        Paragraph(
            "We invested EUR 1,240 thousand in 2025: EUR 780 thousand in the test bench, EUR 310 thousand in the "
            "service centre in Ningbo, and the rest in vehicles for the field crews.",
            BODY,
        ),
        Paragraph("Loans", SUBHEADING),
        Paragraph(
            "The loan of 2021 was paid back in September 2025, two years early. The company has had no debt to banks "
            f"since then. {facts.CFO}, chief financial officer, keeps a credit line of EUR 2 million open for 2026.",
            BODY,
        ),
    ]


def _field_work() -> list[Flowable]:
    station = facts.SHOWN_STATION
    counts = [facts.stations_with(product.code) for product in facts.PRODUCTS[:3]]
    return [
        Paragraph("4. In the field", HEADING),
        Paragraph(
            f"We run a reference network of {len(facts.STATIONS)} stations in eight countries. {counts[0]} of them "
            f"carry a TG-400, {counts[1]} a TG-200 and {counts[2]} a PX-50. The network shows how the instruments age, "
            "and its data are free for everyone.",
            BODY,
        ),
        Image(io.BytesIO(media.breakwater_photo()), width=14 * cm, height=14 * cm * 640 / 1000),
        Paragraph(
            f"Figure 1. A TG-400 on the outer breakwater at {station.name}, station {station.code}. The solar panel "
            "feeds gauge and logger from March to October.",
            CAPTION,
        ),
        Paragraph(
            "Field crews visited 1,046 customer stations in 2025. On average a visit took 2.6 hours on site. The most "
            "frequent fault was a damaged cable, often by ropes; for this reason every new radar station now carries a "
            "caution sign on its railing.",
            BODY,
        ),
    ]


def _shipments() -> list[Flowable]:
    best = max(facts.SHIPMENTS, key=lambda region: sum(facts.SHIPMENTS[region]))
    return [
        Paragraph("5. Shipments", HEADING),
        Paragraph(
            f"Shipments rose from quarter to quarter. {best} remained the largest region with "
            f"{sum(facts.SHIPMENTS[best])} instruments. The figures by region are in the shipments workbook.",
            BODY,
        ),
        _quarter_chart(),
        Paragraph("Figure 2. Instruments shipped in each quarter of 2025", CAPTION),
        Paragraph("Returns", SUBHEADING),
        Paragraph(
            "Customers sent back 31 instruments, 1.3% of what we shipped. Fourteen of them had been hit by lightning; "
            "since July the surge protector SP-1 is part of every delivery to Oceania.",
            BODY,
        ),
        Paragraph("Quality", SUBHEADING),
        Paragraph(
            "Every TG-400 leaves the workshop with a calibration certificate. The next page shows one of them.",
            BODY,
        ),
    ]


def _quarter_chart() -> Drawing:
    """Bars, axes and grid as path operators, labels as text: a figure without an image object."""
    drawing = Drawing(TEXT_WIDTH, 250)
    left, bottom, scale = 62, 42, 0.26
    for units in range(0, 701, 100):
        y = bottom + units * scale
        drawing.add(Line(left, y, left + 360, y, strokeColor=colors.lightgrey, strokeWidth=0.6))
        drawing.add(String(left - 8, y - 3, str(units), fontName="Helvetica", fontSize=9, textAnchor="end"))
    for column, units in enumerate(facts.SHIPPED_BY_QUARTER):
        x, height = left + 24 + column * 88, units * scale
        drawing.add(Rect(x, bottom, 48, height, fillColor=TEAL, strokeColor=None))
        for y, text in ((bottom + height + 4, str(units)), (bottom - 14, f"Q{column + 1}")):
            drawing.add(String(x + 24, y, text, fontName="Helvetica", fontSize=9.5, textAnchor="middle"))
    drawing.add(Line(left, bottom, left + 360, bottom, strokeWidth=1))
    drawing.add(Line(left, bottom, left, bottom + 190, strokeWidth=1))
    drawing.add(String(left + 180, 10, "Quarter of 2025", fontName="Helvetica", fontSize=10, textAnchor="middle"))
    drawing.add(String(left - 30, bottom + 198, "Instruments shipped", fontName="Helvetica", fontSize=10))
    return drawing


def _draw_running_lines(canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.saveState()
    canvas.setFont("Helvetica", 8.5)
    canvas.setFillColor(colors.HexColor("#5b6875"))
    canvas.drawString(2.2 * cm, A4[1] - 1.4 * cm, facts.COMPANY)
    canvas.drawRightString(A4[0] - 2.2 * cm, A4[1] - 1.4 * cm, "Annual report 2025")
    canvas.drawCentredString(A4[0] / 2, 1.3 * cm, f"Page {document.page} of 6")
    canvas.restoreState()


def _draw_scan(canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.drawImage(ImageReader(io.BytesIO(media.scanned_certificate())), 0, 0, *A4)


def _thousands(value: int) -> str:
    return f"{value:,}"
