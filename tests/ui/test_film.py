"""The film page's logic, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.reads.films import films
from filmroom.db.records import Label
from filmroom.db.writes import annotations
from filmroom.db.writes.facts import put_facts
from sqlalchemy import update

from tests.pages import components, page, said


def test_a_film_shows_its_pixels_facts_report_and_relatives(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "film", monkeypatch, film=str(numbered[1]), q="effusion")
    viewer = components(test, "viewer")[0]
    assert (viewer["height"], viewer["width"]) == (400, 340)
    assert viewer["pixels"]
    assert viewer["can_attend"]
    assert viewer["attention"] is False
    sheets = components(test, "sheet")
    facts = dict(map(tuple, sheets[0]["facts"]))
    assert facts["Size"] == "340 by 400 pixels"
    pieces = sheets[-1]["paragraphs"][0]
    assert ["effusion", True, "says"] in pieces
    assert "".join(text for text, _, _ in pieces) == "Small left pleural effusion. <script>alert(1)</script>"
    nearest = components(test, "grid")[-1]["items"]
    assert len(nearest) == 16
    assert str(numbered[1]) not in {item["id"] for item in nearest}


@pytest.mark.parametrize(
    ("kept", "words"), [(None, None), ("uncertain", "not certain"), ("mirrored", "mirrored, as its")]
)
def test_a_film_says_how_it_lay_in_its_file(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch, kept: str | None, words: str | None
) -> None:
    catalog = Archive.open(archive_folder).catalog
    with catalog.write() as connection:
        connection.execute(update(schema.film).where(schema.film.c.id == numbered[7]).values(orientation=kept))
    try:
        test = page(archive_folder, "film", monkeypatch, film=str(numbered[7]))
        said = dict(map(tuple, components(test, "sheet")[0]["facts"])).get("Orientation")
    finally:
        with catalog.write() as connection:
            connection.execute(update(schema.film).where(schema.film.c.id == numbered[7]).values(orientation=None))
    assert said is None if words is None else said.startswith(words)


def test_a_film_says_where_a_fact_came_from(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"age": 61, "split": "test"}
    put_facts(Archive.open(archive_folder).catalog, {numbered[3]: given}, source="<i>train</i>.csv", overrides=True)
    test = page(archive_folder, "film", monkeypatch, film=str(numbered[3]))
    facts = dict(map(tuple, components(test, "sheet")[0]["facts"]))
    assert facts["Age"] == "61 years, from <i>train</i>.csv"
    assert facts["Split"] == "test, from <i>train</i>.csv"
    assert facts["Size"] == "340 by 400 pixels"


@pytest.mark.parametrize("named", ["", "abc", "-1", "9" * 16, "<b>"])
def test_a_film_that_is_not_there_is_one_line(
    archive_folder: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "film", monkeypatch, film=named)
    assert not test.exception
    assert "No film is named" in said(test) or "There is no film 9999" in said(test)
    assert "`" not in said(test), "no advice for a terminal"
    assert test.get("page_link")


def test_what_an_absent_label_denies_is_a_finding(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Archive.open(archive_folder).catalog
    for name in ("No Finding", "mass"):
        annotations.put_labels(catalog, [(numbered[5], Label(name, 0.0, "radiologist"))])
    test = page(archive_folder, "film", monkeypatch, film=str(numbered[5]))
    labels = dict(map(tuple, components(test, "sheet")[1]["facts"]))
    assert labels["Absent"] == "mass"


def test_a_film_whose_file_is_gone_falls_back_to_its_thumbnail(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = films(Archive.open(archive_folder).catalog, [numbered[2]])[0]
    path = Path(one.root) / one.path
    aside = path.rename(path.with_suffix(".aside"))
    try:
        test = page(archive_folder, "film", monkeypatch, film=str(numbered[2]))
    finally:
        aside.rename(path)
    viewer = components(test, "viewer")[0]
    assert "pixels" not in viewer
    assert viewer["preview"]
    assert "Only the thumbnail can be shown" in said(test)


def test_a_collection_may_bear_the_name_of_the_choice_of_a_new_one(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, words = Archive.open(archive_folder).catalog, "A new collection"
    annotations.collect(catalog, words, numbered[:1])
    test = page(archive_folder, "film", monkeypatch, film=str(numbered[1]))
    choice = test.selectbox(key="collect-into-film")
    assert choice.options[-2:] == [words, f"{words}…"]
    choice.select_index(choice.options.index(words)).run()
    assert not [one for one in test.text_input if one.key == "collect-name-film"], "this one has a name"
    test.button(key="collect-do-film").click().run()
    assert {one.name: one.films for one in annotations.collections(catalog)}[words] == 2
    annotations.uncollect(catalog, words)
