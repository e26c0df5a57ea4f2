"""The Check page: a check is chosen and run, and what it finds goes on as picks and as files."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.records import Label
from filmroom.db.writes.annotations import collect, put_labels
from filmroom.db.writes.facts import put_facts
from filmroom.db.writes.query_sets import put_query_set
from filmroom.search.ui.pages import check, check_results
from streamlit.testing.v1 import AppTest

from tests.pages import components, page, said
from tests.search.checks.conftest import changed, picture
from tests.ui.room import Room, needs_chromium, settle

SIDES = {"film-00.png": "test", "film-01.png": "test"}


@pytest.fixture(scope="module")
def leaky(place: Path, archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films, one of them in test, and five changed copies of it in train."""
    from filmroom.indexer import pipeline
    from filmroom.indexer.models import registry

    folder = tmp_path_factory.mktemp("leaky")
    (folder / "films").mkdir()
    for seed in range(6):
        picture(seed).save(folder / "films" / f"film-{seed:02}.png")
    for name, one in changed(picture(0)).items():
        one.save(folder / "films" / f"{name}.png")
    archive = Archive.create(folder / "archive")
    pipeline.index(archive, [folder / "films"], registry.load_towers("tiny"))
    everyone = list(db_films.everyone(archive.catalog))
    put_facts(archive.catalog, {film.id: {"split": SIDES.get(film.path, "train")} for film in everyone}, source="test")
    return archive.folder


def run(archive: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    test = page(archive, "check", monkeypatch, check=name.capitalize())
    assert not test.exception
    return test.button(key="run-check").click().run()


def walls(test: AppTest) -> list[dict[str, Any]]:
    return components(test, "grid")


def by_name(archive: Path) -> dict[str, int]:
    return {film.path: film.id for film in db_films.everyone(Archive.open(archive).catalog)}


def test_nothing_is_run_before_it_is_asked_for(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(leaky, "check", monkeypatch, check="Duplicates")
    assert "It takes a few seconds" in said(test)
    assert walls(test) == []
    assert not test.metric


def test_copies_stand_side_by_side_and_as_one_grid(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = run(leaky, "duplicates", monkeypatch)
    assert not test.exception
    assert not test.error
    *groups, every = walls(test)
    assert [[item["mark_says"] for item in one["items"]] for one in groups] == [["keep", "drop", "drop", "drop"]]
    assert "near-duplicate, likeness" in groups[0]["title"]
    assert "the first 4 of 6 films" in groups[0]["title"]
    assert len(every["items"]) == 6
    assert "pick" in every["tools"]
    assert {"collect", "judge", "export"} <= set(every["bar"]["actions"])


def test_those_to_drop_are_picked_by_a_button(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = run(leaky, "duplicates", monkeypatch)
    kept = next(int(item["id"]) for item in walls(test)[0]["items"] if item["mark_says"] == "keep")
    test.button(key="pick-role-drop").click().run()
    added = {int(one) for one in walls(test)[-1]["change"]["add"]}
    assert len(added) == 5
    assert kept not in added


def test_leaks_are_pairs_with_the_side_of_each(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = run(leaky, "splits", monkeypatch)
    names = by_name(leaky)
    *pairs, every = walls(test)
    assert len(pairs) >= 3
    for pair in pairs:
        assert {item["mark_says"] for item in pair["items"]} == {"test", "train"}
        assert str(names["film-00.png"]) in {item["id"] for item in pair["items"]}
    assert len(every["items"]) == len(pairs) + 1


def test_results_stay_while_the_session_lasts(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = run(leaky, "splits", monkeypatch)
    first = walls(test)
    test.segmented_control(key="check").set_value("Archive").run()
    assert walls(test) == []
    test.segmented_control(key="check").set_value("Splits").run()
    assert [one["title"] for one in walls(test)] == [one["title"] for one in first]
    assert "written to since" not in said(test)
    collect(Archive.open(leaky).catalog, "later", [by_name(leaky)["film-01.png"]])
    assert "written to since" in said(test.run())


def test_two_collections_are_sides_and_both_are_needed(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = by_name(leaky)
    collect(Archive.open(leaky).catalog, "A", [names["film-00.png"], names["film-03.png"]])
    collect(Archive.open(leaky).catalog, "B", [names["inverted.png"], names["film-04.png"]])
    test = page(leaky, "check", monkeypatch, check="Splits")
    test.segmented_control(key="check-sides").set_value("two collections").run()
    assert test.button(key="run-check").disabled
    test.multiselect(key="check-collections").set_value(["A", "B"]).run()
    test.button(key="run-check").click().run()
    (pair, _) = walls(test)
    assert {int(item["id"]) for item in pair["items"]} == {names["film-00.png"], names["inverted.png"]}


def test_a_fact_that_no_film_has_is_one_line(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(leaky, "check", monkeypatch, check="Splits")
    test.text_input(key="check-column").set_value("<b>fold").run()
    test.button(key="run-check").click().run()
    assert not test.exception
    (fault,) = test.error
    assert "no table gave the films this fact" in fault.value.replace("\\", "")
    assert "<b>" not in fault.value


def test_the_archive_is_green_or_the_list(archive_folder: Path, leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = run(leaky, "archive", monkeypatch)
    table = run(archive_folder, "archive", monkeypatch).dataframe[0].value
    assert table[table.State == "look"]["Line"].iloc[0] == "files rejected"
    assert "the page Archive" in said(run(archive_folder, "archive", monkeypatch))
    assert "`" not in said(run(archive_folder, "archive", monkeypatch)), "no markup of another place"
    assert list(table.State) == sorted(table.State, reverse=True)
    state = healthy.dataframe[0].value.State
    assert bool(healthy.success) == all(state == "fine")


def test_doubtful_labels_are_ranked_with_their_evidence(
    archive_folder: Path, numbered: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(archive_folder, tmp_path / "own"))
    monkeypatch.setattr("filmroom.search.checks.labels.LEAST_DOUBT", 0.0)
    test = run(own, "labels", monkeypatch)
    assert not test.exception
    finding = test.selectbox(key="check-finding").value
    table = test.dataframe[0].value
    assert {"Rank", "Film", "Why", "Label", "Doubt", "Probe", "Neighbours"} <= set(table.columns)
    assert list(table.Doubt) == sorted(table.Doubt, reverse=True)
    (wall,) = walls(test)
    assert [int(item["id"]) for item in wall["items"]] == list(table.Film[: len(wall["items"])])
    assert "doubt" in wall["items"][0]["mark_says"]
    assert finding in {"effusion", "no finding"}


def test_slices_are_plotted_and_listed_the_worst_first(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(archive_folder, tmp_path / "own"))
    catalog = Archive.open(own).catalog
    ids = [film.id for film in db_films.everyone(catalog)]
    put_labels(catalog, [(film, Label("edema", float(at % 4 < 2))) for at, film in enumerate(ids)])
    put_facts(catalog, {film: {"sex": "FM"[at % 2]} for at, film in enumerate(ids)}, source="test", overrides=True)
    monkeypatch.setattr("filmroom.search.checks.subgroups.figures.LEAST", 2)
    test = page(own, "check", monkeypatch, check="Slices")
    test.multiselect(key="check-slices-of").set_value(["edema"]).run()
    test.button(key="run-check").click().run()
    assert not test.exception
    assert not test.error
    table = test.dataframe[0].value
    assert set(table.Slice[table.Fact == "sex"]) == {"F", "M"}
    assert {"Value", "Low", "High", "Others", "p", "State", "Patients"} <= set(table.columns)
    assert all(re.fullmatch(r"<0\.001|[01]\.\d{3}", p) for p in table.p)
    assert not test.success
    worse = (table.State == "worse").any()
    assert worse or "slices could be measured" in test.info[0].value or "were measured" in test.info[0].value
    assert test.get("arrow_vega_lite_chart") or test.get("vega_lite_chart")


def test_drift_shows_what_moved_and_films_of_either_side(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(archive_folder, tmp_path / "own"))
    catalog = Archive.open(own).catalog
    ids = [film.id for film in db_films.everyone(catalog)]
    said_of = {film: {"split": ("a", "b")[at % 2], "patient": f"{at:032x}"} for at, film in enumerate(ids)}
    put_facts(catalog, said_of, source="test", overrides=True)
    for name, value in (("LEAST_FILMS", 2), ("LEAST_PATIENTS", 2), ("ALPHA", 1.1)):
        monkeypatch.setattr(f"filmroom.search.checks.subgroups.drift.{name}", value)
    test = page(own, "check", monkeypatch, check="Drift")
    assert test.button(key="run-check").disabled
    test.text_input(key="check-a").set_value("split:a").run()
    test.text_input(key="check-b").set_value("split:b").run()
    test.button(key="run-check").click().run()
    assert not test.exception
    assert not test.error
    assert {"A", "B", "Difference", "Low", "High", "p", "State"} <= set(test.dataframe[0].value.columns)
    *sides, every = walls(test)
    assert [{item["mark_says"] for item in one["items"]} for one in sides] == [{"split:a"}, {"split:b"}]
    assert len(every["items"]) > 4


def test_the_films_to_label_next_go_on_to_judge(
    archive_folder: Path, numbered: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(archive_folder, tmp_path / "own"))
    test = page(own, "check", monkeypatch, check="Next")
    assert test.button(key="run-check").disabled
    test.selectbox(key="check-next").set_value("effusion").run()
    test.button(key="run-check").click().run()
    assert not test.exception
    assert not test.error
    if test.metric[-1].value != "0":
        assert test.button(key="judge-queue").label.startswith("Judge the ")
        (wall,) = walls(test)
        assert wall["items"]


def test_the_films_that_a_query_set_waits_for_go_on_to_judge(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(archive_folder, tmp_path / "own"))
    put_query_set(Archive.open(own).catalog, "ward", ["edema", "effusion"])
    test = page(own, "check", monkeypatch, check="Next")
    test.selectbox(key="check-next-set").set_value("ward").run()
    test.button(key="run-check").click().run()
    assert not test.exception
    assert not test.error
    films = {}
    for query in ("edema", "effusion"):
        test.selectbox(key="check-next-query").set_value(query).run()
        (wall,) = walls(test)
        films[query] = [item["id"] for item in wall["items"]]
        assert test.button(key="judge-queue").label == f"Judge the {len(films[query])} films"
    assert len(films["edema"]) > 1
    assert films["edema"] != films["effusion"]


def test_while_one_check_runs_another_says_so(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with check._running:
        test = run(leaky, "duplicates", monkeypatch)
    assert "Another check is under way" in said(test)
    assert walls(test) == []


def test_json_and_csv_hold_what_the_page_shows(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, bytes] = {}
    monkeypatch.setattr(
        check_results, "download", lambda files, key: made.update({one.name: one.make() for one in files})
    )
    run(leaky, "duplicates", monkeypatch)
    rows = list(csv.DictReader(io.StringIO(made["check-duplicates.csv"].decode())))
    found = json.loads(made["check-duplicates.json"])
    assert len(rows) == len(found["picks"]) == 6
    assert {row["advice"] for row in rows} == {"keep", "drop"}
    assert "film-00.png" not in made["check-duplicates.csv"].decode()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "a few seconds"), (42, "about 40 seconds"), (3600, "about 60 minutes"), (20_000, "about 6 hours")],
)
def test_a_time_is_said_roughly(seconds: float, words: str) -> None:
    assert check.roughly(seconds) == words


def test_the_archive_page_leads_to_the_near_duplicates(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(leaky, "archive", monkeypatch)
    links = [one.proto for one in test.get("page_link")]
    assert [(one.label, one.query_string) for one in links] == [("Look for near-duplicates", "check=Duplicates")]


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    def test_what_is_said_of_a_film_ends_where_it_ends_and_is_there_in_full(self, leaky: Path, tab: Any) -> None:
        room = Room(leaky)
        try:
            tab.context.add_cookies(room.cookies)
            tab.goto(f"{room.url}/check?check=Duplicates")
            tab.get_by_role("button", name="Run the check").click()
            marks = tab.locator(".noted-mark")
            marks.first.wait_for()
            settle(tab)
            assert set(marks.all_inner_texts()[:4]) == {"keep", "drop"}, "no label follows, and no dot"
            assert marks.last.get_attribute("title") == "1: drop, near-duplicate"
        finally:
            tab.goto("about:blank")
            room.close()
