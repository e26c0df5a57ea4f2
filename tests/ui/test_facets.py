"""Facets count the answer at hand, and a click on one, or on a label in the wall, is a filter."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films
from filmroom.db.reads.facets import FACETS, FacetTable
from filmroom.db.records import Filter, Label, Range
from filmroom.db.writes import annotations
from filmroom.db.writes.facts import put_facts
from filmroom.search.query.parser import parse, with_filter
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui.components.facets.facets import Chosen
from filmroom.search.ui.query.filter_panel import counts, sections_of, toggled

from tests.ui.room import Room, expect, film_ids, needs_chromium, settle, until


@pytest.fixture
def ward(archive_folder: Path, tmp_path: Path, numbered: list[int]) -> Path:
    """The archive with views, sexes, ages, years, tags, a collection and burned-in text; one film gone."""
    copy = Path(shutil.copytree(archive_folder, tmp_path / "ward"))
    with sqlite3.connect(copy / "catalog.sqlite") as catalog:
        catalog.execute(
            "UPDATE film SET view = CASE id % 3 WHEN 0 THEN 'PA' WHEN 1 THEN 'AP' END, sex = 'F', age = 20 + id, "
            "year = 2010 + id % 4, modality = 'DX', patient_key = 'key' || (id / 4), burned_in = id % 6 = 0"
        )
        catalog.execute("UPDATE film SET state = 'gone' WHERE id = 36")
    written = Archive.open(copy).catalog
    annotations.add_tags(written, [1, 2, 3], ["seen"])
    split = {film_id: {"split": "test" if film_id % 3 else "train"} for film_id in range(1, 20)}
    put_facts(written, split, source="split.csv")
    annotations.collect(written, "mine", [3, 6, 9, 36])
    annotations.put_labels(written, [(film_id, Label("effusion", 1.0, "second reader")) for film_id in (1, 2)])
    return copy


def plain(found: dict[str, list[Any]]) -> dict[str, dict[str, int]]:
    return {name: {one.value: one.count for one in facets} for name, facets in found.items()}


@pytest.mark.parametrize(
    "where",
    [Filter(), Filter(views=("PA",)), Filter(labels=("effusion",)), Filter(age=Range(30, 39)), Filter(tags=("x",))],
)
def test_facets_count_what_a_scan_of_the_films_counts(ward: Path, where: Filter) -> None:
    catalog = Archive.open(ward).catalog
    ids = films.select_ids(catalog, where)
    found = plain(FacetTable(catalog).count(None if where == Filter() else ids))
    for name in ("view", "sex", "modality", "body_part", "year", "label", "tag", "collection"):
        assert found[name] == {one.value: one.count for one in films.facets(catalog, name, where)}, name
    records = list(films.everyone(catalog, where))
    ages = [str(one.tags.age // 10 * 10) for one in records if one.tags.age is not None]
    assert found["age"] == {age: ages.count(age) for age in ages}
    assert found["burned_in"].get("yes", 0) == sum(one.tags.burned_in is True for one in records)
    assert found["report"].get("yes", 0) == sum(one.has_report for one in records)
    keys = [one.tags.patient_key for one in records]
    assert found["patient"] == {key: keys.count(key) for key in keys}
    if where == Filter():
        assert found["split"] == {"test": 13, "train": 6}
    assert set(found) == set(FACETS)


def test_a_facet_that_filters_still_shows_its_alternatives(ward: Path) -> None:
    searcher = Searcher.open(ward)
    found = plain(counts(searcher, SearchRequest("effusion view:PA age:30..39")))
    everyone = films.select_ids(searcher.catalog, Filter(age=Range(30, 39)))
    assert sum(found["view"].values()) == sum(film_id % 3 < 2 for film_id in everyone)
    assert len(found["age"]) > 1
    assert set(found["year"]) < {"2010", "2011", "2012", "2013"}
    half = searcher.scores(SearchRequest("effusion"))[9]
    cut = plain(counts(searcher, SearchRequest("effusion", least_score=float(half))))
    assert sum(cut["sex"].values()) == 10


def test_every_value_that_is_shown_filters_to_as_many_films_as_it_says(ward: Path) -> None:
    searcher = Searcher.open(ward)
    request = SearchRequest("")
    for section in sections_of(counts(searcher, request), Filter()):
        for value in section.values:
            query = with_filter("", **toggled(Filter(), section.name, value.value, Chosen.ONLY))
            assert films.count(searcher.catalog, parse(query).filter) == value.count, query
            back = with_filter(query, **toggled(parse(query).filter, section.name, value.value, Chosen.ONLY))
            assert not back
            if section.can_exclude:
                query = with_filter("", **toggled(Filter(), section.name, value.value, Chosen.NOT))
                assert films.count(searcher.catalog, parse(query).filter) == 35 - value.count, query


def test_a_chosen_value_that_no_film_has_can_be_taken_back(ward: Path) -> None:
    wanted = parse("label:nothing -view:XX").filter
    sections = {one.name: one for one in sections_of(counts(Searcher.open(ward), SearchRequest("")), wanted)}
    assert [(one.count, one.chosen) for one in sections["label"].values if one.value == "nothing"] == [(0, "only")]
    assert [(one.count, one.chosen) for one in sections["view"].values if one.value == "XX"] == [(0, "not")]


def test_of_many_values_the_most_frequent_are_listed_and_those_that_filter(ward: Path) -> None:
    table = FacetTable(Archive.open(ward).catalog)
    every = table.count(None, ["patient"])["patient"]
    assert len(every) == 9
    assert table.count(None, ["patient"], most=2)["patient"] == every[:2]
    assert table.count(None, ["patient"], most=2, also=["key8", "key0"])["patient"] == [
        facet for at, facet in enumerate(every) if at < 2 or facet.value in ("key8", "key0")
    ]


def test_what_readers_put_on_films_counts_at_once_and_leaves_known_what_films_are(ward: Path) -> None:
    searcher = Searcher.open(ward)
    catalog, table = searcher.catalog, FacetTable(searcher.catalog)
    before, facts = catalog.changes(), catalog.fact_state()
    assert plain(table.count(None, ["tag", "collection"])) == {"tag": {"seen": 3}, "collection": {"mine": 3}}
    assert searcher.search("effusion tag:seen").total == 3
    annotations.add_tags(catalog, [4], ["seen"])
    annotations.collect(catalog, "mine", [4])
    annotations.set_note(catalog, 4, "look")
    assert catalog.changes() == before + 3
    assert catalog.fact_state() == facts
    assert plain(table.count(None, ["tag", "collection"])) == {"tag": {"seen": 4}, "collection": {"mine": 4}}
    assert searcher.search("effusion tag:seen").total == 4
    assert searcher.search("effusion (tag:seen OR collection:mine)").total == 6
    annotations.remove_tags(catalog, [(4, "seen")])
    assert searcher.search("effusion (tag:seen OR collection:mine)").total == 6
    assert searcher.search("effusion tag:seen").total == 3
    assert searcher.search("effusion label:odd").total == 0
    annotations.put_labels(catalog, [(5, Label("odd", 1.0, "reader"))])
    assert catalog.fact_state() != facts
    assert searcher.search("effusion label:odd").total == 1


@pytest.mark.parametrize("descending", [False, True])
def test_films_stand_in_the_order_of_a_fact_and_those_without_it_at_the_end(ward: Path, descending: bool) -> None:
    with sqlite3.connect(ward / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE film SET age = NULL WHERE id % 7 = 0")
        catalog.execute("UPDATE film SET age = 50 WHERE id % 5 = 0")
    order = "age IS NULL, age DESC, id" if descending else "age IS NULL, age, id"
    with sqlite3.connect(ward / "catalog.sqlite") as catalog:
        rows = catalog.execute(f"SELECT id FROM film WHERE state = 'present' ORDER BY {order}").fetchall()
    sorted_ids = films.ids_by_fact(Archive.open(ward).catalog, "age", descending=descending)
    assert sorted_ids.tolist() == [row[0] for row in rows]
    assert len(rows) == 35


def test_ten_thousand_films_are_counted_at_once(ward: Path) -> None:
    """A bound that only another way of counting would break; benchmarks measure it."""
    table = FacetTable(Archive.open(ward).catalog)
    many = np.arange(1, 10_001)
    assert plain(table.count(many))["sex"] == {"F": 35}


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    def test_a_label_in_the_wall_is_a_click_from_its_filter_and_films_are_as_large_as_chosen(
        self, tab: Any, room: Room
    ) -> None:
        tab.goto(f"{room.url}/?q=mass")
        tab.wait_for_selector(".grid .bar")
        settle(tab)
        tab.locator("button.term", has_text="effusion").first.click()
        tab.wait_for_url("**label%3Aeffusion")
        expect(tab.get_by_text("The best 18 of 18 films").first).to_be_visible()
        settle(tab)
        slider = tab.get_by_role("slider", name="Size of the films")
        slider.evaluate("one => { one.value = 4; one.dispatchEvent(new Event('input')); }")
        across = "list => getComputedStyle(list).gridTemplateColumns.split(' ').length"
        assert tab.locator(".grid").evaluate(across) == 3
        tab.reload()
        tab.wait_for_selector(".grid .bar")
        until(tab, lambda: tab.locator(".grid").evaluate(across), lambda count: count == 3)
        slider.dblclick()
        assert tab.locator(".grid").evaluate(across) == 6

    def test_who_comes_back_from_a_film_is_where_he_was(self, tab: Any, room: Room) -> None:
        tab.set_viewport_size({"width": 1280, "height": 500})
        tab.goto(f"{room.url}/?q=effusion")
        tab.wait_for_selector(".grid .bar")
        settle(tab)
        opened = film_ids(tab)[20]
        frame = tab.locator(".grid .frame").nth(20)
        frame.scroll_into_view_if_needed()
        top = "document.querySelector('[data-testid=stMain]').scrollTop"
        left = tab.evaluate(top)
        assert left > 100
        for back in (lambda: tab.get_by_text("Results").first.click(), tab.go_back):
            frame.click()
            tab.wait_for_url(f"**film={opened}*")
            tab.wait_for_selector("[data-act=invert]:enabled")
            settle(tab)
            back()
            tab.wait_for_selector(".grid .bar")
            until(tab, lambda: tab.evaluate(top), lambda now: abs(now - left) < 5)
            settle(tab)
            tab.wait_for_timeout(1300)
            assert abs(tab.evaluate(top) - left) < 5
            focused = "document.querySelector('[data-testid=stMain]') && [...document.querySelectorAll('*')]"
            focused += ".find((one) => one.shadowRoot?.activeElement)?.shadowRoot.activeElement.dataset.id"
            assert tab.evaluate(focused) == opened
