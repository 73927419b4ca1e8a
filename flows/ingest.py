"""ingest: sources → plan → partition → chunk → (tag) → summarize → embed → publish

    bindery ingest SOURCE...                        # this flow in this process, on Prefect's embedded server
    prefect deployment run ingest/ingest -p sources='["/data/reports"]'

Shards stream: a shard's next stage starts when its last one ends, so that stages of different shards overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows import steps
from tasks import ingest as run
from tasks.report.run import RunReport, plan_markdown, result_rows
from tasks.settings import Profile
from tasks.work import Shard, make_shards

# Four stages of four shards at a time. Threads wait for worker processes and native code, so they may outnumber cores.
_THREADS = 16
_NAMED = 3


def _run_name() -> str:
    """Readable in Prefect's UI: the last part of the first sources."""
    sources = [str(source) for source in flow_run.parameters["sources"]]
    names = ", ".join(Path(source).name or source for source in sources[:_NAMED])
    return f"ingest {names}" + (f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else "")


@flow(
    name="ingest",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=_THREADS),  # type: ignore[arg-type]  # invariant upstream
    persist_result=True,
    result_serializer="compressed/json",  # as in flows/query.py
)
def ingest(
    sources: list[str],
    lake: str | None = None,
    profile: Profile | None = None,
    checksum: bool = False,
    restage: bool = False,
    prune: bool = True,
    allow_mass_delete: bool = False,
    only: list[str] | None = None,
    spaces: list[str] | None = None,
    max_spend: float | None = None,
    max_tokens: int | None = None,
) -> RunReport:
    """Bring the index up to date with these sources and publish a release.

    Args:
        sources: files and folders; what was published from below them and is no longer there is removed.
        lake: the folder that holds everything bindery keeps.
        profile: `local` needs no key, server or download; `openai` has summaries written by a model.
        checksum: read every file instead of trusting its size and time stamp.
        restage: also redo documents whose settings, models or software changed.
        prune: remove sources that are gone.
        allow_mass_delete: allow that more than a fifth of a root's documents is removed.
        only: restrict the run to these files below the sources.
        spaces: the embedding spaces, `endpoint:MODEL` and `path:FOLDER` among them; every one whose model is at hand
            where none is named.
        max_spend: dollars that this run may spend on calls of models; what then lacks a summary or vectors is left for
            the next run.
        max_tokens: the same in tokens.

    Returns:
        The report of the run, as also kept in the lake under `runs/`.
    """
    options = run.plan_options(checksum, restage, prune, allow_mass_delete, only)
    with run.session(
        sources, options, lake=lake, profile=profile, spaces=spaces, max_spend=max_spend, max_tokens=max_tokens
    ) as session:
        plan = session.plan()
        create_markdown_artifact(plan_markdown(plan), key="bindery-plan", description="What this run will do")
        chains: list[list[PrefectFuture[Shard]]] = []
        for shard in make_shards(plan.work):
            parts = steps.partition.submit(session.spec, shard)
            chunks = steps.chunk.submit(session.spec, parts)  # type: ignore[call-overload]  # a future is its result
            tagged = [steps.tag.submit(session.spec, chunks)] if session.spec.settings.tag.enabled else []
            summaries = steps.summarize.submit(session.spec, [chunks, *tagged][-1])
            vectors = steps.embed.submit(session.spec, summaries)  # type: ignore[call-overload]
            chains.append([parts, chunks, *tagged, summaries, vectors])
        report = session.publish(plan, [_result(chain) for chain in chains])
    create_table_artifact(result_rows(report), key="bindery-result", description=report.headline)
    return report


def _result(chain: Sequence[PrefectFuture[Shard]]) -> Shard:
    """The shard after its last stage. Raises the error of the first that failed; those after it only never began."""
    return [future.result() for future in chain][-1]
