"""The page of an inspection: what partitioning found, drawn on each page of a document, in one self-contained file.

In: an `Inspection` and the storage with its renders and pictures. Out: HTML. Text of documents is escaped, tables keep
table tags only, pictures are encoded anew, and a content security policy forbids the page to load or run anything.
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator, Sequence

from markupsafe import Markup
from PIL import Image

from tasks.inspect import InspectedPage, Inspection
from tasks.report.answer import clean_table, picture_uri
from tasks.report.templates import template
from tasks.rows import Box, ElementRow
from tasks.storage import Storage

_MAX_TEXT = 2_000  # characters of an element
_MAX_ELEMENTS = 400  # of a page
_MAX_PICTURES = 60  # of a page
_WIDTH = 1000  # units of a page's drawing
_COLORS = {
    "Title": "#b3261e",
    "NarrativeText": "#1f6feb",
    "ListItem": "#0f766e",
    "UncategorizedText": "#64748b",
    "Table": "#15803d",
    "Image": "#7c3aed",
    "Figure": "#c026d3",
    "FigureCaption": "#b45309",
    "Header": "#94a3b8",
    "Footer": "#94a3b8",
    "PageNumber": "#94a3b8",
}
_OTHER = "#334155"


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """A box on a page's drawing."""

    x: float
    y: float
    width: float
    height: float
    color: str
    number: int
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """An element in the list beside the page. `crop` is the part of the page that a table was read from."""

    number: int
    kind: str
    color: str
    about: str
    text: str
    more: int
    table: Markup | None
    crop: str | None
    picture: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A page as it is drawn: its render, boxes, and the path through them in reading order."""

    name: str
    render: str | None
    height: float
    boxes: Sequence[Drawn]
    path: str
    items: Sequence[Item]
    left_out: int
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]


def render_inspection(storage: Storage, found: Inspection) -> str:
    """The page of an inspection. Writes nothing."""
    views = [_view(storage, page) for page in found.pages]
    shown = [page.number for page in found.pages if page.number is not None]
    return template("inspect.html.j2").render(
        found=found,
        views=views,
        colors=_used_colors(found),
        range=f"pages {shown[0]} to {shown[-1]} of {found.total}" if shown else "",
        part=bool(shown) and len(shown) < found.total,
        facts=facts(found.counts),
    )


def facts(counts: object) -> list[tuple[str, str]]:
    """Counts in words, those of pictures and figures with the reasons why some were dropped."""
    known = {k: n for k, n in counts.items() if not k.startswith("characters_")} if isinstance(counts, dict) else {}
    said: list[tuple[str, str]] = []
    for what in ("pictures", "figures"):
        if found := known.pop(f"{what}_found", 0):
            kept = known.pop(f"{what}_kept", 0)
            begin = f"{what}_dropped_"
            reasons = {k.removeprefix(begin): known.pop(k) for k in sorted(known) if k.startswith(begin)}
            dropped = ", ".join(f"{n} {reason}" for reason, n in reasons.items() if n)
            said.append((what, f"{kept} of {found} kept" + (f"; dropped: {dropped}" if dropped else "")))
    return said + [(name.replace("_", " "), str(n)) for name, n in sorted(known.items()) if n]


def _view(storage: Storage, page: InspectedPage) -> View:
    jpeg = storage.read(page.render) if page.render else None
    ratio = 1.0
    if jpeg is not None:
        with Image.open(io.BytesIO(jpeg)) as picture:
            ratio = picture.height / max(1, picture.width)
    elements = page.elements[:_MAX_ELEMENTS]
    boxes = list(_boxes(elements, page.number, ratio)) if jpeg is not None else []
    centers = [_start(page_boxes[0]) for page_boxes in _by_number(boxes)]
    facts_of_page = [("text", characters(page)), *facts(dict(page.counts))]
    return View(
        name=f"Page {page.number}" if page.number is not None else "Elements",
        render=_uri(jpeg) if jpeg is not None else None,
        height=round(_WIDTH * ratio, 1),
        boxes=boxes,
        path=" ".join(f"{x:.1f},{y:.1f}" for x, y in centers),
        items=list(_items(storage, elements, page.number, jpeg)),
        left_out=len(page.elements) - len(elements),
        facts=facts_of_page,
        warnings=page.warnings,
    )


def characters(page: InspectedPage) -> str:
    """How much of the text layer is in elements; where there is none, how much text elements have."""
    if page.layer is None:
        return f"{page.characters} characters"
    return f"{page.counts.get('characters_kept', 0)} of {page.layer} characters of the text layer"


def _boxes(elements: Sequence[ElementRow], page: int | None, ratio: float) -> Iterator[Drawn]:
    for number, element in enumerate(elements, start=1):
        for box in element.boxes:
            if box.page == page:
                yield Drawn(
                    x=round(box.x0 * _WIDTH, 1),
                    y=round(box.y0 * _WIDTH * ratio, 1),
                    width=max(1.0, round((box.x1 - box.x0) * _WIDTH, 1)),
                    height=max(1.0, round((box.y1 - box.y0) * _WIDTH * ratio, 1)),
                    color=_COLORS.get(element.category, _OTHER),
                    number=number,
                    title=f"{number}. {element.category}: {element.text[:120]}",
                )


def _by_number(boxes: Sequence[Drawn]) -> list[list[Drawn]]:
    found: dict[int, list[Drawn]] = {}
    for box in boxes:
        found.setdefault(box.number, []).append(box)
    return list(found.values())


def _start(box: Drawn) -> tuple[float, float]:
    return box.x, box.y


def _items(storage: Storage, elements: Sequence[ElementRow], page: int | None, jpeg: bytes | None) -> Iterator[Item]:
    pictures = 0
    for number, element in enumerate(elements, start=1):
        picture = None
        if element.media and (element.media_type or "").startswith("image/") and pictures < _MAX_PICTURES:
            picture, pictures = picture_uri(storage, element.media), pictures + 1
        box = next((box for box in element.boxes if box.page == page), None)
        yield Item(
            number=number,
            kind=element.category,
            color=_COLORS.get(element.category, _OTHER),
            about=_about(element),
            text=element.text[:_MAX_TEXT],
            more=max(0, len(element.text) - _MAX_TEXT),
            table=clean_table(element.html) if element.html else None,
            crop=_crop(jpeg, box) if element.html and jpeg is not None and box is not None else None,
            picture=picture,
        )


def _about(element: ElementRow) -> str:
    """What else is known of an element."""
    said = []
    if element.level is not None:
        said.append(f"level {element.level}")
    if element.origin not in ("native", "text-layer"):
        said.append(element.origin)
    if element.media_type:
        said.append(element.media_type)
    if element.time_end is not None:
        said.append(f"{element.time_start or 0:.1f} to {element.time_end:.1f} s")
    return ", ".join(said)


def _crop(jpeg: bytes, box: Box) -> str:
    """The part of a page's render that a box shows, with a little around it."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        width, height = picture.size
        edges = (box.x0 * width - 6, box.y0 * height - 6, box.x1 * width + 6, box.y1 * height + 6)
        x0, y0, x1, y1 = (round(edge) for edge in edges)
        part = picture.crop((max(0, x0), max(0, y0), min(width, max(x1, x0 + 1)), min(height, max(y1, y0 + 1))))
        buffer = io.BytesIO()
        part.save(buffer, "JPEG", quality=80)
    return _uri(buffer.getvalue())


def _uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _used_colors(found: Inspection) -> list[tuple[str, str]]:
    used = {element.category for page in found.pages for element in page.elements}
    return [(name, _COLORS.get(name, _OTHER)) for name in sorted(used)]
