"""Tag: the pictures among a document's chunks in, for each the label that fits it best and its probability out.

Zero-shot classification as CLIP does it (Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", 2021): the softmax over 100 x the cosine between the picture and each label, a label being the mean of the
texts that describe it. Later stages can route on the label. The picture's vector is the one that the embed stage needs
too, and is made once.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tasks import stage
from tasks.embed.items import Item, medium_of, raw_item
from tasks.embed.media import Call, call_here
from tasks.embed.spaces import Space, embeds_media
from tasks.embed.vectors import Lookup, Vectors
from tasks.errors import BinderyError, DocumentError, UsageError
from tasks.rows import ChunkRow, TagRow, digest, from_table, to_table
from tasks.settings import TagSettings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage

STAGE = "tag"
STAGE_VERSION = 1
_TEMPERATURE = 100.0  # the learnt and clipped one of CLIP and ImageBind
_DIGITS = 4

Outcome = StageRef | DocumentError


def recipe(settings: TagSettings, space: Space) -> Recipe:
    """What decides the tags besides the chunks: the labels and the model."""
    if "image" not in space.modalities:
        raise UsageError(f"space {space.name!r} does not embed pictures", "tag.space must be one that does")
    labels = {name: list(texts) for name, texts in settings.labels.items()}
    return Recipe(STAGE, STAGE_VERSION, {"labels": labels}, {"model": space.fingerprint})


def tag_shard(
    storage: Storage,
    documents: Sequence[StageRef],
    recipe: Recipe,
    space: Space,
    lookup: Lookup = lambda hashes: {},
    check: Callable[[], object] = lambda: None,
    call: Call = call_here,
) -> list[Outcome]:
    """The stage file of tags, or the reason why there is none, for each document's chunks, in order."""
    vectors = Vectors(space, call, lookup, check)
    labels: list[tuple[str, np.ndarray]] = []
    outcomes: list[Outcome] = []
    for chunks in documents:
        found = stage.find(storage, STAGE, recipe.key(chunks.digest))
        if found is None and not labels:
            labels = label_vectors(recipe.settings["labels"], space)
        outcomes.append(found or _tag(storage, chunks, recipe, space, vectors, labels, call))
    return outcomes


def label_vectors(labels: Mapping[str, Sequence[str]], space: Space) -> list[tuple[str, np.ndarray]]:
    """(label, unit vector) of each label: the mean direction of its texts."""
    found = []
    for name, texts in labels.items():
        mean = space.embed_texts(list(texts)).mean(axis=0)
        found.append((name, mean / np.linalg.norm(mean)))
    return found


def _tag(
    storage: Storage,
    chunks: StageRef,
    recipe: Recipe,
    space: Space,
    vectors: Vectors,
    labels: Sequence[tuple[str, np.ndarray]],
    call: Call,
) -> Outcome:
    try:
        items = _pictures(storage, chunks, space, call)
        vectors.add([items])
        rows = [_row(item.chunk, vectors.vector(item), labels) for item in items]
        counts = dict(sorted(collections.Counter(row.label for row in rows).items()))
        # Probabilities differ in the last digit between machines; what later stages route on does not.
        named = digest([], [(row.chunk_id, row.label) for row in rows])
        output = StageOutput(to_table(rows, TagRow), named, StageInfo(counts=counts))
        return stage.save(storage, STAGE, recipe.key(chunks.digest), output)
    except BinderyError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the document is what failed
        return stage.failure(error, chunks.key)


def _pictures(storage: Storage, chunks: StageRef, space: Space, call: Call) -> list[Item]:
    """The first view of each picture: the model's own crop of the whole."""
    if not embeds_media(space):
        return []
    rows = [row for row in from_table(stage.load(storage, chunks), ChunkRow) if row.kind == "image"]
    pairs = [(row, medium_of(row, space, lambda path: str(storage.local(path)))) for row in rows]
    held = [(row, medium) for row, medium in pairs if medium]
    items: list[Item] = []
    for (row, _), parts in zip(held, space.media_items([m for _, m in held], 0, call), strict=True):
        if isinstance(parts, DocumentError):
            raise parts
        items.append(raw_item(row, 0, parts[0], space))
    return items


def _row(chunk: ChunkRow, vector: np.ndarray, labels: Sequence[tuple[str, np.ndarray]]) -> TagRow:
    logits = _TEMPERATURE * np.array([float(vector @ label) for _, label in labels])
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    best = int(shares.argmax())
    return TagRow(chunk.chunk_id, labels[best][0], round(float(shares[best]), _DIGITS))
