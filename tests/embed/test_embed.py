"""The embed stage over a shard, with a fake space: which views, which rows, how often, and whose failure."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tasks import embed, stage
from tasks.embed import EmbedInput, embed_shard, spaces
from tasks.errors import DocumentError, LakeError, MissingCapabilityError, UsageError
from tasks.rows import ChunkRow, Modality, SummaryRow, View, content_id, digest, to_table, vectors_from_table
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import LocalStorage


class FakeSpace:
    """Two dimensions; windows of three words; remembers what it embedded; trips over the words NAN, ZERO and BOOM."""

    name = "fake"
    dimension = 2
    modalities: frozenset[Modality] = frozenset({"text"})
    views: frozenset[View] = frozenset({"text", "summary"})

    def __init__(self, fingerprint: str = "fake-1") -> None:
        self.fingerprint = fingerprint
        self.seen: list[str] = []

    def windows(self, text: str) -> list[str]:
        words = text.split()
        return [" ".join(words[i : i + 3]) for i in range(0, len(words), 3)]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        if any("BOOM" in text for text in texts):
            raise RuntimeError("onnx says no")
        self.seen.extend(texts)
        angles = np.array([len(text) for text in texts], dtype=np.float32)
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        vectors[["NAN" in text for text in texts]] = np.nan
        vectors[["ZERO" in text for text in texts]] = 0
        return vectors


def chunk(doc_id: str, ordinal: int, kind: str, text: str, context: str = "") -> ChunkRow:
    return ChunkRow(
        chunk_id=f"{doc_id}-{ordinal}",
        doc_id=doc_id,
        ordinal=ordinal,
        kind=kind,  # type: ignore[arg-type]
        text=text,
        html=None,
        media=None,
        media_type=None,
        context=context,
        tokens=1,
        pages=(1,),
        boxes=(),
        origin="native",
    )


def document(storage: LocalStorage, doc_id: str, chunks: list[ChunkRow], summaries: dict[int, str]) -> EmbedInput:
    rows = [SummaryRow(f"{doc_id}-{i}", text, "llm:some-model") for i, text in summaries.items()]
    info = StageInfo(title=doc_id, pages=1)
    return EmbedInput(
        doc_id,
        stage.save(storage, "chunk", f"c{doc_id}", StageOutput(to_table(chunks, ChunkRow), digest(chunks), info)),
        stage.save(storage, "summarize", f"s{doc_id}", StageOutput(to_table(rows, SummaryRow), digest(rows))),
    )


def simple(storage: LocalStorage, doc_id: str, text: str) -> EmbedInput:
    return document(storage, doc_id, [chunk(doc_id, 0, "text", text)], {})


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def how() -> Recipe:
    return embed.recipe(FakeSpace(), 0)


def test_whole_rows(storage: LocalStorage, how: Recipe) -> None:
    chunks = [
        chunk("d", 0, "text", "one two three four", "Title"),
        chunk("d", 1, "table", "a | b"),
        chunk("d", 2, "image", "words in it"),
        chunk("d", 3, "image", "no summary"),
        chunk("d", 4, "audio", ""),
        chunk("d", 5, "text", " \n"),
    ]
    space, told = FakeSpace(), list[str]()
    (ref,) = embed_shard(
        storage, [document(storage, "d", chunks, {1: "a table", 2: "a bar", 4: "a song"})], how, space, told.append
    )
    assert isinstance(ref, StageRef)
    rows = vectors_from_table(stage.load(storage, ref))
    expected = [
        ("d-0", "d", "text", "text", 0, "Title one two"),
        ("d-0", "d", "text", "text", 1, "three four"),
        ("d-1", "d", "table", "text", 0, "a | b"),
        ("d-1", "d", "table", "summary", 0, "a table"),
        ("d-2", "d", "image", "summary", 0, "a bar"),
        ("d-3", "d", "image", "text", 0, "no summary"),
        ("d-4", "d", "audio", "summary", 0, "a song"),
    ]
    assert [(r.chunk_id, r.doc_id, r.kind, r.view, r.window, r.item) for r in rows] == [
        (*row[:5], content_id("fake", "fake-1", row[5])) for row in expected
    ]
    lengths = np.array([len(row[5]) for row in expected], dtype=np.float32)
    np.testing.assert_array_equal(np.stack([r.vector for r in rows]), np.stack([np.cos(lengths), np.sin(lengths)], 1))
    assert (ref.stage, ref.rows, ref.info.counts) == ("embed-fake", 7, {"summary": 3, "text": 4})
    assert told == ["d"]


def test_equal_items_are_embedded_once_and_done_documents_not_at_all(storage: LocalStorage, how: Recipe) -> None:
    space = FakeSpace()
    documents = [simple(storage, name, "the same words") for name in ("one", "two")]
    first = embed_shard(storage, documents, how, space)
    assert space.seen == ["the same words"]
    for document in documents:  # done documents are not read
        storage.delete(document.chunks.path)
    assert embed_shard(storage, documents, how, space) == first
    assert space.seen == ["the same words"]


def test_a_long_document_is_embedded_in_blocks(storage: LocalStorage, how: Recipe) -> None:
    class Counting(FakeSpace):
        calls: list[int] = []  # noqa: RUF012

        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            self.calls.append(len(texts))
            return super().embed_texts(texts)

    space, checks = Counting(), list[int]()
    words = " ".join(f"word{number}" for number in range(3 * 1300))
    (ref,) = embed_shard(storage, [simple(storage, "d", words)], how, space, check=lambda: checks.append(1))
    assert isinstance(ref, StageRef) and ref.rows == 1300
    assert space.calls == [512, 512, 276] and len(checks) == 3


def test_a_full_disk_ends_the_run_and_no_document(
    storage: LocalStorage, how: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [simple(storage, "a", "fine")]

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStorage, "write", full)
    with pytest.raises(LakeError, match="cannot be written"):
        embed_shard(storage, documents, how, FakeSpace())


def test_another_model_embeds_again(storage: LocalStorage, how: Recipe) -> None:
    documents = [simple(storage, "d", "words")]
    (old,) = embed_shard(storage, documents, how, FakeSpace())
    (new,) = embed_shard(storage, documents, embed.recipe(FakeSpace("fake-2"), 0), FakeSpace("fake-2"))
    assert isinstance(old, StageRef) and isinstance(new, StageRef)
    assert old.key != new.key


@pytest.mark.parametrize("word", ["NAN", "ZERO", "BOOM"])
def test_a_bad_document_fails_alone_and_is_named(storage: LocalStorage, how: Recipe, word: str) -> None:
    documents = [simple(storage, "a", "fine"), simple(storage, "b", f"bad {word}"), simple(storage, "c", "good")]
    told = list[str]()
    first, bad, last = embed_shard(storage, documents, how, FakeSpace(), told.append)
    assert isinstance(first, StageRef) and isinstance(last, StageRef) and isinstance(bad, DocumentError)
    assert bad.code == "embed_failed" and "b-0" in bad.message and f"bad {word}" in bad.message
    assert told == ["a", "c"]
    assert stage.find(storage, "embed-fake", how.key(documents[1].chunks.digest, documents[1].summary.digest)) is None


def test_what_a_bad_document_shares_with_others_is_theirs(storage: LocalStorage, how: Recipe) -> None:
    shared = "a footer here"
    documents = [
        document(storage, name, [chunk(name, 0, "text", shared), chunk(name, 1, "text", text)], {})
        for name, text in (("a", "BOOM"), ("b", "fine"))
    ]
    bad, good = embed_shard(storage, documents, how, FakeSpace())
    assert isinstance(bad, DocumentError) and "a-1" in bad.message
    assert isinstance(good, StageRef) and good.rows == 2


def test_an_unreadable_input_fails_alone(storage: LocalStorage, how: Recipe) -> None:
    documents = [simple(storage, "a", "fine"), simple(storage, "b", "lost")]
    storage.write(documents[1].chunks.path, b"not parquet")
    first, bad = embed_shard(storage, documents, how, FakeSpace())
    assert isinstance(first, StageRef) and isinstance(bad, DocumentError) and bad.code == "stage_unreadable"


def test_a_document_without_words_has_an_empty_file(storage: LocalStorage, how: Recipe) -> None:
    (ref,) = embed_shard(storage, [document(storage, "d", [], {})], how, FakeSpace())
    assert isinstance(ref, StageRef) and ref.rows == 0
    assert vectors_from_table(stage.load(storage, ref)) == []


def test_known_vectors_are_not_embedded_again(storage: LocalStorage, how: Recipe) -> None:
    space, known = FakeSpace(), np.array([0, 1], dtype=np.float32)
    (ref,) = embed_shard(
        storage, [simple(storage, "d", "old")], how, space, lookup=lambda items: dict.fromkeys(items, known)
    )
    assert isinstance(ref, StageRef) and space.seen == []
    np.testing.assert_array_equal(vectors_from_table(stage.load(storage, ref))[0].vector, known)


def test_unknown_and_missing_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no embedding space 'word2vec'") as unknown:
        spaces.open_space("word2vec")
    assert "minilm" in unknown.value.hint
    monkeypatch.setattr("tasks.embed.minilm.PACKAGE", "a_package_that_is_not_here")
    spaces.open_space.cache_clear()
    with pytest.raises(MissingCapabilityError) as missing:
        spaces.open_space("minilm")
    assert "pip install" in missing.value.hint
