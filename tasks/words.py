"""Words as search sees them: content words of a question, and the bigrams of scripts written without spaces.

Used where text meets the full-text index (index, retrieve) and where an answer is weighed (synthesize). Stems come
from the tokenizer of the index itself, so that a word counts as covered exactly when the index would have found it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Han with extensions, kana, Hangul: scripts that the `simple` tokenizer of the index cannot split into words.
_CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
CJK_RUN = re.compile(f"[{_CJK}]+")
_WORD = re.compile(rf"[^\W_{_CJK}]+(?:[.,'’][^\W_{_CJK}]+)*")
_NUMBER = re.compile(r"\d[\d.,]*")

# Words that a question or sentence is built with, and that say nothing about its subject.
STOP_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing done during each few for from further give given had has have having he her here hers
    him his how i if in into is it its itself just let list many me mention mentioned more most much my name no nor not
    of off on once only or other our out over own please s said same say says she should show so some state stated such
    t tell than that the their them then there these they this those through to too under until up upon us very was we
    were what when where which while who whom whose why will with would you your according document documents file
    files report reported text describe described called""".split()
)
# The same for Chinese: question words and particles, taken out before the rest is cut into bigrams.
_CJK_STOP = re.compile(
    "什么|多少|哪些|哪个|哪里|哪儿|哪|怎么|怎样|如何|为什么|为何|几|谁|何时|是否|请问|请|吗|呢|吧|了|的|是|在|有|和|与|及|或|被|把|将|这|那|个"
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
    """The words and numbers of a text outside CJK runs, in order, as written; 1,234 is read as 1234."""
    return [_plain(word) for word in _WORD.findall(text)]


def stems(found: Iterable[str]) -> list[str]:
    """English stems of words, lower case without accents, one for each word."""
    import lancedb

    given = [word.lower() for word in found]
    tokens = lancedb.tokenize(
        " ".join(given), base_tokenizer="whitespace", stem=True, remove_stop_words=False, max_token_length=None
    )
    return [token.text for token in tokens] if len(tokens) == len(given) else given


def terms(text: str) -> list[str]:
    """Everything in a text that a question term can meet: stems of all words, and CJK bigrams."""
    return stems(words(text)) + _bigrams(CJK_RUN.findall(text))


def content_words(text: str) -> list[str]:
    """The words of a question that say what it is about, as written."""
    return [word for word in words(text) if word.lower() not in STOP_WORDS]


def content_terms(text: str) -> list[str]:
    """The distinct terms of a question that say what it is about: stems without stop words, then CJK bigrams."""
    runs = [part for run in CJK_RUN.findall(text) for part in _CJK_STOP.split(run) if part]
    return list(dict.fromkeys(stems(content_words(text)) + _bigrams(runs)))


def is_number(term: str) -> bool:
    return _NUMBER.fullmatch(term) is not None


def _bigrams(runs: Iterable[str]) -> list[str]:
    """Overlapping pairs, as the index of CJK text is made of; a single character stands for itself."""
    return [run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))]


def _plain(word: str) -> str:
    return word.replace(",", "") if word[0].isdigit() else word.replace("’", "'").removesuffix("'s")
