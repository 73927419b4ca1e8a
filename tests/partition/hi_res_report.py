"""A page for the route hi_res: what stands on it, and what the stand-ins for its models see there."""

from __future__ import annotations

from pathlib import Path

from tests.files import add_picture, make_pdf, picture
from tests.partition.hi_res_models import Found

COLUMNS, LINES = (72.0, 300.0, 420.0), (450.0, 434.0, 418.0)
CELLS = (("Port", "2023", "2022"), ("North harbour", "$ 1,234", "1,100"), ("South harbour", "2,000", "1,900"))
TABLE = "Port\nNorth harbour | 2023: $1,234 | 2022: 1,100\nSouth harbour | 2023: 2,000 | 2022: 1,900"
FOUND: list[Found] = [
    ("Title", (0.1, 0.05, 0.9, 0.13)),
    ("Text", (0.1, 0.14, 0.9, 0.3)),
    ("Caption", (0.1, 0.36, 0.9, 0.39)),
    ("Table", (0.1, 0.41, 0.85, 0.48)),
    ("Picture", (0.1, 0.6, 0.5, 0.8)),
    ("Footnote", (0.1, 0.87, 0.7, 0.9)),
]
# The table's grid as the table model's classes (table, column, row, header), in shares of the table's picture.
GRID = [
    (0, (0.0, 0.0, 1.0, 1.0)),
    *((1, (a, 0.0, b, 1.0)) for a, b in ((0.0, 0.4), (0.4, 0.68), (0.68, 1.0))),
    *((2, (0.0, a, 1.0, b)) for a, b in ((0.0, 0.32), (0.32, 0.65), (0.65, 1.0))),
    (3, (0.0, 0.0, 1.0, 0.32)),
]


def make_report(path: Path, pages: int = 1) -> Path:
    """A page with all that the layout model finds; a drawing, a picture that it does not see, and a line beside."""
    lines = [
        (72.0, 725.0, 18.0, "Shipments of gauges"),
        (72.0, 660.0, 10.0, "Shipments rose in all har-"),
        (72.0, 646.0, 10.0, "bours but one."),
        (72.0, 490.0, 9.0, "Table 1: Ports"),
        (400.0, 250.0, 9.0, "Beside the drawing"),
        (72.0, 90.0, 8.0, "1 Without the ports of the south."),
        (130.0, 250.0, 9.0, "Quay"),
    ]
    for y, row in zip(LINES, CELLS, strict=True):
        lines += [(x, y, 9.0, text) for x, text in zip(COLUMNS, row, strict=True)]
    drawing = "1 0 0 rg 70 200 60 80 re f 0 0 1 rg 180 200 40 30 re f 0 g\n"
    return add_picture(make_pdf(path, [lines] * pages, extra=drawing), picture(size=(200, 150)), (400, 100, 100, 75))
