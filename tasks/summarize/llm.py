"""Summaries by an LLM: a document's chunks in, for each a text written for search, as the model answered.

Pictures that say nothing, passages that are as short as a summary, and kinds that the model cannot see are not asked
about; each is counted with its reason. An answer that cannot be used is asked for once more. What then has none keeps
its extractive summary, and the document's output is degraded: a later run tries again.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Literal

from tasks import tokens
from tasks.errors import DocumentError
from tasks.llm.errors import EmptyAnswerError, EndpointError, LlmError, RefusedError
from tasks.llm.request import Picture, Request
from tasks.llm.responses import Response
from tasks.rows import EXTRACTIVE, ChunkRow, SummaryRow, digest, to_table
from tasks.settings import Settings
from tasks.stage import StageInfo, StageOutput
from tasks.summarize import answers, ask, extractive
from tasks.summarize.answers import Flaw, LlmKind
from tasks.summarize.pictures import Nothing, Seen

Answer = Callable[[Request], Awaitable[Response]]
Look = Callable[[ChunkRow], Seen]
Skip = Literal["decoration", "repeated", "no_picture", "unreadable", "short", "other_kind"] | Nothing

METHOD = "llm"
_SHORT = 24  # tokens; a passage of fewer is its own summary
_REPEATED = 3  # times in one document: a logo, a background
_AT_ONCE = 256  # chunks of a document whose requests are held in memory; the client sends fewer


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about a chunk, and how its answer is asked for again."""

    kind: LlmKind
    chunk: ChunkRow
    picture: Picture | None

    def request(self, settings: Settings, flaw: Flaw | None = None) -> Request:
        return ask.request(self.kind, self.chunk, self.picture, settings.llm, flaw)


@dataclasses.dataclass(frozen=True, slots=True)
class _Outcome:
    """The summary of a chunk; without one, why it was not asked about or has no answer."""

    text: str = ""
    english: str = ""
    model: str = ""
    skip: Skip | None = None
    failed: str = ""
    repaired: bool = False


async def summaries(
    chunks: Sequence[ChunkRow],
    settings: Settings,
    answer: Answer,
    *,
    tags: Mapping[str, str] | None = None,
    look: Look | None = None,
) -> StageOutput:
    """One summary for each chunk of the kinds asked for, in the chunks' order.

    `answer` is awaited for many requests at once. `tags` are labels of pictures by chunk id; `look` opens a chunk's
    picture, on a thread. Raises what every request would meet, after the answers on their way have arrived.
    """
    document = _Document(chunks, settings, tags or {}, look)
    gate = asyncio.Semaphore(_AT_ONCE)
    fatal: list[BaseException] = []

    async def one(chunk: ChunkRow) -> _Outcome:
        async with gate:
            if fatal:
                return _Outcome()
            try:
                question = await document.question(chunk)
                return await _answered(question, settings, answer) if isinstance(question, _Question) else question
            except BaseException as error:
                fatal.append(error)
                raise

    found = await asyncio.gather(*(one(chunk) for chunk in document.wanted), return_exceptions=True)
    if fatal:
        raise fatal[0]
    outcomes = [outcome for outcome in found if isinstance(outcome, _Outcome)]
    return _output(document.wanted, outcomes, settings)


async def requests(
    chunks: Sequence[ChunkRow],
    settings: Settings,
    *,
    tags: Mapping[str, str] | None = None,
    look: Look | None = None,
) -> AsyncIterator[Request]:
    """What `summaries` would ask first, to tell beforehand what it costs."""
    document = _Document(chunks, settings, tags or {}, look)
    for chunk in document.wanted:
        question = await document.question(chunk)
        if isinstance(question, _Question):
            yield question.request(settings)


class _Document:
    """A document's chunks, and what to ask about each."""

    def __init__(
        self, chunks: Sequence[ChunkRow], settings: Settings, tags: Mapping[str, str], look: Look | None
    ) -> None:
        self.wanted = [chunk for chunk in chunks if chunk.kind in settings.summarize.kinds]
        self._skip_tags = settings.llm.skip_tags
        self._tags = tags
        self._look = look
        self._copies = collections.Counter(chunk.media for chunk in chunks)

    async def question(self, chunk: ChunkRow) -> _Question | _Outcome:
        """What to ask, or why nothing is asked."""
        kind = ask.kind_of(chunk)
        if kind is None:
            return _Outcome(skip="other_kind")
        if kind == "text":
            short = tokens.count(chunk.text) < _SHORT
            return _Outcome(skip="short") if short else _Question(kind, chunk, None)
        if kind == "table" and not chunk.text.strip():
            return _Outcome(skip="short")
        seen = await self._picture(chunk) if kind == "image" else None
        if seen is not None and not isinstance(seen, Picture):
            return _Outcome(skip=seen)
        return _Question(kind, chunk, seen)

    async def _picture(self, chunk: ChunkRow) -> Picture | Skip:
        if self._tags.get(chunk.chunk_id) in self._skip_tags:
            return "decoration"
        if chunk.media is None or self._look is None:
            return "no_picture"
        if self._copies[chunk.media] >= _REPEATED:
            return "repeated"
        try:
            return await asyncio.to_thread(self._look, chunk)
        except DocumentError as error:
            if error.transient:
                raise
            return "unreadable"


async def _answered(question: _Question, settings: Settings, answer: Answer) -> _Outcome:
    """The first answer that can be used, of two; the second is asked for with what was wrong with the first."""
    flaw: Flaw | None = None
    for _ in range(2):
        request = question.request(settings, flaw)
        try:
            response = await answer(request)
        except LlmError as error:
            if error.fatal:
                raise
            if not isinstance(error, (RefusedError, EmptyAnswerError)):
                return _Outcome(failed=f"{_REASONS.get(type(error), error.code)} ({error.message[:160]})")
            said: answers.TextAnswer | Flaw = "refused" if isinstance(error, RefusedError) else "empty"
        else:
            said = answers.read(question.kind, response)
        if isinstance(said, answers.TextAnswer):
            text = answers.written(said, question.chunk.context, settings.llm.max_characters)
            return _Outcome(text, answers.english(said), request.model, repaired=flaw is not None)
        flaw = said
    return _Outcome(failed=f"the answer was {flaw}")


_REASONS: Mapping[type[LlmError], str] = {EndpointError: "the endpoint failed"}


def _output(chunks: Sequence[ChunkRow], outcomes: Sequence[_Outcome], settings: Settings) -> StageOutput:
    extracted = extractive.summaries(chunks, settings.summarize.max_characters)
    counts: collections.Counter[str] = collections.Counter()
    failures: collections.Counter[str] = collections.Counter()
    rows: list[SummaryRow] = []
    for chunk, outcome, fallback in zip(chunks, outcomes, extracted, strict=True):
        counts[chunk.kind] += 1
        if outcome.text:
            rows.append(SummaryRow(chunk.chunk_id, outcome.text, f"{METHOD}:{outcome.model}", outcome.english))
            counts["llm"] += 1
            counts["repaired"] += outcome.repaired
            continue
        rows.append(SummaryRow(chunk.chunk_id, fallback, EXTRACTIVE))
        if outcome.skip:
            counts[f"skipped_{outcome.skip}"] += 1
        else:
            counts["fallback"] += 1
            failures[f"{chunk.kind}: {outcome.failed}"] += 1
    info = StageInfo(counts={name: count for name, count in sorted(counts.items()) if count})
    degraded = tuple(f"{count} extractive instead of written, {what}" for what, count in sorted(failures.items()))
    return StageOutput(to_table(rows, SummaryRow), digest(rows, info), info, degraded)
