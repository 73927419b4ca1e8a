"""What embedding a document by an endpoint would take: its chunks and summaries in, each text with its tokens out.

Nothing is asked. A summary that a model has yet to write counts as long as it may be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from tasks import stage, tokens
from tasks.embed.endpoint import EndpointSpace
from tasks.embed.items import items_of
from tasks.embed.spaces import Spaces
from tasks.rows import ChunkRow, SummaryRow, content_id, from_table
from tasks.settings import Settings
from tasks.space_names import ENDPOINT
from tasks.stage import Recipe, StageRef
from tasks.storage import Storage

_CHARACTERS_PER_TOKEN = 2  # of a summary that is not written yet: English has four, Chinese one or two


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A text that would be embedded: what its vector is kept under, and its tokens."""

    key: str
    tokens: int


def pays(settings: Settings) -> bool:
    """Whether embedding costs money under these settings."""
    return any(name.startswith(ENDPOINT) for name in settings.embed.spaces)


def paid_spaces(settings: Settings, spaces: Spaces) -> list[EndpointSpace]:
    """Those of the settings that cost money."""
    opened = (spaces.open(name) for name in settings.embed.spaces if name.startswith(ENDPOINT))
    return [space for space in opened if isinstance(space, EndpointSpace)]


def pieces(
    storage: Storage,
    space: EndpointSpace,
    recipe: Recipe,
    settings: Settings,
    chunks: StageRef,
    written: StageRef | None,
    summaries: Sequence[SummaryRow] | None,
) -> Iterator[Piece]:
    """Those of one document, and none where they are embedded. `summaries` are None where nobody knows them yet,
    `written` is the stage file that has them."""
    if written and stage.find(storage, recipe.stage, recipe.key(chunks.digest, written.digest)):
        return
    rows = from_table(stage.load(storage, chunks), ChunkRow)
    for item in items_of(rows, summaries or [], space, {}):
        yield Piece(space.asked.key(item.text), tokens.count(item.text))
    if summaries is None:
        most = settings.llm.max_characters // _CHARACTERS_PER_TOKEN
        for row in rows:
            if row.kind in settings.summarize.kinds:
                yield Piece(content_id(space.name, "unwritten", row.chunk_id), most)
