"""What a power cut or a careless hand can take from a lake comes back with the next ingest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pipeline import contents, ingest, inline, statuses


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"# Note {name}\n\nThe gauge at {name} reads well.\n")
    return folder


def test_a_lost_index_is_made_again_from_the_stage_files(docs: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with inline():
        ingest([docs], lake)
        before = contents(lake)
        stage_files = {path: path.stat().st_mtime_ns for path in (lake / "stages").rglob("*.parquet")}
        shutil.rmtree(lake / "index")
        report = ingest([docs], lake)
    assert contents(lake) == before and report.release == 2
    assert {path: path.stat().st_mtime_ns for path in stage_files} == stage_files


def test_a_lost_index_and_stage_file_are_made_again(docs: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with inline():
        ingest([docs], lake)
        before = contents(lake)
        shutil.rmtree(lake / "index")
        for path in (lake / "stages" / "chunk").iterdir():
            path.write_bytes(path.read_bytes()[:100])
        ingest([docs], lake)
    assert contents(lake) == before


def test_rows_lost_with_their_stage_file_are_worked_on_again(docs: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    with inline():
        ingest([docs], lake)
        before = contents(lake)
        shutil.rmtree(lake / "index" / "chunks.lance")
        victim = next((lake / "stages" / "chunk").iterdir())
        victim.unlink()
        report = ingest([docs], lake)
    assert contents(lake) == before and victim.exists()
    assert sorted(statuses(report, docs).values()) == ["restaged", "unchanged", "unchanged"]
    with inline():
        assert ingest([docs], lake).counts["processed"] == 0
