"""What a PDF page is made of before anyone has said what it means: words, drawn rules and shapes.

Coordinates are points from the top left of the page as its text reads upright (`View`), as are those of `Span`.
`text.layer` and `drawings` make these; tables and figures are found in them.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, TypeVar

import numpy as np

Value = TypeVar("Value", float, np.ndarray)


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """How page coordinates become what a reader sees: the page box, and quarter turns clockwise."""

    left: float
    bottom: float
    right: float
    top: float
    turns: int = 0

    @property
    def size(self) -> tuple[float, float]:
        width, height = self.right - self.left, self.top - self.bottom
        return (height, width) if self.turns % 2 else (width, height)

    def box(self, left: Value, bottom: Value, right: Value, top: Value) -> tuple[Value, Value, Value, Value]:
        """x0, y0, x1, y1 from the top left of the page as shown. Arrays of coordinates are welcome, too."""
        x0, x1, y0, y1 = left - self.left, right - self.left, bottom - self.bottom, top - self.bottom
        width, height = self.right - self.left, self.top - self.bottom
        match self.turns % 4:
            case 1:
                return y0, x0, y1, x1
            case 2:
                return width - x1, y0, width - x0, y1
            case 3:
                return height - y1, width - x1, height - y0, width - x0
            case _:
                return x0, height - y1, x1, height - y0


class Word(NamedTuple):  # pages have thousands: a tuple is made in a quarter of a frozen dataclass's time
    """Characters without a blank between them. y0 to y1 is the height of the type's line, not of the ink.

    `font` numbers (name, weight) per document; `angle` is by how many degrees counterclockwise the word is turned
    against the page.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False
    font: int = 0
    angle: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal (y0 == y1) or vertical (x0 == x1) line: stroked, a thin filled rectangle, or a rectangle's edge."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A path that is not a rule: its box, how it is painted, and how much of it there is.

    `level`: all of its edges are horizontal or upright, as a rectangle's.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    filled: bool
    stroked: bool
    color: tuple[int, int, int] | None
    curved: bool
    segments: int
    level: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Drawings:
    """The visible paths of a page, in the order in which they are painted; `cut` says that there were too many."""

    rules: list[Rule]
    shapes: list[Shape]
    cut: bool = False
