"""The loss ledger adds up, and says when text is lost."""

from __future__ import annotations

import pytest

from tasks.losses import Losses, characters, kept
from tasks.stage import Cost, StageInfo, StageRef


def refs(partition: dict[str, int], chunks: dict[str, int], pages: int = 3) -> tuple[StageRef, StageRef]:
    cost = Cost(1.5, 120)
    return (
        StageRef("partition", "p", "d", 9, info=StageInfo(pages=pages, counts=partition), cost=cost),
        StageRef("chunk", "c", "d", 4, info=StageInfo(pages=pages, counts=chunks)),
    )


def test_characters_are_counted_without_blanks_and_each_once() -> None:
    found = characters(["Net sales\n1,234", "中 文"])
    assert found.total() == 15
    assert kept(found, ["Net sales 1,234", "中文"]) == 15
    assert kept(found, ["Net sales Net sales 1,234"]) == 13, "what stands there twice does not make up for the rest"
    assert kept(found, []) == 0


def test_coverage_and_its_warning() -> None:
    whole = Losses.of(*refs({}, {"characters_elements": 100, "characters_chunks": 100}))
    assert (whole.coverage, whole.warning) == (1.0, "")
    layer = {"characters_layer": 200, "characters_kept": 150, "Table": 2, "NarrativeText": 7, "pages_blank": 1}
    half = Losses.of(*refs(layer, {"characters_elements": 100, "characters_chunks": 80, "text": 3}))
    assert half.coverage == pytest.approx(0.6)
    assert half.warning == "only 60.0% of its text is in chunks; see: bindery status --document"
    assert half.to_json() == {
        "pages": 3, "characters_layer": 200, "characters_kept": 150, "pages_blank": 1,
        "characters_elements": 100, "characters_chunks": 80, "tables": 2, "images": 0,
        "seconds": 1.5, "peak_mb": 120, "coverage": 0.6,
    }  # fmt: skip


def test_the_table_holds_what_does_not_depend_on_the_machine() -> None:
    losses = Losses.of(*refs({"pages_ocr": 1}, {"characters_elements": 5, "characters_chunks": 5}))
    read = Losses.read(losses.written())
    assert "seconds" not in read.entries and read.entries["pages_ocr"] == 1
    assert read.costing(Cost(1.5, 120)) == losses
    assert read.costing(Cost()) == read
