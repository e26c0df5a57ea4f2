"""The pages' logic, without a browser."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.reads.films import films
from filmroom.db.records import SAME_UID, Label
from filmroom.db.writes import annotations
from filmroom.db.writes.facts import put_facts
from filmroom.search.ui.pages import archive as archive_page
from sqlalchemy import delete, insert, select, update
from streamlit.testing.v1 import AppTest

from tests.pages import opened

NOTICE = "Research use only, not for diagnosis"
PAGES = ("search", "film", "study", "collections", "zeroshot", "evaluate", "judge", "map", "check", "archive")
HOSTILE = ("<script>alert(1)</script>", "![x](http://evil.example/x.png)", ":red[x] $x$ `y`", "{}[]()")


def page(
    archive: Path, name: str = "search", monkeypatch: pytest.MonkeyPatch | None = None, **parameters: str
) -> AppTest:
    """A page of the application, run once."""
    if monkeypatch is not None:
        monkeypatch.setattr("sys.argv", ["app.py", "--archive", str(archive)])
    import filmroom.search.ui.layout as frame

    frame.archive_folder.cache_clear()
    test = opened(name)
    for key, value in parameters.items():
        test.query_params[key] = value
    return test.run()


def components(test: AppTest, name: str) -> list[dict[str, Any]]:
    """What the page handed to its own components of this name."""
    found = []

    def look(node: Any) -> None:
        proto = getattr(node, "proto", None)
        if getattr(proto, "component_name", "") == f"filmroom.{name}":
            found.append(json.loads(proto.json))
        for child in getattr(node, "children", {}).values():
            look(child)

    look(test._tree)
    return found


def shown(test: AppTest) -> list[int]:
    return [int(item["id"]) for item in components(test, "grid")[0]["items"]]


def said(test: AppTest) -> str:
    kinds = ("markdown", "caption", "title", "subheader", "warning", "error", "info", "success", "text")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(test, kind))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_and_says_what_it_is_not_for(
    archive_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, name, monkeypatch)
    assert not test.exception
    assert not test.error
    assert NOTICE in "".join(str(block.proto.body) for block in test.get("html"))


@pytest.mark.parametrize("name", PAGES)
def test_without_an_archive_every_page_says_how_to_make_one(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(tmp_path / "none", name, monkeypatch)
    assert not test.exception
    assert "There is no archive yet" in said(test)


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


def test_the_archive_page_names_pictures_under_one_uid(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(archive_folder).catalog.write() as connection:
        root = connection.scalar(select(schema.file.c.root_id).limit(1))
        twin = {"root_id": root, "path": "<b>twin.dcm", "size": 1, "mtime_ns": 1, "tried_at": 0, "listed": True}
        twin |= {"outcome": "duplicate", "reason": SAME_UID, "duplicate_of": numbered[0]}
        connection.execute(insert(schema.file).values(twin))
    try:
        words = said(page(archive_folder, "archive", monkeypatch))
    finally:
        with Archive.open(archive_folder).catalog.write() as connection:
            connection.execute(delete(schema.file).where(schema.file.c.path == "<b>twin.dcm"))
    assert "1 file bears the instance UID of another picture" in words
    assert "keep-apart" in words.replace("\\", "")
    assert "<b>twin" not in words


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


@pytest.mark.parametrize(
    ("query", "told"),
    [("left effusion", True), ("Small effusion", True), ("effusion", False), ("effusion view:PA", False), ("", False)],
)
def test_a_query_for_a_side_or_a_size_says_that_the_model_guesses(
    archive_folder: Path, query: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ("Side and size are the model's guess" in said(page(archive_folder, "search", monkeypatch, q=query))) is told


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


def test_judging_counts_undoes_and_writes_qrels(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, query = Archive.open(archive_folder).catalog, "effusion on one side"
    test = page(archive_folder, "judge", monkeypatch, judged=query)
    test.text_input(key="judge").set_value("ab").run()
    for grade in (3, 0, 1):
        test.button(key=f"grade-{grade}").click().run()
    assert [one.grade for one in annotations.judgements(catalog, query)] == [3, 0, 1]
    assert "3 grades, 1 query, 1 judge." in said(test)
    test.button(key="undo-grade").click().run()
    assert [one.grade for one in annotations.judgements(catalog, query)] == [3, 0]
    test = page(archive_folder, "evaluate", monkeypatch, set="Judgements made here")
    assert not test.warning
    assert any(metric.label == "nDCG@5" for metric in test.metric)
    assert "1 query, tiny" in said(test)
    assert "the band its 95 % interval" in said(test)
    for one in annotations.judgements(catalog):
        annotations.unjudge(catalog, one)


def test_grades_of_one_second_stand_in_the_order_in_which_they_were_given(
    archive_folder: Path, numbered: list[int]
) -> None:
    catalog, query = Archive.open(archive_folder).catalog, "in one second"
    for film in sorted(numbered[:6], reverse=True):
        annotations.judge(catalog, annotations.Judgement(query, film, "ab", 1))
    given = annotations.judgements(catalog, query)
    assert [one.film_id for one in given] == sorted(numbered[:6], reverse=True)
    for one in given:
        annotations.unjudge(catalog, one)


def test_zero_shot_counts_what_its_threshold_selects(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="effusion")
    slider = test.slider(key="cut-effusion")
    slider.set_value(slider.min).run()
    assert "**36** of 36 films" in said(test)
    (wall,) = components(test, "grid")
    assert (wall["bar"]["passing"], wall["tools"]) == ("All 36", ["pick"])
    assert "AUC **" in said(test)


def test_zero_shot_takes_no_denial(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="no effusion")
    assert "denies a finding" in test.warning[0].value


def test_a_collection_can_be_made_shown_and_deleted(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Archive.open(archive_folder).catalog
    annotations.collect(catalog, "<i>cohort</i>", numbered[:3])
    test = page(archive_folder, "collections", monkeypatch)
    assert sorted(shown(test)) == sorted(numbered[:3])
    next(button for button in test.button if button.label.startswith("Delete")).click().run()
    assert "<i>cohort</i>" not in [one.name for one in annotations.collections(catalog)]


def test_the_archive_page_names_what_was_rejected(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(archive_page, "download", lambda files, key: made.extend(file.make() for file in files))
    test = page(archive_folder, "archive", monkeypatch)
    tables = [table.value for table in test.dataframe]
    assert any("broken.dcm" in table.to_string() for table in tables)
    assert b"broken.dcm" in made[0]
    next(button for button in test.button if button.label == "Examine").click().run()
    assert "All agrees" in said(test)


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


def test_with_auth_nothing_is_shown_before_signing_in(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PAGES:
        monkeypatch.setattr("sys.argv", ["app.py", "--archive", str(archive_folder)])
        test = opened(name)
        test.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback", "cookie_secret": "x"}
        test.run()
        assert [button.label for button in test.button] == ["Sign in"]
        assert not components(test, "grid")
        assert not test.dataframe


def test_few_pages_run_at_once_and_none_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    import filmroom.search.ui.layout as frame

    at_once, most, lock = 0, 0, threading.Lock()

    def show() -> None:
        nonlocal at_once, most
        with lock:
            at_once, most = at_once + 1, max(most, at_once + 1)
        time.sleep(0.02)
        with lock:
            at_once -= 1

    def crowd() -> None:
        threads = [threading.Thread(target=frame.with_words, args=(show,)) for _ in range(20)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(10)
        assert not any(one.is_alive() for one in threads)

    crowd()
    assert most == 4
    monkeypatch.setattr(frame, "TURN_SECONDS", 0.01)
    with frame.turn(), frame.turn(), frame.turn(), frame.turn():  # pages that take long
        crowd()


def test_another_archive_in_its_place_is_opened_and_no_ghost_answers(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = tmp_path / "archive", tmp_path / "other"
    for copy in (here, other):
        shutil.copytree(archive_folder, copy)
    with Archive.open(other).catalog.write() as connection:
        connection.exec_driver_sql("UPDATE film SET state = 'gone' WHERE id > 3")
        connection.exec_driver_sql("UPDATE meta SET value = value + 1 WHERE key = 'film_states'")
    test = page(here, monkeypatch=monkeypatch, q="effusion")
    assert len(shown(test)) > 3
    here.rename(tmp_path / "away")
    assert "There is no archive yet" in said(test.run())
    other.rename(here)
    assert len(shown(test.run())) == 3
    annotations.set_tags(Archive.open(here).catalog, 1, ["seen"])
    assert not test.exception
