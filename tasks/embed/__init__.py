"""Embed: the chunks and summaries of a shard's documents in, one stage file of vectors per document and space out.

Items (the exact texts and views of media that the model is given) are embedded once however often they occur, and not
at all where the lake has their vectors already: a changed page costs what changed on it. A document whose file exists
is not even read.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence

from tasks import stage
from tasks.embed.items import Item, items_of, medium_of
from tasks.embed.media import Call, MediaItem, Medium, call_here
from tasks.embed.spaces import Space, embeds_media
from tasks.embed.vectors import Lookup, Vectors
from tasks.errors import BinderyError, DocumentError
from tasks.rows import ChunkRow, SummaryRow, VectorRow, digest, from_table, vectors_to_table
from tasks.space_names import slug
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage

STAGE_VERSION = 3
_TILES = "image_tiles"


@dataclasses.dataclass(frozen=True, slots=True)
class EmbedInput:
    """One document of a shard."""

    doc_id: str
    chunks: StageRef
    summary: StageRef


Outcome = StageRef | DocumentError


def stage_name(space: str, fingerprint: str) -> str:
    return f"embed-{slug(space, fingerprint)}"


def recipe(space: Space, image_tiles: int) -> Recipe:
    """The recipe of this stage for a space. Pictures are cut into views for those that embed them."""
    settings = {_TILES: image_tiles} if "image" in space.modalities else {}
    return Recipe(stage_name(space.name, space.fingerprint), STAGE_VERSION, settings, {"model": space.fingerprint})


def embed_shard(
    storage: Storage,
    items: Sequence[EmbedInput],
    recipe: Recipe,
    space: Space,
    on_document: Callable[[str], None] = lambda doc_id: None,
    lookup: Lookup = lambda hashes: {},
    check: Callable[[], object] = lambda: None,
    call: Call = call_here,
) -> list[Outcome]:
    """One stage file, or the reason why there is none, for each document, in order.

    `on_document` is told the doc_id of each whose vectors are there. `lookup` may know vectors by their item hash.
    `check` is called before each call of the model; what it raises ends the work. `call` opens media files.
    """
    outcomes: dict[int, Outcome] = {}

    def finish(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        if isinstance(outcome, StageRef):
            on_document(items[index].doc_id)

    work: dict[int, _Document] = {}
    for index, document in enumerate(items):
        found = stage.find(storage, recipe.stage, _key(recipe, document))
        if found:
            finish(index, found)
            continue
        try:
            work[index] = _read(storage, document, space)
        except DocumentError as error:
            finish(index, error)
    media = _media_items([m for document in work.values() for m in document.media.values()], recipe, space, call)
    wanted: list[tuple[int, list[Item]]] = []
    for index, read in work.items():
        try:
            wanted.append((index, read.items(space, media)))
        except DocumentError as error:
            finish(index, error)
    vectors = Vectors(space, call, lookup, check)
    for block in vectors.blocks(wanted):
        vectors.add([entry for _, entry in block])
        for index, entry in block:
            finish(index, _save(storage, items[index], recipe, entry, vectors, space))
    return [outcomes[index] for index in range(len(items))]


@dataclasses.dataclass(frozen=True, slots=True)
class _Document:
    """A document's rows, and the media of its chunks by chunk id."""

    doc_id: str
    chunks: Sequence[ChunkRow]
    summaries: Sequence[SummaryRow]
    media: dict[str, Medium]

    def items(self, space: Space, media: dict[Medium, list[MediaItem] | DocumentError]) -> list[Item]:
        found: dict[str, list[MediaItem]] = {}
        for chunk_id, medium in self.media.items():
            parts = media[medium]
            if isinstance(parts, DocumentError):
                raise parts
            found[chunk_id] = parts
        try:
            return items_of(self.chunks, self.summaries, space, found)
        except BinderyError:
            raise
        except Exception as error:
            raise stage.failure(error, self.doc_id) from error


def _read(storage: Storage, document: EmbedInput, space: Space) -> _Document:
    try:
        chunks = from_table(stage.load(storage, document.chunks), ChunkRow)
        summaries = from_table(stage.load(storage, document.summary), SummaryRow)
    except BinderyError:
        raise
    except Exception as error:
        raise stage.failure(error, document.doc_id) from error
    media = ((chunk.chunk_id, medium_of(chunk, space, lambda path: str(storage.local(path)))) for chunk in chunks)
    return _Document(document.doc_id, chunks, summaries, {key: medium for key, medium in media if medium})


def _media_items(
    media: Sequence[Medium], recipe: Recipe, space: Space, call: Call
) -> dict[Medium, list[MediaItem] | DocumentError]:
    distinct = list(dict.fromkeys(media))
    if not distinct or not embeds_media(space):
        return {}
    return dict(zip(distinct, space.media_items(distinct, int(recipe.settings[_TILES]), call), strict=True))


def _key(recipe: Recipe, document: EmbedInput) -> str:
    return recipe.key(document.chunks.digest, document.summary.digest)


def _save(
    storage: Storage, document: EmbedInput, recipe: Recipe, wanted: Sequence[Item], vectors: Vectors, space: Space
) -> Outcome:
    try:
        return stage.save(storage, recipe.stage, _key(recipe, document), _output(wanted, vectors, space, document))
    except BinderyError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the document is what failed
        return stage.failure(error, document.doc_id)


def _output(wanted: Sequence[Item], vectors: Vectors, space: Space, document: EmbedInput) -> StageOutput:
    rows = [
        VectorRow(
            chunk_id=item.chunk.chunk_id,
            doc_id=item.chunk.doc_id,
            kind=item.chunk.kind,
            view=item.view,
            window=item.window,
            item=item.item,
            modality=item.modality,
            box=item.box,
            vector=vectors.vector(item),
        )
        for item in wanted
    ]
    counts = dict(sorted(collections.Counter[str](row.view for row in rows).items()))
    source = document.chunks.info
    info = StageInfo(title=source.title, pages=source.pages, characters=source.characters, counts=counts)
    return StageOutput(
        vectors_to_table(rows, space.dimension), digest(rows, slug(space.name, space.fingerprint), info), info
    )
