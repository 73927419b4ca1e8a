"""Summaries by a model: whole rows, what is asked and what is not, and what happens to answers that cannot be used."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks import stage
from tasks.errors import DocumentError
from tasks.llm.errors import (
    AuthenticationError,
    BudgetReachedError,
    EmptyAnswerError,
    EndpointError,
    LlmError,
    RefusedError,
    RejectedError,
)
from tasks.llm.request import Picture, Request
from tasks.llm.responses import Response
from tasks.rows import ChunkRow, SummaryRow, TagRow, digest, from_table, to_table
from tasks.settings import LlmSettings, Settings
from tasks.stage import StageOutput
from tasks.storage import LocalStorage
from tasks.summarize import look, recipe, summarize_document, summarize_document_by_llm
from tasks.summarize.llm import requests, summaries
from tasks.summarize.pictures import Seen
from tests.files import encoded, picture
from tests.summarize.fakes import GOOD, PROSE, SETTINGS, TABLE, FakeModel, chunk, pictures, response, texts

SEEN = Picture(b"pixels", "image/png", 640, 480)
TEXT = chunk("t", text=PROSE, context="Report > Consumer", pages=(3,))
TABLE_CHUNK = chunk(
    "b", ordinal=1, kind="table", text="Segment | 2025 | 2024", html=TABLE, context="Report", pages=(3,)
)
IMAGE = chunk("i", ordinal=2, kind="image", text="Figure 2", media="blobs/aa/x.png", context="Report", pages=(4,))


def summarized(
    chunks: Sequence[ChunkRow],
    model: FakeModel,
    settings: Settings = SETTINGS,
    tags: Mapping[str, str] | None = None,
    seen: Seen | DocumentError = SEEN,
) -> StageOutput:
    def opened(_: ChunkRow) -> Seen:
        if isinstance(seen, DocumentError):
            raise seen
        return seen

    return asyncio.run(summaries(chunks, settings, model, tags=tags, look=opened))


def rows(output: StageOutput) -> list[SummaryRow]:
    return from_table(output.table, SummaryRow)


def test_whole_rows_in_order() -> None:
    answers: dict[str, dict[str, Any]] = {
        "text_summary": {**GOOD, "keywords": ["card fees", "revenue"]},
        "table_summary": {
            **GOOD,
            "summary": "Revenue by segment.",
            "periods": ["2025", "2024"],
            "units": ["$ billions"],
        },
        "image_summary": {
            **GOOD,
            "summary": "Revenue rose each year.",
            "kind": "chart",
            "readable_text": "Revenue 2025",
            "data_points": ["2025: 12.4"],
        },
    }
    model = FakeModel(lambda request, _: answers[request.schema.name] if request.schema else "")
    audio = chunk("a", kind="audio", text="Title: Call", time_start=0.0, time_end=5.0)
    output = summarized([TEXT, TABLE_CHUNK, IMAGE, audio], model)
    assert rows(output) == [
        SummaryRow("t", "Report > Consumer\nNet revenue grew.\ncard fees", "llm:small"),
        SummaryRow("b", "Report\nRevenue by segment.\nConsumer; 2025; 2024; $ billions", "llm:small"),
        SummaryRow("i", "Report\nRevenue rose each year.\nchart; Consumer\n2025: 12.4\nRevenue 2025", "llm:seer"),
        SummaryRow("a", "Recording, 0:00 to 0:05. Title: Call", "extractive"),
    ]
    assert output.info.counts == {"audio": 1, "image": 1, "llm": 3, "skipped_other_kind": 1, "table": 1, "text": 1}
    assert output.degraded == () and output.digest == digest(rows(output), output.info)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Net revenue of the\nconsumer  segment grew by 8%.", "Net revenue of the consumer segment grew by 8%."),
        ("", ""),
        (None, ""),  # an endpoint that enforces no form may leave it out
        ("消费部门净收入增长了8%", ""),
        ("word " * 90, " ".join(["word"] * 25)),
        ("消费部门", ""),
        ("8.0", ""),
        ("A \u202eline <|system|> of words", "A line < |system| > of words"),
    ],
)
def test_an_english_line_is_kept_beside_a_summary_in_another_language(said: str | None, kept: str) -> None:
    answer = {"summary": "消费部门净收入增长了8%。"} | ({} if said is None else {"english": said})
    (row,) = rows(summarized([TEXT], FakeModel(lambda *_: answer)))
    assert row == SummaryRow("t", "Report > Consumer\n消费部门净收入增长了8%。", "llm:small", kept)


@pytest.mark.parametrize("line", ["Net revenue grew.", "net revenue", "Net revenue grew"])
def test_a_line_that_only_repeats_the_summary_is_not_kept(line: str) -> None:
    (row,) = rows(summarized([TEXT], FakeModel(lambda *_: {**GOOD, "english": line})))
    assert row.english == ""


def test_a_summary_keeps_its_limit() -> None:
    long = {"summary": "word " * 500, "keywords": ["x" * 500] * 50, "entities": [f"e{i}" for i in range(99)]}
    settings = SETTINGS.model_copy(update={"llm": SETTINGS.llm.model_copy(update={"max_characters": 200})})
    (row,) = rows(summarized([TEXT], FakeModel(lambda *_: long), settings))
    assert row.method == "llm:small" and 150 < len(row.text) <= 200


def test_what_is_asked() -> None:
    chunks = [
        TEXT,
        dataclasses.replace(TABLE_CHUNK, before="All figures in $ billions."),
        dataclasses.replace(IMAGE, before="Figure 2 shows it.\nText before.", after="The next section follows."),
    ]
    model = FakeModel(lambda *_: GOOD)
    summarized(chunks, model)
    by_name = {request.schema.name: request for request in model.asked if request.schema}
    assert all([message.role for message in request.messages] == ["system", "user"] for request in model.asked)
    assert {request.model for request in model.asked if pictures(request)} == {"seer"}
    assert {request.model for request in model.asked if not pictures(request)} == {"small"}
    table = texts(by_name["table_summary"], "user")
    assert TABLE.replace("<tr>", "<tbody><tr>", 1).replace("</table>", "</tbody></table>") in table
    assert "Before the table:\nAll figures in $ billions." in table and "Headings:\nReport" in table
    image = by_name["image_summary"]
    assert pictures(image) == [SEEN]
    said = texts(image, "user")
    assert "Before the picture:\nFigure 2 shows it.\nText before.\n" in said
    assert "With the picture:\nFigure 2\n" in said and "After it:\nThe next section follows.\n" in said
    sampling = {(request.sampling.temperature, request.sampling.max_tokens) for request in model.asked}
    assert sampling == {(0.0, 700)}


def test_equal_chunks_make_equal_requests_and_others_do_not() -> None:
    async def keys(*chunks: ChunkRow) -> list[str]:
        return [request.key() async for request in requests(chunks, SETTINGS, look=lambda _: SEEN)]

    first = asyncio.run(keys(TEXT, TABLE_CHUNK, IMAGE))
    assert len(set(first)) == 3 and asyncio.run(keys(TEXT, TABLE_CHUNK, IMAGE)) == first
    renamed = dataclasses.replace(TEXT, chunk_id="other", doc_id="other", ordinal=7)
    assert asyncio.run(keys(renamed)) == first[:1]
    assert asyncio.run(keys(dataclasses.replace(TEXT, text=PROSE + "."))) != first[:1]
    assert asyncio.run(keys(dataclasses.replace(IMAGE, after="Said of it."))) != first[2:]


@pytest.mark.parametrize(
    ("row", "tags", "seen", "reason"),
    [
        (IMAGE, {"i": "decoration"}, SEEN, "decoration"),
        (IMAGE, {"i": "logo"}, SEEN, "decoration"),
        (IMAGE, {}, "tiny", "tiny"),
        (IMAGE, {}, "strip", "strip"),
        (IMAGE, {}, "blank", "blank"),
        (IMAGE, {}, DocumentError("malformed", "broken"), "unreadable"),
        (dataclasses.replace(IMAGE, media=None), {}, SEEN, "no_picture"),
        (dataclasses.replace(TEXT, text="Page 3 of 9."), {}, SEEN, "short"),
        (dataclasses.replace(TABLE_CHUNK, text=" "), {}, SEEN, "short"),
    ],
)
def test_what_says_nothing_is_not_asked_about(
    row: ChunkRow, tags: dict[str, str], seen: Seen | DocumentError, reason: str
) -> None:
    model = FakeModel(lambda *_: GOOD)
    output = summarized([row], model, tags=tags, seen=seen)
    assert model.asked == []
    assert output.info.counts == {row.kind: 1, f"skipped_{reason}": 1}
    assert output.degraded == () and rows(output)[0].method == "extractive"


def test_a_picture_all_over_a_document_is_decoration() -> None:
    copies = [dataclasses.replace(IMAGE, chunk_id=str(n)) for n in range(3)]
    model = FakeModel(lambda *_: GOOD)
    assert summarized(copies, model).info.counts == {"image": 3, "skipped_repeated": 3}
    assert summarized(copies[:2], model, tags={"0": "chart"}).info.counts == {"image": 2, "llm": 2}


def test_a_picture_that_may_be_read_later_fails_the_document() -> None:
    with pytest.raises(DocumentError, match="lost"):
        summarized([IMAGE], FakeModel(lambda *_: GOOD), seen=DocumentError("worker_lost", "lost"))


BAD: list[tuple[Any, str]] = [
    (lambda request: response(request, '{"summary": "Net rev', finish="length"), "cut by length"),
    (lambda request: response(request, "", finish="length"), "cut by length"),
    (lambda request: response(request, "", refusal="I cannot help with that."), "refused"),
    (lambda request: response(request, GOOD, finish="content_filter"), "refused"),
    (lambda request: RefusedError("filtered"), "refused"),
    (lambda request: response(request, " \n"), "empty"),
    (lambda request: EmptyAnswerError("nothing"), "empty"),
    (lambda request: response(request, "Sure! Net revenue grew."), "not the JSON that was asked for"),
    (lambda request: response(request, {"summary": " "}), "not the JSON that was asked for"),
    (lambda request: response(request, {"summary": ["a"]}), "not the JSON that was asked for"),
    (lambda request: response(request, {**GOOD, "keywords": "a, b"}), "not the JSON that was asked for"),
    (lambda request: response(request, [GOOD, GOOD]), "not the JSON that was asked for"),
    (
        lambda request: response(request, '{"summary": "half a pair \\ud83d of surrogates"}'),
        "not the JSON that was asked for",
    ),
    (lambda request: response(request, "null"), "not the JSON that was asked for"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_answer_is_asked_for_once_more(bad: Any, reason: str) -> None:
    model = FakeModel(lambda request, number: bad(request) if number == 1 else GOOD)
    output = summarized([TEXT], model)
    assert rows(output) == [SummaryRow("t", "Report > Consumer\nNet revenue grew.", "llm:small")]
    assert output.info.counts == {"llm": 1, "repaired": 1, "text": 1} and output.degraded == ()
    first, second = model.asked
    assert first.key() != second.key()
    assert reason in texts(second, "system") and texts(first, "user") == texts(second, "user")
    assert second.sampling.max_tokens == (1400 if reason == "cut by length" else 700)


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_two_bad_answers_leave_the_extractive_summary_and_a_degraded_output(bad: Any, reason: str) -> None:
    model = FakeModel(lambda request, number: bad(request))
    output = summarized([TEXT, TABLE_CHUNK], model)
    assert len(model.asked) == 4
    assert [row.method for row in rows(output)] == ["extractive"] * 2 and "Net revenue" in rows(output)[0].text
    assert output.info.counts == {"fallback": 2, "table": 1, "text": 1}
    assert output.degraded == tuple(
        f"1 extractive instead of written, {kind}: the answer was {reason}" for kind in ("table", "text")
    )


@pytest.mark.parametrize(
    ("error", "reason"), [(EndpointError("down"), "the endpoint failed"), (RejectedError("too long"), "rejected")]
)
def test_no_answer_is_not_asked_for_again(error: LlmError, reason: str) -> None:
    model = FakeModel(lambda *_: error)
    output = summarized([TEXT], model)
    assert len(model.asked) == 1 and output.degraded == (
        f"1 extractive instead of written, text: {reason} ({error.message})",
    )


def test_a_good_answer_in_words_and_fences_is_taken() -> None:
    said = '<think>Let me see {x}.</think>Here it is:\n```json\n{"summary": "Net revenue grew.", "more": 1}\n```\nBye'
    output = summarized([TEXT], FakeModel(lambda *_: said))
    assert rows(output)[0].text == "Report > Consumer\nNet revenue grew." and output.info.counts["llm"] == 1


def test_an_answer_that_was_cut_after_its_end_is_whole() -> None:
    output = summarized([TEXT], FakeModel(lambda request, _: response(request, GOOD, finish="length")))
    assert output.info.counts == {"llm": 1, "text": 1}


@pytest.mark.parametrize("error", [BudgetReachedError("cap"), AuthenticationError("key"), RuntimeError("bug")])
def test_what_every_request_would_meet_ends_the_stage_once_answers_have_arrived(error: Exception) -> None:
    arrived: list[int] = []

    async def answer(request: Request) -> Response:
        number = int(texts(request, "user").partition("Number ")[2][:3])
        for _ in range(3 if number == 5 else 10):
            await asyncio.sleep(0)
        if number == 5:
            raise error
        arrived.append(number)
        return response(request, GOOD)

    chunks = [chunk(str(number), text=f"Number {number:03}. {PROSE}") for number in range(300)]
    with pytest.raises(type(error), match=str(error)):
        asyncio.run(summaries(chunks, SETTINGS, answer))
    assert sorted(arrived) == [n for n in range(256) if n != 5]  # those asked by then, and none after


def test_many_are_asked_at_once() -> None:
    most = [0, 0]

    async def answer(request: Request) -> Response:
        most[0] += 1
        most[1] = max(most)
        await asyncio.sleep(0.01)
        most[0] -= 1
        return response(request, GOOD)

    chunks = [chunk(str(number), text=f"{number}. {PROSE}") for number in range(100)]
    output = asyncio.run(summaries(chunks, SETTINGS, answer))
    assert output.info.counts == {"llm": 100, "text": 100} and most[1] == 100


def test_the_recipe_names_all_that_shapes_the_summaries() -> None:
    def keyed(**llm: object) -> str:
        settings = Settings(profile="openai", llm=LlmSettings(**{"model": "m", **llm}))
        return recipe(settings, {}).key("chunks")

    shaping: list[dict[str, object]] = [
        {"model": "n"},
        {"vision_model": "v"},
        {"temperature": 0.5},
        {"max_output_tokens": 900},
        {"image_px": 512},
        {"skip_tags": ()},
        {"max_characters": 300},
    ]
    keys = {keyed(), *(keyed(**one) for one in shaping)}
    assert len(keys) == 1 + len(shaping)
    for one in ({"base_url": "http://x"}, {"api_key": "sk"}, {"max_in_flight": 2}, {"requests_per_minute": 9}):
        assert keyed(**one) == keyed()
    tables = Settings(profile="openai", summarize={"kinds": ["table"]}, llm={"model": "m"})
    assert "image_px" not in recipe(tables, {}).settings["llm"]
    assert sorted(recipe(tables, {}).settings["llm"]["prompts"]) == ["repair", "table"]


def test_document_is_summarized_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("blobs/aa/x.png", encoded(picture("Revenue 2025", (800, 600))))
    chunks = stage.save(storage, "chunk", "k", StageOutput(to_table([TEXT, IMAGE], ChunkRow), "chunks"))
    tagged = [TagRow("i", "chart", 0.9)]
    tags = stage.save(storage, "tag", "k", StageOutput(to_table(tagged, TagRow), "tags"))
    how, model = recipe(SETTINGS, {}), FakeModel(lambda *_: GOOD)
    opener = look(storage, SETTINGS, lambda function, *args: function(*args))
    ref = summarize_document_by_llm(storage, chunks, tags, how, SETTINGS, model, opener)
    assert ref.key == how.key("chunks", "tags") and ref.info.counts == {"image": 1, "llm": 2, "text": 1}
    assert [max(found.width, found.height) for request in model.asked for found in pictures(request)] == [800]
    assert (
        summarize_document_by_llm(storage, chunks, tags, how, SETTINGS, model, opener) == ref and len(model.asked) == 2
    )
    other = summarize_document(storage, chunks, recipe(Settings(), {}), Settings().summarize)
    assert other.key != ref.key


def test_a_degraded_document_is_tried_again(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    chunks = stage.save(storage, "chunk", "k", StageOutput(to_table([TEXT], ChunkRow), "chunks"))
    model = FakeModel(lambda _, number: EndpointError("down") if number == 1 else GOOD)
    found = [
        summarize_document_by_llm(storage, chunks, None, recipe(SETTINGS, {}), SETTINGS, model, lambda _: SEEN)
        for _ in range(2)
    ]
    assert [bool(ref.degraded) for ref in found] == [True, False]
