"""Any sequence of file operations, restages and ingests leaves what a rebuild from scratch would make."""

import os
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.plan import Published
from tasks.quarantine import Quarantine
from tests.plan.world import World, make_recipes

NAMES = ("a.txt", "b.md", "c.csv", "sub/a.txt", "sub/d.html", "odd' name\n.txt", "skip.xyz", "p.zip", "q.zip")
CONTENTS = (b"one", b"two", b"a,b\n1,2\n", b"FAIL here", b"WEAK one", b"")
# In a container: nested archives too, so that members of members come and go.
PACKED = (("x.txt", b"one"), ("x.txt", b"FAIL here"), ("y.txt", b"two"), ("z.xyz", b"?"), ("in.zip", b"nested"))

names = st.sampled_from(NAMES)
operations = st.one_of(
    st.tuples(st.just("write"), names, st.sampled_from(CONTENTS)),
    st.tuples(st.just("pack"), st.sampled_from(("p.zip", "q.zip")), st.lists(st.sampled_from(PACKED), max_size=4)),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("copy"), names, names),
    st.tuples(st.just("delete"), names, st.none()),
    st.tuples(st.just("sidecar"), names, st.sampled_from((b'{"tags": ["t"]}', b"{}", b"broken"))),
    st.tuples(st.just("touch"), names, st.none()),
    st.tuples(st.just("retry"), st.none(), st.none()),
    st.tuples(st.just("settings"), st.sampled_from((128, 256)), st.booleans()),
    st.tuples(st.just("ingest"), st.sampled_from(("", "sub")), st.none()),
)


def _zip(path: Path, members: list[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(members):
            if data == b"nested":
                _zip(path.with_suffix(".inner"), [("deep.txt", b"deep"), ("bad.txt", b"FAIL deep")])
                data = path.with_suffix(".inner").read_bytes()
                path.with_suffix(".inner").unlink()
            archive.writestr(zipfile.ZipInfo(f"{number}-{name}"), data)


class Folder:
    """The files, and a clock that gives each change a time stamp of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 1_700_000_000_123_456_789
        (root / "sub").mkdir(parents=True)

    def stamp(self, path: Path) -> None:
        self.clock += 1_000_000
        os.utime(path, ns=(self.clock, self.clock))

    def apply(self, operation: tuple[str, object, object]) -> None:
        kind, first, second = operation
        path = self.root / str(first)
        if kind == "write" and isinstance(second, bytes):
            path.write_bytes(second)
        elif kind == "pack" and isinstance(second, list):
            _zip(path, second)
        elif kind == "sidecar" and isinstance(second, bytes):
            path = path.with_name(path.name + ".meta.json")
            path.write_bytes(second)
        elif kind in ("rename", "copy") and path.exists() and second != first:
            target = self.root / str(second)
            path.rename(target) if kind == "rename" else shutil.copy(path, target)
            path = target if kind == "copy" else path
        elif kind == "delete":
            path.unlink(missing_ok=True)
        if path.is_file() and kind != "rename":  # a rename keeps its stamp, as file systems do
            self.stamp(path)


def _comparable(world: World) -> tuple[object, ...]:
    sources = sorted(
        (row.uri, row.parent or "", row.doc_id, row.media_type, row.size, row.tags, row.skipped)
        for row in world.published.sources.values()
    )
    documents = sorted(world.published.documents.values(), key=lambda row: row.doc_id)
    held = sorted(
        (record.doc_id, record.media_type, record.code, tuple(source.uri for source in record.sources))
        for record in Quarantine(world.storage).records
    )
    return sources, documents, held


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(operations, min_size=3, max_size=25))
def test_equals_a_rebuild(sequence: list[tuple[str, object, object]]) -> None:
    with TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch, "docs"))
        world = World(Path(scratch, "lake"))
        world.ageing = False
        failed_after_success = False
        for operation in sequence:
            kind, first, second = operation
            if kind == "ingest":
                world.ingest(folder.root / str(first), allow_mass_delete=True)
            elif kind == "settings" and isinstance(first, int):
                world.recipe = make_recipes(max_tokens=first)
                if second:
                    world.ingest(folder.root, restage=True, allow_mass_delete=True)
            elif kind == "retry":
                quarantine = Quarantine(world.storage)
                quarantine.forget_key(quarantine.records)
            else:
                folder.apply(operation)
        # What failed keeps its last good version, which a rebuild cannot know: compare after those are gone.
        world.ingest(folder.root, restage=True, allow_mass_delete=True)
        for source in [row for row in world.plan(folder.root).sources if row.status == "quarantined"]:
            failed_after_success |= source.previous is not None
        rebuilt = World(Path(scratch, "lake2"), world.recipe)
        rebuilt.ageing = False
        rebuilt.ingest(folder.root)
        if failed_after_success:
            _forget_kept_versions(world)
        assert _comparable(world) == _comparable(rebuilt)
        degraded = {doc_id for doc_id, document in rebuilt.published.documents.items() if document.degraded}
        assert {work.doc_id for work in rebuilt.plan(folder.root).work} == degraded
        assert all(s.known for s in rebuilt.plan(folder.root).sources if s.status == "quarantined")


def _forget_kept_versions(world: World) -> None:
    """Drop what is still published for sources whose present content is in quarantine, members included."""
    held = {source.uri for record in Quarantine(world.storage).records for source in record.sources}
    sources = {
        uri: row
        for uri, row in world.published.sources.items()
        if not any(uri == other or uri.startswith(other + "!/") for other in held)
    }
    used = {row.doc_id for row in sources.values() if not row.skipped}
    world.published = Published(sources, {k: v for k, v in world.published.documents.items() if k in used})
