"""Builds lakes for tests by hand: documents with chunks, summaries and vectors, without running any stage.

`FakeSpace` is a fake of `tasks.embed.spaces.Space`: equal words give equal directions, nothing is learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks import stage
from tasks.index import Wanted, publish
from tasks.lake import Lake, Release, open_lake
from tasks.rows import (
    Box,
    ChunkRow,
    DocumentRow,
    Kind,
    SourceRow,
    SummaryRow,
    VectorRow,
    content_id,
    digest,
    to_table,
    vectors_to_table,
)
from tasks.stage import StageOutput
from tasks.storage import Storage

DIMENSION = 64
SPACES = {"fake": DIMENSION}


class FakeSpace:
    """A fake: a text's vector is the sum of one fixed direction for each of its words."""

    name = "fake"
    dimension = DIMENSION

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._embed(text) for text in texts])

    def _embed(self, text: str) -> np.ndarray:
        vector = np.full(DIMENSION, 1e-3)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.strip(".,?!").encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).normal(size=DIMENSION)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def open_fake(name: str) -> FakeSpace:
    assert name == "fake"
    return FakeSpace()


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
) -> ChunkRow:
    """A chunk of the document whose content is `doc`."""
    boxes = (Box.of(page, 0.1, 0.1, 0.9, 0.2),) if page else ()
    return ChunkRow(
        chunk_id=content_id(doc, ordinal, text),
        doc_id=doc_id(doc),
        ordinal=ordinal,
        kind=kind,
        text=text,
        html=html,
        media=media,
        media_type="image/png" if media else None,
        context=context,
        tokens=len(text.split()),
        pages=(page,) if page else (),
        boxes=boxes,
        origin="native",
    )


def doc_id(doc: str) -> str:
    return hashlib.sha256(doc.encode()).hexdigest()


def document(
    storage: Storage,
    doc: str,
    chunks: Sequence[ChunkRow],
    summaries: Sequence[SummaryRow] = (),
    degraded: bool = False,
    embed: bool = True,
) -> DocumentRow:
    """Stage files and the row of a document."""
    space = FakeSpace()
    texts = [row.text or "nothing" for row in chunks]
    vectors = [
        VectorRow(row.chunk_id, row.doc_id, row.kind, "text", 0, content_id(text), vector)
        for row, text, vector in zip(chunks, texts, space.embed_texts(texts) if texts else [], strict=True)
    ]
    reasons = ("llm failed",) if degraded else ()
    outputs = {
        "chunk": StageOutput(to_table(chunks, ChunkRow), digest(chunks)),
        "summarize": StageOutput(to_table(summaries, SummaryRow), digest(summaries, doc), degraded=reasons),
    }
    if embed:
        outputs["embed-fake"] = StageOutput(vectors_to_table(vectors, DIMENSION), digest(vectors, "fake"))
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
