"""What a document states of itself: the organisation it is about, its kind of filing and its period.

In: its first elements. Out: a `Subject`, which the context of every chunk names, so that "net sales of Best Buy in
2023" finds a table that says neither. Only what is written is taken, nothing is inferred; most documents state nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterator, Sequence

from tasks.rows import ElementRow

_FIRST_PAGES, _FIRST_ROWS = 3, 60
_MOST_CHARACTERS = 20_000  # of one element: a name at the end of a book is not what it is about
_LONGEST_NAME = 80
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = rf"{_MONTH}\s+\d{{1,2}},\s+(?:19|20)\d\d"
_FORM = re.compile(r"\bForm\s+(10-K|10-Q|8-K|20-F|40-F|6-K|11-K|S-1|S-4|N-CSR)((?:/A)?)(?![\w-])", re.IGNORECASE)
_REGISTRANT = re.compile(r"\(?\s*exact name of (?:the )?registrant", re.IGNORECASE)
_WORD = rf"[A-Z][\w&.’'-]{{0,{_LONGEST_NAME}}}"  # bounded: a page of letters without blanks is no name
_COMPANY = re.compile(
    rf"\b{_WORD}(?:,? (?:{_WORD}|&|of|and|de|for|the)){{0,6}},? "
    r"(?:Inc|Corp|Corporation|Company|Co|Ltd|Limited|LLC|LLP|PLC|Plc|plc|AG|SE|SA|AS|ASA|AB|Oyj?|BV|KK|GmbH|N\.V|S\.A|S\.p\.A)\b\.?"
)
_LISTED = re.compile(
    rf"\b({_WORD}(?: (?:{_WORD}|&|of|and)){{0,6}})(?:,? Inc\.?)? ?"
    r"\((?:NYSE|NASDAQ|Nasdaq|LSE|TSX|HKEX|SEHK|SSE|SZSE)\b[^()]{1,24}\)"
)
_CHINESE_COMPANY = re.compile(r"[\u4e00-\u9fff（）()]{2,24}?(?:股份有限公司|有限责任公司|有限公司|集团公司)")
_PERIODS = (
    re.compile(rf"\b(?:fiscal|quarterly|transition)?\s*(?:year|period|quarter) ended:?\s+{_DATE}", re.IGNORECASE),
    re.compile(
        r"\b(?:first|second|third|fourth)[ -]quarter(?: of)?(?: fiscal(?: year)?)? (?:19|20)\d\d\b", re.IGNORECASE
    ),
    re.compile(r"\b(?:19|20)\d\d (?:first|second|third|fourth)[ -]quarter\b", re.IGNORECASE),
    re.compile(r"\bQ[1-4](?: FY)? ?(?:19|20)\d\d\b"),
    re.compile(r"\bfiscal(?: year)? (?:19|20)\d\d\b", re.IGNORECASE),
    re.compile(r"\b(?:19|20)\d\d annual report\b|\bannual report(?: for)? (?:19|20)\d\d\b", re.IGNORECASE),
    re.compile(r"(?:19|20)\d\d\s*年?\s*(?:年度报告|半年度报告|第[一二三四]季度报告|年报|半年报)"),
    re.compile(r"截至\s*(?:19|20)\d\d\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日"),
)

_REPORTED = re.compile(rf"\bdate of (?:earliest event reported|report)\W{{0,4}}({_DATE})", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """Empty texts where the document does not say."""

    name: str = ""
    form: str = ""
    period: str = ""

    def within(self, title: str) -> str:
        """The parts that a title does not name already, between commas."""
        known = title.casefold()
        return ", ".join(part for part in (self.name, self.form, self.period) if part and part.casefold() not in known)


def subject_of(rows: Sequence[ElementRow], title: str = "") -> Subject:
    """What the beginning of a document, and its title, say of it."""
    first = [row for row in rows[:_FIRST_ROWS] if row.page is None or row.page <= _FIRST_PAGES]
    lines = [title, *(line for row in first for line in _lines(row))]
    text = "\n".join(line for line in lines if line)
    form = _FORM.search(text)
    return Subject(
        name=_registrant(lines) or _company(text, rows),
        form=f"Form {form[1].upper()}{form[2].upper()}" if form else "",
        period=_period(text),
    )


def _lines(row: ElementRow) -> Iterator[str]:
    for line in row.text[:_MOST_CHARACTERS].splitlines():
        if cleaned := " ".join(line.split()):
            yield cleaned


def _registrant(lines: Sequence[str]) -> str:
    """The name that stands over, or before, "(Exact name of registrant ...)" on the cover of a filing."""
    for index, line in enumerate(lines):
        found = _REGISTRANT.search(line)
        if found is None:
            continue
        before = line[: found.start()].strip() or (lines[index - 1] if index else "")
        name = before.strip(" _-–—*")
        spaced = sum(len(word) == 1 for word in name.split()) > len(name.split()) / 2  # "A C M E": no one asks so
        if not spaced and 2 <= len(name) <= _LONGEST_NAME and any(character.isalpha() for character in name):
            return name
    return ""


def _company(text: str, rows: Sequence[ElementRow]) -> str:
    """The company that is named at the beginning and most often after it; one that is named once is only mentioned."""
    listed = _LISTED.search(text)
    if listed and len(listed[1]) <= _LONGEST_NAME:
        return listed[1]
    named = [found[0].strip() for pattern in (_COMPANY, _CHINESE_COMPANY) for found in pattern.finditer(text)]
    if not named:
        return ""
    counts: collections.Counter[str] = collections.Counter()
    wanted = {name for name in named if len(name) <= _LONGEST_NAME}
    for row in rows:
        part = row.text[:_MOST_CHARACTERS]
        counts.update({name: part.count(name) for name in wanted if name in part})
    name, times = max(counts.items(), key=lambda item: (item[1], -named.index(item[0])), default=("", 0))
    return name if times > 1 else ""


def _period(text: str) -> str:
    """The first period of the most exact kind."""
    for pattern in _PERIODS:
        if found := pattern.search(text):
            return " ".join(found[0].split())
    dated = _REPORTED.search(text)
    return f"dated {' '.join(dated[1].split())}" if dated else ""
