"""A lake folder and a call of one family on one file, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.partition.context import PartContext
from tasks.partition.document import FAMILIES
from tasks.partition.finish import finish
from tasks.rows import ElementRow
from tasks.settings import Limits, PartitionSettings
from tasks.storage import LocalStorage

Partition = Callable[..., tuple[list[ElementRow], PartContext]]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "lake")


@pytest.fixture
def partition(storage: LocalStorage) -> Partition:
    def run(
        path: Path, media_type: str, limits: Limits | None = None, ocr: bool = True, max_pixels: int = 100_000_000
    ) -> tuple[list[ElementRow], PartContext]:
        context = PartContext(storage, PartitionSettings(max_pixels=max_pixels), limits or Limits(), media_type, ocr)
        rows = FAMILIES[media_type](path, context)
        return finish(rows, context.hints, context.pages), context

    return run
