"""What figures and tables are called: the label that a caption begins with, and the labels that a text names.

`Figure 3`, `Fig. 3`, `Figs. 2–4`, `Table A1`, `图3`, `表 2-1`: equal labels are equal values, however they are written.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from tasks.sentences import sentences

_NOUNS = {
    "figure": ("fig", "figs", "figure", "figures", "图", "圖", "插图", "插圖", "附图", "附圖"),
    "table": ("tab", "tabs", "table", "tables", "表", "表格", "附表"),
    "图表": ("图表", "圖表"),
    **{name: (name, f"{name}s") for name in ("box", "chart", "diagram", "exhibit", "graph", "illustration", "map")},
    **{name: (name, f"{name}s") for name in ("photo", "plate", "schedule", "scheme")},
}
_KINDS = {noun: kind for kind, nouns in _NOUNS.items() for noun in nouns}
OF_TABLES = frozenset({"table", "图表", "exhibit", "schedule", "box"})
OF_PICTURES = frozenset(_NOUNS) - {"table", "schedule"}

_LATIN = "|".join(sorted((noun for noun in _KINDS if noun.isascii()), key=len, reverse=True))
_CHINESE = "|".join(sorted((noun for noun in _KINDS if not noun.isascii()), key=len, reverse=True))
_DIGITS = r"[A-Z]{0,2}[.\-]?\d{1,4}(?:[.\-–]\d{1,4})*[a-z]?(?![A-Za-z\d])"
_NUMBER = rf"(?:{_DIGITS}|[IVX]{{1,5}}(?!\w)|[A-Z](?!\w))"
_HAN_NUMBER = "[一二三四五六七八九十]{1,3}"
_AND = r"\s*(?:,|、|，|and\b|&|to\b|和|及|与|與|至|到)\s*"
_LABEL = re.compile(
    rf"(?<![^\W_])(?P<latin>(?i:{_LATIN}))(?:\.\s*|\s+|(?=\d))(?P<numbers>{_NUMBER}(?:{_AND}{_NUMBER})*)"
    # 代表一, 发表3: verbs, and no labels
    rf"|(?<![代发發外企])(?P<chinese>{_CHINESE})\s*(?P<counted>(?:{_NUMBER}|{_HAN_NUMBER})(?:{_AND}{_NUMBER})*)"
)
_EACH = re.compile(rf"{_NUMBER}|{_HAN_NUMBER}")
_RANGE = re.compile(r"(\d{1,3})-(\d{1,3})")
_LONGEST_RANGE = 20
# After the label of a caption: the end, a mark, or a new beginning; in a sentence there is a verb, or a comma.
_AFTER = re.compile(r"\s*(?:$|[:：.．|–—\-)）])|\s+[A-Z\"“'(\[（]|\s*[\u3400-\u9fff]")
_CHINESE_STOPS = "。！？；"
_LONGEST_CAPTION = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """`Figure 3` and its like: the kind of thing, and its number as it is written."""

    kind: str
    number: str


def label_of(caption: str) -> Label | None:
    """The label that a text begins with; None where it begins otherwise."""
    found = _LABEL.match(caption.lstrip())
    return next(_labels(found), None) if found else None


def is_caption(text: str) -> bool:
    """Whether a paragraph is the caption of something, and no sentence that happens to begin with a label."""
    text = text.strip()
    found = _LABEL.match(text)
    if found is None or len(text) > _LONGEST_CAPTION or text[-1] in _CHINESE_STOPS:
        return False
    return _AFTER.match(text, found.end()) is not None


def named(text: str) -> frozenset[Label]:
    """The labels that a text names, those of a list or range each; `Figure 3b` also names Figure 3."""
    return frozenset(label for found in _LABEL.finditer(text) for label in _labels(found))


def naming(text: str) -> Iterator[tuple[str, frozenset[Label]]]:
    """The sentences of a text that name something, on one line each, and what they name."""
    if _LABEL.search(text) is None:
        return
    for sentence in sentences(text):
        flat = " ".join(sentence.split())
        if labels := named(flat):
            yield flat, labels


def _labels(found: re.Match[str]) -> Iterator[Label]:
    """Those of one list of numbers. "Figure 3 and 4 men" names one figure, "Figures 3 and 4" two."""
    noun = (found["latin"] or found["chinese"]).lower()
    numbers = [each.replace("–", "-") for each in _EACH.findall(found["numbers"] or found["counted"])]
    several = found["latin"] is None or noun.endswith("s")
    for number in numbers if several else numbers[:1]:
        yield Label(_KINDS[noun], number)
        if number[-1:].islower():
            yield Label(_KINDS[noun], number[:-1])
        if several and (bounds := _RANGE.fullmatch(number)):  # or the fourth of chapter 2: both are named
            first, last = int(bounds[1]), int(bounds[2])
            if first < last <= first + _LONGEST_RANGE:
                yield from (Label(_KINDS[noun], str(each)) for each in range(first, last + 1))
