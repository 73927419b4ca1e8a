"""The offline guard around unstructured's text classification.

unstructured 0.27 tags words with spaCy and downloads `en_core_web_sm` from GitHub at first use; where that fails, docx
raises and others return nothing. `install` makes the download impossible and, where the model is absent, puts small
rules in place of the three functions that need it. Call it before any unstructured partitioner is imported.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import re
import sys
import types
from typing import Any, NoReturn

from tasks.errors import DocumentError
from tasks.sentences import sentences

_MODEL = "en_core_web_sm"
_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|\w+(?:['’]\w+)?|[^\w\s]")
_CHINESE = re.compile(r"[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]")
_CHINESE_SENTENCE = 16  # characters; a shorter run without a stop is taken for a heading
_VERBS = frozenset(
    "be am is are was were been being have has had having do does did done can could will would shall should may "  # noqa: SIM905
    "might must say says said go goes went gone get gets got make makes made know knows knew think thinks thought "
    "take takes took see sees saw come comes came want wants find finds found give gives gave tell tells told "
    "work works feel feels felt seem seems ask asks need needs become becomes became leave leaves left put puts "
    "mean means meant keep keeps kept let lets begin begins began show shows shown help helps run runs ran write "
    "writes wrote provide provides allow allows include includes contain contains require requires use uses bring "
    "brings brought hold holds held stand stands stood set sets lead leads led grow grows grew lose loses lost "
    "pay pays paid meet meets met send sends sent build builds built fall falls fell rise rises rose cut cuts "
    "reach reaches remain remains add adds buy buys bought speak speaks spoke read reads spend spends spent see "
    "follow follows click please ensure describe describes represent represents apply applies consist consists "
    "exist exists depend depends offer offers learn thank thanks love like likes hope hopes believe believes "
    "expect expects".split()
)


def has_model() -> bool:
    """Whether the spaCy model is installed; then unstructured's own functions are used, and never a download."""
    return importlib.util.find_spec(_MODEL) is not None


def sent_tokenize(text: str) -> list[str]:
    return sentences(str(text))


@functools.lru_cache(maxsize=128)
def word_tokenize(text: str) -> list[str]:
    return _WORD.findall(str(text))


@functools.lru_cache(maxsize=128)
def pos_tag(text: str) -> list[tuple[str, str]]:
    """Words with the tag VB or NN: unstructured only asks whether there is a verb, to tell prose from headings."""
    words = word_tokenize(text)
    if len(_CHINESE.findall(text)) >= _CHINESE_SENTENCE or re.search(r"[。！？]\s*$", text):
        return [(word, "VB" if _CHINESE.match(word) else "NN") for word in words]
    return [(word, "VB" if _is_verb(i, word) else "NN") for i, word in enumerate(words)]


def _is_verb(position: int, word: str) -> bool:
    lower = word.lower()
    past = position > 0 and len(lower) > 4 and lower.endswith("ed") and word[0].islower()
    return lower in _VERBS or past or lower.endswith(("n't", "n’t"))


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise DocumentError("offline", "unstructured tried to download a spaCy model", "this is a bug in bindery: tell us")


def install() -> None:
    """Patch `unstructured.nlp.tokenize` and every module that imported from it by name. Idempotent."""
    if not has_model():
        _stand_in_for_spacy()
    from unstructured.nlp import tokenize

    if getattr(tokenize, "_bindery_guard", False):
        return
    tokenize._install_spacy_model = _refuse
    tokenize._download_with_timeout = _refuse
    tokenize._bindery_guard = True  # type: ignore[attr-defined]
    if has_model():
        return
    tokenize._load_spacy_model = _refuse
    ours = {"sent_tokenize": sent_tokenize, "word_tokenize": word_tokenize, "pos_tag": pos_tag}
    theirs = {name: getattr(tokenize, name) for name in ours}
    for module in [m for n, m in sys.modules.items() if n.startswith("unstructured.") and m is not None]:
        for name, function in ours.items():
            if getattr(module, name, None) is theirs[name]:
                setattr(module, name, function)


def _stand_in_for_spacy() -> None:
    """Let `import spacy` in unstructured find an empty module: without its model it is 3 s and 200 MB for nothing."""
    if "spacy" not in sys.modules:
        module = types.ModuleType("spacy")
        module.__spec__ = importlib.machinery.ModuleSpec("spacy", None)
        sys.modules["spacy"] = module
        try:
            import unstructured.nlp.tokenize  # noqa: F401  # binds the stand-in
        finally:
            del sys.modules["spacy"]
