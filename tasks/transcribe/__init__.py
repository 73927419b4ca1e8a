"""Transcribe: the recordings among a document's elements in, what is said in them and when out; optional.

A recording is cut into windows in a worker process, each is put into words by an endpoint, and the words are joined to
one text in the recording's own time. Windows in which nothing is to be heard are not sent. Where a window has no
answer, the others' words are kept and the document's output is degraded: a later run tries again.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from tasks import stage
from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.llm.errors import EndpointError, LlmError
from tasks.llm.responses import Response
from tasks.llm.speech import Speech, said
from tasks.rows import ElementRow, SegmentRow, digest, from_table, to_table
from tasks.settings import TranscribeSettings
from tasks.stage import Recipe, StageInfo, StageOutput, StageRef
from tasks.storage import Storage
from tasks.transcribe import sound
from tasks.transcribe.join import Heard, Segment, joined

STAGE = "transcribe"
STAGE_VERSION = 1
_LANGUAGE_CHARACTERS = 32

Ask = Callable[[Speech], Awaitable[Response]]
# Cuts a recording (its file, the longest window, its length), in a worker process.
Cut = Callable[[str, float, float], sound.Sound]


def recipe(settings: TranscribeSettings) -> Recipe:
    """What decides the words besides the recordings. Where the endpoint is does not."""
    names = ("model", "language", "prompt", "window_seconds")
    return Recipe(STAGE, STAGE_VERSION, {name: getattr(settings, name) for name in names}, {})


def speaks(media_type: str) -> bool:
    """Whether a document of this type can hold recordings: those of mails and archives are documents of their own."""
    return media_type.startswith(("audio/", "video/"))


def recordings(elements: Sequence[ElementRow]) -> list[ElementRow]:
    return [row for row in elements if row.media and speaks(row.media_type or "") and row.time_end is not None]


def transcribe_document(
    storage: Storage, partition: StageRef, recipe: Recipe, settings: TranscribeSettings, ask: Ask, cut: Cut
) -> StageRef:
    """The stage file of segments for a partitioned document.

    Runs a loop of its own on the calling thread, on which `ask` is awaited for all windows at once. Raises what every
    request would meet, after the answers on their way have arrived.
    """

    def compute(key: str) -> StageOutput:
        found = _Transcript(settings)
        for row in recordings(from_table(stage.load(storage, partition), ElementRow)):
            end = row.time_end or 0.0
            try:
                heard = cut(str(storage.local(row.media or "")), settings.window_seconds, end)
            except DocumentError as error:
                found.unheard(error)
                continue
            with _removed(heard):
                found.add(row, heard, asyncio.run(_asked(heard, settings, ask)))
        return found.output()

    return stage.run(storage, recipe, (partition.digest,), compute)


@contextlib.contextmanager
def _removed(heard: sound.Sound) -> Iterator[None]:
    try:
        yield
    finally:
        for window in heard.windows:
            if window.file:
                Path(window.file).unlink(missing_ok=True)


async def _asked(heard: sound.Sound, settings: TranscribeSettings, ask: Ask) -> list[Response | LlmError | None]:
    """The answer about each window, or why there is none; None for those that are not sent."""
    answers = await asyncio.gather(
        *(ask(_speech(window, settings)) for window in heard.windows if window.file), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, BaseException) and not (isinstance(answer, LlmError) and not answer.fatal):
            raise answer
    in_turn = iter([answer for answer in answers if isinstance(answer, Response | LlmError)])
    return [next(in_turn) if window.file else None for window in heard.windows]


def _speech(window: sound.Window, settings: TranscribeSettings) -> Speech:
    return Speech(settings.model, Path(window.file), window.digest, window.seconds, settings.language, settings.prompt)


class _Transcript:
    """What is known of one document's recordings so far."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self._model = settings.model
        self._rows: list[SegmentRow] = []
        self._counts: collections.Counter[str] = collections.Counter()
        self._warnings: list[str] = []
        self._degraded: collections.Counter[str] = collections.Counter()

    def unheard(self, error: DocumentError) -> None:
        """A recording that is damaged has no words, this time or any other; what else fails may go well next time."""
        if error.transient:
            raise error
        self._counts["unreadable"] += 1
        if error.code == "malformed":
            self._warnings.append(f"it is not transcribed: {error.message}")
        else:
            self._degraded[f"recording not transcribed: {error.message}"] += 1

    def add(self, row: ElementRow, heard: sound.Sound, answers: Sequence[Response | LlmError | None]) -> None:
        parts = []
        for window, answer in zip(heard.windows, answers, strict=True):
            segments: tuple[Segment, ...] = ()
            if answer is None:
                self._counts["silent"] += 1
            elif isinstance(answer, Response):
                self._counts["windows"] += 1
                segments = tuple(_segments(answer, window))
            else:
                self._counts["unanswered"] += 1
                self._degraded[f"part of a recording not transcribed: {_reason(answer)}"] += 1
            parts.append(Heard(window.start, window.end, window.lead, segments))
        last = row.time_end or 0.0
        for segment in joined(parts):
            start, end = (round(min(max(0.0, heard.moment(at)), last), 3) for at in (segment.start, segment.end))
            self._rows.append(SegmentRow(row.ordinal, segment.text, start, end, segment.language, segment.probability))

    def output(self) -> StageOutput:
        """The digest is of the words alone: how they were come by changes nothing that follows."""
        info = StageInfo(warnings=tuple(self._warnings), counts=dict(sorted(self._counts.items())))
        degraded = tuple(f"{count} {what}" for what, count in sorted(self._degraded.items()))
        return StageOutput(to_table(self._rows, SegmentRow), digest(self._rows), info, degraded)


def _segments(answer: Response, window: sound.Window) -> Iterator[Segment]:
    language, found = said(answer.raw, window.seconds)
    language = " ".join(clean(language).split())[:_LANGUAGE_CHARACTERS]
    for one in found:
        if text := " ".join(clean(one.text).split()):
            start, end = window.start + one.start, window.start + one.end
            yield Segment(text, start, end, language, one.probability, one.exact)


def _reason(error: LlmError) -> str:
    return "the endpoint failed" if isinstance(error, EndpointError) else f"{error.code}"
