"""Plain text, Markdown and HTML as elements, by unstructured, from whatever encoding the bytes are in."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import charset_normalizer

from tasks.clean import clean, clean_characters
from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.detect import looks_utf16
from tasks.partition.elements import to_rows
from tasks.partition.nlp import install
from tasks.rows import ElementRow

_MAX_BYTES = 64 << 20  # these formats are read whole
_SAMPLE = 256 << 10
# Windows-1252 beyond ASCII: signs that stand in any text, and the letters of one language or of near ones.
_WESTERN_SIGNS = frozenset("\xa0«»¡¿§©®°±²³µ·¼½¾£€™–—‘’‚“”„•…")
_WESTERN_LETTERS = tuple(
    frozenset(letters)
    for letters in (
        "äöüßéèà", "àâæçèéêëîïôœùûüÿ", "áéíïñóúüçºª", "àáâãçéêíóôõúüºª", "àèéìíîòóùúºª", "åäöéüæø",
    )
)  # fmt: skip
_SIGN_IN_WORD = re.compile(r"[^\W\d_][«»¡¿§©®°±²³µ¼½¾£€‚“”„•][^\W\d_]")  # letters of another code page


def partition_plain(path: Path, context: PartContext) -> list[ElementRow]:
    return rows_of_plain(decode(_read(path)), context)


def partition_markdown(path: Path, context: PartContext) -> list[ElementRow]:
    install()
    from unstructured.partition.md import partition_md

    text = clean_characters(decode(_read(path)))
    return to_rows(partition_md(text=text, languages=[""]), context, paged=False) if text.strip() else []


def partition_html(path: Path, context: PartContext) -> list[ElementRow]:
    return rows_of_html(decode(_read(path), html=True), context)


def rows_of_plain(text: str, context: PartContext) -> list[ElementRow]:
    install()
    from unstructured.partition.text import partition_text

    text = clean_characters(text)
    return to_rows(partition_text(text=text, languages=[""]), context, paged=False) if text.strip() else []


def rows_of_html(text: str, context: PartContext) -> list[ElementRow]:
    install()
    from unstructured.partition.html import partition_html as by_unstructured

    text = clean_characters(text)
    if not text.strip():
        return []
    title = re.search(r"<title[^>]*>(.*?)</title>", text[:_SAMPLE], re.IGNORECASE | re.DOTALL)
    if title and not context.title:
        import html

        context.title = clean(html.unescape(title.group(1))).replace("\n", " ")
    # An XML declaration that names an encoding is no longer true of text that is decoded; lxml refuses it.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    elements = by_unstructured(
        text=text, languages=[""], extract_image_block_to_payload=True, extract_image_block_types=["Image"]
    )
    return to_rows(elements, context, paged=False)


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MAX_BYTES:
        raise DocumentError(
            "too_large", f"a text of {path.stat().st_size >> 20} MB, more than {_MAX_BYTES >> 20} MB", "split it"
        )
    return path.read_bytes()


def decode(data: bytes, html: bool = False) -> str:
    """Bytes as text: by byte order mark, UTF-8, UTF-16 by its pattern, what HTML declares, then by statistics."""
    return data.decode(encoding_of(data, html), errors="replace")


def encoding_of(sample: bytes, html: bool = False) -> str:
    """The encoding of a text from its first bytes (the last character of a sample may be cut)."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if sample.startswith(mark):
            return name
    if (wide := looks_utf16(sample[:4096])) is not None:
        return wide
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
        return "utf-8"
    except UnicodeDecodeError:
        pass
    if html and (declared := re.search(rb"charset=[\"']?([\w-]+)", sample[:4096])):
        try:
            return codecs.lookup(declared.group(1).decode()).name
        except LookupError:
            pass
    if _is_western(sample[:_SAMPLE]):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample[:_SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"


def _is_western(sample: bytes) -> bool:
    """Whether it reads as a Western European language in Windows-1252 (or Latin-1), told by its letters.

    Statistics take short texts for DOS or Central European ones ("Seńor"); here another code page would have to
    give the letters of one language by accident.
    """
    try:
        text = sample.decode("cp1252").lower()
    except UnicodeDecodeError:
        return False
    high = {character for character in text if character > "\x7f" and character not in _WESTERN_SIGNS}
    if not any(high <= letters for letters in _WESTERN_LETTERS):
        return False
    if _SIGN_IN_WORD.search(text):
        return False
    return 4 * sum(character in high for character in text) < sum(character.isalpha() for character in text)
