"""Figures of PDF pages: found on generated pages, decoration left alone, words and captions in the right place, counts
that add up."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from benchmarks.pdf_figures.charts import bars, lines
from benchmarks.pdf_figures.pages import CLASSES, write
from benchmarks.pdf_figures.pen import Pen
from benchmarks.pdf_figures.score import score
from tasks.partition.detect import PDF
from tasks.partition.finish import finish
from tasks.partition.pdf.content import Drawings, Rule, Shape
from tasks.partition.pdf.figures.evidence import are_bars, plots, why_figure
from tasks.partition.pdf.figures.find import find_figures
from tasks.partition.pdf.figures.labels import CAPTION, SOURCE, assign, lettering
from tasks.partition.pdf.figures.pictures import Embedded
from tasks.partition.spans import Span
from tasks.rows import ElementRow
from tests.files import make_pdf
from tests.partition.conftest import Partition

LETTER = (612.0, 792.0)
PAPER = Path("/work/shared/eval/docs/mmlongbench/2305.13186v3.pdf")
Color = tuple[int, int, int]


def fill(x0: float, y0: float, x1: float, y1: float, color: Color = (30, 90, 180)) -> Shape:
    return Shape(x0, y0, x1, y1, True, False, color, False, 5, True)


def curve(x0: float, y0: float, x1: float, y1: float, segments: int = 40) -> Shape:
    return Shape(x0, y0, x1, y1, False, True, (0, 0, 0), True, segments)


def span(text: str, x0: float, y0: float, size: float = 8, bold: bool = False) -> Span:
    return Span(text, x0, y0, x0 + 0.5 * size * len(text), y0 + size, size, bold)


def adds_up(counts: collections.Counter[str], what: str) -> bool:
    dropped = sum(n for name, n in counts.items() if name.startswith(f"{what}_dropped_"))
    return counts[f"{what}_found"] == counts[f"{what}_kept"] + dropped


def test_generated_figures_are_found_and_decoration_is_not(tmp_path: Path) -> None:
    gold = write(tmp_path / "a.pdf", 5, 42)
    found = score(tmp_path / "a.pdf", gold, tmp_path / "lake")
    assert {figure.name for page in gold for figure in page.figures} == set(CLASSES)
    assert len([page for page in gold if page.decoration]) == 7
    assert (found.misses, found.extras) == ([], [])
    captions = [(tally.captioned, tally.captions) for tally in found.classes.values()]
    assert sum(n for n, _ in captions) >= 0.9 * sum(n for _, n in captions) > 20


def chart_page(path: Path, caption: bool = True) -> Path:
    import random

    canvas = Canvas(str(path), pagesize=LETTER, invariant=1)
    pen = Pen(canvas, LETTER, random.Random(3))
    for y in (72, 84, 96, 420, 432, 444):
        pen.text(72, y, "The harbour was deepened so that larger ships could enter it and trade would grow.", 9)
    bars(pen, (120, 140, 480, 340))
    if caption:
        pen.text(120, 360, "Figure 3: Ships by year, in thousands", 9)
        pen.text(120, 372, "Source: port authority", 8)
    else:
        pen.text(120, 130, "Ships by year", 11, "Helvetica-Bold")
    canvas.save()
    return path


def test_a_chart_takes_its_words_and_gets_its_caption(tmp_path: Path, partition: Partition) -> None:
    rows, context = partition(chart_page(tmp_path / "a.pdf"), PDF)
    (figure,) = [row for row in rows if row.category == "Figure"]
    caption, *labels = figure.text.split("\n")
    assert caption == "Figure 3: Ships by year, in thousands Source: port authority"
    assert "2015" in " ".join(labels) and "Year of observation" in labels
    assert figure.media_type == "image/png" and figure.media is not None
    assert context.storage.read(figure.media).startswith(b"\x89PNG")
    others = " ".join(row.text for row in rows if row is not figure)
    assert "Year of observation" not in others and "2015" not in others and "Figure 3: Ships by year" in others
    box = figure.boxes[0]
    assert [round(edge, 1) for edge in (box.x0, box.y0, box.x1, box.y1)] == [0.2, 0.2, 0.8, 0.4]
    assert [row.category for row in rows].index("Figure") > 0 and rows[-1].category == "NarrativeText"
    assert (context.counts["figures_found"], context.counts["figures_kept"]) == (1, 1)


def test_a_chart_without_a_caption_has_its_headline(tmp_path: Path, partition: Partition) -> None:
    rows, _ = partition(chart_page(tmp_path / "a.pdf", caption=False), PDF)
    (figure,) = [row for row in rows if row.category == "Figure"]
    assert figure.text.startswith("Ships by year\n")


def test_equal_pages_give_equal_figures(tmp_path: Path, partition: Partition) -> None:
    path = chart_page(tmp_path / "a.pdf")
    assert partition(path, PDF)[0] == partition(path, PDF)[0]


def test_a_drawing_on_every_page_is_kept_once_and_counted(tmp_path: Path, partition: Partition) -> None:
    import random

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=LETTER, invariant=1)
    for number in range(4):
        pen = Pen(canvas, LETTER, random.Random(1))
        lines(pen, (120, 140, 480, 340))
        for y in (420, 432, 444):
            pen.text(72, y, f"On page {number} the harbour was deepened so that larger ships could enter it.", 9)
        canvas.showPage()
    canvas.save()
    rows, context = partition(tmp_path / "a.pdf", PDF)
    assert [row.page for row in rows if row.category == "Figure"] == [1]
    assert context.counts["figures_kept"] == 4  # by page; `finish` knows of the others
    counts = collections.Counter(context.counts)
    copies = [ElementRow(0, "Figure", "", page, media="blobs/x.png", media_type="image/png") for page in (1, 2, 3, 4)]
    assert len(finish(copies, [], 4, counts)) == 1
    assert (counts["figures_kept"], counts["figures_dropped_repeated"]) == (1, 3) and adds_up(counts, "figures")


def test_pages_without_drawings_cost_nothing() -> None:
    counts: collections.Counter[str] = collections.Counter()
    many = [span("words that say something about the harbour", 72, 12.0 * i) for i in range(50)]
    rules = [Rule(72, 100, 500, 100, 1)]
    assert find_figures(Drawings(rules, []), Embedded([], []), many, [], LETTER, counts) == []
    assert not counts


def test_bars_are_told_from_the_fills_of_tables() -> None:
    area = LETTER[0] * LETTER[1]

    def why(shapes: list[Shape], spans: list[Span]) -> str:
        return why_figure(shapes, [], spans, [], (100, 100, 400, 300), area)

    names = [span(f"name {i}", 60, 100 + 30 * i) for i in range(5)]
    ends = (180, 240, 210, 390, 300)
    assert why([fill(100, 100 + 30 * i, end, 120 + 30 * i) for i, end in enumerate(ends)], names) == "bars"
    assert why([fill(100 + 30 * i, 300 - end / 2, 120 + 30 * i, 300) for i, end in enumerate(ends)], names) == "bars"
    stripes = [fill(100, 100 + 40 * i, 400, 120 + 40 * i, (204, 238, 255)) for i in range(5)]
    assert why(stripes, names) == ""
    highlighted = [span("x" * (end // 5 - 20), 100, 102 + 30 * i) for i, end in enumerate(ends)]
    assert why([fill(100, 100 + 30 * i, end, 120 + 30 * i) for i, end in enumerate(ends)], highlighted) == ""
    tiles = [fill(100 + 80 * c, 100 + 60 * r, 180 + 80 * c, 160 + 60 * r) for r in range(3) for c in range(r + 1)]
    assert why(tiles, []) == ""


def test_boxes_with_words_need_links_to_be_a_diagram() -> None:
    nodes = [fill(100 + 120 * i, 100, 180 + 120 * i, 140, (230, 240, 200)) for i in range(3)]
    words = [span("Plan it", 120 + 120 * i, 116) for i in range(3)]
    links = [Rule(180 + 120 * i, 120, 220 + 120 * i, 120, 1) for i in range(2)]
    box, area = (100, 100, 420, 140), LETTER[0] * LETTER[1]
    assert why_figure(nodes, links, words, [], box, area) == "diagram"
    assert why_figure(nodes, [], words, [], box, area) == ""


def test_a_chart_is_no_table() -> None:
    table = (60.0, 90.0, 420.0, 260.0)
    names = [span(f"Region {i}", 64, 104 + 30 * i) for i in range(5)]
    charted = [fill(120, 100 + 30 * i, end, 120 + 30 * i) for i, end in enumerate((180, 240, 210, 390, 300))]
    assert are_bars(table, charted, names)
    pale = [fill(120, 100 + 30 * i, 400, 120 + 30 * i, (204, 238, 255)) for i in range(5)]
    assert not are_bars(table, pale, names) and not are_bars(table, [], names)
    assert plots([curve(100, 100, 400, 250)], names, LETTER) == [(100, 100, 400, 250)]
    assert plots([curve(0, 0, 612, 700)], names, LETTER) == []  # behind the page
    assert plots([fill(100, 100, 400, 250)], names, LETTER) == []


def test_captions_of_two_languages_and_what_is_none() -> None:
    for text in (
        "Figure 3: ships",
        "Fig. 2 Ships",
        "FIGURE IV",
        "图 3 港口",
        "图3：港口",
        "Exhibit A – plan",
        "Chart 2. Ships",
    ):
        assert CAPTION.match(text), text
    for text in ("Figure 3 shows ships", "Figures are rounded", "Table 3: ships", "Mapping the harbour", "Charter 2"):
        assert not CAPTION.match(text), text
    assert SOURCE.match("Source: port") and SOURCE.match("资料来源：港口") and not SOURCE.match("Sources of light")


def test_each_caption_goes_to_one_figure_the_nearest() -> None:
    spans = [
        span("Figure 1: the first", 100, 210),
        span("Source: port authority", 100, 221),
        span("Figure 2: the second", 100, 232),
        span("Figure 3: beside", 400, 210),
    ]
    figures = [(100.0, 100.0, 300.0, 205.0), (100.0, 250.0, 300.0, 350.0), (400.0, 500.0, 500.0, 600.0)]
    found = assign(lettering(spans, LETTER), figures, LETTER)
    assert found == ["Figure 1: the first Source: port authority", "Figure 2: the second", ""]


@pytest.mark.skipif(not PAPER.exists(), reason="the paper is not on this machine")
def test_every_numbered_figure_of_a_paper(partition: Partition) -> None:
    rows, context = partition(PAPER, PDF, ocr=False)
    found = [row.text.split(":")[0] for row in rows if row.category in ("Figure", "Image")]
    assert found == [f"Figure {n}" for n in range(1, 15)]
    assert adds_up(context.counts, "figures") and adds_up(context.counts, "pictures")


def test_counts_add_up_over_decorated_pages(tmp_path: Path, partition: Partition) -> None:
    write(tmp_path / "a.pdf", 8, 24)
    rows, context = partition(tmp_path / "a.pdf", PDF, ocr=False)
    assert adds_up(context.counts, "figures") and adds_up(context.counts, "pictures")
    kept = collections.Counter(row.category for row in rows)
    assert kept["Image"] == context.counts["pictures_kept"] and kept["Figure"] == context.counts["figures_kept"]
    assert context.counts["pictures_dropped_background"] == 1 and kept["Figure"] > 8


def test_a_panel_behind_text_is_decoration(tmp_path: Path, partition: Partition) -> None:
    body = [
        (72.0, 700.0 - 12 * i, 10.0, "The harbour was deepened in order that larger ships could enter.")
        for i in range(4)
    ]
    rows, _ = partition(make_pdf(tmp_path / "a.pdf", [body], extra="0 0 1 rg 60 640 500 30 re f\n"), PDF)
    assert {row.category for row in rows} == {"NarrativeText"}
