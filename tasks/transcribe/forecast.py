"""What the transcripts of a run would cost: planned documents in, minutes, calls and dollars out, with nothing opened.

Told from the lengths that partitioning has measured, so it is the most that it can be: silence, films without sound
and answers that are kept cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

from tasks import stage
from tasks.llm.prices import by_time, of_sound, price
from tasks.report.spend import SpeechEstimate
from tasks.rows import ElementRow, from_table
from tasks.settings import Settings
from tasks.stage import Recipe, StageRef
from tasks.storage import Storage
from tasks.transcribe import recordings
from tasks.transcribe.sound import EARLIEST, OVERLAP_SECONDS


def forecast(
    storage: Storage, recipe: Recipe, settings: Settings, partitions: Iterable[StageRef | None]
) -> SpeechEstimate:
    """`partitions` are of the documents that can hold recordings; None where one is not read yet."""
    found = SpeechEstimate()
    dollars: Decimal | None = Decimal(0)
    llm, model = settings.llm.serving_speech(settings.transcribe), settings.transcribe.model
    timed = by_time(model, llm.prices, llm.base_url)
    for parts in partitions:
        if parts is None:
            found.unknown += 1
            continue
        if stage.find(storage, recipe.stage, recipe.key(parts.digest)):
            continue
        for row in recordings(from_table(stage.load(storage, parts), ElementRow)):
            seconds, calls = _most(row.time_end or 0.0, settings.transcribe.window_seconds)
            found.recordings += 1
            found.calls += calls
            found.minutes += seconds / 60
            cost = price(model, of_sound(seconds, timed), llm.prices, llm.base_url)
            dollars = None if cost is None or dollars is None else dollars + cost
    found.minutes = round(found.minutes, 2)
    found.dollars = None if dollars is None else float(dollars)
    return found


def _most(seconds: float, window: float) -> tuple[float, int]:
    """Seconds that are sent, and in how many requests: each window as short as a pause can make it."""
    calls = math.ceil(seconds / (window * EARLIEST)) if seconds > window else 1
    return math.ceil(seconds) + (calls - 1) * (OVERLAP_SECONDS + 1), calls  # 1: each one's seconds are rounded up
