"""One ingest run around its stages: settings and plan before, publish and report after.

In: SOURCE roots and options. Out: a RunReport. The flow calls `session`, `plan`, the stages, `publish`; a dry run calls
`preview`, which takes no lease and writes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import resource
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from tasks import estimate, progress, recipes
from tasks.containers import Member, run_scratch
from tasks.context import Context, RunSpec, run_context
from tasks.embed import stage_name
from tasks.embed.spaces import Spaces
from tasks.errors import LakeError, UsageError
from tasks.index import MissingTables, Reader, Wanted, publish, unavailable
from tasks.isolation import Workers
from tasks.lake import NO_RELEASE, Lake, Release, current_release, open_lake, write_report
from tasks.lease import Lease, require_free
from tasks.llm import account
from tasks.llm.key import embedding_settings
from tasks.llm.ledger import read_ledger
from tasks.partition.capabilities import resolve_capabilities
from tasks.plan import Plan, PlanOptions, Published, make_plan, settle, update_quarantine
from tasks.quarantine import Quarantine
from tasks.recipes import Recipes
from tasks.report.run import RunReport, make_report, plan_lines
from tasks.report.spend import caps
from tasks.rows import DocumentRow
from tasks.settings import Lane, Settings, load_settings
from tasks.sources import check_root, list_roots, root_uri, unpack_source
from tasks.space_names import ENDPOINT
from tasks.stage import Recipe
from tasks.storage import open_storage
from tasks.summarize import ask
from tasks.work import Shard

_UNPACK_SECONDS = 300.0
_LISTED = 50


def plan_options(
    checksum: bool, restage: bool, prune: bool, allow_mass_delete: bool, only: Sequence[str] | None
) -> PlanOptions:
    chosen = None if only is None else frozenset(only)
    return PlanOptions(checksum, restage, prune, allow_mass_delete, chosen)


def _settings(
    lake: str | None,
    profile: str | None,
    spaces: Sequence[str] | None,
    max_spend: Decimal | None = None,
    lane: Lane = "live",
) -> Settings:
    settings = load_settings(lake=lake, profile=profile, embed={"spaces": tuple(spaces)} if spaces else None)
    resolve_capabilities(settings.partition)
    if settings.profile == "openai":
        account.check(settings.llm, ask.models(settings.llm, settings.summarize.kinds).values(), max_spend)
    elif lane == "batch":
        raise UsageError("--lane batch is for summaries by a model", "add --profile openai, or leave it out")
    if settings.transcribe.enabled:
        speech = settings.transcribe
        account.check(settings.llm.serving_speech(speech), [speech.model], max_spend)
    opener = Spaces(settings)
    for name in settings.embed.spaces:
        opener.open(name)
        if name.startswith(ENDPOINT):
            account.check(embedding_settings(settings), [name.removeprefix(ENDPOINT)], max_spend)
    return settings


def preflight(
    sources: Sequence[str],
    lake: str | None = None,
    profile: str | None = None,
    spaces: Sequence[str] | None = None,
    max_spend: float | None = None,
    max_tokens: int | None = None,
    lane: Lane = "live",
) -> None:
    """Raise now what a run would end with soon after it has started a server: bad settings, no root, no model, a busy
    lake."""
    settings = _settings(lake, profile, spaces, caps(max_spend, max_tokens)[0], lane)
    for source in sources:
        check_root(root_uri(source))
    storage = open_storage(settings.lake)
    _require_writable(Path(settings.lake))
    held: Collection[str] = ()
    models: Mapping[str, str] = {}
    if storage.exists("lake.json"):
        require_free(storage)
        release = current_release(open_lake(settings.lake).storage)
        held, models = release.spaces, release.models
    recipes.with_spaces(settings, Spaces(settings), held, models)


def _require_writable(folder: Path) -> None:
    """Raises LakeError where the lake's folder is a file or cannot be written, or could not be made."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        raise LakeError(f"{nearest} is not a folder, so no lake can be there", "give another folder with --lake")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise LakeError(
            f"the lake's folder {nearest} cannot be written", "mend its permissions, or give another --lake"
        )


class Session:
    """A run that holds the lake's lease."""

    def __init__(
        self, sources: Sequence[str], options: PlanOptions, context: Context, lease: Lease, notes: Sequence[str] = ()
    ) -> None:
        self._notes = notes
        self.spec = context.spec
        self._sources = list(sources)
        self._options = options
        self._context = context
        self._lease = lease
        self._started = time.monotonic()

    def plan(self) -> Plan:
        """What to do: compare the sources with what is published."""
        progress.report("phase", label="plan")
        for note in self._notes:
            progress.report("note", label=note)
        lake, recipe, workers = self._context.lake, self._context.recipes, self._context.workers
        self._refuse_other_models()
        if self.spec.asks:
            spaces, lane = self._context.spaces, self.spec.lane
            plan = _priced_plan(self._sources, self._options, lake, recipe, workers, spaces, lane)
        else:
            plan = _plan(self._sources, self._options, lake, recipe, workers)
        for line in plan_lines(plan, _LISTED) if self.spec.asks else ():
            progress.report("note", label=line)
        recipes = self._context.recipes
        progress.report("planned", "partition", len(plan.work))
        if recipes.transcribe and self.spec.asks:
            spoken = sum(recipes.transcribes(work.media_type) for work in plan.work)
            progress.report("planned", recipes.transcribe.stage, spoken)
        read = ("chunk", *(("tag",) if recipes.tag else ()))
        for stage in (*read, "summarize", "embed") if self.spec.asks else read:
            progress.report("planned", stage, len(plan.work))
        return plan

    def publish(self, plan: Plan, shards: Sequence[Shard]) -> RunReport:
        """Make the finished documents visible to readers, at once and whole, and write the report."""
        progress.report("phase", label="publish")
        outcomes = {state.work.doc_id: state.outcome() for shard in shards for state in shard.documents}
        settled = settle(plan, outcomes)
        lake, spec = self._context.lake, self.spec
        spaces = [self._context.spaces.open(name) for name in spec.settings.embed.spaces]
        dimensions = {space.name: space.dimension for space in spaces}
        models = self._models_of(settled.documents) | {space.name: space.fingerprint for space in spaces}
        documents = self._without_mixed_models(settled.documents)
        wanted = Wanted(settled.rows, documents, dimensions, models)
        release = publish(lake, self._lease, spec.run, wanted)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        update_quarantine(Quarantine(lake.storage), plan, settled, self._context.recipes, spec.run, now)
        seconds = time.monotonic() - self._started
        spend = read_ledger(lake.storage, spec.run)
        report = make_report(spec, release, plan, settled, shards, seconds, self._memory_mb(), spend)
        write_report(lake.storage, spec.run, report.model_dump(mode="json"))
        return report

    def _models_of(self, documents: Sequence[DocumentRow]) -> dict[str, str]:
        """The models of all spaces that documents have vectors in, of those too that readers are not shown now: were
        such a space shown again, its old vectors would be."""
        held = current_release(self._context.lake.storage).models
        made_by = {stage_name(name, model): (name, model) for name, model in held.items()}
        marked = {mark.stage for row in documents for mark in row.stages}
        shown = {recipe.stage for recipe in self._context.recipes.embed.values()}  # a folder that moved has a new name
        return {name: model for stage, (name, model) in made_by.items() if stage in marked - shown}

    def _changed_models(self) -> list[str]:
        """The spaces whose vectors in this lake were made by another model than the one here."""
        held = current_release(self._context.lake.storage).models
        spaces = (self._context.spaces.open(name) for name in self.spec.settings.embed.spaces)
        return [space.name for space in spaces if held.get(space.name, space.fingerprint) != space.fingerprint]

    def _refuse_other_models(self) -> None:
        """Vectors of two models must not meet in one space."""
        changed = self._changed_models()
        if changed and not self._options.restage:
            raise LakeError(
                f"the vectors of space {changed[0]!r} in this lake were made by another model than the one here",
                "run: bindery ingest --restage SOURCE..., with all sources, to embed everything with this one",
            )

    def _without_mixed_models(self, documents: Sequence[DocumentRow]) -> list[DocumentRow]:
        """The documents without the vectors of another model: of those that failed, or are of other sources."""
        kept = list(documents)
        for name in self._changed_models():
            recipe = self._context.recipes.embed[name]
            behind = {row.doc_id for row in kept if not _embedded_by(recipe, row)}
            if behind:
                note = f"of {len(behind)} documents, vectors in space {name} were made by the model before this one"
                progress.report("note", label=f"{note}: they are left out until --restage embeds them again")
            kept = [_without(row, recipe.stage) if row.doc_id in behind else row for row in kept]
        return kept

    def _memory_mb(self) -> dict[str, float]:
        return {
            "parent": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
            "largest_worker": self._context.workers.peak_memory_mb,
        }


def _embedded_by(recipe: Recipe, row: DocumentRow) -> bool:
    vectors, chunks, summaries = (row.mark(stage) for stage in (recipe.stage, "chunk", "summarize"))
    if vectors is None or chunks is None or summaries is None:
        return vectors is None
    return vectors.key == recipe.key(chunks.digest, summaries.digest)


def _without(row: DocumentRow, stage: str) -> DocumentRow:
    return dataclasses.replace(row, stages=tuple(mark for mark in row.stages if mark.stage != stage))


@contextlib.contextmanager
def session(
    sources: Sequence[str],
    options: PlanOptions,
    lake: str | None = None,
    profile: str | None = None,
    spaces: Sequence[str] | None = None,
    max_spend: float | None = None,
    max_tokens: int | None = None,
    lane: Lane = "live",
    asks: bool = True,
) -> Iterator[Session]:
    """A run on a lake, which is created if need be; without `asks` one that ends after tag, and publishes nothing.

    Raises LakeBusyError while another writer holds it.
    """
    most_spend, most_tokens = caps(max_spend, max_tokens)
    settings = _settings(lake, profile, spaces, most_spend, lane)
    opened = open_lake(settings.lake, create=True)
    before = current_release(opened.storage)
    settings, notes = recipes.with_spaces(settings, Spaces(settings), before.spaces, before.models)
    with opened.lease("ingest") as lease:
        spec = RunSpec(
            _run_id(), settings, resolve_capabilities(settings.partition), most_spend, most_tokens, lane, asks
        )
        with run_context(spec) as context:
            yield Session(sources, options, context, lease, notes)


def preview(
    sources: Sequence[str],
    options: PlanOptions,
    lake: str | None = None,
    profile: str | None = None,
    spaces: Sequence[str] | None = None,
    lane: Lane = "live",
) -> tuple[Plan, Release]:
    """The plan and the release it starts from, without changing anything; the lake need not exist yet."""
    settings = _settings(lake, profile, spaces, lane=lane)
    try:
        opened: Lake | None = open_lake(settings.lake)
    except LakeError:
        if Path(settings.lake).exists():
            raise
        opened = None
    before = current_release(opened.storage) if opened else NO_RELEASE
    settings, notes = recipes.with_spaces(settings, Spaces(settings), before.spaces, before.models)
    for note in notes:
        progress.report("note", label=note)
    with run_scratch(), Workers(settings.limits) as workers:
        opener = Spaces(settings)
        found = recipes.resolve(settings, spaces=opener)
        plan = _priced_plan(sources, options, opened, found, workers, opener, lane)
    return plan, before


def _priced_plan(
    sources: Sequence[str],
    options: PlanOptions,
    lake: Lake | None,
    recipe: Recipes,
    workers: Workers,
    spaces: Spaces,
    lane: Lane,
) -> Plan:
    """The plan, with what models would be asked for it."""
    plan = _plan(sources, options, lake, recipe, workers)
    if not estimate.asks(recipe.settings) or not (plan.work or plan.pending):
        return plan
    progress.report("phase", label="estimate")
    storage, limits = lake.storage if lake else None, recipe.settings.limits
    call = functools.partial(workers.call, seconds=limits.seconds_per_document, name="decoding media")
    cost, pending = (estimate.estimate(storage, recipe, work, call, spaces, lane) for work in (plan.work, plan.pending))
    return dataclasses.replace(plan, cost=cost, pending_cost=pending)


def _plan(
    sources: Sequence[str],
    options: PlanOptions,
    lake: Lake | None,
    recipe: Recipes,
    workers: Workers,
) -> Plan:
    limits = recipe.settings.limits

    def unpack(uri: str) -> list[Member]:
        return workers.call(unpack_source, uri, limits, seconds=_UNPACK_SECONDS, name=uri)

    listing = list_roots(list(sources), exclude=recipe.settings.lake)
    known = Quarantine(lake.storage).records if lake else []
    return make_plan(
        sources,
        listing,
        published(lake),
        known,
        recipe,
        options,
        unpack,
        lambda uri: progress.report("scanned", label=uri),
    )


def published(lake: Lake | None) -> Published:
    """What readers of the lake see now."""
    release = current_release(lake.storage) if lake else NO_RELEASE
    if lake is None or release.number == 0:
        return Published({}, {})
    reader = Reader(lake, release)
    try:
        sources, documents = reader.sources(), reader.documents()
    except MissingTables as error:
        progress.report("note", label=f"{error.message}; it is made again from the sources of this run")
        return Published({}, {})
    # What a power cut took, or somebody deleted: such a document counts as not there, so that it is worked on again.
    lost = set(unavailable(lake, list(documents.values()), release.spaces, release.models))
    kept = {doc_id: document for doc_id, document in documents.items() if doc_id not in lost}
    return Published({row.uri: row for row in sources}, kept)


def _run_id() -> str:
    """Sorts by time; the process id keeps two runs of one second apart."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03d}-{os.getpid()}"
