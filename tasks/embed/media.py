"""Media as items to embed: what is cut out of which file, before anything is decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from tasks.rows import Box, Modality

ViewKind = Literal["crop", "letterbox", "tile"]


@dataclasses.dataclass(frozen=True, slots=True)
class Medium:
    """A file, or the seconds from `start` to `end` of a recording (None: its ends). `path` is local."""

    modality: Modality
    path: str
    start: float | None = None
    end: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class MediaItem:
    """One thing that gets one vector: a view of a picture, a range of a recording, a whole map.

    `view` and `box` are of pictures: how the model sees it, and which part of it (page 1; None: all of it).
    """

    modality: Modality
    path: str
    view: ViewKind | None = None
    box: Box | None = None
    start: float | None = None
    end: float | None = None

    @property
    def spec(self) -> tuple[object, ...]:
        """What, besides the bytes of the file, decides the vector."""
        box = (self.box.x0, self.box.y0, self.box.x1, self.box.y1) if self.box else None
        return (self.modality, self.view, box, self.start, self.end)


# Runs a module-level function, here or in a worker process; files are opened by such functions only.
Call = Callable[..., Any]


def call_here(function: Callable[..., Any], *args: Any) -> Any:
    """The simplest `Call`: in this process, for files that are trusted."""
    return function(*args)


_MODALITIES: dict[str, Modality] = {
    "image/x-depth": "depth",
    "image/x-thermal": "thermal",
    "application/x-imu": "imu",
}


def modality_of(media_type: str) -> Modality | None:
    """The modality of a media type, None where it is of no medium."""
    family = media_type.partition("/")[0]
    if media_type in _MODALITIES:
        return _MODALITIES[media_type]
    return family if family in ("image", "audio", "video") else None  # type: ignore[return-value]  # narrowed above
