"""Labels: what a caption is called, and which labels a text names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.labels import Label, is_caption, label_of, named, naming


def figures(*numbers: str) -> frozenset[Label]:
    return frozenset(Label("figure", number) for number in numbers)


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("Figure 3: Sales", Label("figure", "3")),
        ("  FIG. 2–4 Sales", Label("figure", "2-4")),
        ("Fig.3b. Sales", Label("figure", "3b")),
        ("Table A1 | Costs", Label("table", "A1")),
        ("TABLE IV. Costs", Label("table", "IV")),
        ("Exhibit 99.1", Label("exhibit", "99.1")),
        ("图3 销售额", Label("figure", "3")),
        ("图 2-1：销售额", Label("figure", "2-1")),
        ("图表12：成本", Label("图表", "12")),
        ("表一 成本", Label("table", "一")),
        ("Sales of Figure 3", None),
        ("Figures of speech", None),
        ("Tablecloth 3", None),
        ("代表2人出席", None),
        ("", None),
    ],
)
def test_the_label_of_a_caption(caption: str, label: Label | None) -> None:
    assert label_of(caption) == label


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("Figure 3", True),
        ("Figure 3: sales by year", True),
        ("Figure 3. Sales rose.", True),
        ("Table 2 (in millions)", True),
        ("图3 各地区销售额", True),
        ("Figure 3 shows that sales rose.", False),
        ("Figure 3, which we made, is new.", False),
        ("图3显示了各地区的销售额。", False),
        ("As Figure 3 shows", False),
        ("Figure 3: " + "very long " * 40, False),
    ],
)
def test_captions_and_sentences(text: str, caption: bool) -> None:
    assert is_caption(text) is caption


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("See Figures 2, 3 and 5.", figures("2", "3", "5")),
        ("See Figs. 2–4.", figures("2-4", "2", "3", "4")),
        ("Figure 3 and 4 men", figures("3")),
        ("in fig. 3b and Figure 7(a)", figures("3b", "3", "7")),
        ("见图3、4和图6", figures("3", "4", "6")),
        ("the configuration 3, prefig 4 and figure-5", figures()),
        ("Figures 1-9999", figures("1-9999")),
    ],
)
def test_what_a_text_names(text: str, labels: frozenset[Label]) -> None:
    assert named(text) == labels


def test_only_the_sentences_that_name_something() -> None:
    text = "Nothing here. As Fig. 3\nshows, it rose. 见表2。其他。"
    assert list(naming(text)) == [
        ("As Fig. 3 shows, it rose.", figures("3")),
        ("见表2。", frozenset({Label("table", "2")})),
    ]


@given(st.sampled_from(["Figure {}", "Fig. {}", "figs {}", "图{}", "圖 {}"]), st.integers(1, 999))
def test_a_label_is_found_however_it_is_written(form: str, number: int) -> None:
    said = form.format(number)
    assert label_of(f"{said}: Sales") == Label("figure", str(number))
    assert Label("figure", str(number)) in named(f"Sales rose ({said}).")
