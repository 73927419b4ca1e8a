"""Tables as text: what they say in words."""

from __future__ import annotations

import pytest

from tasks import tables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Region | 2022 | 2023\nNorth | 1,204 | (3.5)%", "Region | 2022 | 2023\nNorth"),
        ("North | up | 3\nSouth | up | 4\nWest | down | 5", "North | up\nSouth\nWest | down"),
        ("Total | $ | 12 million | —", "Total | 12 million"),
        ("收入 | 1,204 | 亿元", "收入 | 亿元"),
        ("1 | 2\n3 | 20231", ""),
        ("", ""),
    ],
)
def test_wording_leaves_figures_out(text: str, words: str) -> None:
    assert tables.wording(text) == words
