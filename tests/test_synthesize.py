"""Answers quote what documents say, cite it, and are withheld where the evidence is weak."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.answer import NOT_FOUND, Answer
from tasks.result import Hit, SearchResult, Signal
from tasks.rows import ChunkRow
from tasks.synthesize import synthesize
from tasks.words import cjk_share, cjk_text, concepts, content_words, terms
from tests.lakes import chunk

TABLE = (
    "<table><tr><th>Product</th><th>2024</th><th>2025</th><th>Note</th></tr>"
    "<tr><td>Radar gauges</td><td>10,155</td><td>12,930</td><td></td></tr>"
    "<tr><td>Data loggers</td><td>2,480</td><td>2,715</td><td>new</td></tr></table>"
)
CHUNKS = [
    chunk("report", 0, "Halden makes tide gauges. The service centre in Ningbo opened on 5 May 2025.\nIt is small."),
    chunk(
        "report", 1, "Product | 2024 | 2025 | Note\nRadar gauges | 10,155 | 12,930\nData loggers | 2,480 | 2,715 | new",
        kind="table", page=3, context="Finances > Revenue", html=TABLE,
    ),
    chunk("sign", 0, "Permit of the harbour master\n\nno. 88-214", kind="image", media="blobs/aa/sign.png"),
    chunk("zh", 0, "仪器的保修期为三十六个月。宁波服务中心的主任为沈若兰，电话分机 4471。", page=None),
    chunk("manual", 0, "The HL-9 logger has 12 inputs. Cited as in [7]. Its cable may be 120 m long.", page=2),
]  # fmt: skip


def hit(row: ChunkRow, rank: int, similarity: float = 0.4) -> Hit:
    signals = (Signal("text", rank, 5.0), Signal("vector:fake", rank, similarity))
    return Hit(row, "", (f"/data/{row.doc_id[:4]}.pdf",), 2 / (60 + rank), signals)


def ask(question: str, rows: list[ChunkRow] = CHUNKS) -> Answer:
    return synthesize(question, SearchResult(question, 7, tuple(hit(row, i + 1) for i, row in enumerate(rows))))


@pytest.mark.parametrize(
    ("question", "first", "quote"),
    [
        (
            "When did the service centre in Ningbo open?",
            "The service centre in Ningbo opened on 5 May 2025.",
            "The service centre in Ningbo opened on 5 May 2025.",
        ),
        (
            "What was the revenue of radar gauges in 2025?",
            "Radar gauges – 2025: 12,930",
            "Radar gauges | 10,155 | 12,930",
        ),
        (
            "What is the number of the harbour master's permit?",
            "Permit of the harbour master no. 88-214",
            "Permit of the harbour master no. 88-214",
        ),
        ("仪器的保修期有多长?", "仪器的保修期为三十六个月。", "仪器的保修期为三十六个月。"),
        ("How long may the cable be?", "Its cable may be 120 m long.", "Its cable may be 120 m long."),
    ],
)
def test_the_best_statement_comes_first_with_its_quote(question: str, first: str, quote: str) -> None:
    answer = ask(question)
    assert answer.found
    assert answer.answer.startswith(f"{first} [1]")
    assert answer.citations[0].quote == quote


def test_every_quote_is_verbatim_and_every_mark_has_a_citation() -> None:
    texts = {row.chunk_id: " ".join(row.text.split()) for row in CHUNKS}
    for question in ("Ningbo service centre 2025", "radar gauges 2025", "HL-9 inputs cited", "宁波服务中心主任"):
        answer = ask(question)
        assert all(citation.quote in texts[citation.chunk_id] for citation in [*answer.citations, *answer.nearest])
        assert all(f"[{number}]" in answer.answer for number in range(1, len(answer.citations) + 1))
        assert f"[{len(answer.citations) + 1}]" not in answer.answer


def test_weaker_statements_that_add_nothing_are_left_out() -> None:
    rows = "Customer | Port of Kelsund\nInstrument | TG-400\nSerial number | 40-11873"
    certificate = chunk("certificate", 0, rows, kind="table", context="Calibration certificate HC-2025-0731")
    question = "Which serial number does the instrument of calibration certificate HC-2025-0731 have?"
    assert ask(question, [certificate]).answer == "Serial number | 40-11873 [1]"
    manual = [chunk("manual", 0, "The TG-400 cable may be 120 m long. Lay the TG-400 cable in a drip loop.")]
    assert ask("How long may the TG-400 cable be?", manual).answer == "The TG-400 cable may be 120 m long. [1]"


def test_statements_that_speak_to_more_of_the_question_are_kept() -> None:
    both = [
        chunk(
            "a", 0, "The Ningbo service centre opened on 5 May 2025. The director of the Ningbo centre is Shen Ruolan."
        ),
        chunk("b", 0, "Ningbo has a harbour."),
    ]
    answer = ask("When did the Ningbo service centre open and who is director?", both).answer
    assert answer.startswith(
        "The Ningbo service centre opened on 5 May 2025. [1] The director of the Ningbo centre is Shen Ruolan. [2]"
    )
    assert "harbour" not in answer


def test_a_second_witness_is_kept() -> None:
    texts = ("The cable may be 120 m long.", "The cable may be up to 120 m long.")
    answer = ask("How long may the cable be?", [chunk(text, 0, text) for text in texts])
    assert [citation.quote for citation in answer.citations] == list(texts)


def test_the_number_that_is_asked_for_is_kept_though_the_best_words_lack_it() -> None:
    texts = ("Costs of the new test bench are lower than before.", "We paid EUR 780 thousand for the new test bench.")
    answer = ask("How much did the new test bench cost?", [chunk("report", i, text) for i, text in enumerate(texts)])
    assert "EUR 780 thousand" in answer.answer


def test_a_mark_that_the_document_made_is_not_taken_for_ours() -> None:
    assert ask("Where are the HL-9 inputs cited?").answer.count("[7]") == 0


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Peru?",
        "Which dividend was paid for 2019?",
        "How many inputs does the HL-7 have?",
        "When did the service centre in Rotterdam close?",
        "TG-400的重量和颜色是什么?",
        "宁波服务中心有多少名员工?",
        "?",
        "the",
    ],
)
def test_weak_evidence_is_no_answer(question: str) -> None:
    answer = ask(question)
    assert (answer.found, answer.answer, answer.citations) == (False, NOT_FOUND, [])
    assert 0 < len(answer.nearest) <= 3


def test_no_hits() -> None:
    answer = ask("When did it open?", [])
    assert (answer.found, answer.nearest) == (False, [])


def test_a_table_is_cited_with_its_html_and_a_picture_with_its_path() -> None:
    table = ask("revenue of radar gauges in 2025").citations[0]
    assert (table.kind, table.html, table.pages, table.boxes[0].page) == ("table", TABLE, [3], 3)
    assert ask("number of the harbour master's permit").citations[0].image == "blobs/aa/sign.png"


def test_a_picture_is_quoted_by_a_model_s_words_and_never_by_its_neighbours() -> None:
    said = "The winch on the quay lifts 40 tonnes."
    picture = chunk("a", 1, "", kind="image", media="blobs/aa/winch.png", around=(said, ""))
    found = hit(picture, 1)
    question = "How many tonnes does the winch on the quay lift?"

    def answer(*hits: Hit) -> Answer:
        return synthesize(question, SearchResult(question, 7, hits))

    borrowed = dataclasses.replace(found, summary=said, summary_method="extractive")
    assert not answer(borrowed).found
    beside = answer(borrowed, hit(chunk("a", 0, said), 2))
    assert [citation.kind for citation in beside.citations] == ["text"]
    written = answer(dataclasses.replace(found, summary=said, summary_method="llm:m"))
    assert (written.found, written.citations[0].kind, written.citations[0].quote) == (True, "image", said)


def test_the_public_fields() -> None:
    answer = ask("When did the service centre in Ningbo open?")
    assert list(answer.to_json()) == ["answer", "found", "method", "citations", "release", "seconds"]
    assert list(answer.to_json()["citations"][0]) == [
        "sources", "pages", "time_range", "kind", "quote", "boxes", "chunk_id",
    ]  # fmt: skip
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_answers_are_deterministic() -> None:
    first, second = (ask("radar gauges of 2025 in Ningbo") for _ in range(2))
    assert first.model_copy(update={"seconds": 0.0}) == second.model_copy(update={"seconds": 0.0})


def test_words() -> None:
    assert content_words("What is the price of the HL-9 in Harbour's shop?") == [
        "price",
        "HL",
        "9",
        "Harbour's",
        "shop",
    ]
    assert content_words("How long are the cables?") == ["cables"]
    assert terms("Revenues of 1,234 euros") == ["revenu", "of", "1234", "eur"]
    assert terms("北京市 A") == ["a", "北京", "京市"]
    assert [concept.terms for concept in concepts("宁波服务中心有多少名员工?")] == [
        ("宁波", "波服", "服务", "务中", "中心"), ("员工",),
    ]  # fmt: skip
    assert cjk_text("TG-400 雷达，验潮仪 x") == "雷达 验潮仪"
    assert (cjk_share("北京ab"), cjk_share("?!")) == (0.5, 0.0)
