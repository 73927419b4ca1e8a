"""The stages as Prefect tasks: thin, one run per shard, exchanging references.

They live here and not in the stage modules because importing Prefect takes over a second, and the commands that only
read import those modules.
"""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import asking, shards
from tasks.context import RunSpec
from tasks.work import Shard


# No Prefect cache: a stage file that exists is done, and nothing may invent a second way.
@task(task_run_name="partition-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def partition(spec: RunSpec, shard: Shard) -> Shard:
    """Documents to elements, in worker processes."""
    return shards.partition(spec, shard)


@task(task_run_name="transcribe-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def transcribe(spec: RunSpec, shard: Shard) -> Shard:
    """What is said in recordings, by an endpoint; runs where transcripts are asked for."""
    return shards.transcribe(spec, shard)


@task(task_run_name="chunk-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def chunk(spec: RunSpec, shard: Shard) -> Shard:
    """Elements to chunks: text runs, tables, pictures, recordings."""
    return shards.chunk(spec, shard)


@task(task_run_name="tag-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def tag(spec: RunSpec, shard: Shard) -> Shard:
    """Pictures to zero-shot labels; runs where tags are asked for."""
    return shards.tag(spec, shard)


@task(task_run_name="collect", cache_policy=NO_CACHE, persist_result=False)
def collect(spec: RunSpec) -> None:
    """What batches of earlier runs have answered by now."""
    asking.collect(spec)


@task(task_run_name="ask", cache_policy=NO_CACHE, persist_result=False)
def ask(spec: RunSpec, all_shards: list[Shard]) -> None:
    """Chunks to requests to batches to answers: one task for all shards, in the batch lane."""
    asking.ask(spec, all_shards)


@task(task_run_name="summarize-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def summarize(spec: RunSpec, shard: Shard) -> Shard:
    """A short text that stands for a chunk in search."""
    return shards.summarize(spec, shard)


@task(task_run_name="embed-{shard.number}", cache_policy=NO_CACHE, persist_result=False)
def embed(spec: RunSpec, shard: Shard) -> Shard:
    """Chunks and summaries to vectors, batched over the shard."""
    return shards.embed(spec, shard)
