"""The pieces of a page: spans of text with boxes, the lines they make, the blocks that lines make.

Coordinates are points (or pixels) with the origin top left. PDF text layers and OCR both speak in these.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable

BULLET = re.compile(r"^(?:[•●○◦▪■□–—*‣⁃·]\s+|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s+(?=\S))")


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A run of text on one baseline, as found."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False
    angle: int = 0  # degrees counterclockwise; nothing but the text of a turned span is laid out

    @property
    def height(self) -> float:
        return self.y1 - self.y0


@dataclasses.dataclass(slots=True)
class Line:
    """Spans on one baseline of one column, left to right."""

    spans: list[Span]
    column: int = 0

    @property
    def text(self) -> str:
        return " ".join(span.text for span in self.spans)

    @property
    def x0(self) -> float:
        return self.spans[0].x0

    @property
    def x1(self) -> float:
        return max(span.x1 for span in self.spans)

    @property
    def y0(self) -> float:
        return min(span.y0 for span in self.spans)

    @property
    def y1(self) -> float:
        return max(span.y1 for span in self.spans)

    @property
    def size(self) -> float:
        return max(self.spans, key=lambda span: len(span.text)).size

    @property
    def bold(self) -> bool:
        return all(span.bold for span in self.spans)

    @property
    def tabular(self) -> bool:
        return len(self.spans) > 1


@dataclasses.dataclass(slots=True)
class Block:
    """A paragraph, list item or run of aligned rows."""

    lines: list[Line]

    @property
    def tabular(self) -> bool:
        return self.lines[0].tabular and len(self.lines) > 1

    @property
    def text(self) -> str:
        if any(line.tabular for line in self.lines):
            return "\n".join(line.text for line in self.lines)  # label and numbers stay on their line
        return join_lines(line.text for line in self.lines)

    @property
    def box(self) -> tuple[float, float, float, float]:
        return (
            min(line.x0 for line in self.lines),
            min(line.y0 for line in self.lines),
            max(line.x1 for line in self.lines),
            max(line.y1 for line in self.lines),
        )

    @property
    def size(self) -> float:
        return statistics.median_high(line.size for line in self.lines)

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)

    @property
    def is_list_item(self) -> bool:
        return BULLET.match(self.lines[0].text) is not None


def join_lines(lines: Iterable[str]) -> str:
    """Lines of a paragraph as running text: hyphens at line ends are undone, no space between Chinese characters."""
    text = ""
    for line in lines:
        if text.endswith("-") and len(text) > 2 and text[-2].islower() and line[:1].islower():
            text = text[:-1] + line
        elif text and is_wide(text[-1]) and line[:1] and is_wide(line[0]):
            text += line
        else:
            text = f"{text} {line}" if text else line
    return text


def is_wide(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
