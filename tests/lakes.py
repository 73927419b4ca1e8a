"""Builds lakes for tests by hand: documents with chunks, summaries and vectors, without running any stage.

`FakeSpace` is a fake of `tasks.embed.spaces.Space`: equal words give equal directions, nothing is learned.
`FakeMediaSpace` is a fake of `MediaSpace`: what a file shows is the words in it, and each modality lies in a direction
of its own, which is the gap that real ones have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from tasks import stage
from tasks.embed.media import Call, MediaItem, Medium, call_here
from tasks.errors import DocumentError
from tasks.index import Wanted, publish
from tasks.lake import Lake, Release, open_lake
from tasks.rows import (
    Box,
    ChunkRow,
    DocumentRow,
    Kind,
    Modality,
    SourceRow,
    SummaryRow,
    TagRow,
    VectorRow,
    View,
    content_id,
    digest,
    to_table,
    vectors_to_table,
)
from tasks.stage import StageOutput
from tasks.storage import Storage

DIMENSION = 64
SPACES = {"fake": DIMENSION}
MODALITIES: tuple[Modality, ...] = get_args(Modality)
CONCEPTS, GAP = 40, 1.5
MEDIA_DIMENSION = CONCEPTS + len(MODALITIES)
MEDIA_SPACES = {"fake": DIMENSION, "fakebind": MEDIA_DIMENSION}


class FakeSpace:
    """A fake: a text's vector is the sum of one fixed direction for each of its words."""

    name = "fake"
    dimension = DIMENSION
    fingerprint = "fake:1"

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._embed(text) for text in texts])

    def _embed(self, text: str) -> np.ndarray:
        vector = np.full(DIMENSION, 1e-3)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.strip(".,?!").encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).normal(size=DIMENSION)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


class FakeMediaSpace:
    """A fake: the sum of one fixed direction for each word of a text or file, and of one for the modality."""

    name = "fakebind"
    dimension = MEDIA_DIMENSION
    fingerprint = "fakebind:1"
    modalities: frozenset[Modality] = frozenset(MODALITIES)
    views: frozenset[View] = frozenset({"summary", "raw"})

    def windows(self, text: str) -> list[str]:
        return [text]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.vector("text", text) for text in texts])

    def media_items(
        self, media: Sequence[Medium], tiles: int, call: Call = call_here
    ) -> list[list[MediaItem] | DocumentError]:
        return [[MediaItem(medium.modality, medium.path)] for medium in media]

    def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
        return [self._try(item) for item in items]

    def embed_file(self, modality: Modality, path: str) -> np.ndarray:
        found = self._try(MediaItem(modality, path))
        if isinstance(found, DocumentError):
            raise found
        return found

    def vector(self, modality: Modality, words: str) -> np.ndarray:
        """What the words look, sound or read like in a modality: nearly the same direction in all of them."""
        found = np.full(CONCEPTS, 1e-3)
        for word in words.lower().split():
            found += _direction(word) + 0.2 * _direction(f"{modality} {word}")
        gap = np.zeros(len(MODALITIES))
        gap[MODALITIES.index(modality)] = GAP
        whole = np.concatenate([found / np.linalg.norm(found), gap])
        return np.asarray(whole / np.linalg.norm(whole), np.float32)

    def _try(self, item: MediaItem) -> np.ndarray | DocumentError:
        words = Path(item.path).read_text(encoding="utf-8")
        if "broken" in words:
            return DocumentError("malformed", "it cannot be decoded", "fetch it again")
        return self.vector(item.modality, words)


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=CONCEPTS)


def open_fake(name: str) -> FakeSpace | FakeMediaSpace:
    assert name in MEDIA_SPACES
    return FakeSpace() if name == "fake" else FakeMediaSpace()


def new_lake(folder: Path) -> Lake:
    return open_lake(str(folder / "lake"), create=True)


def chunk(
    doc: str,
    ordinal: int,
    text: str,
    kind: Kind = "text",
    page: int | None = 1,
    context: str = "",
    html: str | None = None,
    media: str | None = None,
    media_type: str = "image/png",
    seconds: tuple[float, float] | None = None,
    around: tuple[str, str] = ("", ""),
) -> ChunkRow:
    """A chunk of the document whose content is `doc`."""
    boxes = (Box.of(page, 0.1, 0.1, 0.9, 0.2),) if page else ()
    return ChunkRow(
        chunk_id=content_id(doc, ordinal, text, *(seconds or ())),
        doc_id=doc_id(doc),
        ordinal=ordinal,
        kind=kind,
        text=text,
        html=html,
        media=media,
        media_type=media_type if media else None,
        context=context,
        tokens=len(text.split()),
        pages=(page,) if page else (),
        boxes=boxes,
        origin="native",
        time_start=seconds[0] if seconds else None,
        time_end=seconds[1] if seconds else None,
        before=around[0],
        after=around[1],
    )


def media_vector(
    row: ChunkRow, modality: Modality, words: str, window: int = 0, box: Box | None = None, view: View | None = None
) -> VectorRow:
    """A chunk's vector in `FakeMediaSpace`: of what is seen or heard in it, or for text of its summary."""
    view = view or ("summary" if modality == "text" else "raw")
    item, vector = content_id("fakebind", modality, words), FakeMediaSpace().vector(modality, words)
    return VectorRow(row.chunk_id, row.doc_id, row.kind, view, window, item, modality, box, vector)


def doc_id(doc: str) -> str:
    return hashlib.sha256(doc.encode()).hexdigest()


def document(
    storage: Storage,
    doc: str,
    chunks: Sequence[ChunkRow],
    summaries: Sequence[SummaryRow] = (),
    degraded: bool = False,
    embed: bool = True,
    media: Sequence[VectorRow] | None = None,
    tags: Sequence[TagRow] = (),
) -> DocumentRow:
    """Stage files and the row of a document. `media` are its vectors in `FakeMediaSpace`."""
    space = FakeSpace()
    texts = [row.text or "nothing" for row in chunks]
    vectors = [
        VectorRow(row.chunk_id, row.doc_id, row.kind, "text", 0, content_id(text), "text", None, vector)
        for row, text, vector in zip(chunks, texts, space.embed_texts(texts) if texts else [], strict=True)
    ]
    reasons = ("llm failed",) if degraded else ()
    outputs = {
        "chunk": StageOutput(to_table(chunks, ChunkRow), digest(chunks)),
        "summarize": StageOutput(to_table(summaries, SummaryRow), digest(summaries, doc), degraded=reasons),
    }
    if embed:
        outputs["embed-fake"] = StageOutput(vectors_to_table(vectors, DIMENSION), digest(vectors, "fake"))
    if media is not None:
        outputs["embed-fakebind"] = StageOutput(vectors_to_table(media, MEDIA_DIMENSION), digest(media, "fakebind"))
    if tags:
        outputs["tag"] = StageOutput(to_table(tags, TagRow), digest(tags))
    refs = [stage.save(storage, name, content_id(name, out.digest), out) for name, out in outputs.items()]
    characters = sum(len(row.text) for row in chunks)
    marks = tuple(ref.mark for ref in refs)
    return DocumentRow(doc_id(doc), "text/plain", len(doc), doc, 1, characters, len(chunks), degraded, marks)


def source(
    uri: str,
    doc: str,
    tags: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    skipped: str = "",
    date: str | None = None,
) -> SourceRow:
    return SourceRow(uri, "/data", None, doc_id(doc), "text/plain", len(doc), 1, 1, tags, groups, date, skipped)


def simple(storage: Storage, names: Sequence[str], edition: int = 1, chunks: int = 3) -> Wanted:
    """A corpus of one small document per name; another edition has other documents under the same names."""
    documents, sources = [], []
    for name in names:
        doc = f"{name} edition {edition}"
        rows = [chunk(doc, i, f"{doc} part {i} about harbour 北京", page=i + 1) for i in range(chunks)]
        documents.append(document(storage, doc, rows))
        sources.append(source(f"/data/{name}.txt", doc))
    return Wanted(sources, documents, SPACES)


def publish_to(lake: Lake, wanted: Wanted, run: str = "run") -> Release:
    with lake.lease("test") as lease:
        return publish(lake, lease, run, wanted)
