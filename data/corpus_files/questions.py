"""Questions with their answers and sources. Kind `none` marks what a reader might ask and the corpus does not state."""

from dataclasses import dataclass
from typing import Literal

from . import facts

Kind = Literal["text", "table", "image", "none"]

REPORT = "reports/annual-report-2025.pdf"
SHIPMENTS = "reports/shipments-2025.xlsx"
MEMO = "reports/board-memo-2025-q1.txt"
SLIDES = "sales/harborview-roadmap.pptx"
CHINESE = "sales/TG-400-产品说明.md"
HANDBOOK = "support/tg-400-handbook.docx"
ERROR_PAGE = "support/hl-9-error-codes.html"
RUNBOOK = "support/harborview-runbook.md"
STATION_LIST = "network/stations.csv"
MAIL = "mail/order-po-7718.eml"  # its workbook is the member order-po-7718.eml!/…, cited here by the mail
SIGN = "media/caution-sign.jpg"
DASHBOARD = "media/harborview-dashboard.png"


@dataclass(frozen=True)
class Question:
    id: str
    question: str
    answer: str | None
    sources: tuple[str, ...]
    pages: tuple[int, ...]  # from 1; slides in a deck; empty where the format has no pages
    kind: Kind


def _numbered(*rows: tuple[Kind, str, str | None, str | None, int | None]) -> list[Question]:
    return [
        Question(f"q{number:02d}", question, answer, (source,) if source else (), (page,) if page else (), kind)
        for number, (kind, question, answer, source, page) in enumerate(rows, start=1)
    ]


QUESTIONS = _numbered(
    # the report: prose, ruled table, unruled table, vector chart, photograph
    ("text", "When did the service centre in Ningbo open?", "5 May 2025", REPORT, 1),
    ("text", "What was the highest water level at Torsnes in the storm of January 2025?", "3.42 m", REPORT, 1),
    ("text", "Until when will the TG-200 be built?", "the end of 2027", REPORT, 1),
    ("text", "How much did the new test bench cost?", "EUR 780 thousand", REPORT, 3),
    ("text", "How many instruments did customers send back in 2025?", "31", REPORT, 5),
    ("table", "What is the accuracy of the PX-50 pressure gauge?", facts.product("PX-50").accuracy, REPORT, 2),
    ("table", "How much power does the HL-9 data logger draw?", f"{facts.product('HL-9').power_w} W", REPORT, 2),
    (
        "table",
        "What revenue did radar gauges bring in 2025, in thousand euros?",
        f"{facts.REVENUE['Radar gauges'][2]:,}",
        REPORT,
        3,
    ),
    ("table", "What was the operating profit of 2023, in thousand euros?", f"{facts.OPERATING_PROFIT[0]:,}", REPORT, 3),
    (
        "image",
        "How many instruments were shipped in the third quarter of 2025 according to the chart in the annual report?",
        str(facts.SHIPPED_BY_QUARTER[2]),
        REPORT,
        5,
    ),
    ("image", "At which station does the photograph in the annual report show a TG-400?", "HS-08", REPORT, 4),
    # the scanned page
    (
        "image",
        f"Which serial number does the instrument of calibration certificate {facts.CERTIFICATE_NO} have?",
        facts.CERTIFICATE_SERIAL,
        REPORT,
        6,
    ),
    ("image", "Which laser interferometer was the reference of the TG-400 calibration?", "LI-7", REPORT, 6),
    ("image", "Who signed the calibration certificate as head of laboratory?", "Oskar Thune", REPORT, 6),
    # tables in other formats
    (
        "table",
        "How many instruments went to East Asia in the second quarter of 2025?",
        str(facts.SHIPMENTS["East Asia"][1]),
        SHIPMENTS,
        None,
    ),
    ("table", "What does the mounting arm MA-2 cost, in euros?", "290", SHIPMENTS, None),
    ("table", "Which tool is needed to replace the desiccant of the TG-400?", "Torx T20", HANDBOOK, None),
    ("table", "How often must the backup battery of the TG-400 be replaced?", "36 months", HANDBOOK, None),
    (
        "table",
        "Which gauge model is installed at station HS-27, Neah Landing?",
        facts.STATIONS["HS-27"].model,
        STATION_LIST,
        None,
    ),
    (
        "table",
        "When was the station at Cape Merrin installed?",
        facts.STATIONS["HS-37"].installed.isoformat(),
        STATION_LIST,
        None,
    ),
    ("table", "What does error code E05 of the HL-9 mean?", "Humidity in the housing above 70 %", ERROR_PAGE, None),
    ("table", "Who is called after 45 minutes when HarborView receives no data?", facts.SERVICE_HEAD, RUNBOOK, None),
    ("table", "What is the main feature of HarborView release 5.2?", "Export to NetCDF", SLIDES, 4),
    # prose in other formats
    ("text", "To which torque are the bolts of the mounting arm tightened?", "32 Nm", HANDBOOK, None),
    ("text", "How long may the cable of the TG-400 be?", "120 m", HANDBOOK, None),
    ("text", "How long must MENU and ENTER be held to reset the HL-9?", "12 seconds", ERROR_PAGE, None),
    ("text", "What is our contract number with the mobile operator?", "MB-60417", RUNBOOK, None),
    ("text", "How quickly does a HarborView surge alert reach the harbour office?", "within 40 seconds", SLIDES, 2),
    ("text", "Until when does the price of a HarborView subscription stay fixed?", "end of June 2027", SLIDES, 2),
    ("text", "Who was proposed to the board as second supplier of antennas?", "Lumen Antennas", MEMO, None),
    ("text", "On which date does order PO-7718 reach the Port of Kelsund?", "9 October 2025", MAIL, None),
    ("table", "What is the net total of order PO-7718, in euros?", f"{facts.ORDER_NET:.0f}", MAIL, None),
    ("table", "What are the terms of payment of order PO-7718?", "45 days net", MAIL, None),
    # text in pictures
    ("image", "What is the number of the harbour master's permit on the caution sign?", "88-214", SIGN, None),
    ("image", "What is the battery voltage on the HarborView dashboard of station HS-08?", "12.6 V", DASHBOARD, None),
    ("image", "Which terminal of the HL-9 takes the white wire of the TG-400?", "RS-485 A", HANDBOOK, None),
    # Chinese; the last one asks in Chinese about a page in English
    ("text", "TG-400雷达验潮仪在中国区的价格是多少?", "45,800 元", CHINESE, None),
    ("text", "TG-400的保修期有多长?", "三十六个月", CHINESE, None),
    ("text", "宁波服务中心的主任是谁?", "沈若兰", CHINESE, None),
    ("table", "TG-400的防护等级是什么?", "IP68", CHINESE, None),
    ("table", "哈尔登仪器2025年的总收入是多少千欧元?", f"{facts.TOTAL_REVENUE[2]:,}", REPORT, 3),
    # not stated anywhere
    ("none", "Which firm audited the accounts of 2025?", None, None, None),
    ("none", "What dividend did Halden Instruments pay for 2025?", None, None, None),
    ("none", "How much does a TG-400 weigh?", None, None, None),
    ("none", "How many people does Halden Instruments employ?", None, None, None),
    ("none", "How long is the warranty of the HL-9 data logger?", None, None, None),
    ("none", "宁波服务中心有多少名员工?", None, None, None),
)
