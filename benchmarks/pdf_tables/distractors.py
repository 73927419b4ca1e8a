"""Pages without a table that look as if they had one: whatever is found on them is an error."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.pdf_tables import words
from benchmarks.pdf_tables.sheet import Sheet, width

_X = 60.0
_ROOM = 492.0


def two_columns(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet(font=rng.choice(["Helvetica", "Times-Roman"]))
    size, gap = rng.choice([8.0, 9.0, 10.0]), rng.choice([14.0, 20.0, 30.0])
    columns = rng.choice([2, 2, 3])
    room = (_ROOM - gap * (columns - 1)) / columns
    for i in range(columns):
        y = 60.0
        while y < 640:
            if rng.random() < 0.3:
                sheet.text(_X + i * (room + gap), y, rng.choice(words.TITLES), size + 1, "Helvetica-Bold")
                y += size + 6
            y = sheet.prose(_X + i * (room + gap), y, words.prose(rng, rng.randint(2, 5)), room, size, justify=True)
            y += rng.choice([0.0, 6.0])
    return sheet, 0


def lists(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet()
    y = sheet.prose(_X, 60, words.prose(rng, 3), _ROOM) + 10
    signs = rng.choice([["•"] * 20, [f"({c})" for c in "abcdefghijklmnopqrst"], [f"{i}." for i in range(1, 21)]])
    hang = rng.choice([14.0, 24.0, 36.0])
    for sign in signs[: rng.randint(6, 14)]:
        sheet.text(_X + 10, y, sign)
        y = sheet.prose(_X + 10 + hang, y, words.prose(rng, rng.choice([1, 1, 2])), _ROOM - 10 - hang)
        y += rng.choice([0.0, 4.0])
    return sheet, 0


def contents(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet(font=rng.choice(["Helvetica", "Times-Roman"]))
    sheet.text(250, 60, rng.choice(["Table of Contents", "Contents", "INDEX"]), 14, "Helvetica-Bold")
    y, page = 100.0, rng.randint(1, 5)
    numbered, dots = rng.random() < 0.5, rng.random() < 0.7
    for i in range(rng.randint(10, 30)):
        title = rng.choice(words.TITLES + words.LABELS)
        indent = 0 if numbered else rng.choice([0, 12, 24])
        if numbered:
            sheet.text(_X, y, f"Item {i + 1}.")
        end = sheet.text(_X + (60 if numbered else indent), y, title)
        w = width(str(page), sheet.font, 10)
        if dots:
            count = int((_X + _ROOM - 24 - end) / width(" .", sheet.font, 10))
            sheet.text(_X + _ROOM - 20 - count * width(" .", sheet.font, 10), y, " ." * count)
        sheet.text(_X + _ROOM - w, y, str(page))
        page += rng.randint(0, 6)
        y += rng.choice([14.0, 14.0, 18.0])
    return sheet, 0


def form(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet(font="Helvetica")
    sheet.text(_X, 60, "Application for a berth", 14, "Helvetica-Bold")
    y = sheet.prose(_X, 90, words.prose(rng, 2), _ROOM) + 16
    fields = ["Name", "Address", "City", "Telephone", "Vessel", "Flag", "Date", "Signature", "Draught", "Cargo"]
    rng.shuffle(fields)
    for i in range(0, len(fields), 2):
        for field, x in zip(fields[i : i + 2], (_X, _X + 250), strict=True):
            end = sheet.text(x, y, f"{field}:", 9)
            sheet.line(end + 4, y + 10, x + 230, y + 10)
        y += 26
    for label in rng.sample(words.LABELS, 4):
        sheet.canvas.rect(_X, sheet.size[1] - y - 9, 9, 9)
        sheet.text(_X + 16, y, label, 9)
        y += 16
    sheet.prose(_X, y + 20, words.prose(rng, 3), _ROOM)
    return sheet, 0


def addresses(rng: random.Random) -> tuple[Sheet, int]:
    """A letter: sender beside recipient, date, prose, two signatures."""
    sheet = Sheet()
    for x in (_X, rng.choice([330.0, 400.0])):
        lines = [rng.choice(words.PEOPLE), f"{rng.randint(1, 99)} Quay Street", rng.choice(words.PLACES),
                 f"Telephone {rng.randint(100, 999)} {rng.randint(1000, 9999)}"]  # fmt: skip
        for i, line in enumerate(lines):
            sheet.text(x, 60 + 13 * i, line)
    sheet.text(400, 140, "May 4, 2023")
    y = 170.0
    for _ in range(4):
        y = sheet.prose(_X, y, words.prose(rng, 4), _ROOM) + 8
    for x in (_X, 320.0):
        sheet.line(x, y + 40, x + 160, y + 40)
        sheet.text(x, y + 44, rng.choice(words.PEOPLE))
        sheet.text(x, y + 57, rng.choice(words.ROLES))
    return sheet, 0


def formulas(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet()
    y = 60.0
    for i in range(5):
        y = sheet.prose(_X, y, words.prose(rng, 3), _ROOM) + 12
        x = 180.0
        for part in rng.sample(["f(x)", "=", "Σ", "a", "i", "x", "+", "b", "(1 − α)", "·", "λ", "/", "2π"], 9):
            x = sheet.text(x, y + rng.choice([-4.0, 0.0, 0.0, 4.0]), part, rng.choice([7.0, 11.0]), "Times-Italic")
            x += rng.choice([2.0, 6.0, 14.0])
        if rng.random() < 0.5:
            sheet.line(200, y + 16, 300, y + 16)
            sheet.text(230, y + 20, "n − 1", 10, "Times-Italic")
        sheet.text(_X + _ROOM - 20, y, f"({i + 1})")
        y += 40
    return sheet, 0


def references(rng: random.Random) -> tuple[Sheet, int]:
    sheet = Sheet()
    sheet.text(_X, 60, "References", 13, "Times-Bold")
    y, numbered = 84.0, rng.random() < 0.7
    room = rng.choice([_ROOM, 230.0])
    for column in range(1 if room == _ROOM else 2):
        x, y = _X + column * 256, 84.0
        for i in range(12):
            who = ", ".join(rng.sample(words.PEOPLE, rng.randint(1, 3)))
            title, volume = rng.choice(words.TITLES), rng.randint(1, 40)
            pages, year = f"{rng.randint(100, 900)}–{rng.randint(901, 999)}", rng.randint(1990, 2023)
            text = f"{who}. {title}. Journal of Ports {volume}, {pages}, {year}."
            if numbered:
                sheet.text(x, y, f"[{i + 1}]", 9)
            y = sheet.prose(x + 24, y, text, room - 24, 9) + 3
    return sheet, 0


def chart(rng: random.Random) -> tuple[Sheet, int]:
    """A bar chart drawn with lines, rectangles and numbers, between prose."""
    sheet = Sheet(font="Helvetica")
    y = sheet.prose(_X, 60, words.prose(rng, 3), _ROOM) + 30
    bars, steps, height = rng.randint(4, 8), rng.randint(4, 6), 200.0
    for i in range(steps + 1):
        level = y + height * i / steps
        sheet.line(_X + 40, level, _X + 440, level, 0.3)
        label = f"{(steps - i) * 20}"
        sheet.text(_X + 34 - width(label, "Helvetica", 8), level - 4, label, 8)
    each = 400 / bars
    for i in range(bars):
        value = rng.uniform(0.1, 0.95)
        x = _X + 40 + i * each
        sheet.fill((x + 0.2 * each, y + height * (1 - value), x + 0.8 * each, y + height), (0.2, 0.4, 0.7))
        if rng.random() < 0.8:
            sheet.text(x + 0.35 * each, y + height * (1 - value) - 10, f"{100 * value:.0f}", 8)
        sheet.text(x + 0.3 * each, y + height + 4, str(2010 + i), 8)
    sheet.text(_X + 100, y + height + 20, "Figure 1: Boxes moved per year, in thousands", 9)
    sheet.prose(_X, y + height + 50, words.prose(rng, 4), _ROOM)
    return sheet, 0


def callouts(rng: random.Random) -> tuple[Sheet, int]:
    """Prose in frames, one beside the other, as slides and brochures have it."""
    sheet = Sheet((720, 405), "Helvetica")
    sheet.text(40, 30, rng.choice(words.TITLES), 24, "Helvetica-Bold")
    boxes = rng.randint(2, 3)
    room = 640 / boxes - 14
    for i in range(boxes):
        x = 40 + i * (room + 14)
        if rng.random() < 0.5:
            sheet.fill((x, 90, x + room, 330), (0.9, 0.9, 0.95))
        if rng.random() < 0.6:
            sheet.canvas.rect(x, 405 - 330, room, 240)
        sheet.text(x + 10, 100, rng.choice(words.SECTIONS), 13, "Helvetica-Bold")
        sheet.prose(x + 10, 126, words.prose(rng, 3), room - 20, 11)
    return sheet, 0


def statements(rng: random.Random) -> tuple[Sheet, int]:
    """Plain prose with many figures in it."""
    sheet = Sheet(font=rng.choice(["Helvetica", "Times-Roman"]))
    y = 60.0
    while y < 680:
        if rng.random() < 0.3:
            sheet.text(_X, y, rng.choice(words.TITLES), 11, "Helvetica-Bold")
            y += 18
        text = " ".join(
            f"{label} of ${words.amount(rng)} million in 2023 compared with ${words.amount(rng)} million in 2022."
            for label in rng.sample(words.LABELS, rng.randint(1, 4))
        )
        y = sheet.prose(_X, y, text, _ROOM, justify=rng.random() < 0.5) + rng.choice([2.0, 8.0])
    sheet.text(300, 740, str(rng.randint(1, 99)))
    return sheet, 0


DISTRACTORS: dict[str, Callable[[random.Random], tuple[Sheet, int]]] = {
    f"no table: {maker.__name__.replace('_', ' ')}": maker
    for maker in (two_columns, lists, contents, form, addresses, formulas, references, chart, callouts, statements)
}
