"""bindery as a measured system: the stages of the ingest flow, each over all files before the next, without Prefect.

In: a job file. Out: events for the meter. Run by `benchmarks.ingest`; settings come from the environment as ever.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pyarrow.compute as pc

from benchmarks.channel import Channel, Count, Job, Result
from tasks import ingest, shards, stage
from tasks.embed.spaces import open_space
from tasks.lake import open_lake
from tasks.plan import Plan
from tasks.stage import StageRef
from tasks.work import DocumentState, Shard, make_shards

_STAGES = {
    "partition": shards.partition,
    "chunk": shards.chunk,
    "summarize": shards.summarize,
    "embed": shards.embed,
}
_PACKAGES = ("pypdfium2", "rapidocr", "onnxruntime", "lancedb", "pyarrow")


def warm_up() -> None:
    """What happens once per machine and not once per run: the embedding model is converted and cached."""
    open_space("minilm").embed_texts(["warm"])


def run(job: Job, channel: Channel) -> None:
    options = ingest.plan_options(checksum=False, restage=False, prune=True, allow_mass_delete=False, only=None)
    lake = str(Path(job.folder) / "lake")
    with ingest.session(job.files, options, lake=lake) as session:
        with channel.stage("plan") as count:
            plan = session.plan()
            count.documents = len(plan.work)
        work = make_shards(plan.work)
        for name, step in _STAGES.items():
            with channel.stage(name) as count:
                work = [step(session.spec, shard) for shard in work]
                _fill(count, work)
        with channel.stage("publish") as count:
            session.publish(plan, work)
            _fill(count, work)
        ocr = session.spec.settings.partition.ocr
        workers = session.spec.settings.limits.workers
    notes = (f"OCR {'on' if ocr else 'off'}, {workers} worker processes",)
    channel.result(_result(lake, plan, work, notes))


def _states(work: list[Shard]) -> list[DocumentState]:
    return [state for shard in work for state in shard.documents]


def _fill(count: Count, work: list[Shard]) -> None:
    live = [state for state in _states(work) if state.failure is None]
    count.documents = len(live)
    count.pages = sum(state.ref("partition").info.pages for state in live)


def _result(lake: str, plan: Plan, work: list[Shard], notes: tuple[str, ...]) -> Result:
    states = _states(work)
    live = [state for state in states if state.failure is None]
    chunks = [state.ref("chunk") for state in live]
    left_out = {source.uri: source.reason for source in plan.sources if source.skipped_or_failed}
    for state in states:
        if state.failure is not None:
            left_out[state.work.uri] = f"{state.failure.stage}: {state.failure.error.message}"
    return Result(
        documents=len(live),
        pages=sum(ref.info.pages for ref in chunks),
        pages_with_text=sum(_pages_with_text(lake, ref) for ref in chunks),
        chunks=sum(ref.rows for ref in chunks),
        characters=sum(ref.info.characters for ref in chunks),
        vectors=sum(ref.rows for state in live for ref in state.refs if ref.stage.startswith("embed")),
        left_out=left_out,
        versions={name: metadata.version(name) for name in _PACKAGES},
        notes=notes,
    )


def _pages_with_text(lake: str, chunks: StageRef) -> int:
    table = stage.load(open_lake(lake).storage, chunks)
    written = table.filter(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(table["text"])), 0))
    return len(pc.unique(pc.list_flatten(written["pages"])))


def main() -> None:
    if sys.argv[1] == "--warm-up":
        warm_up()
    else:
        channel = Channel()
        run(Job.read(Path(sys.argv[1])), channel)
