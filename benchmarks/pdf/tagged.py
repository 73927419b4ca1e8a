"""The logical order of a tagged PDF's page: the text of its structure tree's marked content, depth first.

In: a page. Out: its text in that order, or None where it has no such tree. Artifacts (running heads, page numbers) are
in no tree.
"""

from __future__ import annotations

import collections

import pypdfium2
import pypdfium2.raw as pdfium

_MIN_SHARE = 0.5  # of the page's characters that the tree must hold to say anything


def logical_text(page: pypdfium2.PdfPage) -> str | None:
    tree = pdfium.FPDF_StructTree_GetForPage(page.raw)
    if not tree:
        return None
    try:
        order: list[int] = []
        for i in range(pdfium.FPDF_StructTree_CountChildren(tree)):
            _walk(pdfium.FPDF_StructTree_GetChildAtIndex(tree, i), order, 0)
    finally:
        pdfium.FPDF_StructTree_Close(tree)
    by_content, total = _texts(page)
    texts = [by_content[number] for number in dict.fromkeys(order) if number in by_content]
    if not texts or sum(map(len, texts)) < _MIN_SHARE * total:
        return None
    return "\n".join(texts)


def _walk(element: pdfium.FPDF_STRUCTELEMENT, order: list[int], depth: int) -> None:
    if not element or depth > 60:
        return
    for i in range(pdfium.FPDF_StructElement_CountChildren(element)):
        number = pdfium.FPDF_StructElement_GetChildMarkedContentID(element, i)
        if number >= 0:
            order.append(number)
        else:
            _walk(pdfium.FPDF_StructElement_GetChildAtIndex(element, i), order, depth + 1)


def _texts(page: pypdfium2.PdfPage) -> tuple[dict[int, str], int]:
    """The text of each marked content of the page, and how many characters it has in all."""
    textpage = page.get_textpage()
    texts: dict[int, list[str]] = collections.defaultdict(list)
    number, total = -1, textpage.count_chars()
    for i in range(total):
        found = pdfium.FPDFText_GetTextObject(textpage.raw, i)
        if found:
            number = pdfium.FPDFPageObj_GetMarkedContentID(found)
        code = pdfium.FPDFText_GetUnicode(textpage.raw, i)
        if number >= 0 and 0 < code < 0x110000:
            texts[number].append("-" if code in (2, 0xFFFE) else chr(code))
    textpage.close()
    return {number: "".join(parts) for number, parts in texts.items()}, total
