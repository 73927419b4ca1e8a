"""query: question → retrieve → synthesize → Answer; the thin flow that downstream jobs invoke.

    answer = run_deployment("query/query", parameters={"question": "..."}).state.result()

The result is persisted, so that a caller in another process gets the typed `Answer` back.
"""

from __future__ import annotations

from prefect import flow

from tasks.answer import Answer
from tasks.lake import open_lake
from tasks.retrieve import retrieve
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
) -> Answer:
    """Answer a question from the lake's current release, with citations; the filters are those of retrieve."""
    found = retrieve(
        open_lake(load_settings(lake=lake).lake), question, k=k, kinds=tuple(kinds or ()),
        sources=tuple(sources or ()), tags=tuple(tags or ()), groups=tuple(groups or ()), pages=tuple(pages or ()),
        since=since, until=until,
    )  # fmt: skip
    return synthesize(question, found)
