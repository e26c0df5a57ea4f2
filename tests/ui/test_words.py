"""Addresses, escaped words and marked reports."""

from __future__ import annotations

from filmroom.search.ui.components.report_text.report_text import marked
from filmroom.search.ui.search_state import PAGE, Asked, film_address, read, voted
from filmroom.search.ui.text import plain
from hypothesis import given
from hypothesis import strategies as some

ids = some.lists(some.integers(0, 10**9), max_size=6, unique=True).map(tuple)


@given(some.builds(Asked, some.text(), ids, ids, some.booleans(), some.booleans(), some.sampled_from(["match", "age"])))
def test_an_address_says_the_whole_search(asked: Asked) -> None:
    assert read(asked.parameters()) == asked


@given(some.dictionaries(some.sampled_from(["q", "like", "unlike", "study", "hybrid", "sort", "n"]), some.text()))
def test_any_address_can_be_read(parameters: dict[str, str]) -> None:
    assert read(parameters).shown >= PAGE


def test_a_film_has_an_address_that_keeps_the_search() -> None:
    assert film_address(3, Asked("a&b=c", like=(1,))) == "film?film=3&q=a%26b%3Dc&like=1"


def test_a_vote_is_given_changed_and_taken_back() -> None:
    asked = Asked(like=(1,), unlike=(2,))
    assert voted(asked, 3, 1) == ((1, 3), (2,))
    assert voted(asked, 1, 1) == ((), (2,))
    assert voted(asked, 1, -1) == ((), (2, 1))


@given(some.text())
def test_nothing_that_marks_up_is_left_bare(text: str) -> None:
    said = plain(text)
    for at, char in enumerate(said):
        if char in "<>[]*_`$:#!|~{}":
            assert said[at - 1] == "\\"
    assert "\n" not in said


@given(some.text(), some.lists(some.text(max_size=12), max_size=4))
def test_marking_changes_no_text(text: str, words: list[str]) -> None:
    assert "".join(piece for piece, _ in marked(text, words)) == text


def test_words_are_marked_whatever_their_case_and_ending() -> None:
    found = marked("Small Effusions; no effusion.", ["the effusion of a"])
    assert [piece for piece, hit in found if hit] == ["Effusions", "effusion"]


def test_bytes_of_a_name_that_are_no_text_can_be_sent_to_a_browser() -> None:
    assert plain("ward \udcff").encode() == b"ward \\\\udcff"
