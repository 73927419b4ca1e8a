"""Whose failure it is: a document's, which goes to quarantine, or the run's, which ends at once and says why."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from tasks import ingest as run
from tasks import progress, shards, stage
from tasks.context import RunEndedError, context_of, working
from tasks.errors import DocumentError, LakeError
from tasks.ingest import Session
from tasks.progress import Event
from tasks.storage import LocalStorage
from tasks.summarize import summarize_document
from tasks.work import Shard, make_shards
from tests.pipeline import ingest, inline


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.md").write_text(f"# Note {name}\n\nThe {name} crate is on the quay.\n")
    return folder


@pytest.fixture
def session(docs: Path, tmp_path: Path) -> Iterator[Session]:
    options = run.plan_options(False, False, True, False, None)
    with inline(), run.session([str(docs)], options, lake=str(tmp_path / "lake")) as opened:
        yield opened


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def _chunked(session: Session) -> Shard:
    (shard,) = make_shards(session.plan().work)
    return shards.chunk(session.spec, shards.partition(session.spec, shard))


def _failures(shard: Shard) -> list[tuple[str, str] | None]:
    return [None if s.failure is None else (s.failure.stage, s.failure.error.code) for s in shard.documents]


def test_a_listener_that_raises_is_told_no_more_and_the_run_goes_on(docs: Path, tmp_path: Path) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        raise BrokenPipeError

    others: list[Event] = []
    with inline(), progress.listening(broken), progress.listening(others.append):
        assert ingest([docs], tmp_path / "lake").quarantined == 0
    assert len(told) == 1 and len(others) > 1


@pytest.mark.parametrize("error", [IndexError("list index out of range"), KeyError("row")])
def test_an_unexpected_exception_is_its_documents_failure(
    session: Session, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    shard = _chunked(session)

    def flawed(storage: Any, chunks: Any, *rest: Any) -> Any:
        if chunks == shard.documents[0].ref("chunk"):
            raise error
        return summarize_document(storage, chunks, *rest)

    monkeypatch.setattr(shards, "summarize_document", flawed)
    after = shards.embed(session.spec, shards.summarize(session.spec, shard))
    assert _failures(after) == [("summarize", "internal"), None]
    failure = after.documents[0].failure
    assert failure is not None and type(error).__name__ in failure.error.message


def test_a_damaged_stage_file_is_its_documents_failure_now_and_made_again_later(
    session: Session, docs: Path, tmp_path: Path
) -> None:
    shard = _chunked(session)
    path = tmp_path / "lake" / shard.documents[0].ref("chunk").path
    path.write_bytes(bytes(path.stat().st_size))
    after = shards.summarize(session.spec, shard)
    assert _failures(after) == [("summarize", "stage_unreadable"), None]
    again = shards.summarize(session.spec, _chunked(session))
    assert _failures(again) == [None, None]


def test_any_damaged_byte_of_a_body_and_any_lost_one_make_a_stage_file_absent(session: Session, tmp_path: Path) -> None:
    ref, storage = _chunked(session).documents[0].ref("chunk"), LocalStorage(tmp_path / "lake")
    whole = storage.read(ref.path)
    assert stage.find(storage, "chunk", ref.key) == ref
    for damaged in (whole[:4] + b"\0" * 16 + whole[20:], whole[:50] + whole[51:], whole[:-30], b""):
        storage.write(ref.path, damaged)
        assert stage.find(storage, "chunk", ref.key) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        DocumentError("lake_full", "the disk cannot be written: No space left on device"),
    ],
)
def test_a_lake_that_cannot_be_written_ends_the_run(
    session: Session, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    shard = _chunked(session)
    monkeypatch.setattr(shards, "summarize_document", _raising(error))
    with pytest.raises(LakeError, match="the lake cannot be written") as full:
        shards.summarize(session.spec, shard)
    assert "free space" in full.value.hint
    for later in (shards.partition, shards.embed):  # what is queued ends at once, with the same words
        with pytest.raises(LakeError) as same:
            later(session.spec, shard)
        assert same.value is full.value


def test_closed_workers_are_no_documents_failure(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = _chunked(session)
    monkeypatch.setattr(shards, "summarize_document", _raising(CancelledError()))
    with pytest.raises(CancelledError):
        shards.summarize(session.spec, shard)


def test_work_that_was_cancelled_by_another_shards_error_raises_that_error(session: Session) -> None:
    first = LakeError("the first error")
    with pytest.raises(LakeError) as raised, working(session.spec):
        with pytest.raises(LakeError), working(session.spec):
            raise first
        raise CancelledError
    assert raised.value is first


def test_a_task_that_starts_after_its_run_opens_nothing(docs: Path, tmp_path: Path) -> None:
    options = run.plan_options(False, False, True, False, None)
    with inline(), run.session([str(docs)], options, lake=str(tmp_path / "lake")) as session:
        (shard,) = make_shards(session.plan().work)
    for task in (shards.partition, shards.chunk, shards.summarize, shards.embed):
        with pytest.raises(RunEndedError):
            task(session.spec, shard)
    with pytest.raises(RunEndedError):
        context_of(session.spec)
    assert not (tmp_path / "lake" / "stages").exists()
