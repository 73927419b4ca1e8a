"""The pieces of a page: spans of text with boxes, the lines they make, the blocks that lines make.

Coordinates are points (or pixels) with the origin top left. PDF text layers and OCR both speak in these.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable, Sequence

_WORD_SPACE = 0.9  # of the type's size
_WORD_SPACE_ACROSS = 0.5  # between spans that do not follow each other in the text layer: another column may be near
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
    order: int = -1  # in the text layer, where there is one

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def scaled(self, by: float) -> Span:
        """The span in another unit."""
        return dataclasses.replace(
            self, x0=self.x0 * by, y0=self.y0 * by, x1=self.x1 * by, y1=self.y1 * by, size=self.size * by
        )


@dataclasses.dataclass(slots=True)
class Line:
    """Spans on one baseline of one column, left to right; they do not change once it is made."""

    spans: list[Span]
    x0: float = dataclasses.field(init=False)
    y0: float = dataclasses.field(init=False)
    x1: float = dataclasses.field(init=False)
    y1: float = dataclasses.field(init=False)
    size: float = dataclasses.field(init=False)
    bold: bool = dataclasses.field(init=False)

    def __post_init__(self) -> None:  # a page asks thousands of times
        spans = self.spans
        if len(spans) == 1:
            only = spans[0]
            self.x0, self.y0, self.x1, self.y1 = only.x0, only.y0, only.x1, only.y1
            self.size, self.bold = only.size, only.bold
            return
        self.x0, self.x1 = spans[0].x0, max(span.x1 for span in spans)
        self.y0, self.y1 = min(span.y0 for span in spans), max(span.y1 for span in spans)
        self.size = max(spans, key=lambda span: len(span.text)).size
        self.bold = all(span.bold for span in spans)

    @property
    def text(self) -> str:
        return " ".join(span.text for span in self.spans)

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1

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


def joined(row: Sequence[Span], one_column: bool = False) -> list[Span]:
    """A row's neighbours a word space apart become one span; a wider gap is a column and stays."""
    out = [row[0]]
    for span in row[1:]:
        last = out[-1]
        gap = (span.x0 - last.x1) / max(last.size, span.size, 0.1)
        if gap < (_WORD_SPACE if one_column or span.order - last.order in (0, 1) else _WORD_SPACE_ACROSS):
            space = "" if (-0.25 < gap < 0.12 and _is_one_word(last, span)) or is_wide(last.text[-1]) else " "
            longer = max(last, span, key=lambda s: len(s.text))
            main = [part for part in (last, span) if part.size > 0.8 * longer.size]  # no superscripts
            out[-1] = Span(
                last.text + space + span.text, last.x0, min(part.y0 for part in main), max(last.x1, span.x1),
                max(part.y1 for part in main), longer.size, last.bold and span.bold, order=span.order,
            )  # fmt: skip
        else:
            out.append(span)
    return out


def _is_one_word(a: Span, b: Span) -> bool:
    """Whether spans that touch are parts of a word: a superscript, a drop cap, a word in two fonts."""
    return abs(a.size - b.size) > 0.1 * max(a.size, b.size) or (a.text[-1].isalpha() and b.text[0].islower())


def join_lines(lines: Iterable[str]) -> str:
    """Lines of a paragraph as running text: hyphens at line ends are undone, no space between Chinese characters."""
    text = ""
    for line in lines:
        if text.endswith("-") and len(text) > 2 and text[-2].islower() and line[:1].islower():
            left, right = text.rsplit(None, 1)[-1], line.split(None, 1)[0]
            is_compound = "-" in left[:-1] or "-" in right[:-1]  # state-of- the-art
            text = (text if is_compound else text[:-1]) + line
        elif text and is_wide(text[-1]) and line[:1] and is_wide(line[0]):
            text += line
        else:
            text = f"{text} {line}" if text else line
    return text


def is_wide(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
