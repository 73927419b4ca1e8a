"""GriTS against values worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.pdf_tables.grits import grits

FOUR = [(0, 0, 1, 1, "a"), (0, 1, 1, 1, "b"), (1, 0, 1, 1, "c"), (1, 1, 1, 1, "d")]


def test_a_table_is_like_itself() -> None:
    assert grits(FOUR, (2, 2), FOUR, (2, 2)) == (1.0, 1.0)


def test_nothing_found_is_nothing() -> None:
    assert grits(FOUR, (2, 2), [], (0, 0)) == (0.0, 0.0)


def test_a_lost_row_costs_its_places() -> None:
    """2 of 4 gold places and 2 of 2 found places agree: 2·2 / (4 + 2)."""
    assert grits(FOUR, (2, 2), FOUR[:2], (1, 2)) == pytest.approx((2 / 3, 2 / 3))


def test_half_a_text_is_half_right() -> None:
    """One of four cells has half of its text: its similarity is 2·1 / (2 + 1)."""
    found = [(0, 0, 1, 1, "a"), *FOUR[1:]]
    gold = [(0, 0, 1, 1, "ax"), *FOUR[1:]]
    assert grits(gold, (2, 2), found, (2, 2)) == pytest.approx((1.0, (3 + 2 / 3) / 4))


def test_a_cell_cut_in_two_keeps_half_of_its_extent() -> None:
    """One cell over two columns found as two: each place overlaps with half of the true extent."""
    gold = [(0, 0, 1, 2, "a"), *FOUR[2:]]
    found = [(0, 0, 1, 1, "a"), (0, 1, 1, 1, "a"), *FOUR[2:]]
    assert grits(gold, (2, 2), found, (2, 2)) == pytest.approx((3 / 4, 1.0))
