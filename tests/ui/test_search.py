"""The search page's logic, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes import annotations

from tests.pages import components, page, said, shown

HOSTILE = ("<script>alert(1)</script>", "![x](http://evil.example/x.png)", ":red[x] $x$ `y`", "{}[]()")


def test_a_query_ranks_and_an_address_restores_it(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch)
    test.text_input(key="q").set_value("effusion left").run()
    first = shown(test)
    assert len(first) == 24
    assert test.query_params["q"] == "effusion left"
    again = page(archive_folder, "search", monkeypatch, q="effusion left")
    assert again.text_input(key="q").value == "effusion left"
    assert shown(again) == first


def test_the_first_thumbnails_come_with_the_wall_and_the_others_when_they_are_looked_at(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch, q="effusion", n="48")
    at_once = [item["src"].startswith("data:image/webp;base64,") for item in components(test, "grid")[0]["items"]]
    assert at_once == [True] * 24 + [False] * 12


def test_filters_are_written_into_the_query_and_read_from_it(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch, q="mass label:effusion")
    assert len(shown(test)) == 18
    assert not components(test, "facets"), "what is closed is not counted"
    test.session_state["filters"] = True
    test.run()
    (labels,) = [one for one in components(test, "facets")[0]["sections"] if one["name"] == "label"]
    assert {one["value"]: (one["count"], one["chosen"]) for one in labels["values"]} == {
        "effusion": (18, "only"),
        "no finding": (18, ""),
        "<b>bold</b> [x](y)": (1, ""),
    }
    test.session_state["facet-query"] = "mass -label:effusion"
    test.run()
    assert test.text_input(key="q").value == "mass -label:effusion"
    assert len(shown(test)) == 18


def test_a_value_that_no_film_has_is_answered_with_the_nearest(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Did you mean label\\:effusion?" in said(page(archive_folder, "search", monkeypatch, q="label:efusion"))


@pytest.mark.parametrize("query", [*HOSTILE, "", "x" * 10_000, 'view:"', "nosuchfield:1", "age:80..10", "\x00\x1b[31m"])
def test_no_query_breaks_the_page(archive_folder: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    test = page(archive_folder, "search", monkeypatch, q=query)
    assert not test.exception
    assert test.text_input(key="q").value is not None
    assert "<script>" not in said(test)


def test_votes_stand_in_the_address_and_among_the_chips(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = shown(page(archive_folder, "search", monkeypatch, q="effusion"))
    test = page(archive_folder, "search", monkeypatch, q="effusion", like=str(plain[3]), unlike=str(plain[0]))
    assert plain[0] not in shown(test)
    assert [(one["kind"], one["text"]) for one in components(test, "chips")[0]["items"]] == [
        ("for", "effusion"),
        ("for", f"film {plain[3]}"),
        ("against", f"film {plain[0]}"),
    ]
    assert all(one["src"] for one in components(test, "chips")[0]["items"][1:])


def test_other_words_drop_the_votes_and_other_filters_keep_them(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch, q="effusion", like="3")
    test.text_input(key="q").set_value("effusion label:effusion").run()
    assert test.query_params.get("like") == "3"
    test.text_input(key="q").set_value("pneumothorax").run()
    assert "like" not in test.query_params


def test_addresses_that_make_no_sense_are_read_as_usual(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch, n="9" * 30, like="a,-1,,9" + "9" * 40, sort="odd", study="maybe")
    assert not test.exception
    assert len(shown(test)) == 24


def test_a_saved_search_comes_back(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch, q="edema label:effusion")
    test.text_input(key="save-as").set_value("<b>mine</b>").run()
    next(button for button in test.button if button.label == "Save").click().run()
    test = page(archive_folder, "search", monkeypatch)
    test.button(key="saved-<b>mine</b>").click().run()
    assert test.text_input(key="q").value == "edema label:effusion"
    assert "<b>" not in test.button(key="saved-<b>mine</b>").label.replace("\\<", "")
    test.button(key="unsave-<b>mine</b>").click().run()
    assert not annotations.saved_searches(Archive.open(archive_folder).catalog)


@pytest.mark.parametrize(
    ("query", "told"),
    [("left effusion", True), ("Small effusion", True), ("effusion", False), ("effusion view:PA", False), ("", False)],
)
def test_a_query_for_a_side_or_a_size_says_that_the_model_guesses(
    archive_folder: Path, query: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ("Side and size are the model's guess" in said(page(archive_folder, "search", monkeypatch, q=query))) is told
