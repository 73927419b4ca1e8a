"""Vector figures: charts and diagrams as plotting programs draw them, each within a given box."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from benchmarks.pdf_figures.pen import BLACK, GREY, PALETTE, Box, Pen, Point

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun")
_NAMES = ("North", "South", "East", "West", "Harbour", "Railway", "Bridges", "Canals", "Ferries")


def bars(pen: Pen, box: Box) -> None:
    """Vertical bars, single or grouped, over an axis, with or without a grid."""
    plot = _axes(pen, box, grid=pen.rng.random() < 0.5)
    groups, series = pen.rng.randint(3, 8), pen.rng.randint(1, 3)
    step = (plot[2] - plot[0]) / groups
    for g in range(groups):
        for s in range(series):
            x = plot[0] + g * step + step * (0.15 + 0.7 * s / series)
            height = pen.rng.uniform(0.1, 0.95) * (plot[3] - plot[1])
            pen.rect((x, plot[3] - height, x + 0.7 * step / series - 1, plot[3]), fill=PALETTE[s])
        pen.text(plot[0] + (g + 0.5) * step, plot[3] + 10, str(2015 + g), 7, align="middle")
    _legend(pen, box, series)


def sideways(pen: Pen, box: Box) -> None:
    """Horizontal stacked bars with names on the left and values in them; no axis at all."""
    rows, left = pen.rng.randint(4, 9), box[0] + 70
    step = (box[3] - box[1]) / rows
    parts = pen.rng.randint(1, 4)
    for row in range(rows):
        y = box[1] + row * step
        pen.text(left - 5, y + step * 0.6, pen.rng.choice(_NAMES), 8, align="right")
        x = left
        for part in range(parts):
            width = pen.rng.uniform(0.3, 1.0) / parts * (box[2] - left)
            pen.rect((x, y + step * 0.15, x + width, y + step * 0.85), fill=PALETTE[part])
            if width > 20:
                pen.text(x + width / 2, y + step * 0.6, str(pen.rng.randint(2, 60)), 7, align="middle")
            x += width


def lines(pen: Pen, box: Box) -> None:
    plot = _axes(pen, box, grid=pen.rng.random() < 0.6)
    count = pen.rng.randint(1, 4)
    for series in range(count):
        points, y = [], pen.rng.uniform(0.2, 0.8)
        samples = pen.rng.choice((6, 12, 60, 200))
        for i in range(samples):
            y = min(0.97, max(0.03, y + pen.rng.gauss(0, 0.08)))
            points.append((plot[0] + (plot[2] - plot[0]) * i / (samples - 1), plot[3] - y * (plot[3] - plot[1])))
        pen.path(points, stroke=PALETTE[series], width=1.5)
        if samples <= 12:
            for point in points:
                pen.circle(point, 2, fill=PALETTE[series])
    _legend(pen, box, count)


def scatter(pen: Pen, box: Box) -> None:
    plot = _axes(pen, box, grid=False, frame=True)
    for _ in range(pen.rng.choice((20, 80, 300))):
        x = min(0.97, max(0.03, pen.rng.gauss(0.5, 0.2)))
        y = min(0.97, max(0.03, x + pen.rng.gauss(0, 0.15)))
        at = plot[0] + x * (plot[2] - plot[0]), plot[3] - y * (plot[3] - plot[1])
        pen.circle(at, 1.8, fill=PALETTE[pen.rng.randint(0, 1)])


def pie(pen: Pen, box: Box) -> None:
    radius = min((box[2] - box[0]) * 0.3, (box[3] - box[1]) * 0.42)
    center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    start, left = pen.rng.uniform(0, 360), 360.0
    slices = pen.rng.randint(2, 6)
    for i in range(slices):
        sweep = left if i == slices - 1 else left * pen.rng.uniform(0.25, 0.55)
        pen.wedge(center, radius, start, sweep, PALETTE[i])
        middle = math.radians(start + sweep / 2)
        at = center[0] + 1.15 * radius * math.cos(middle), center[1] - 1.15 * radius * math.sin(middle)
        side = "left" if math.cos(middle) > 0 else "right"
        pen.text(*at, f"{pen.rng.choice(_NAMES)} {sweep / 3.6:.0f}%", 7, align=side)
        start, left = start + sweep, left - sweep


def flow(pen: Pen, box: Box) -> None:
    """Boxes with words in them, joined by arrows."""
    columns, rows = pen.rng.randint(2, 4), pen.rng.randint(2, 3)
    dx, dy = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    radius = pen.rng.choice((0, 5))
    filled = pen.rng.random() < 0.6
    for row in range(rows):
        for column in range(columns):
            x, y = box[0] + column * dx, box[1] + row * dy
            node = (x, y, x + dx * 0.68, y + dy * 0.55)
            color = PALETTE[(row + column) % 6]
            light = (0.6 + 0.4 * color[0], 0.6 + 0.4 * color[1], 0.6 + 0.4 * color[2])
            pen.rect(node, fill=light if filled else None, stroke=BLACK, radius=radius)
            pen.text((node[0] + node[2]) / 2, (node[1] + node[3]) / 2 + 3, pen.rng.choice(_NAMES), 8, align="middle")
            if column + 1 < columns:
                _arrow(pen, (node[2], (node[1] + node[3]) / 2), (x + dx, (node[1] + node[3]) / 2))
            if row + 1 < rows and column == 0:
                _arrow(pen, ((node[0] + node[2]) / 2, node[3]), ((node[0] + node[2]) / 2, y + dy))


def map_(pen: Pen, box: Box) -> None:
    """Regions as polygons that share borders, with numbers in them."""
    columns, rows = pen.rng.randint(3, 6), pen.rng.randint(3, 5)

    def corner(i: int, j: int) -> Point:
        jitter = 0.3 if 0 < i < columns and 0 < j < rows else 0.0
        x = box[0] + (i + pen.rng.uniform(-jitter, jitter)) * (box[2] - box[0]) / columns
        return x, box[1] + (j + pen.rng.uniform(-jitter, jitter)) * (box[3] - box[1]) / rows

    grid = [[corner(i, j) for j in range(rows + 1)] for i in range(columns + 1)]
    for i in range(columns):
        for j in range(rows):
            region = [grid[i][j], grid[i + 1][j], grid[i + 1][j + 1], grid[i][j + 1]]
            pen.path(region, fill=(0.95, 0.94, 0.86), stroke=(0.2, 0.2, 0.5))
            x, y = (sum(c) / 4 for c in zip(*region, strict=True))
            pen.text(x, y, str(i * rows + j + 1), 6, align="middle")


def network(pen: Pen, box: Box) -> None:
    """Circles joined by slanted lines."""
    nodes = [
        (pen.rng.uniform(box[0] + 15, box[2] - 15), pen.rng.uniform(box[1] + 15, box[3] - 15))
        for _ in range(pen.rng.randint(6, 14))
    ]
    for a, b in itertools.pairwise(nodes):
        pen.line(a, b, GREY)
        pen.line(a, pen.rng.choice(nodes), GREY)
    for i, node in enumerate(nodes):
        pen.circle(node, 10, fill=PALETTE[i % 6], stroke=BLACK)
        pen.text(node[0], node[1] + 2, chr(65 + i), 7, align="middle")


def areas(pen: Pen, box: Box) -> None:
    """Filled areas on each other."""
    plot = _axes(pen, box, grid=True)
    samples, series = 12, pen.rng.randint(2, 4)
    lower = [0.0] * samples
    for i in range(series):
        upper = [y + pen.rng.uniform(0.05, 0.9 / series) for y in lower]
        xs = [plot[0] + (plot[2] - plot[0]) * k / (samples - 1) for k in range(samples)]
        top = [(x, plot[3] - y * (plot[3] - plot[1])) for x, y in zip(xs, upper, strict=True)]
        bottom = [(x, plot[3] - y * (plot[3] - plot[1])) for x, y in zip(xs, lower, strict=True)]
        pen.path([*top, *reversed(bottom)], fill=PALETTE[i])
        lower = upper


def dots(pen: Pen, box: Box) -> None:
    """Points as small as a full stop, between two axes."""
    plot = _axes(pen, box, grid=False)
    for _ in range(150):
        at = pen.rng.uniform(plot[0] + 2, plot[2] - 2), pen.rng.uniform(plot[1] + 2, plot[3] - 2)
        pen.circle(at, 0.7, fill=PALETTE[0])


def boxplot(pen: Pen, box: Box) -> None:
    plot = _axes(pen, box, grid=False)
    count = pen.rng.randint(3, 7)
    for i in range(count):
        x = plot[0] + (i + 0.5) * (plot[2] - plot[0]) / count
        low, q1, middle, q3, high = sorted(pen.rng.uniform(plot[1], plot[3]) for _ in range(5))
        pen.line((x, low), (x, q1))
        pen.line((x, q3), (x, high))
        pen.rect((x - 8, q1, x + 8, q3), fill=(0.8, 0.85, 1), stroke=BLACK)
        pen.line((x - 8, middle), (x + 8, middle), PALETTE[1], 1.2)
        pen.text(x, plot[3] + 10, _NAMES[i], 6, align="middle")


def schedule(pen: Pen, box: Box) -> None:
    """Bars from a begin to an end, over months."""
    rows, left = pen.rng.randint(4, 8), box[0] + 80
    step = (box[3] - box[1] - 14) / rows
    for month in range(6):
        x = left + (month + 0.5) * (box[2] - left) / 6
        pen.text(x, box[1] + 8, _MONTHS[month], 7, align="middle")
        edge = left + month * (box[2] - left) / 6
        pen.line((edge, box[1] + 12), (edge, box[3]), GREY, 0.4)
    for row in range(rows):
        y = box[1] + 14 + row * step
        pen.text(box[0], y + step * 0.65, f"{pen.rng.choice(_NAMES)} {row + 1}", 8)
        begin = pen.rng.uniform(left, box[2] - 60)
        pen.rect((begin, y + step * 0.2, begin + pen.rng.uniform(25, 60), y + step * 0.8), fill=PALETTE[row % 3])


def card(pen: Pen, box: Box) -> None:
    """A chart on a coloured card, with its own heading."""
    pen.rect(box, fill=(0.94, 0.95, 0.98))
    pen.text(box[0] + 10, box[1] + 16, "Ships by year", 10, "Helvetica-Bold")
    inner = box[0] + 10, box[1] + 26, box[2] - 10, box[3] - 8
    pen.rng.choice((bars, lines, pie))(pen, inner)


def radar(pen: Pen, box: Box) -> None:
    center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    radius = min(box[2] - box[0], box[3] - box[1]) * 0.4

    def ring(scales: list[float]) -> list[Point]:
        points = []
        for i, scale in enumerate(scales):
            angle = 2 * math.pi * i / len(scales)
            points.append((center[0] + scale * radius * math.sin(angle), center[1] - scale * radius * math.cos(angle)))
        return [*points, points[0]]

    for level in (0.33, 0.66, 1.0):
        pen.path(ring([level] * 6), stroke=GREY, width=0.5)
    for point, name in zip(ring([1.12] * 6), _NAMES, strict=False):
        pen.text(point[0], point[1] + 3, name, 7, align="middle")
    for series in range(2):
        pen.path(ring([pen.rng.uniform(0.3, 1) for _ in range(6)]), stroke=PALETTE[series], width=1.5)


CHARTS: dict[str, Callable[[Pen, Box], None]] = {
    "bars": bars,
    "sideways": sideways,
    "lines": lines,
    "scatter": scatter,
    "pie": pie,
    "flow": flow,
    "map": map_,
    "network": network,
    "areas": areas,
    "dots": dots,
    "boxplot": boxplot,
    "schedule": schedule,
    "card": card,
    "radar": radar,
}


def axes(pen: Pen, box: Box) -> Box:
    """Axes for whatever is drawn between them; returns the plot's box."""
    return _axes(pen, box, grid=False, frame=True)


def _axes(pen: Pen, box: Box, grid: bool, frame: bool = False) -> Box:
    plot = box[0] + 32, box[1] + 14, box[2] - 4, box[3] - 26
    ticks = pen.rng.randint(3, 6)
    for i in range(ticks + 1):
        y = plot[3] - i * (plot[3] - plot[1]) / ticks
        if grid and i:
            pen.line((plot[0], y), (plot[2], y), GREY, 0.4)
        pen.line((plot[0] - 3, y), (plot[0], y))
        pen.text(plot[0] - 5, y + 2.5, f"{i * 20}", 7, align="right")
    if frame:
        pen.rect(plot, stroke=BLACK)
    else:
        pen.line((plot[0], plot[1]), (plot[0], plot[3]))
        pen.line((plot[0], plot[3]), (plot[2], plot[3]))
    pen.text((plot[0] + plot[2]) / 2, box[3] - 2, "Year of observation", 7, align="middle")
    return plot


def _legend(pen: Pen, box: Box, series: int) -> None:
    x = box[0] + 40
    for i in range(series):
        pen.rect((x, box[1] + 1, x + 7, box[1] + 8), fill=PALETTE[i])
        pen.text(x + 10, box[1] + 8, _NAMES[i], 7)
        x += 60


def _arrow(pen: Pen, a: Point, b: Point) -> None:
    pen.line(a, b, width=1)
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    wings = [(b[0] - 6 * math.cos(angle + s), b[1] - 6 * math.sin(angle + s)) for s in (0.4, -0.4)]
    pen.path([b, *wings], fill=BLACK)
