"""Addresses, escaped words and marked reports."""

from __future__ import annotations

import dataclasses

import pytest
from filmroom.db.errors import BadInput
from filmroom.search.request import PAGE, Order, SearchRequest, UploadedFilm, from_parameters, missing_uploads
from filmroom.search.ui.components.report_text.report_text import asserted, marked
from filmroom.search.ui.query.search_state import film_address, voted
from filmroom.search.ui.text import plain
from hypothesis import given
from hypothesis import strategies as some

uploaded = some.builds(UploadedFilm, some.text(max_size=5), some.binary(min_size=4, max_size=4))
ids = some.lists(some.integers(0, 10**9), max_size=6, unique=True).map(tuple)


@given(
    some.builds(
        SearchRequest,
        query=some.text(),
        like=ids,
        unlike=ids,
        per_study=some.booleans(),
        hybrid=some.booleans(),
        judged=some.booleans(),
        order=some.sampled_from(Order),
        uploads=some.lists(uploaded, max_size=2, unique=True).map(tuple),
    )
)
def test_an_address_and_json_say_the_whole_search(asked: SearchRequest) -> None:
    known = {upload.id: upload for upload in asked.uploads}
    asked = dataclasses.replace(asked, liked_first=bool(asked.like))  # as a page asks
    assert from_parameters(asked.parameters(), known) == asked
    assert SearchRequest.from_json(asked.to_json()) == asked


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"like": ["x"]}', '{"order": "odd"}', '{"no such": 1}', '{"uploads": [3]}']
)
def test_json_that_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no search request"):
        SearchRequest.from_json(text)


def test_an_uploaded_film_that_is_gone_is_named() -> None:
    upload = UploadedFilm("space", bytes(8))
    parameters = SearchRequest(uploads=(upload,)).parameters()
    assert missing_uploads(parameters, {}) == [upload.id]
    assert missing_uploads(parameters, {upload.id: upload}) == []


@given(some.dictionaries(some.sampled_from(["q", "like", "unlike", "study", "hybrid", "sort", "n"]), some.text()))
def test_any_address_can_be_read(parameters: dict[str, str]) -> None:
    assert from_parameters(parameters).k >= PAGE


def test_a_film_has_an_address_that_keeps_the_search() -> None:
    assert film_address(3, SearchRequest("a&b=c", like=(1,))) == "film?film=3&q=a%26b%3Dc&like=1"


def test_a_vote_is_given_changed_and_taken_back() -> None:
    asked = SearchRequest(like=(1,), unlike=(2,))
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


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("Moderate left pleural effusion.", "says"),
        ("No pneumothorax or edema.", "denies"),
        ("The lungs are clear.", "denies"),
        ("Possible pneumonia.", "doubts"),
        ("Small effusion, no pneumothorax.", ""),
        ("Chest, upright PA view.", ""),
        ("SYNTHETIC PHANTOM - not a patient.", ""),
    ],
)
def test_a_sentence_of_a_report_says_denies_or_leaves_open(sentence: str, says: str) -> None:
    assert asserted(sentence) == [(sentence, says)]


@given(some.text())
def test_reading_a_report_changes_no_text(text: str) -> None:
    assert "".join(sentence for sentence, _ in asserted(text)) == text


def test_words_are_marked_whatever_their_case_and_ending() -> None:
    found = marked("Small Effusions; no effusion.", ["the effusion of a"])
    assert [piece for piece, hit in found if hit] == ["Effusions", "effusion"]


def test_bytes_of_a_name_that_are_no_text_can_be_sent_to_a_browser() -> None:
    assert plain("ward \udcff").encode() == b"ward \\\\udcff"
