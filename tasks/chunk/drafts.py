"""A chunk while it is made, and what kind of chunk an element becomes."""

from __future__ import annotations

import dataclasses

from tasks.rows import ElementRow, Kind

_SENSORS: dict[str, Kind] = {"image/x-depth": "depth", "image/x-thermal": "thermal", "application/x-imu": "imu"}


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A chunk before it has a context, an id and an ordinal. `first` is the index of its first element."""

    first: int
    kind: Kind
    text: str
    elements: tuple[ElementRow, ...]
    html: str | None = None
    context: str = ""  # beyond its element's


def kind_of(row: ElementRow) -> Kind:
    """The kind of the chunk that an element becomes, or is part of."""
    media = (row.media_type or "").partition("/")[0] if row.media else ""
    if row.category == "Table":
        return "table"
    if row.media and row.media_type in _SENSORS:
        return _SENSORS[row.media_type]
    if media == "audio" or row.category == "Audio":
        return "audio"
    if media == "video" or row.category == "Video":
        return "video"
    return "image" if media == "image" or row.category in ("Image", "Picture", "Figure") else "text"
