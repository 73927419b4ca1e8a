"""ingest: sources → plan → partition → (transcribe) → chunk → (tag) → summarize → embed → publish

    bindery ingest SOURCE...                        # this flow in this process, on Prefect's embedded server
    prefect deployment run ingest/ingest -p sources='["/data/reports"]'

Shards stream: a shard's next stage starts when its last one ends, so that stages of different shards overlap. In the
batch lane there is one step, `ask`, between the chunks of all shards and the summaries of any.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows import steps
from tasks import ingest as run
from tasks.context import RunSpec
from tasks.report.run import RunReport, plan_markdown, result_rows
from tasks.settings import Lane, Profile
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
    lane: Lane = "live",
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
        lane: `batch` has the model asked through the endpoint's Batch API, for half the price and within a day.

    Returns:
        The report of the run, as also kept in the lake under `runs/`.
    """
    options = run.plan_options(checksum, restage, prune, allow_mass_delete, only)
    with run.session(
        sources,
        options,
        lake=lake,
        profile=profile,
        spaces=spaces,
        max_spend=max_spend,
        max_tokens=max_tokens,
        lane=lane,
    ) as session:
        plan = session.plan()
        create_markdown_artifact(plan_markdown(plan), key="bindery-plan", description="What this run will do")
        spec = session.spec
        collected = [steps.collect.submit(spec)] if spec.settings.profile == "openai" else []
        made: list[PrefectFuture[Any]] = [*collected]  # in an order in which each comes after those that it waits for
        done: list[PrefectFuture[Shard]] = []
        if lane == "live":
            for shard in make_shards(plan.work):
                made += _chunked(spec, shard)
                made += _embedded(spec, made[-1], collected)
                done.append(made[-1])
        else:
            chains = [_chunked(spec, shard) for shard in make_shards(plan.work)]
            asked = steps.ask.submit(spec, [chain[-1] for chain in chains], wait_for=collected)  # type: ignore[call-overload]
            made += [*itertools.chain(*chains), asked]
            for chain in chains:
                made += _embedded(spec, chain[-1], [asked])
                done.append(made[-1])
        for future in made:
            future.result()  # raises the error of the first that failed; those after it only never began
        report = session.publish(plan, [future.result() for future in done])
    create_table_artifact(result_rows(report), key="bindery-result", description=report.headline)
    return report


def _chunked(spec: RunSpec, shard: Shard) -> list[PrefectFuture[Shard]]:
    made = [steps.partition.submit(spec, shard)]
    if spec.settings.transcribe.enabled:
        made.append(steps.transcribe.submit(spec, made[-1]))  # type: ignore[call-overload]  # a future is its result
    made.append(steps.chunk.submit(spec, made[-1]))  # type: ignore[call-overload]
    if spec.settings.tag.enabled:
        made.append(steps.tag.submit(spec, made[-1]))  # type: ignore[call-overload]
    return made


def _embedded(
    spec: RunSpec, chunks: PrefectFuture[Shard], after: Sequence[PrefectFuture[None]]
) -> list[PrefectFuture[Shard]]:
    summaries = steps.summarize.submit(spec, chunks, wait_for=after)  # type: ignore[call-overload]
    return [summaries, steps.embed.submit(spec, summaries)]
