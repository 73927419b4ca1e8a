"""Media through the embed and tag stages, with a fake space: which items, how often, whose failure, what tag."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import embed, stage
from tasks.embed import EmbedInput, embed_shard
from tasks.embed import tag as tags
from tasks.embed.items import items_of, texts_of
from tasks.embed.media import Call, MediaItem, Medium, call_here, modality_of
from tasks.errors import DocumentError, ModelError, UsageError
from tasks.lake import put_blob
from tasks.rows import (
    Box,
    ChunkRow,
    Kind,
    Modality,
    SummaryRow,
    TagRow,
    View,
    content_id,
    digest,
    from_table,
    to_table,
    vectors_from_table,
)
from tasks.settings import TagSettings
from tasks.stage import StageInfo, StageOutput, StageRef
from tasks.storage import LocalStorage
from tests.embed.test_embed import FakeSpace

LEFT = Box.of(1, 0, 0, 0.5, 1)


def opened(paths: Sequence[str]) -> list[bytes]:
    """What a worker process would be asked to run."""
    return [Path(path).read_bytes() for path in paths]


class FakeMediaSpace:
    """A fake MediaSpace of 3 dimensions: the first byte of a file is its direction. A picture has its crop and `tiles`
    left halves; "?" cannot be planned, "!" cannot be decoded, "0" embeds to zero, "#" breaks the model."""

    name = "fake"
    dimension = 3
    fingerprint = "fake-1"
    modalities: frozenset[Modality] = frozenset({"text", "image", "audio"})
    views: frozenset[View] = frozenset({"summary", "raw"})

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def windows(self, text: str) -> list[str]:
        return [text] if text else []

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen.extend(("text", text) for text in texts)
        return np.stack([self._direction(text[0]) for text in texts])

    def media_items(
        self, media: Sequence[Medium], tiles: int, call: Call = call_here
    ) -> list[list[MediaItem] | DocumentError]:
        found: list[list[MediaItem] | DocumentError] = []
        for medium, data in zip(media, call(opened, [medium.path for medium in media]), strict=True):
            whole = MediaItem(
                medium.modality,
                medium.path,
                "crop" if medium.modality == "image" else None,
                None,
                medium.start,
                medium.end,
            )
            parts = [MediaItem("image", medium.path, "tile", LEFT)] * tiles if medium.modality == "image" else []
            found.append(DocumentError("malformed", "no header", "mend it") if data == b"?" else [whole, *parts])
        return found

    def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
        contents = call(opened, [item.path for item in items])
        if b"#" in contents:
            raise RuntimeError("the device says no")
        self.seen.extend(item.spec for item in items)
        return [
            DocumentError("malformed", "cannot be decoded", "mend it")
            if data == b"!"
            else self._direction(data.decode())
            for data in contents
        ]

    def embed_file(self, modality: Modality, path: str) -> np.ndarray:
        raise NotImplementedError

    def _direction(self, letter: str) -> np.ndarray:
        if letter == "0":
            return np.zeros(3, np.float32)
        return np.asarray(np.eye(3)["abc".index(letter)], np.float32)


def chunk(doc: str, ordinal: int, kind: Kind, media: str | None, media_type: str | None, **times: Any) -> ChunkRow:
    return ChunkRow(
        chunk_id=f"{doc}-{ordinal}",
        doc_id=doc,
        ordinal=ordinal,
        kind=kind,
        text="",
        html=None,
        media=media,
        media_type=media_type,
        context="",
        tokens=0,
        pages=(),
        boxes=(),
        origin="native",
        **times,
    )


def picture(storage: LocalStorage, content: str, doc: str = "d", ordinal: int = 0) -> ChunkRow:
    return chunk(doc, ordinal, "image", put_blob(storage, content.encode(), "png"), "image/png")


def document(storage: LocalStorage, doc: str, chunks: list[ChunkRow], summaries: dict[int, str]) -> EmbedInput:
    rows = [SummaryRow(f"{doc}-{i}", text, "llm:some-model") for i, text in summaries.items()]
    return EmbedInput(
        doc,
        stage.save(storage, "chunk", f"c{doc}", StageOutput(to_table(chunks, ChunkRow), digest(chunks), StageInfo())),
        stage.save(storage, "summarize", f"s{doc}", StageOutput(to_table(rows, SummaryRow), digest(rows))),
    )


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def test_whole_rows(storage: LocalStorage) -> None:
    song = put_blob(storage, b"b", "wav")
    chunks = [
        picture(storage, "a"),
        chunk("d", 1, "audio", song, "audio/wav", time_start=0.0, time_end=10.0),
        chunk("d", 2, "audio", song, "audio/wav", time_start=10.0, time_end=20.0),
        chunk("d", 3, "video", put_blob(storage, b"c", "mp4"), "video/mp4"),  # which this space does not embed
        chunk("d", 4, "text", None, None),
    ]
    space = FakeMediaSpace()
    (ref,) = embed_shard(storage, [document(storage, "d", chunks, {0: "c: words"})], embed.recipe(space, 1), space)
    assert isinstance(ref, StageRef)
    rows = vectors_from_table(stage.load(storage, ref))
    image = chunks[0].media

    def raw(media: str | None, *spec: object) -> str:
        return content_id("fake", "fake-1", media, list(spec))

    assert [(r.chunk_id, r.kind, r.view, r.window, r.modality, r.box, r.item) for r in rows] == [
        ("d-0", "image", "summary", 0, "text", None, content_id("fake", "fake-1", "c: words")),
        ("d-0", "image", "raw", 0, "image", None, raw(image, "image", "crop", None, None, None)),
        ("d-0", "image", "raw", 1, "image", LEFT, raw(image, "image", "tile", (0.0, 0.0, 0.5, 1.0), None, None)),
        ("d-1", "audio", "raw", 0, "audio", None, raw(song, "audio", None, None, 0.0, 10.0)),
        ("d-2", "audio", "raw", 0, "audio", None, raw(song, "audio", None, None, 10.0, 20.0)),
    ]
    assert [int(row.vector.argmax()) for row in rows] == [2, 0, 0, 1, 1]
    assert ref.info.counts == {"raw": 4, "summary": 1}


def test_words_of_ours_are_not_embedded_as_a_picture_s() -> None:
    space = FakeMediaSpace()
    bare = dataclasses.replace(chunk("d", 0, "image", "blobs/x.png", "image/png"), text="")
    titled, read = dataclasses.replace(bare, context="Annual report"), dataclasses.replace(bare, text="STOP")
    recording = dataclasses.replace(bare, kind="audio", text="Recording, 2.4 s, 8 kHz, mono", origin="metadata")
    tagged = dataclasses.replace(recording, text="Recording, 2.4 s, 8 kHz, mono. Artist: The Gulls")
    ours, theirs = SummaryRow("d-0", "Picture on page 1", "extractive"), SummaryRow("d-0", "A quay at dusk", "llm:m")
    assert [texts_of(row, ours, space) for row in (bare, recording)] == [[], []]
    assert [texts_of(row, ours, space) for row in (titled, read, tagged)] == [[("summary", ours.text)]] * 3
    assert [texts_of(row, theirs, space) for row in (bare, recording)] == [[("summary", theirs.text)]] * 2


def test_of_a_table_the_words_are_embedded_and_its_extractive_summary_is_not() -> None:
    row = dataclasses.replace(
        chunk("d", 0, "table", None, None), context="Report", text="Store | 2023 | $ | 1,204\nOslo | 12.5%"
    )
    ours, theirs = SummaryRow("d-0", "Report\nStore; Oslo", "extractive"), SummaryRow("d-0", "Stores", "llm:m")
    words = ("text", "Report\nStore | 2023\nOslo")
    assert texts_of(row, ours, FakeSpace()) == [words]
    assert texts_of(row, theirs, FakeSpace()) == [words, ("summary", "Stores")]
    figures = dataclasses.replace(row, text="12 | 13")  # a table without words is found by what stands around it
    assert texts_of(figures, ours, FakeSpace()) == [("text", "Report\n12 | 13"), ("summary", ours.text)]


def test_a_picture_is_embedded_by_what_stands_around_it_and_not_by_the_title_of_its_document_s_text() -> None:
    space = FakeMediaSpace()
    bare = dataclasses.replace(chunk("d", 0, "image", "blobs/x.png", "image/png"), context="Annual report")
    surrounded = dataclasses.replace(bare, after="Gulls over the quay.")
    ours = SummaryRow("d-0", "Picture on page 1 of Annual report", "extractive")
    theirs = SummaryRow("d-0", "Annual report\nGulls over the quay.", "extractive")
    text = chunk("d", 1, "text", None, None)

    def found(row: ChunkRow, summary: SummaryRow, *others: ChunkRow) -> list[str]:
        return [item.text for item in items_of([row, *others], [summary], space, {})]

    assert found(bare, ours, text) == []
    assert found(bare, ours) == [ours.text], "where there is nothing but pictures, the title is theirs"
    assert found(surrounded, theirs, text) == [theirs.text]


def test_a_space_of_media_reads_the_english_line_and_a_space_of_text_the_summary() -> None:
    row = chunk("d", 0, "image", "blobs/x.png", "image/png")
    chinese = SummaryRow("d-0", "黄昏的码头", "llm:m", "A quay at dusk")
    english = SummaryRow("d-0", "A quay at dusk", "llm:m")
    assert texts_of(row, chinese, FakeMediaSpace()) == texts_of(row, english, FakeMediaSpace())
    assert texts_of(row, chinese, FakeMediaSpace()) == [("summary", "A quay at dusk")]
    assert texts_of(row, chinese, FakeSpace()) == [("summary", "黄昏的码头")]


def test_files_are_opened_by_the_caller_only(storage: LocalStorage) -> None:
    called: list[object] = []

    def call(function: object, *args: object) -> object:
        called.append(function)
        return call_here(function, *args)  # type: ignore[arg-type]

    space = FakeMediaSpace()
    document_ = document(storage, "d", [picture(storage, "a")], {})
    (ref,) = embed_shard(storage, [document_], embed.recipe(space, 0), space, call=call)
    assert isinstance(ref, StageRef) and called == [opened, opened]


def test_equal_media_are_embedded_once_and_the_next_document_not_again(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    first = document(storage, "d", [picture(storage, "a"), picture(storage, "a", ordinal=1)], {})
    second = document(storage, "e", [picture(storage, "a", "e"), picture(storage, "b", "e", 1)], {})
    how = embed.recipe(space, 0)
    embed_shard(storage, [first], how, space)
    assert len(space.seen) == 1
    (ref,) = embed_shard(storage, [second], how, space)
    assert isinstance(ref, StageRef) and ref.rows == 2
    assert len(space.seen) == 2


def test_what_the_lake_knows_is_not_decoded(storage: LocalStorage) -> None:
    space, known = FakeMediaSpace(), np.array([0, 0, 1], np.float32)
    (ref,) = embed_shard(
        storage, [document(storage, "d", [picture(storage, "a")], {})], embed.recipe(space, 0), space,
        lookup=lambda items: dict.fromkeys(items, known),
    )  # fmt: skip
    assert isinstance(ref, StageRef) and space.seen == []
    np.testing.assert_array_equal(vectors_from_table(stage.load(storage, ref))[0].vector, known)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [("?", "malformed", "no header"), ("!", "malformed", "cannot be decoded"), ("0", "embed_failed", "unit length")],
)
def test_a_bad_medium_fails_its_document_alone(storage: LocalStorage, content: str, code: str, says: str) -> None:
    space = FakeMediaSpace()
    documents = [
        document(storage, name, [picture(storage, it, name)], {}) for name, it in zip("xyz", "aab", strict=True)
    ]
    documents[1] = document(storage, "y", [picture(storage, content, "y")], {})
    first, bad, last = embed_shard(storage, documents, embed.recipe(space, 0), space)
    assert isinstance(first, StageRef) and isinstance(last, StageRef) and isinstance(bad, DocumentError)
    assert bad.code == code and says in bad.message
    assert len(space.seen) >= 2


def test_a_model_that_breaks_is_said_of_the_item(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    (bad,) = embed_shard(storage, [document(storage, "d", [picture(storage, "#")], {})], embed.recipe(space, 0), space)
    assert isinstance(bad, DocumentError) and "d-0" in bad.message and "crop of blobs/" in bad.message


def test_tiles_are_part_of_the_key(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    assert embed.recipe(space, 0).key("c", "s") != embed.recipe(space, 9).key("c", "s")


def test_modalities() -> None:
    types = (
        "image/png",
        "audio/flac",
        "video/mp4",
        "image/x-depth",
        "image/x-thermal",
        "application/x-imu",
        "text/html",
    )
    assert [modality_of(name) for name in types] == ["image", "audio", "video", "depth", "thermal", "imu", None]


LABELS = TagSettings(space="fake", labels={"chart": ("a chart", "a graph"), "photo": ("b",), "logo": ("c",)})


def test_tags(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    how = tags.recipe(LABELS, space)
    song = chunk("d", 2, "audio", put_blob(storage, b"b", "wav"), "audio/wav")
    made = document(storage, "d", [picture(storage, "a"), picture(storage, "b", ordinal=1), song], {})
    (ref,) = tags.tag_shard(storage, [made.chunks], how, space)
    assert isinstance(ref, StageRef)
    share = round(1 / (1 + 2 * np.exp(-100)), 4)
    assert from_table(stage.load(storage, ref), TagRow) == [
        TagRow("d-0", "chart", share),
        TagRow("d-1", "photo", share),
    ]
    assert ref.info.counts == {"chart": 1, "photo": 1}
    seen = len(space.seen)
    assert tags.tag_shard(storage, [made.chunks], how, space) == [ref]
    (vectors,) = embed_shard(storage, [made], embed.recipe(space, 0), space)
    assert isinstance(vectors, StageRef) and vectors.rows == 3
    assert len(space.seen) == seen + 1  # the recording: the pictures' vectors were made for their tags


def test_a_picture_that_cannot_be_tagged_fails_its_document(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    documents = [
        document(storage, name, [picture(storage, it, name)], {}).chunks for name, it in (("x", "!"), ("y", "a"))
    ]
    bad, good = tags.tag_shard(storage, documents, tags.recipe(LABELS, space), space)
    assert isinstance(bad, DocumentError) and "cannot be decoded" in bad.message and isinstance(good, StageRef)


def test_tags_need_a_space_that_sees() -> None:
    class Blind(FakeMediaSpace):
        modalities: frozenset[Modality] = frozenset({"text"})

    with pytest.raises(UsageError, match="does not embed pictures"):
        tags.recipe(LABELS, Blind())


def test_recent_forgets_what_was_used_longest_ago() -> None:
    from tasks.embed.recent import Recent

    recent, one = Recent(2), np.ones(1)
    recent.put({"a": one, "b": one})
    recent.get(["a"])
    recent.put({"c": one})
    assert set(recent.get("abc")) == {"a", "c"}


def test_only_the_medium_that_breaks_the_model_is_given_up(storage: LocalStorage) -> None:
    space = FakeMediaSpace()
    documents = [
        document(storage, name, [picture(storage, it, name)], {}) for name, it in zip("xyz", "a#b", strict=True)
    ]
    first, bad, last = embed_shard(storage, documents, embed.recipe(space, 0), space)
    assert isinstance(first, StageRef) and isinstance(last, StageRef)
    assert isinstance(bad, DocumentError) and "the device says no" in bad.message


def test_a_model_that_is_gone_ends_the_run_and_blames_no_document(storage: LocalStorage) -> None:
    class Gone(FakeMediaSpace):
        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            raise RuntimeError("the device is lost")

    space = Gone()
    for content, summary in (("#", {}), ("a", {0: "a: words"})):
        wanted = document(storage, content, [picture(storage, content, content)], summary)
        with pytest.raises(ModelError, match="does not work any more"):
            embed_shard(storage, [wanted], embed.recipe(space, 0), space)


def test_parts_follow_from_how_long_they_take(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow device a call gets few pictures, so that it can be ended; the first call finds out."""

    class Slow(FakeMediaSpace):
        calls: list[int] = []  # noqa: RUF012
        now = 0.0

        def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
            self.calls.append(len(items))
            Slow.now += 10.0 * len(items)
            return super().embed_media(items, call)

    monkeypatch.setattr("tasks.embed.vectors.time.monotonic", lambda: Slow.now)
    space = Slow()
    chunks = [
        chunk("d", n, "image", put_blob(storage, b"a", f"{n}.png"), "image/png", time_start=float(n), time_end=n + 1.0)
        for n in range(40)
    ]
    (ref,) = embed_shard(storage, [document(storage, "d", chunks, {})], embed.recipe(space, 0), space)
    assert isinstance(ref, StageRef) and ref.rows == 40
    assert space.calls == [32, 2, 2, 2, 2]
