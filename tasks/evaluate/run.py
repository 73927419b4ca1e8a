"""Questions asked of a release: each one's ranking of pages and documents, and where its gold stands in it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

from tasks import progress
from tasks.embed import spaces as embed_spaces
from tasks.evaluate.evaluation import Evaluation, Page, QuestionResult, summarized
from tasks.evaluate.metrics import DEPTH
from tasks.evaluate.questions import Question
from tasks.index import open_reader
from tasks.lake import Lake, Release, current_release
from tasks.query_spaces import QuerySpace, text_spaces
from tasks.result import Hit, SearchResult
from tasks.retrieve import retrieve

_FIRST_HITS = 4 * DEPTH
_MOST_HITS = 64 * DEPTH  # where many chunks of few pages come first
Search = Callable[[str, int], SearchResult]  # a question and how many hits


def evaluate(
    lake: Lake,
    questions: Sequence[Question],
    release: Release | None = None,
    spaces: Sequence[str] = (),
    open_space: Callable[[str], QuerySpace] | None = None,
) -> Evaluation:
    """Ask every question of a release (by default the current one), as `bindery ask` would, and measure.

    Raises UsageError and LakeError as `retrieve` does.
    """
    if open_space is None:
        with embed_spaces.Spaces.for_queries(lake.storage) as opened:
            return evaluate(lake, questions, release, spaces, opened.open)
    release = release or current_release(lake.storage)
    chosen = tuple(spaces) or text_spaces(release, open_space)

    def search(question: str, k: int) -> SearchResult:
        return retrieve(lake, question, k=k, release=release, spaces=chosen, open_space=open_space)

    uris = [row.uri for row in open_reader(lake, release).sources()]
    answerable = [question for question in questions if question.answerable]
    missing = sorted({doc for question in answerable for doc in question.docs if not any(_is(u, doc) for u in uris)})
    results: list[QuestionResult] = []
    progress.report("planned", "evaluate", len(answerable))
    for question in answerable:
        results.append(ask(question, search))
        progress.report("done", "evaluate", label=question.id)
    return Evaluation(
        release=release.number,
        spaces=chosen,
        questions=tuple(results),
        measures=summarized(results),
        unanswerable=len(questions) - len(answerable),
        missing=tuple(missing),
    )


def ask(question: Question, search: Search) -> QuestionResult:
    """Where a question's gold stands among the first pages and documents that a search gives."""
    started = time.perf_counter()
    k = _FIRST_HITS
    while True:
        hits = search(question.question, k).hits
        pages = ranked_pages(hits)
        if len(pages) >= DEPTH or len(hits) < k or k >= _MOST_HITS:
            break
        k *= 4
    seconds = time.perf_counter() - started
    gold = [(doc, page) for doc in question.docs for page in question.pages]
    return QuestionResult(
        id=question.id,
        question=question.question,
        groups=question.groups,
        page_ranks=tuple(_rank(at.page == page and at.of(doc) for at in pages) for doc, page in gold),
        document_ranks=tuple(_rank(at.of(doc) for at in _documents(pages)) for doc in question.docs),
        found=tuple(Page(source=place.sources[0], page=place.page) for place in pages[:DEPTH]),
        seconds=seconds,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A page of a document, which can have several sources."""

    doc_id: str
    sources: tuple[str, ...]
    page: int | None

    def of(self, doc: str) -> bool:
        """Whether a question calls the document so."""
        return any(_is(source, doc) for source in self.sources)


def ranked_pages(hits: Iterable[Hit]) -> list[Place]:
    """The distinct pages of hits, best first; a chunk on several pages gives them in order."""
    found: dict[tuple[str, int | None], Place] = {}
    for hit in hits:
        for page in hit.chunk.pages or (None,):
            if hit.sources:
                found.setdefault((hit.chunk.doc_id, page), Place(hit.chunk.doc_id, hit.sources, page))
    return list(found.values())


def _documents(pages: Iterable[Place]) -> list[Place]:
    found: dict[str, Place] = {}
    for place in pages:
        found.setdefault(place.doc_id, place)
    return list(found.values())


def _rank(are_gold: Iterable[bool]) -> int | None:
    return next((rank for rank, is_gold in enumerate(are_gold, start=1) if is_gold), None)


def _is(source: str, doc: str) -> bool:
    return source == doc or source.endswith(f"/{doc}")
