"""kill -9 in the middle of transcribing: what was heard is kept, and only what was in flight is paid for again."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import soundfile
from pydantic import SecretStr

from tasks import stage
from tasks.llm.account import Account
from tasks.llm.ledger import Budget
from tasks.llm.responses import SqliteResponses
from tasks.rows import ElementRow, SegmentRow, digest, from_table, to_table
from tasks.settings import LlmSettings, TranscribeSettings
from tasks.stage import StageOutput, StageRef
from tasks.storage import LocalStorage
from tasks.transcribe import recipe, sound, transcribe_document
from tests.llm import spoken
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.llm.nursery import nursery, serve, until

_IN_FLIGHT = 3
_WINDOWS = 40
_KILLS = 4
_SETTINGS = TranscribeSettings(model="hearer", window_seconds=10.0)


def _said() -> list[str]:
    """As many windows as are wanted, no two alike."""
    dice = random.Random(7)
    return [word for _ in range(round(_WINDOWS * 7 / spoken.SECONDS / 2)) for word in dice.sample(spoken.WORDS, 2)]


def _recording(lake: Path) -> StageRef:
    """A document of one long recording, partitioned."""
    storage = LocalStorage(lake)
    samples = spoken.say(_said())
    path = Path(storage.local("blobs/aa/long.wav"))
    path.parent.mkdir(parents=True)
    soundfile.write(path, np.round(samples * 32767).astype(np.int16), 16_000)
    row = ElementRow(
        0, "Audio", "Recording", media="blobs/aa/long.wav", media_type="audio/wav", time_start=0.0,
        time_end=len(samples) / 16_000,
    )  # fmt: skip
    return stage.save(storage, "partition", "k", StageOutput(to_table([row], ElementRow), digest([row])))


def _transcribe(base_url: str, lake: Path, scratch: str) -> StageRef:
    storage = LocalStorage(lake)
    parts = stage.find(storage, "partition", "k")
    assert parts is not None
    llm = LlmSettings(
        base_url=base_url,
        api_key=SecretStr("sk-fake"),
        allow_unknown_price=True,
        max_in_flight=_IN_FLIGHT,
        requests_per_minute=1e9,
    )
    account = Account(storage, "run", "transcribe", llm, Budget())
    try:
        return transcribe_document(
            storage, parts, recipe(_SETTINGS), _SETTINGS, account.transcripts_for("doc"),
            lambda path, window, end: sound.cut(path, scratch, window, end),
        )  # fmt: skip
    finally:
        account.close()


def test_a_killed_run_loses_what_was_in_flight(tmp_path: Path) -> None:
    lake, scratch = tmp_path / "lake", tmp_path / "scratch"
    scratch.mkdir()
    _recording(lake)
    dice = random.Random(2)
    with FakeEndpoint(Behaviour(latency=(0.03, 0.3))) as endpoint:
        with nursery("tests.transcribe.test_kill") as children:
            for _ in range(_KILLS):
                before = len(endpoint.calls)
                children.start(endpoint.base_url, lake, scratch)
                wanted = before + _IN_FLIGHT + dice.randint(1, 3)  # so that something has been answered
                until(lambda wanted=wanted: len(endpoint.calls) >= wanted)  # type: ignore[misc]
                children.kill()
                assert children.ended() == signal.SIGKILL
                until(lambda: not endpoint.connected)
        with SqliteResponses(lake / "responses/responses.sqlite") as responses:
            kept = responses.count()
        lost = len(endpoint.calls) - kept
        assert _KILLS <= kept < _WINDOWS and 0 <= lost <= _IN_FLIGHT * _KILLS

        asked = len(endpoint.calls)
        found = _transcribe(endpoint.base_url, lake, str(scratch))
        rows = from_table(stage.load(LocalStorage(lake), found), SegmentRow)
        assert [word.strip(".").lower() for row in rows for word in row.text.split()] == _said()
        windows = found.info.counts["windows"]
        assert len(endpoint.calls) - asked == windows - kept
        assert endpoint.billed_twice() <= lost
        again = _transcribe(endpoint.base_url, lake, str(scratch))
        assert again == found and len(endpoint.calls) - asked == windows - kept


if __name__ == "__main__":
    serve(lambda base_url, lake, scratch: _transcribe(base_url, Path(lake), scratch), "av")
