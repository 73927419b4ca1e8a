"""query: question → retrieve → synthesize → Answer; the thin flow that downstream jobs invoke.

    answer = run_deployment("query/query", parameters={"question": "..."}).state.result()

The result is persisted, so that a caller in another process gets the typed `Answer` back.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from tasks.answer import Answer
from tasks.embed.spaces import Spaces
from tasks.lake import current_release, open_lake
from tasks.query import Query, term_from_json
from tasks.retrieve import retrieve, text_spaces
from tasks.settings import load_settings
from tasks.synthesize import synthesize


# Compressed, because Prefect 3.8 takes plain JSON that its serializer wrote for a record of its own and returns a dict;
# JSON, because a pickle is no contract between jobs.
@flow(name="query", flow_run_name="query-{question}", persist_result=True, result_serializer="compressed/json")
def query(
    question: str,
    lake: str | None = None,
    k: int = 10,
    kinds: list[str] | None = None,
    sources: list[str] | None = None,
    tags: list[str] | None = None,
    groups: list[str] | None = None,
    pages: list[int] | None = None,
    since: str | None = None,
    until: str | None = None,
    spaces: list[str] | None = None,
    terms: list[dict[str, Any]] | None = None,
    picture_tags: list[str] | None = None,
) -> Answer:
    """Answer a question from the lake's current release, with citations; the filters are those of retrieve.

    Evidence is looked for by the question and by further terms, each `{"text": ...}` or `{"path": ...}` of a file that
    the worker can read, with a `weight` and for files a `modality` where they are not the usual. A question of words
    alone is put to the spaces of text, unless `spaces` names others.
    """
    opened = open_lake(load_settings(lake=lake).lake)
    release = current_release(opened.storage)
    asked = Query((*Query.of(question).terms, *(term_from_json(term) for term in terms or ())))
    with Spaces.for_queries(opened.storage) as open_spaces:
        text = () if asked.needs_media_space else text_spaces(release, open_spaces.open)
        found = retrieve(
            opened, asked, k=k, kinds=tuple(kinds or ()), sources=tuple(sources or ()), tags=tuple(tags or ()),
            groups=tuple(groups or ()), pages=tuple(pages or ()), since=since, until=until, release=release,
            picture_tags=tuple(picture_tags or ()),
            spaces=tuple(spaces or text), open_space=open_spaces.open,
        )  # fmt: skip
    return synthesize(question, found)
