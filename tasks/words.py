"""Words as search sees them: content words of a question, and the bigrams of scripts written without spaces.

Used where text meets the full-text index (index, retrieve) and where an answer is weighed (synthesize). Stems come
from the tokenizer of the index itself, so that a word counts as covered exactly when the index would have found it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

# Han with extensions, kana, Hangul: scripts that the `simple` tokenizer of the index cannot split into words.
_CJK = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
)
CJK_RUN = re.compile(f"[{_CJK}]+")
_WORD = re.compile(rf"[^\W_{_CJK}]+(?:[.,'’][^\W_{_CJK}]+)*")
_COMPOUND = re.compile(rf"{_WORD.pattern}(?:[-/]{_WORD.pattern})*")
_CURRENCIES = {"euro": "eur", "euros": "eur", "dollar": "usd", "dollars": "usd", "yuan": "cny", "rmb": "cny"}
# "How long", "how often": the second word asks, and need not be in what answers.
_HOW = re.compile(
    r"\bhow\s+(?:big|deep|far|fast|heavy|high|large|long|many|much|often|old|quickly|soon|tall|wide)\b", re.I
)
_QUARTER = re.compile(r"\b(first|second|third|fourth)[ -]quarter\b", re.I)
_QUARTERS = {"first": "Q1", "second": "Q2", "third": "Q3", "fourth": "Q4"}  # as tables and charts write them

# Words that a question or sentence is built with, and that say nothing about its subject.
_STOP = """
    a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing done during each few for from further give given had has have having he her here hers
    him his how i if in into is it its itself just let list many me mention mentioned more most much my name no nor
    not of off on once only or other our out over own please s said same say says she should show so some state stated
    such t tell than that the their them then there these they this those through to too under until up upon us very
    was we were what when where which while who whom whose why will with would you your
"""
STOP_WORDS = frozenset(_STOP.split())
# Words that a question may be built with though its answer is not: verbs that say little by themselves, and the medium
# that the asker has in mind ("according to the chart in the report").
_LIGHT = """
    according bring brings brought called come comes came describe described document find found gets get go goes went
    held hold holds keep keeps kept made make makes may mean means might must need needed needs put receive received
    receives said see seen send sends sent set shown stay stays take taken takes took use used uses using want wants
    chart diagram figure file graph illustration image page photo photograph picture report slide table text
"""
LIGHT_WORDS = frozenset(_LIGHT.split())
# The same for Chinese: question words and particles, taken out before the rest is cut into bigrams.
_CJK_STOP = re.compile(
    "(?:多少|几)[名个位台条种件家次]|什么|多少|多长|多久|多大|多高|多远|多重|哪些|哪个|哪里|哪儿|哪|怎么|怎样|如何|为什么|为何|几|谁|何时|是否|请问|请|吗|呢|吧|了|的|是|在|有|和|与|及|或|被|把|将|这|那|个"
    "|は|が|を|に|の|で|と|も|ですか|です|ますか|ます|何"
)


def cjk_text(text: str) -> str:
    """The runs of CJK characters in a text, one space between; empty where there are none."""
    return " ".join(CJK_RUN.findall(text))


def cjk_share(text: str) -> float:
    """Which part of the letters and digits of a text is CJK, 0–1."""
    letters = sum(character.isalnum() for character in text)
    return sum(map(len, CJK_RUN.findall(text))) / letters if letters else 0.0


def words(text: str) -> list[str]:
    """The words and numbers of a text outside CJK runs, in order, as written."""
    found: list[str] = _WORD.findall(text)
    return found


def stems(found: Iterable[str]) -> list[str]:
    """One term for each word: its English stem in lower case without accents; 1,234 becomes 1234."""
    import lancedb

    given = [_plain(word).lower() for word in found]
    tokens = [
        token.text
        for token in lancedb.tokenize(
            " ".join(given), base_tokenizer="whitespace", stem=True, remove_stop_words=False, max_token_length=None
        )
    ]
    return tokens if len(tokens) == len(given) else given


def terms(text: str) -> list[str]:
    """Everything in a text that a question term can meet: stems of all words, codes, and CJK bigrams."""
    codes = [code for compound in _COMPOUND.findall(text) if (code := _code(compound))]
    return stems(words(_quarters(text))) + codes + _bigrams(CJK_RUN.findall(text))


def content_words(text: str) -> list[str]:
    """The words of a question that say what it is about, as written."""
    return [word for word in words(_HOW.sub(" ", text)) if _plain(word).lower() not in STOP_WORDS]


@dataclasses.dataclass(frozen=True, slots=True)
class Concept:
    """Something a question is about: a word, a compound such as HL-9, or a run of CJK characters without particles.

    `terms` are what it is found by, the more telling ones several times. `name` says that it is entity-like (a number,
    or written with a capital); `light` that it may be missing from what answers the question.
    """

    terms: tuple[str, ...]
    name: bool = False
    light: bool = False


def concepts(question: str) -> list[Concept]:
    """What a question is about, in its order, each once."""
    found: list[Concept] = []
    for compound in _COMPOUND.findall(_HOW.sub(" ", _quarters(question))):
        parts = content_words(compound)
        name = any(character.isupper() or character.isdigit() for part in parts for character in part)
        if parts:
            light = all(part.lower() in LIGHT_WORDS for part in parts)
            code = _code(compound)
            found.append(Concept((*stems(parts), *([code] * 3 * len(parts) if code else [])), name, light))
    for run in CJK_RUN.findall(question):
        found += [Concept(tuple(_bigrams([part]))) for part in _CJK_STOP.split(run) if len(part) > 1]
    return list(dict.fromkeys(found))


def _code(compound: str) -> str:
    """HL-9 as one term, since an HL and a 9 are everywhere; empty for a compound that is no code."""
    is_code = not compound.isalnum() and any(c.isdigit() for c in compound) and any(c in "-/" for c in compound)
    return compound.lower() if is_code else ""


def _quarters(text: str) -> str:
    return _QUARTER.sub(lambda match: _QUARTERS[match[1].lower()], text)


def _bigrams(runs: Iterable[str]) -> list[str]:
    """Overlapping pairs, as the index of CJK text is made of; a single character stands for itself."""
    return [run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))]


def _plain(word: str) -> str:
    plain = word.replace(",", "") if word[0].isdigit() else word.replace("’", "'").removesuffix("'s")
    return _CURRENCIES.get(plain.lower(), plain)
