"""Pictures that are known by the text beside them do not take its place."""

from __future__ import annotations

from tasks.neighbours import borrows, order
from tasks.rows import ChunkRow
from tests.lakes import chunk


def picture(ordinal: int, before: str, after: str = "", text: str = "", doc: str = "d") -> ChunkRow:
    return chunk(doc, ordinal, text, "image", around=(before, after))


def test_a_picture_borrows_where_it_has_no_words_of_its_own() -> None:
    assert borrows(picture(1, "Said before.")) and borrows(picture(1, "", "Said after.", "1 2 3 mm"))
    assert not borrows(picture(1, "")), "there is nothing to borrow"
    assert not borrows(picture(1, "Said before.", text="Figure 1: Sales by year"))
    assert not borrows(chunk("d", 1, "", "table", around=("Said before.", "")))


def test_one_picture_keeps_its_place_and_the_others_of_the_same_text_come_last() -> None:
    text = chunk("d", 0, "Said between.")
    pictures = [
        picture(1, "Far.\nSaid before.", "Said between."),
        picture(2, "Far.\nSaid before.", "Said between."),
        picture(3, "Said between.\nMore.", "Said later."),
        picture(4, "Said before.", "Said at last."),
        picture(5, "Said before.", "Said between.", doc="another"),
    ]
    ranked = [*((row, False) for row in pictures), (text, False)]
    assert order(ranked) == [0, 2, 4, 5, 1, 3]


def test_one_that_was_found_by_its_looks_stays() -> None:
    pictures = [picture(number, "Said before.") for number in range(3)]
    assert order([(pictures[0], False), (pictures[1], False), (pictures[2], True)]) == [0, 2, 1]
