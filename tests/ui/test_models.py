"""A session chooses its model, and sees two models' answers to one search beside each other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.indexer import pipeline
from filmroom.indexer.models import registry
from filmroom.search.searcher import Searcher
from filmroom.search.ui.models import moved

from tests.pages import components, page, said, shown
from tests.ui.conftest import models_of, tiny_model
from tests.ui.room import Room, expect, needs_chromium, pick_option, settle


@pytest.fixture(scope="module")
def two(archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The archive under two models, of which the newer answers where none is chosen."""
    place = tmp_path_factory.mktemp("two")
    with models_of(place):
        registry.add_model(str(tiny_model(place / "tiny")))
        registry.add_model(str(tiny_model(place / "other", name="other", seed=8)))
        archive = Archive.open(Path(shutil.copytree(archive_folder, place / "archive")))
        pipeline.index(archive, [archive_folder.parent / "films"], registry.load_towers("other"))
        yield archive.folder


def test_a_session_chooses_its_model_and_no_other_session_has_it(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, "search", monkeypatch, q="effusion")
    before = shown(test)
    assert components(test, "grid")[0]["title"] == "Films that match"
    test.selectbox(key="model-choice").set_value("tiny").run()
    assert " · tiny · " in said(test).replace("\\", ""), said(test)
    assert shown(test) == [hit.id for hit in Searcher.open(two, "tiny").search("effusion", k=24).hits]
    assert shown(test) != before
    assert shown(page(two, "search", monkeypatch, q="effusion")) == before


@pytest.mark.parametrize("name", ["map", "zeroshot"])
def test_map_and_zero_shot_have_the_choice(two: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, name, monkeypatch, finding="effusion")
    test.selectbox(key="model-choice").set_value("tiny").run()
    assert not test.exception
    assert test.selectbox(key="model-choice").value == "tiny"


def test_two_answers_stand_side_by_side_with_what_moved(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, "search", monkeypatch, q="effusion")
    test.selectbox(key="beside-model").set_value("tiny").run()
    bar, left, right = components(test, "grid")
    mine = {int(one["id"]): at for at, one in enumerate(left["items"], 1)}
    theirs = {int(one["id"]): at for at, one in enumerate(right["items"], 1)}
    assert f"{len(set(mine) & set(theirs))} of the best 24 films are the same" in said(test)
    for item in left["items"]:
        if (film := int(item["id"])) in theirs:
            assert item["mark_says"] == moved(mine[film], theirs[film])
    assert [int(one) for one in bar["bar"]["shown"]] == list(dict.fromkeys([*mine, *theirs]))
    assert (left["bar"], right["bar"]) == (None, None)
    assert list(theirs) == [hit.id for hit in Searcher.open(two, "tiny").search("effusion", k=24).hits]


def test_what_moved_is_said_in_words() -> None:
    assert moved(3, 3) == "rank 3 there, too"
    assert moved(3, 10) == "rank 10 there, 7 lower"
    assert moved(10, 3) == "rank 3 there, 7 higher"
    assert moved(1, None) == "not there"


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    def test_both_walls_stand_level_below_one_bar_that_picks_from_both(self, two: Path, tab: Any) -> None:
        room = Room(two)
        try:
            tab.context.add_cookies(room.cookies)
            tab.goto(f"{room.url}/?q=effusion")
            tab.wait_for_selector(".grid .bar")
            settle(tab)
            tab.locator(".st-key-models button").first.click()
            pick_option(tab, tab.get_by_role("combobox", name="Side by side with"), "tiny")
            tab.keyboard.press("Escape")
            tab.get_by_text("films are the same").wait_for()
            settle(tab)
            walls = [tab.locator(f".st-key-{key} .grid") for key in ("wall", "wall-beside")]
            left, right = ([one.bounding_box()["y"] for one in wall.locator(".frame").all()] for wall in walls)
            assert left == right, "a film stands beside the one of its rank"
            both = {*frames(walls[0]), *frames(walls[1])}
            for width in (1280, 700, 480):
                tab.set_viewport_size({"width": width, "height": 900})
                settle(tab)
                bar = tab.locator(".picks:visible").bounding_box()
                for button in tab.locator(".picks:visible button:visible").all():
                    edge = button.bounding_box()
                    assert bar["x"] <= edge["x"]
                    assert edge["x"] + edge["width"] <= bar["x"] + bar["width"], (width, button.inner_text())
            tab.locator(".picks:visible [data-do=shown]").click()
            expect(tab.locator(".picks:visible .count")).to_have_text(f"{len(both)} picked")
            tab.locator(".picks:visible [data-do=clear]").click()
        finally:
            tab.goto("about:blank")
            room.close()


def frames(wall: Any) -> list[str]:
    return list(wall.locator(".frame").evaluate_all("all => all.map((one) => one.dataset.id)"))
