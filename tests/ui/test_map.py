"""The map: colours by any fact, a region drawn around films, and what is made of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.facets import FACETS, FacetTable
from filmroom.db.writes import annotations
from filmroom.search.ui.components.scatter.scatter import KINDS, Colours, MapAct, _read
from filmroom.search.ui.pages.map import Colour

from tests.pages import components, page, said
from tests.ui.room import Room, expect, needs_chromium, settle, until
from tests.ui.test_picks import count, exported, press


def test_kinds_are_the_most_frequent_and_the_rest_is_other() -> None:
    values = ["a"] * 3 + [None] + [f"kind {n}" for n in range(KINDS)]
    colours = Colours.of_kinds(values)
    assert colours.kinds[0] == "a"
    assert colours.kinds[-2:] == ("other", "none")
    assert len(colours.kinds) == KINDS + 2
    assert [colours.kinds[int(at)] for at in colours.values][:4] == ["a", "a", "a", "none"]


@pytest.mark.parametrize(
    ("region", "opened", "read"),
    [
        ([3, 1, 3, 99, "1", None], None, MapAct(None, (3, 1))),
        ([], None, MapAct(None, ())),
        (None, 2, MapAct(2, None)),
        ("13", 99, MapAct(None, None)),
        ({"a": 1}, "2", MapAct(None, None)),
    ],
)
def test_what_a_browser_sends_is_read_with_care(region: object, opened: object, read: MapAct) -> None:
    assert _read(region, opened, np.array([1, 2, 3])) == read


def test_values_of_films_come_in_the_order_of_the_films(archive_folder: Path, numbered: list[int]) -> None:
    table = FacetTable(Archive.open(archive_folder).catalog)
    ids = np.array([numbered[3], numbered[2], 10**9, numbered[5]])
    assert [value and value.replace("<b>bold</b> [x](y)", "effusion") for value in table.values("label", ids)] == [
        "effusion", "no finding", None, "effusion",
    ]  # fmt: skip
    assert table.values("tag", ids) == [None] * 4


@pytest.mark.parametrize("colour", [Colour.LABEL, Colour.AGE, Colour.OUTLIER, Colour.QUERY])
def test_it_is_coloured_by_anything(archive_folder: Path, colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "map", monkeypatch, colour=colour.value, near="effusion")
    assert not test.exception
    (shown,) = components(test, "scatter")
    assert shown["count"] == 36
    if colour is Colour.LABEL:
        assert {kind["name"]: kind["count"] for kind in shown["kinds"]}["no finding"] == 18
    if colour in (Colour.QUERY, Colour.OUTLIER):
        assert shown["kinds"] is None
        assert shown["low"] < shown["high"]


def test_of_several_values_the_legend_says_how_many_films_have_each(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Archive.open(archive_folder).catalog
    put = annotations.add_tags(catalog, numbered[:3], ["early"])
    put += annotations.add_tags(catalog, numbered[1:5], ["late"])
    try:
        test = page(archive_folder, "map", monkeypatch, colour="Tag")
    finally:
        annotations.remove_tags(catalog, put)
    (shown,) = components(test, "scatter")
    legend = {kind["name"]: (kind["count"], kind["having"]) for kind in shown["kinds"]}
    assert legend == {"late": (2, 4), "early": (3, 3), "none": (31, 31)}
    assert '"2 of 4": 4 films have it, 2 in its colour' in said(test)
    assert "one colour" not in said(page(archive_folder, "map", monkeypatch, colour="View"))


def test_a_film_has_the_colour_of_a_frequent_value_rather_than_of_a_rare_one(
    archive_folder: Path, numbered: list[int]
) -> None:
    catalog = Archive.open(archive_folder).catalog
    put = annotations.add_tags(catalog, numbered[:1], ["aside", "usual"])
    table = FacetTable(catalog)
    ids = np.array(numbered[:1])
    try:
        assert (table.values("tag", ids), table.values("tag", ids, rather=["usual"])) == (["aside"], ["usual"])
    finally:
        annotations.remove_tags(catalog, put)


def test_every_colour_is_a_fact_that_there_is() -> None:
    assert {colour.name.lower() for colour in Colour} - {"outlier", "query"} <= set(FACETS)


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    def test_films_are_drawn_around_and_the_wheel_changes_nothing(self, tab: Any, room: Room) -> None:
        tab.goto(f"{room.url}/map")
        tab.wait_for_selector(".legend button")
        settle(tab)
        area = tab.locator(".scatter canvas").bounding_box()
        at = lambda x, y: (area["x"] + x * area["width"], area["y"] + y * area["height"])  # noqa: E731
        tab.mouse.move(*at(0.5, 0.02))
        tab.mouse.down()
        for corner in ((0.98, 0.02), (0.98, 0.95), (0.5, 0.95)):
            tab.mouse.move(*at(*corner), steps=4)
        tab.mouse.up()
        number = int(until(tab, lambda: tab.locator(".scatter .count").inner_text(), bool).split()[0])
        assert 0 < number < 36
        head = tab.get_by_role("heading", name="in the region")
        expect(head).to_contain_text(f"{number} films")
        settle(tab)
        tab.mouse.move(*at(0.6, 0.5))
        for _ in range(4):
            tab.mouse.wheel(0, 240)
            tab.wait_for_timeout(50)
        tab.keyboard.down("Control")
        tab.mouse.wheel(0, -240)
        tab.keyboard.up("Control")
        expect(tab.locator(".scatter .count")).to_have_text(f"{number} selected")
        expect(head).to_contain_text(f"{number} films")
        tab.get_by_role("button", name=f"Pick these {number}").click()
        expect(count(tab)).to_contain_text(f"{number} picked")
        press(tab, "export")
        assert len(list(csv.DictReader(exported(tab)))) == number

    def test_a_film_under_the_mouse_shows_its_picture_and_opens(self, tab: Any, room: Room) -> None:
        tab.goto(f"{room.url}/map")
        tab.wait_for_selector(".legend button")
        settle(tab)
        canvas = tab.locator(".scatter canvas")
        x, y = canvas.evaluate(
            """(canvas) => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              let at = 3;
              while (data[at] < 255) at += 4;
              const pixel = (at - 3) / 4;
              return [pixel % width, Math.floor(pixel / width) + 4].map((value) => value / (devicePixelRatio || 1));
            }"""
        )
        box = canvas.bounding_box()
        tab.mouse.move(box["x"] + x, box["y"] + y)
        image = tab.locator(".tip img")
        until(tab, lambda: image.evaluate("one => one.complete && one.naturalWidth"), lambda wide: wide > 0)
        film = tab.locator(".tip span").inner_text().split()[1].rstrip(":")
        tab.mouse.down()
        tab.mouse.up()
        tab.wait_for_url(f"**film={film}*")

    def test_by_keys_alone(self, tab: Any, room: Room) -> None:
        tab.goto(f"{room.url}/map")
        tab.wait_for_selector(".legend button")
        settle(tab)
        tab.locator(".scatter canvas").focus()
        tab.keyboard.press("v")
        expect(tab.locator(".scatter .count")).to_have_text("36 selected")
        tab.keyboard.press("Escape")
        expect(tab.locator(".scatter .count")).to_have_text("")
        tab.locator(".legend button", has_text="no finding").click()
        expect(tab.locator(".scatter .count")).to_have_text("18 selected")
