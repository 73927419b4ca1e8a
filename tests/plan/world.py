"""A lake without an index, for tests of the plan: real files, listing, plan, settling and quarantine; the stages are a
fake that derives a document's marks from its id, and fails for contents that begin with `FAIL`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tasks import recipes
from tasks.containers import Member
from tasks.errors import DocumentError
from tasks.plan import Plan, PlanOptions, Published, Settled, make_plan, settle, update_quarantine
from tasks.quarantine import Quarantine
from tasks.recipes import Recipes
from tasks.rows import DocumentRow, StageMark, content_id
from tasks.settings import ChunkSettings, Limits, load_settings
from tasks.sources import list_roots, open_source, unpack_source
from tasks.storage import LocalStorage
from tasks.work import LEFT, DocumentWork, Failure


def make_recipes(max_tokens: int = 256, limits: Limits | None = None) -> Recipes:
    return recipes.resolve(
        load_settings(chunk=ChunkSettings(max_tokens=max_tokens), limits=limits or Limits(workers=1))
    )


def fake_outcome(work: DocumentWork, recipe: Recipes) -> DocumentRow | Failure:
    """What the stages would make of a document: marks that depend on its content and the recipes alone."""
    with open_source(work.uri, recipe.settings.limits) as path:
        content = path.read_bytes()
    if content.startswith(b"BUSY"):
        return Failure("partition", DocumentError("lake_full", "no space", "free some"))
    if content.startswith(b"FAIL"):
        return Failure("partition", DocumentError("malformed", "it says so", "mend it"))
    parts = StageMark("partition", recipe.partition(work.media_type).key(work.doc_id, work.media_type), _hash(work))
    chunks = StageMark("chunk", recipe.chunk.key(work.doc_id, parts.digest), content_id("c", work.doc_id))
    summaries = StageMark("summarize", recipe.summarize.key(chunks.digest), content_id("s", work.doc_id))
    embeds = [
        StageMark(each.stage, each.key(chunks.digest, summaries.digest), content_id("e", work.doc_id))
        for each in recipe.embed.values()
    ]
    return DocumentRow(
        work.doc_id, work.media_type, work.size, "", 1, len(content), 1, content.startswith(b"WEAK"),
        (parts, chunks, summaries, *embeds),
    )  # fmt: skip


def _hash(work: DocumentWork) -> str:
    return content_id("p", work.doc_id, work.media_type)


class World:
    """Ingests folders into memory. `reads` and `worked` tell what the last ingest did."""

    def __init__(self, lake: Path, recipe: Recipes | None = None) -> None:
        self.recipe = recipe or make_recipes()
        self.storage = LocalStorage(lake)
        self.published = Published({}, {})
        self.unpacked: list[str] = []
        self.runs = 0
        self.ageing = True
        self.budget = True  # without it, the stages leave whatever begins with `DEAR`

    def plan(self, *roots: Path | str, checksum: bool = False, restage: bool = False, prune: bool = True,
             allow_mass_delete: bool = False, only: Sequence[str] | None = None) -> Plan:  # fmt: skip
        options = PlanOptions(checksum, restage, prune, allow_mass_delete, None if only is None else frozenset(only))
        self.unpacked = []

        def unpack(uri: str) -> list[Member]:
            self.unpacked.append(uri)
            return unpack_source(uri, self.recipe.settings.limits)

        given = [str(root) for root in roots]
        listing = list_roots(given, exclude=self.storage.root)
        records = Quarantine(self.storage).records
        return make_plan(given, listing, self.published, records, self.recipe, options, unpack)

    def ingest(self, *roots: Path | str, **options: bool) -> Settled:
        if self.ageing:
            for root in roots:
                _age(Path(root))  # nothing, where the root is gone
        plan = self.plan(*roots, **options)  # type: ignore[arg-type]
        self.worked = [work.uri for work in plan.work]
        outcomes = {work.doc_id: fake_outcome(work, self.recipe) for work in plan.work}
        for work in plan.work if not self.budget else ():
            with open_source(work.uri, self.recipe.settings.limits) as path:
                if path.read_bytes().startswith(b"DEAR"):
                    outcomes[work.doc_id] = Failure("summarize", DocumentError(LEFT, "no money", "earn some"))
        settled = settle(plan, outcomes)
        self.runs += 1
        update_quarantine(Quarantine(self.storage), plan, settled, self.recipe, f"run-{self.runs}", "now")
        self.published = Published(
            {row.uri: row for row in settled.rows}, {document.doc_id: document for document in settled.documents}
        )
        return settled


def _age(root: Path) -> None:
    """Set the time stamps of files written just now back, so that they count as settled."""
    for path in [root, *root.rglob("*")]:
        if not path.is_file():
            continue
        info = path.stat()
        if time.time_ns() - info.st_mtime_ns < 5e9:
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns - 10**10))


def marks(settled: Settled | Plan, root: Path) -> dict[str, str]:
    """Status by path below the root."""
    return {source.uri.removeprefix(f"{root}/"): source.status for source in settled.sources}
