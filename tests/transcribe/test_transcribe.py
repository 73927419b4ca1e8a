"""The stage: which recordings have words, which never will, and which are tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import stage
from tasks.errors import DocumentError
from tasks.llm.errors import BudgetReachedError, EndpointError
from tasks.llm.responses import Response
from tasks.llm.speech import Speech
from tasks.rows import ElementRow, SegmentRow, digest, from_table, to_table
from tasks.settings import TranscribeSettings
from tasks.stage import StageOutput, StageRef
from tasks.storage import LocalStorage
from tasks.transcribe import Ask, Cut, recipe, recordings, speaks, transcribe_document
from tasks.transcribe.sound import Sound, Window

SETTINGS = TranscribeSettings(model="m", language="en")
REPLY = b'{"text": "Tide.", "language": "english", "segments": [{"start": 1, "end": 2, "text": " Tide. "}]}'


def audio(ordinal: int) -> ElementRow:
    return ElementRow(
        ordinal, "Audio", "Recording", media="blobs/aa/x.wav", media_type="audio/wav", time_start=0.0, time_end=30.0
    )


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def run(storage: LocalStorage, ask: Ask, cut: Cut, *rows: ElementRow) -> StageRef:
    given = list(rows or [audio(0)])
    parts = stage.save(storage, "partition", "k", StageOutput(to_table(given, ElementRow), digest(given)))
    return transcribe_document(storage, parts, recipe(SETTINGS), SETTINGS, ask, cut)


def window(tmp_path: Path, number: int, start: float, end: float) -> Window:
    file = tmp_path / f"{number}.flac"
    file.write_bytes(b"sound")
    return Window(start, end, 0.0, f"digest {number}", str(file))


async def tide(request: Speech) -> Response:
    assert request.sound.read_bytes() == b"sound" and (request.model, request.language) == ("m", "en")
    return Response("k", "m", "Tide.", None, "stop", 0, 0, 0, 0.0, REPLY)


def test_what_can_hold_recordings() -> None:
    assert speaks("audio/wav") and speaks("video/mp4") and not speaks("application/pdf") and not speaks("image/png")
    lost = ElementRow(1, "Audio", "gone", media_type="audio/wav")
    text = ElementRow(2, "NarrativeText", "Tide.")
    assert recordings([audio(0), lost, text]) == [audio(0)]


def test_words_are_in_the_recordings_own_time(storage: LocalStorage, tmp_path: Path) -> None:
    def cut(path: str, longest: float, end: float) -> Sound:
        assert (path, longest, end) == (str(storage.local("blobs/aa/x.wav")), 600.0, 30.0)
        silent = Window(10.0, 20.0, 0.0, "d", "")
        return Sound((window(tmp_path, 1, 0, 10), silent, window(tmp_path, 2, 20, 30)), jumps=((15.0, 2.5),))

    found = run(storage, tide, cut, audio(0), audio(4))
    rows = from_table(stage.load(storage, found), SegmentRow)
    assert rows == [
        SegmentRow(element, "Tide.", start, start + 1, "english") for element in (0, 4) for start in (1.0, 23.5)
    ]
    assert found.info.counts == {"silent": 2, "windows": 4} and found.degraded == ()
    assert not list(tmp_path.glob("*.flac"))


def test_windows_without_an_answer_are_tried_again(storage: LocalStorage, tmp_path: Path) -> None:
    async def ask(request: Speech) -> Response:
        if request.digest == "digest 1":
            raise EndpointError("it is down")
        return await tide(request)

    def cut(path: str, longest: float, end: float) -> Sound:
        return Sound((window(tmp_path, 1, 0, 10), window(tmp_path, 2, 10, 20)))

    found = run(storage, ask, cut)
    assert found.degraded == ("1 part of a recording not transcribed: the endpoint failed",)
    assert [row.time_start for row in from_table(stage.load(storage, found), SegmentRow)] == [11.0]
    mended = run(storage, tide, cut)
    assert mended.degraded == () and mended.rows == 2 and not list(tmp_path.glob("*.flac"))


def test_what_every_request_would_meet_is_raised(storage: LocalStorage, tmp_path: Path) -> None:
    async def ask(request: Speech) -> Response:
        raise BudgetReachedError("no more")

    with pytest.raises(BudgetReachedError):
        run(storage, ask, lambda path, longest, end: Sound((window(tmp_path, 1, 0, 10),)))
    assert not list(tmp_path.glob("*.flac")) and not storage.exists("stages/transcribe")


@pytest.mark.parametrize(("code", "degraded"), [("malformed", False), ("timeout", True), ("memory", True)])
def test_what_cannot_be_decoded_is_published_without_words(storage: LocalStorage, code: str, degraded: bool) -> None:
    def cut(path: str, longest: float, end: float) -> Sound:
        raise DocumentError(code, "it is broken")

    found = run(storage, tide, cut)
    assert found.rows == 0 and bool(found.degraded) == degraded
    assert found.info.warnings == (() if degraded else ("it is not transcribed: it is broken",))


def test_what_is_no_fault_of_the_recording_is_raised(storage: LocalStorage) -> None:
    def cut(path: str, longest: float, end: float) -> Sound:
        raise DocumentError("worker_lost", "the pool broke")

    with pytest.raises(DocumentError):
        run(storage, tide, cut)
