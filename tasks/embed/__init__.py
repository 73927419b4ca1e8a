"""Embed: the chunks and summaries of a shard's documents in, one stage file of vectors per document and space out.

Items (the exact texts that the model reads) are embedded once however often they occur in the shard. A document whose
file exists is not even read.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tasks import stage
from tasks.embed.spaces import Space
from tasks.errors import BinderyError, DocumentError
from tasks.rows import ChunkRow, SummaryRow, VectorRow, View, content_id, digest, from_table, vectors_to_table
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage

STAGE_VERSION = 1
_log = logging.getLogger(__name__)
# Documents are embedded and saved in blocks of about this many items, and no call of the model gets more, however long
# a document is: enough to sort by length and to find repetitions, little enough that a killed run loses seconds.
_BLOCK_ITEMS = 512


@dataclasses.dataclass(frozen=True, slots=True)
class EmbedInput:
    """One document of a shard."""

    doc_id: str
    chunks: StageRef
    summary: StageRef


Outcome = StageRef | DocumentError
Lookup = Callable[[Sequence[str]], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One text to embed and the row it is for: a vector row without its vector."""

    chunk: ChunkRow
    view: View
    window: int
    text: str
    item: str


def stage_name(space: str) -> str:
    return f"embed-{space}"


def recipe(space: str, fingerprint: str) -> Recipe:
    """The recipe of this stage for the space of this name and fingerprint (`spaces.fingerprint`)."""
    return Recipe(stage_name(space), STAGE_VERSION, {}, {"model": fingerprint})


def views(chunk: ChunkRow, summary: str) -> list[tuple[View, str]]:
    """The texts that a chunk is found by: its own words under their context, and its summary.

    A picture's or recording's summary already holds the words in it, so those stand alone only where there is none.
    """
    summary_view: list[tuple[View, str]] = [("summary", summary)] if summary.strip() else []
    if chunk.kind not in ("text", "table") and summary_view:
        return summary_view
    if not chunk.text.strip():
        return summary_view
    return [("text", f"{chunk.context}\n{chunk.text}" if chunk.context else chunk.text), *summary_view]


def items_of(chunks: Iterable[ChunkRow], summaries: Iterable[SummaryRow], space: Space) -> list[Item]:
    """What is to be embedded for one document, in order."""
    texts = {row.chunk_id: row.text for row in summaries}
    return [
        Item(chunk, view, index, window, content_id(space.name, space.fingerprint, window))
        for chunk in chunks
        for view, text in views(chunk, texts.get(chunk.chunk_id, ""))
        for index, window in enumerate(space.windows(text))
    ]


def embed_shard(
    storage: Storage,
    items: Sequence[EmbedInput],
    recipe: Recipe,
    space: Space,
    on_document: Callable[[str], None] = lambda doc_id: None,
    lookup: Lookup = lambda hashes: {},
    check: Callable[[], object] = lambda: None,
) -> list[Outcome]:
    """One stage file, or the reason why there is none, for each document, in order.

    `on_document` is told the doc_id of each whose vectors are there. `lookup` may know vectors by their item hash.
    `check` is called before each call of the model; what it raises ends the work.
    """
    outcomes: dict[int, Outcome] = {}

    def finish(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        if isinstance(outcome, StageRef):
            on_document(items[index].doc_id)

    work: list[tuple[int, list[Item]]] = []
    for index, document in enumerate(items):
        found = stage.find(storage, recipe.stage, _key(recipe, document))
        if found:
            finish(index, found)
            continue
        try:
            work.append((index, _read(storage, document, space)))
        except DocumentError as error:
            finish(index, error)
    known: dict[str, np.ndarray] = {}
    for block in _blocks(work):
        _embed_block([wanted for _, wanted in block], space, known, lookup, check)
        for index, wanted in block:
            finish(index, _save(storage, items[index], recipe, wanted, known, space))
    return [outcomes[index] for index in range(len(items))]


def _key(recipe: Recipe, document: EmbedInput) -> str:
    return recipe.key(document.chunks.digest, document.summary.digest)


def _read(storage: Storage, document: EmbedInput, space: Space) -> list[Item]:
    try:
        chunks = from_table(stage.load(storage, document.chunks), ChunkRow)
        summaries = from_table(stage.load(storage, document.summary), SummaryRow)
        return items_of(chunks, summaries, space)
    except BinderyError:
        raise
    except Exception as error:
        raise stage.failure(error, document.doc_id) from error


def _save(
    storage: Storage,
    document: EmbedInput,
    recipe: Recipe,
    wanted: Sequence[Item],
    known: Mapping[str, np.ndarray],
    space: Space,
) -> Outcome:
    try:
        return stage.save(storage, recipe.stage, _key(recipe, document), _output(wanted, known, space, document))
    except BinderyError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the document is what failed
        return stage.failure(error, document.doc_id)


def _blocks(work: Sequence[tuple[int, list[Item]]]) -> Iterator[list[tuple[int, list[Item]]]]:
    block: list[tuple[int, list[Item]]] = []
    size = 0
    for entry in work:
        block.append(entry)
        size += len(entry[1])
        if size >= _BLOCK_ITEMS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _embed_block(
    documents: list[list[Item]],
    space: Space,
    known: dict[str, np.ndarray],
    lookup: Lookup,
    check: Callable[[], object],
) -> None:
    """Add the vectors of these documents' items to `known`; what cannot be embedded stays out and is logged."""
    texts = {item.item: item.text for wanted in documents for item in wanted if item.item not in known}
    known.update(lookup(list(texts)))
    if _try(texts, space, known, check):
        return
    for wanted in documents:  # so that only the document to blame goes without
        _try({item.item: item.text for item in wanted}, space, known, check)


def _try(texts: Mapping[str, str], space: Space, known: dict[str, np.ndarray], check: Callable[[], object]) -> bool:
    missing = [item for item in texts if item not in known]
    for start in range(0, len(missing), _BLOCK_ITEMS):
        part = missing[start : start + _BLOCK_ITEMS]
        check()
        try:
            known.update(zip(part, space.embed_texts([texts[item] for item in part]), strict=True))
        except BinderyError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the model's library raises
            _log.warning("space %s could not embed %d items: %s", space.name, len(part), error)
            return False
    return True


def _output(wanted: Sequence[Item], known: Mapping[str, np.ndarray], space: Space, document: EmbedInput) -> StageOutput:
    rows = [
        VectorRow(
            chunk_id=item.chunk.chunk_id,
            doc_id=item.chunk.doc_id,
            kind=item.chunk.kind,
            view=item.view,
            window=item.window,
            item=item.item,
            vector=_checked(item, known.get(item.item), space),
        )
        for item in wanted
    ]
    counts = dict(sorted(collections.Counter[str](row.view for row in rows).items()))
    source = document.chunks.info
    info = StageInfo(title=source.title, pages=source.pages, characters=source.characters, counts=counts)
    return StageOutput(vectors_to_table(rows, space.dimension), digest(rows, space.name, info), info)


def _checked(item: Item, vector: np.ndarray | None, space: Space) -> np.ndarray:
    """The vector, if it is one: a NaN or zero vector would make its row invisible, or the whole index unreadable."""
    if vector is not None and np.isfinite(vector).all() and 0.99 < float(np.linalg.norm(vector)) < 1.01:
        return vector
    flaw = "no vector" if vector is None else "a vector that is not of unit length"
    raise DocumentError(
        "embed_failed",
        f"space {space.name} gave {flaw} for the {item.view} of chunk {item.chunk.chunk_id}, item {item.item} "
        f"({item.text[:60]!r})",
        "please report it with this text",
    )
