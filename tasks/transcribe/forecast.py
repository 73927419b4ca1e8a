"""What transcribing a document would take at most: its elements in, the calls out, with nothing opened.

Told from the lengths that partitioning has measured: silence, films without sound and sound that was heard before cost
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tasks import stage
from tasks.llm.prices import Usage, by_time, of_sound
from tasks.rows import ElementRow, from_table
from tasks.settings import LlmSettings, TranscribeSettings
from tasks.stage import StageRef
from tasks.storage import Storage
from tasks.transcribe import recordings
from tasks.transcribe.sound import EARLIEST, OVERLAP_SECONDS


def calls(
    storage: Storage, partition: StageRef, settings: TranscribeSettings, llm: LlmSettings
) -> Iterator[tuple[str, Usage]]:
    """The kind of recording and the usage of each; `llm` are the settings of the endpoint that transcribes."""
    timed = by_time(settings.model, llm.prices, llm.base_url)
    for row in recordings(from_table(stage.load(storage, partition), ElementRow)):
        seconds, windows = _most(row.time_end or 0.0, settings.window_seconds)
        for _ in range(windows):
            yield (row.media_type or "").partition("/")[0], of_sound(seconds / windows, timed)


def _most(seconds: float, window: float) -> tuple[float, int]:
    """Seconds that are sent, and in how many requests: each window as short as a pause can make it."""
    calls = math.ceil(seconds / (window * EARLIEST)) if seconds > window else 1
    return math.ceil(seconds) + (calls - 1) * (OVERLAP_SECONDS + 1), calls  # 1: each one's seconds are rounded up
