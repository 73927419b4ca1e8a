"""Questions over a lake made by hand: where their gold stands, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.evaluate import evaluation as results
from tasks.evaluate.evaluation import Evaluation, QuestionResult
from tasks.evaluate.questions import Question
from tasks.evaluate.run import evaluate
from tasks.index import Wanted
from tasks.lake import Lake
from tests.lakes import SPACES, chunk, document, new_lake, open_fake, publish_to, source

ROWS = {
    "finance": [
        chunk("finance", 0, "Revenue of radar gauges grew to 12,930 thousand euros.", page=3),
        chunk("finance", 1, "Buoys were sold in the Nordics.", page=4),
        chunk("finance", 2, "Radar gauges are calibrated in spring.", page=3),
    ],
    "handbook": [chunk("handbook", 0, "The cable of the radar gauges may be 120 m long.", page=1)],
    "memo": [chunk("memo", 0, "Lunch is at noon.", page=None)],
}
SOURCES = [
    source("/data/a/copy of finance.pdf", "finance"),
    source("/data/reports/finance.pdf", "finance"),
    source("/data/handbook.pdf", "handbook"),
    source("/data/memo.md", "memo"),
]
QUESTIONS = [
    Question("revenue", "revenue of radar gauges in thousand euros", ("finance.pdf",), (3,), ("Text",)),
    Question("cable", "how long may the cable be", ("finance.pdf",), (4,), ("Text", "Table")),
    Question("lunch", "when is lunch", ("memo.md",)),
    Question("gone", "radar", ("reports/gone.pdf",), (1,)),
    Question("nobody", "who won the cup"),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = new_lake(tmp_path_factory.mktemp("evaluate"))
    publish_to(made, Wanted(SOURCES, [document(made.storage, doc, rows) for doc, rows in ROWS.items()], SPACES))
    return made


@pytest.fixture(scope="module")
def found(lake: Lake) -> Evaluation:
    return evaluate(lake, QUESTIONS, open_space=open_fake)


def result_of(found: Evaluation, name: str) -> QuestionResult:
    return next(result for result in found.questions if result.id == name)


def test_where_the_gold_stands(found: Evaluation) -> None:
    revenue = result_of(found, "revenue")
    assert (revenue.page_ranks, revenue.document_ranks) == ((1,), (1,))  # by its second source's name
    assert revenue.found[0].page == 3
    pages = [(page.source, page.page) for page in revenue.found]
    assert len(pages) == len(set(pages)), "a page is counted once, however many of its chunks are found"
    cable = result_of(found, "cable")
    assert cable.found[0] == results.Page(source="/data/handbook.pdf", page=1)
    assert cable.page_ranks[0] is not None and cable.page_ranks[0] > 1
    lunch = result_of(found, "lunch")
    assert (lunch.page_ranks, lunch.document_ranks) == ((), (1,))
    assert result_of(found, "gone").page_ranks == (None,)


def test_means_of_all_and_by_group(found: Evaluation) -> None:
    assert (found.unanswerable, found.missing) == (1, ("reports/gone.pdf",))
    hit = found.value("hit@1")
    assert hit.value == pytest.approx(1 / 3)
    assert hit.questions == 3  # lunch has no gold page
    assert found.value("document.hit@1").questions == 4
    assert found.value("hit@1", "Text").value == 0.5
    assert found.value("hit@1", "Table").value == 0
    with pytest.raises(UsageError, match="no measure"):
        found.value("hit@7")


def test_it_survives_its_own_json(found: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    path.write_text(found.model_dump_json())
    assert results.read(path) == found
    path.write_text("{}")
    with pytest.raises(UsageError, match="no evaluation"):
        results.read(path)


def test_differences_are_paired(found: Evaluation) -> None:
    assert {change.value for change in results.differences(found, found)} == {0.0}
    worse = found.model_copy(
        update={
            "questions": tuple(
                result.model_copy(update={"page_ranks": (None,)}) if result.page_ranks else result
                for result in found.questions[:2]
            )
        }
    )
    change = next(change for change in results.differences(found, worse) if change.name == "hit@1")
    assert (change.value, change.questions) == (-0.5, 2)
    with pytest.raises(UsageError, match="no question in common"):
        results.differences(found, found.model_copy(update={"questions": ()}))


def test_requirements(found: Evaluation) -> None:
    assert results.below(found, results.required(["hit@1=0.3", "document.hit@1 = 0.5"])) == []
    short = results.below(found, results.required(["hit@1=0.5", "mrr@10=0.1"]))
    assert [measure.name for measure in short] == ["hit@1"]
    for wrong in ("hit@1", "hit@2=0.5", "hit@1=x", "hit@1=0.5.1"):
        with pytest.raises(UsageError, match="--require"):
            results.required([wrong])
