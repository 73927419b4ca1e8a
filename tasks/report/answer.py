"""The answer page: an answer and its evidence in, one self-contained HTML file out.

What is shown comes from documents that nobody vouches for: text is escaped, tables keep table tags only, pictures are
decoded and encoded anew, and a content security policy forbids the page to load or run anything.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

from tasks.answer import Answer, Citation
from tasks.lake import Lake
from tasks.report.templates import template
from tasks.result import Hit, SearchResult
from tasks.settings import PartitionSettings
from tasks.storage import Storage

if TYPE_CHECKING:
    from PIL.Image import Image

_TABLE_TAGS = {"table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "sub", "sup"}
_SPANS = {"colspan", "rowspan"}
_MAX_TABLE = 400_000  # characters of HTML
_MAX_SIDE = 1280  # pixels of a shown picture
_MARK = re.compile(r"\[(\d+)\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """One citation as the page shows it. `same_as` is the number of the citation that shows its table or picture."""

    number: int
    name: str
    others: tuple[str, ...]
    uri: str
    place: str
    kind: str
    quote: str
    table: Markup | None
    picture: str | None
    same_as: int
    signals: tuple[str, ...]


def render_answer(lake: Lake, answer: Answer, result: SearchResult) -> str:
    """The page of an answer; `result` is the search that it was made from. Writes nothing."""
    hits = {hit.chunk.chunk_id: hit for hit in result.hits}
    shown = answer.citations if answer.found else answer.nearest
    first: dict[str, int] = {}  # where a chunk is cited first: its table or picture is shown there only
    evidence = [
        _evidence(
            lake.storage, number, citation, hits.get(citation.chunk_id), first.setdefault(citation.chunk_id, number)
        )
        for number, citation in enumerate(shown, start=1)
    ]
    page = template("answer.html.j2")
    return page.render(answer=answer, parts=list(_parts(answer)), evidence=evidence, searched=len(result.hits))


def clean_table(html: str) -> Markup:
    """The tables of a document as markup that can do nothing but show cells."""
    attributes = {"*": set[str](), "td": _SPANS, "th": _SPANS}
    cleaned = nh3.clean(html[:_MAX_TABLE], tags=_TABLE_TAGS, attributes=attributes, url_schemes=set())
    return Markup(cleaned)


def picture_uri(storage: Storage, path: str) -> str | None:
    """A picture of the lake as a data: URI of at most 1280 pixels a side; None where it cannot be shown."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            with Image.open(io.BytesIO(storage.read(path))) as image:
                if image.width * image.height > PartitionSettings().max_pixels:
                    return None
                image.thumbnail((_MAX_SIDE, _MAX_SIDE))
                return _encoded(image)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _encoded(image: Image) -> str:
    from PIL.Image import new

    layers = image.convert("RGBA")
    flat = new("RGB", layers.size, "white")
    flat.paste(layers, mask=layers.getchannel("A"))
    buffer = io.BytesIO()
    flat.save(buffer, "JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _parts(answer: Answer) -> Iterator[tuple[str, int]]:
    """The answer as (text, 0) and ("[n]", n) for each mark of a citation, in order."""
    start = 0
    for match in _MARK.finditer(answer.answer):
        if 1 <= int(match[1]) <= len(answer.citations):
            yield answer.answer[start : match.start()], 0
            yield match[0], int(match[1])
            start = match.end()
    yield answer.answer[start:], 0


def _evidence(storage: Storage, number: int, citation: Citation, hit: Hit | None, first: int) -> Evidence:
    media = number == first
    uri, *others = citation.sources or ["(source removed)"]
    return Evidence(
        number=number,
        name=re.split(r"[/\\]", uri.rstrip("/"))[-1],
        others=tuple(others),
        uri=uri,
        place=_place(citation),
        kind=citation.kind,
        quote=citation.quote,
        table=clean_table(citation.html) if citation.html and media else None,
        picture=picture_uri(storage, citation.image) if citation.image and media else None,
        same_as=0 if media or not (citation.html or citation.image) else first,
        signals=_signals(hit),
    )


def _place(citation: Citation) -> str:
    places = []
    if citation.pages:
        places.append(_pages(citation.pages))
    if citation.time_range:
        places.append(" – ".join(f"{int(t // 60)}:{t % 60:04.1f}" for t in citation.time_range))
    return ", ".join(places)


def _pages(pages: Sequence[int]) -> str:
    if len(pages) == 1:
        return f"page {pages[0]}"
    if pages[-1] - pages[0] == len(pages) - 1:
        return f"pages {pages[0]}–{pages[-1]}"
    return f"pages {', '.join(str(page) for page in pages)}"


def _signals(hit: Hit | None) -> tuple[str, ...]:
    """Why the passage was found, in words."""
    if hit is None:
        return ()
    names = {"text": "full text", "cjk": "CJK full text"}
    said = (
        f"{names.get(signal.name, signal.name.replace('vector:', 'space '))}: rank {signal.rank}, {signal.score:.2f}"
        for signal in hit.signals
    )
    return (*said, f"fused score {hit.score:.4f}")
