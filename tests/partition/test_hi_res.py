"""The route hi_res: unstructured's own code over stand-ins for its models, rows as those of the default route.

The models' real weights are not here. FakeLayout finds the same boxes on every page; FakeTables was taught to see one
grid in one picture (`hi_res_models`). All else is what a user's run is made of.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image

from tasks import partition, stage
from tasks.errors import DocumentError
from tasks.isolation import Workers
from tasks.partition.capabilities import resolve_capabilities
from tasks.partition.context import PartContext
from tasks.partition.detect import PDF
from tasks.partition.document import FAMILIES, PART
from tasks.partition.finish import finish
from tasks.partition.hi_res import installed
from tasks.partition.spans import Span
from tasks.rows import ElementRow, from_table
from tasks.settings import HiResSettings, Limits, PartitionSettings, Settings
from tasks.storage import LocalStorage
from tests.files import picture
from tests.partition.hi_res_models import fake_layout, fake_tables, needs_hi_res, save_tables, teach
from tests.partition.hi_res_report import CELLS, COLUMNS, FOUND, GRID, LINES, TABLE, make_report
from tests.partition.test_stage import work_for

pytestmark = needs_hi_res


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FakeTables that sees no table anywhere."""
    return fake_tables(tmp_path_factory.mktemp("untaught"))


@pytest.fixture(scope="module")
def models(untaught: Path, tmp_path_factory: pytest.TempPathFactory) -> HiResSettings:
    """FakeLayout, and FakeTables that sees the grid of `make_report` as the layout model shows it."""
    from tasks.partition.hi_res import structure
    from tasks.partition.hi_res.table_model import table_agent

    folder = tmp_path_factory.mktemp("models")
    layout = fake_layout(folder / "layout.onnx", FOUND)
    shown: list[Image.Image] = []

    class Watching:
        def predict(self, crop: Image.Image, **_: Any) -> str:
            shown.append(crop)
            return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "table_agent", lambda model: Watching())
        settings = HiResSettings(layout_model=str(layout), table_model=str(untaught))
        rows_of(make_report(folder / "a.pdf"), settings, LocalStorage(folder / "lake"))
    agent = table_agent(str(untaught))
    teach(agent, shown[0], GRID)
    taught = save_tables(agent.model, folder / "tables")
    table_agent.cache_clear()  # what was taught is no longer what the file holds
    return HiResSettings(layout_model=str(layout), table_model=str(taught))


def rows_of(
    path: Path, models: HiResSettings, storage: LocalStorage, media_type: str = PDF, route: str = "hi_res"
) -> tuple[list[ElementRow], PartContext]:
    """The document's rows, made in this process."""
    settings = PartitionSettings.model_validate({"route": route, "hi_res": models})
    context = PartContext(storage, settings, Limits(), media_type)
    rows = FAMILIES[media_type](path, context)
    return finish(rows, context.hints, context.pages, context.counts), context


def test_regions_become_the_rows_of_the_default_route(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("something wants the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    rows, context = rows_of(make_report(tmp_path / "a.pdf"), models, storage)
    assert [(row.category, row.level, row.text) for row in rows] == [
        ("Title", 0, "Shipments of gauges"),
        ("NarrativeText", None, "Shipments rose in all harbours but one."),
        ("FigureCaption", None, "Table 1: Ports"),
        ("Table", None, f"Table 1: Ports\n{TABLE}"),
        ("Image", None, "Quay"),
        ("UncategorizedText", None, "Beside the drawing"),
        ("Image", None, ""),
        ("NarrativeText", None, "1 Without the ports of the south."),
    ]
    assert context.warnings == [] and {row.origin for row in rows if not row.media} == {"text-layer"}
    table = rows[3]
    assert table.html == (
        "<table><caption>Table 1: Ports</caption><thead><tr><th>Port</th><th>2023</th><th>2022</th></tr></thead>"
        "<tbody><tr><td>North harbour</td><td>$1,234</td><td>1,100</td></tr>"
        "<tr><td>South harbour</td><td>2,000</td><td>1,900</td></tr></tbody></table>"
    )
    (box,) = table.boxes
    assert (box.page, [round(v, 2) for v in (box.x0, box.y0, box.x1, box.y1)]) == (1, [0.1, 0.41, 0.85, 0.48])
    drawn, embedded = (Image.open(io.BytesIO(storage.read(str(row.media)))) for row in (rows[4], rows[6]))
    assert drawn.size == pytest.approx((510, 330), abs=2)  # 0.4 of 612 points and 0.2 of 792, at 150 dpi
    assert embedded.size == (200, 150)  # its own pixels
    assert drawn.convert("RGB").getpixel((30, 150)) == (255, 0, 0)
    counts = context.counts
    assert (counts["tables_found"], counts["tables_by_geometry"]) == (1, 0)
    assert (counts["pictures_found"], counts["pictures_kept"]) == (2, 2)
    assert counts["characters_layer"] - counts["characters_kept"] == 1  # the hyphen


def test_a_table_that_the_model_does_not_see_is_read_by_geometry(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path
) -> None:
    untaught = fake_tables(tmp_path / "untaught")
    rows, context = rows_of(
        make_report(tmp_path / "a.pdf"), models.model_copy(update={"table_model": str(untaught)}), storage
    )
    assert context.counts["tables_by_geometry"] == context.counts["tables_found"] == 1
    assert [row.text for row in rows if row.category == "Table"] == [f"Table 1: Ports\n{TABLE}"]


def test_cells_that_make_no_table_are_said_and_the_table_read_by_geometry(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.partition.hi_res import structure

    class Degenerate:
        """Sees a row of no height."""

        def predict(self, crop: Image.Image, **_: Any) -> NoReturn:
            raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(structure, "table_agent", lambda model: Degenerate())
    rows, context = rows_of(make_report(tmp_path / "a.pdf"), models, storage)
    assert context.warnings == ["page 1: what the table model sees makes no table (ZeroDivisionError)"]
    assert [row.text for row in rows if row.category == "Table"] == [f"Table 1: Ports\n{TABLE}"]


def test_words_of_a_table_that_no_cell_has_stay_text(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.partition.hi_res import structure

    class TwoCells:
        """Sees the first two words only."""

        def predict(self, crop: Image.Image, ocr_tokens: list[dict[str, Any]], result_format: str) -> list[Any]:
            place = {"row_nums": [0], "column header": False}
            return [{**place, "column_nums": [i], "spans": [ocr_tokens[i]]} for i in (0, 1)]

    monkeypatch.setattr(structure, "table_agent", lambda model: TwoCells())
    rows, context = rows_of(make_report(tmp_path / "a.pdf"), models, storage)
    at = next(i for i, row in enumerate(rows) if row.category == "Table")
    assert rows[at].html == (
        "<table><caption>Table 1: Ports</caption><tbody><tr><td>Port</td><td>2023</td></tr></tbody></table>"
    )
    assert rows[at + 1].category == "UncategorizedText" and "1,900" in rows[at + 1].text
    assert context.counts["characters_layer"] - context.counts["characters_kept"] == 1


def test_a_page_on_which_the_model_sees_nothing_is_the_default_routes(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path
) -> None:
    blind = models.model_copy(update={"layout_model": str(fake_layout(tmp_path / "blind.onnx", []))})
    path = make_report(tmp_path / "a.pdf")
    assert rows_of(path, blind, storage)[0] == rows_of(path, blind, storage, route="default")[0]


def test_pages_that_are_turned_have_their_boxes_where_they_are_shown(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path
) -> None:
    """A page that is shown upright by /Rotate gives the rows of one that needs none."""
    import pypdfium2

    upright = make_report(tmp_path / "a.pdf")
    with pypdfium2.PdfDocument(upright) as document:
        document[0].set_rotation(90)  # shown lying on its side: its text reads from top to bottom
        document.save(tmp_path / "turned.pdf")
    one, two = (rows_of(path, models, storage)[0] for path in (upright, tmp_path / "turned.pdf"))
    assert [(row.category, row.text) for row in two] == [(row.category, row.text) for row in one]
    for a, b in zip(one, two, strict=True):
        (flat,), (turned,) = a.boxes, b.boxes
        assert (turned.x0, turned.y0) == pytest.approx((1 - flat.y1, flat.x0), abs=0.01)


def test_a_scan_is_taken_apart_by_what_ocr_read_on_it(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.pdf"
    picture("Shipments of gauges", (1275, 1650)).save(path, "PDF", resolution=150)

    def read(self: PartContext, shown: Image.Image) -> list[Span]:
        """As OCR would read the report."""
        across, down = shown.width / 612, shown.height / 792
        lines = [(72.0, 725.0, 18.0, "Shipments of gauges"), (72.0, 660.0, 10.0, "Shipments rose.")]
        lines += [
            (x, y, 9.0, t) for y, row in zip(LINES, CELLS, strict=True) for x, t in zip(COLUMNS, row, strict=True)
        ]
        return [
            Span(text, x * across, (792 - y - size) * down, (x + 5 * len(text)) * across, (792 - y) * down, size * down)
            for x, y, size, text in lines
        ]

    monkeypatch.setattr(PartContext, "read", read)
    rows, context = rows_of(path, models, storage)
    assert [(row.category, row.origin) for row in rows[:3]] == [
        ("Title", "ocr"),
        ("NarrativeText", "ocr"),
        ("Table", "ocr"),
    ]
    assert "North harbour | 2023: $ 1,234 | 2022: 1,100" in rows[2].text and rows[2].html
    assert rows[-1].category == "Image" and rows[-1].boxes[0].y1 == 1.0  # the page itself
    assert context.counts["pages_ocr"] == 1 and "characters_layer" not in context.counts


def test_a_picture_is_taken_apart_as_a_scan_is(
    models: HiResSettings, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.png"
    Image.new("RGB", (1224, 1584), "white").save(path)
    words = [Span("Shipments", 200, 100, 600, 140, 32), Span("They rose.", 200, 300, 500, 330, 20)]
    monkeypatch.setattr(PartContext, "read", lambda self, shown: words)
    rows, context = rows_of(path, models, storage, "image/png")
    assert [(row.category, row.text, row.level) for row in rows] == [
        ("Image", "", None),
        ("Title", "Shipments", 0),
        ("NarrativeText", "They rose.", None),
    ]
    assert context.counts["pictures_dropped_blank"] == 1  # where the model sees a picture is white


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(Limits(workers=1)) as pool:
        yield pool


def test_parts_give_the_rows_of_the_whole_and_finished_ones_stay(
    models: HiResSettings, tmp_path: Path, workers: Workers
) -> None:
    work = work_for(make_report(tmp_path / "a.pdf", pages=3), PDF)
    whole, parts = LocalStorage(tmp_path / "whole"), LocalStorage(tmp_path / "parts")
    partitioning = PartitionSettings(route="hi_res", hi_res=models)
    capabilities = resolve_capabilities(partitioning)

    def run(storage: LocalStorage, part_pages: int, on_pages: Any = None) -> stage.StageRef:
        settings = Settings(partition=partitioning, limits=Limits(workers=1, part_pages=part_pages))
        recipe = partition.recipe(settings, capabilities, PDF)
        return partition.partition_document(storage, work, settings, recipe, workers, on_pages)

    def stop(pages: int) -> None:
        raise KeyboardInterrupt

    one = run(whole, 8)
    with pytest.raises(KeyboardInterrupt):
        run(parts, 2, stop)
    first = f"{one.key}-1-2.parquet"
    assert first in parts.list(f"stages/{PART}")
    before = parts.local(f"stages/{PART}/{first}").stat().st_mtime_ns

    def check(pages: int) -> None:
        assert parts.local(f"stages/{PART}/{first}").stat().st_mtime_ns == before

    two = run(parts, 2, check)
    assert (two.digest, two.info) == (one.digest, one.info)
    rows = from_table(stage.load(whole, one), ElementRow)
    assert [row.page for row in rows if row.category == "Table"] == [1, 2, 3]
    assert all(TABLE in row.text for row in rows if row.category == "Table")
    assert (one.info.pages, one.info.title, one.info.counts.get("tables_by_geometry")) == (
        3,
        "Shipments of gauges",
        None,
    )


def test_a_model_that_fails_is_the_documents_failure(
    models: HiResSettings, untaught: Path, storage: LocalStorage, tmp_path: Path
) -> None:
    path = make_report(tmp_path / "a.pdf")
    (tmp_path / "layout.onnx").write_bytes(b"\x08 no graph at all")
    broken = models.model_copy(update={"layout_model": str(tmp_path / "layout.onnx")})
    with pytest.raises(DocumentError) as caught:
        rows_of(path, broken, storage)
    assert caught.value.code == "model_failed" and "the layout model failed on page 1" in caught.value.message
    assert "BINDERY_PARTITION__ROUTE=default" in caught.value.hint
    cut = tmp_path / "tables"
    shutil.copytree(untaught, cut)
    os.truncate(cut / installed.WEIGHTS, (untaught / installed.WEIGHTS).stat().st_size - 1000)
    with pytest.raises(DocumentError) as caught:
        rows_of(path, models.model_copy(update={"table_model": str(cut)}), storage)
    assert caught.value.code == "model_failed" and "the table model failed on page 1" in caught.value.message
