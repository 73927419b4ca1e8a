"""Elements and the chunks made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.chunk import chunk_elements
from tasks.rows import Box, ChunkRow, ElementRow, from_table
from tasks.settings import ChunkSettings
from tasks.stage import StageInfo

SMALL = ChunkSettings(max_tokens=32, soft_tokens=24, combine_under_tokens=8)
INFO = StageInfo(title="Annual report", pages=3, characters=99)


def chunks_of(
    *elements: ElementRow, settings: ChunkSettings = SMALL, info: StageInfo = INFO, doc_id: str = "doc"
) -> list[ChunkRow]:
    numbered = [dataclasses.replace(row, ordinal=i) for i, row in enumerate(elements)]
    return from_table(chunk_elements(doc_id, numbered, info, settings).table, ChunkRow)


def element(category: str, text: str, page: int | None = 1, **fields: object) -> ElementRow:
    boxes = () if page is None else (Box.of(page, 0.1, 0.1, 0.9, 0.2),)
    return dataclasses.replace(ElementRow(0, category, text, page, boxes), **fields)  # type: ignore[arg-type]


def squash(texts: Sequence[str]) -> str:
    return "".join("".join(texts).split())


def recording(seconds: float, category: str = "Audio", **fields: object) -> ElementRow:
    kind = category.lower()
    known = {"media": f"blobs/ab/x.{kind}", "media_type": f"{kind}/any", "time_start": 0.0, "time_end": seconds}
    return element(category, f"{category}, told in full", None, origin="metadata", **(known | fields))
