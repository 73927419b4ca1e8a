"""What documents state of themselves, as their covers are worded; and that nothing is made of what they do not."""

from __future__ import annotations

import pytest

from tasks.headings import contexts, telling
from tasks.rows import ElementRow
from tasks.subject import Subject, subject_of


def rows(*texts: str, page: int = 1) -> list[ElementRow]:
    return [ElementRow(number, "UncategorizedText", text, page) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "subject"),
    [
        (
            (
                "Form 10-K/A\nANNUAL REPORT PURSUANT TO SECTION 13",
                "For the fiscal year ended\nDecember 31, 2031",
                "Harbor & Sons Company\n(Exact name of registrant as specified in its charter)",
            ),
            Subject("Harbor & Sons Company", "Form 10-K/A", "fiscal year ended December 31, 2031"),
        ),
        (
            ("FORM 8-K", "Date of report (Date of earliest event reported): May 2, 2030", "Quay plc"),
            Subject("", "Form 8-K", "dated May 2, 2030"),
        ),
        (
            (
                "Harbor Announces Fourth Quarter Fiscal 2030 Results",
                "OSLO -- Harbor Light Group (NYSE: HLG) today said",
            ),
            Subject("Harbor Light Group", "", "Fourth Quarter Fiscal 2030"),
        ),
        (
            ("Annual report 2031", "Quay Instruments AS makes gauges.", "Quay Instruments AS was founded in 1990."),
            Subject("Quay Instruments AS", "", "Annual report 2031"),
        ),
        (
            ("海港仪器股份有限公司", "2031年年度报告", "海港仪器股份有限公司成立于1990年。"),
            Subject("海港仪器股份有限公司", "", "2031年年度报告"),
        ),
        (("Minutes of the meeting", "Mentions Quay Inc. once", "We met in 2031."), Subject()),
        (("H A R B O R C O .\n(Exact name of registrant as specified in its charter)",), Subject()),
    ],
)
def test_what_a_document_states(texts: tuple[str, ...], subject: Subject) -> None:
    assert subject_of(rows(*texts)) == subject


def test_only_its_beginning_speaks_for_it() -> None:
    late = rows("Form 10-Q", "For the quarterly period ended June 30, 2031", page=4)
    assert subject_of([*rows("A history of filings"), *late]) == Subject()


def test_the_context_names_what_the_title_does_not() -> None:
    cover = rows("Form 10-K", "For the fiscal year ended June 30, 2031")
    cover.append(ElementRow(2, "Title", "Risk factors", 2, level=0))
    stated = "Form 10-K, fiscal year ended June 30, 2031"
    assert contexts("", cover)[-1] == f"{stated} > Risk factors"
    assert contexts("Quay Inc.", cover)[-1] == f"Quay Inc. ({stated}) > Risk factors"
    assert contexts("Quay Inc. form 10-K", cover)[0] == "Quay Inc. form 10-K (fiscal year ended June 30, 2031)"


def test_hostile_text_takes_no_time() -> None:
    assert subject_of(rows("A " * 10_000 + "Inc", "Aa, " * 5_000, *["A&" * 10_000] * 20)) == Subject()


def test_what_is_embedded_of_a_context_does_not_say_twice_what_the_document_is() -> None:
    document = "Quay report (Quay Co., Form 10-K, fiscal year ended June 30, 2031)"
    assert telling(f"{document} > QUAY CO. > Quay fiscal 2031 Form 10-K > Legal") == f"{document} > Legal"
    assert telling(document) == document and telling("") == ""
    assert telling("Quay > Quay walls > Walls") == "Quay > Quay walls > Walls"
