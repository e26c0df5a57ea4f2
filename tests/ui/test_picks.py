"""Chosen is what comes out: films picked in a real Chromium, and the exact contents of what is made of them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes import annotations
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui.components.grid.grid import Act, Done, _done
from streamlit.testing.v1 import AppTest

from tests.pages import said
from tests.ui.room import Room, downloaded, expect, film_ids, needs_chromium, settle, until

PICKED = "all => all.filter((one) => one.closest('.cell').classList.contains('picked')).map((one) => one.dataset.id)"
BURST = """(list) => {
  const frames = [...list.querySelectorAll(".frame")].slice(0, 10);
  const spent = frames.map((frame) => {
    frame.focus();
    const start = performance.now();
    frame.dispatchEvent(new KeyboardEvent("keydown", { key: "x", bubbles: true, composed: true }));
    const picked = frame.closest(".cell").classList.contains("picked");
    return picked ? performance.now() - start : Infinity;
  });
  return Math.max(...spent);
}"""
"""Ten films picked one after another without a pause; the longest time in ms from key to picked."""


@pytest.fixture(scope="module")
def own(archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A copy of the archive, which tests may change, served; each has collections and tags of its own."""
    served = Room(Path(shutil.copytree(archive_folder, tmp_path_factory.mktemp("own") / "archive")))
    yield served
    served.close()


def open_results(page: Any, room: Room, query: str = "effusion") -> list[str]:
    page.context.add_cookies(room.cookies)
    page.goto(f"{room.url}/?q={query}")
    page.wait_for_selector(".grid .bar")
    settle(page)
    return film_ids(page)


def picked(page: Any) -> list[str]:
    return list(page.locator(".grid .frame").evaluate_all(PICKED))


def count(page: Any) -> Any:
    return page.locator(".picks .count")


def press(page: Any, action: str) -> None:
    page.locator(f".picks [data-do={action}]").click()
    settle(page)


def exported(page: Any, kind: str = "CSV") -> list[str]:
    """The lines of the file that a button of the dialog gives."""
    return downloaded(page, page.get_by_role("dialog").get_by_role("button", name=kind)).read_text().splitlines()


def close(page: Any) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    settle(page)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"what": "collect", "ids": ["3", "1", "3"]}, Done(Act.COLLECT, (3, 1))),
        ({"what": "collect", "ids": ["1", "-1", "x", None, "1" * 30, "²"]}, Done(Act.COLLECT, (1,))),
        ({"what": "export", "ids": []}, Done(Act.EXPORT, ())),
        ({"what": "export", "ids": "12"}, Done(Act.EXPORT, ())),
        ({"what": "open", "id": "7"}, Done(Act.OPEN, (7,))),
        ({"what": "open", "id": "8"}, None),
        ({"what": "filter", "id": "7", "term": "label:mass"}, Done(Act.FILTER, (7,), "label:mass")),
        ({"what": "filter", "id": "7", "term": "path:x"}, None),
        ({"what": "rm -rf", "ids": ["1"]}, None),
        ({"what": ["open"], "id": "7"}, None),
        ("open", None),
        (None, None),
    ],
)
def test_what_a_browser_sends_is_read_with_care(said: object, read: Done | None) -> None:
    assert _done(said, menus={7: [("mass", "label:mass")]}) == read


def test_films_keep_their_ranks_in_an_export_and_others_stand_behind(archive_folder: Path) -> None:
    searcher = Searcher.open(archive_folder)
    order = [hit.id for hit in searcher.search("effusion label:effusion", k=100).hits]
    other = next(hit.id for hit in searcher.search("effusion", k=100).hits if hit.id not in order)
    found = searcher.hits_of(SearchRequest("effusion label:effusion"), [other, order[7], order[2]])
    assert [one.id for one in found] == [order[2], order[7], other]
    assert [getattr(one, "rank", None) for one in found] == [3, 8, None]
    assert searcher.passing(SearchRequest("effusion label:effusion"), 10_000) == order


def test_what_was_picked_and_forgotten_since_is_left_out(archive_folder: Path, numbered: list[int]) -> None:
    """Picks live in the browser, and may be of before a film was forgotten."""

    def dialog(folder: str, ids: list[int]) -> None:
        from pathlib import Path

        import streamlit as st
        from filmroom.db.archive import Archive
        from filmroom.search.ui import picks

        st.text(str(picks._meant(ids, picks.Answer(Archive.open(Path(folder)), (), 0))))

    test = AppTest.from_function(dialog, args=(str(archive_folder), [numbered[3], 999_999, numbered[1]])).run()
    assert not test.exception
    assert test.text[0].value == str([numbered[3], numbered[1]])
    assert "For the **2 films picked**" in said(test)
    assert "1 film picked before: no longer in the archive." in said(test)


def test_tags_go_on_many_films_and_off_again(archive_folder: Path, tmp_path: Path, numbered: list[int]) -> None:
    catalog = Archive.open(Path(shutil.copytree(archive_folder, tmp_path / "archive"))).catalog
    annotations.set_tags(catalog, numbered[0], ["seen"])
    new = annotations.add_tags(catalog, numbered[:3], ["Seen ", "odd"])
    assert len(new) == 5
    assert annotations.tag_counts(catalog, numbered[:4]) == {"odd": 3, "seen": 3}
    annotations.remove_tags(catalog, new)
    assert annotations.tag_counts(catalog, numbered) == {"seen": 1}
    gone = annotations.remove_tags(catalog, [(numbered[0], "seen"), (numbered[1], "seen")])
    assert gone == [(numbered[0], "seen")]
    assert annotations.put_tags(catalog, gone) == gone


def test_what_is_taken_out_of_a_collection_comes_back_in_its_order(
    archive_folder: Path, tmp_path: Path, numbered: list[int]
) -> None:
    catalog = Archive.open(Path(shutil.copytree(archive_folder, tmp_path / "archive"))).catalog
    annotations.collect(catalog, "cohort", numbered[:4])
    order = annotations.collected(catalog, "cohort")
    gone = annotations.uncollect(catalog, "cohort", order[1:3])
    assert annotations.collected(catalog, "cohort") == [order[0], order[3]]
    annotations.recollect(catalog, "cohort", gone)
    assert annotations.collected(catalog, "cohort") == order
    annotations.recollect(catalog, "cohort", annotations.uncollect(catalog, "cohort"))
    assert annotations.collected(catalog, "cohort") == order


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    def test_ten_picks_in_a_second_are_ten_and_none_waits_for_the_server(self, tab: Any, room: Room) -> None:
        found = open_results(tab, room)
        tab.evaluate("window.asked = 0")
        longest = tab.locator(".grid").evaluate(BURST)
        expect(count(tab)).to_have_text("10 picked")
        assert picked(tab) == found[:10]
        assert tab.evaluate("window.asked") == 0, "a pick asked the server"
        assert longest < 50

    def test_a_cohort_of_ten_films_is_exactly_what_is_exported_collected_and_copied(
        self, own: Room, tab: Any, tmp_path: Path
    ) -> None:
        found = open_results(tab, own)
        frames = tab.locator(".grid .frame")
        frames.nth(1).focus()
        tab.keyboard.press("x")
        frames.nth(4).click(modifiers=["Shift"])  # 1 to 4
        for at in (20, 9, 15, 7, 22, 11):
            frames.nth(at).focus()
            tab.keyboard.press("x")
        places = [1, 2, 3, 4, 7, 9, 11, 15, 20, 22]
        cohort = [found[at] for at in places]
        expect(count(tab)).to_have_text("10 picked")
        assert picked(tab) == cohort
        press(tab, "export")
        rows = list(csv.DictReader(exported(tab)))
        assert [row["id"] for row in rows] == cohort
        assert [int(row["rank"]) for row in rows] == [at + 1 for at in places]
        assert all(row["score"] and row["percentile"] for row in rows)
        assert {"labels", "tags", "collections", "has_report"} <= set(rows[0])
        assert "path" not in rows[0], "names of files, unless asked for"
        assert [line.split()[3] for line in exported(tab, "TREC run")] == [str(at + 1) for at in range(10)]
        close(tab)
        press(tab, "collect")
        name = tab.get_by_role("textbox", name="Its name")
        name.fill("ten")
        name.press("Enter")
        tab.get_by_role("button", name="Put 10 films into it").click()
        tab.get_by_text("10 films put into ten").first.wait_for()
        settle(tab)
        catalog = Archive.open(own.archive).catalog
        assert sorted(annotations.collected(catalog, "ten")) == sorted(int(one) for one in cohort)
        press(tab, "copy")
        folder = tab.get_by_role("textbox", name="Copy the files into this folder")
        folder.fill(str(tmp_path / "out"))
        folder.press("Enter")
        settle(tab)
        tab.get_by_role("button", name="Copy 10 films").click()
        tab.get_by_text("10 files copied").first.wait_for()
        copied = [int(path.name.split("-")[0]) for path in (tmp_path / "out").glob("*.png")]
        assert sorted(copied) == sorted(int(one) for one in cohort)

    def test_picks_outlive_a_reload_other_words_and_more_films(self, tab: Any, room: Room) -> None:
        found = open_results(tab, room)
        for at in (0, 5, 23):
            tab.locator(".grid .frame").nth(at).focus()
            tab.keyboard.press("x")
        tab.reload()
        tab.wait_for_selector(".grid .bar")
        settle(tab)
        until(tab, lambda: picked(tab), lambda now: now == [found[0], found[5], found[23]])
        tab.get_by_role("button", name="Show more").click()
        expect(tab.locator(".grid .frame")).to_have_count(36)
        settle(tab)
        assert picked(tab) == [found[0], found[5], found[23]]
        found = open_results(tab, room, "effusion+label:effusion")
        expect(count(tab)).to_contain_text("3 picked")
        press(tab, "clear")
        expect(count(tab)).to_have_text("None picked")
        press(tab, "clear")
        expect(count(tab)).to_contain_text("3 picked")

    def test_a_film_is_picked_on_its_own_page_too(self, tab: Any, room: Room) -> None:
        found = open_results(tab, room)
        tab.locator(".grid .frame").nth(1).click()
        tab.wait_for_url(f"**film={found[1]}*")
        button = tab.locator(".pick-one")
        expect(button).to_have_text("Pick")
        settle(tab)
        tab.keyboard.press("p")
        expect(button).to_have_attribute("aria-pressed", "true")
        tab.get_by_role("button", name="Next").click()
        tab.wait_for_url(f"**film={found[2]}*")
        settle(tab)
        expect(button).to_have_text("Pick")
        button.click()
        tab.get_by_text("Results").first.click()
        expect(count(tab)).to_have_text("2 picked")
        assert picked(tab) == [found[1], found[2]]

    def test_all_shown_and_all_that_pass(self, tab: Any, room: Room) -> None:
        found = open_results(tab, room)
        press(tab, "shown")
        expect(count(tab)).to_have_text("24 picked")
        press(tab, "shown")
        expect(count(tab)).to_have_text("None picked")
        press(tab, "passing")
        expect(count(tab)).to_have_text("36 picked, 12 of them not shown here")
        tab.locator(".grid .frame").first.focus()
        tab.keyboard.press("x")
        expect(count(tab)).to_contain_text("35 picked")
        press(tab, "export")
        ids = [row["id"] for row in csv.DictReader(exported(tab))]
        assert len(ids) == 35
        assert found[0] not in ids

    def test_films_are_picked_by_dragging_over_them(self, tab: Any, room: Room) -> None:
        found = open_results(tab, room)
        frames = tab.locator(".grid .frame")
        middle = lambda at: (  # noqa: E731
            (box := frames.nth(at).bounding_box())["x"] + box["width"] / 2,
            box["y"] + box["height"] / 2,
        )
        tab.mouse.move(*middle(1))
        tab.mouse.down()
        tab.mouse.move(*middle(9), steps=5)  # six a row: two rows of three
        expect(tab.locator(".cell.dragged")).to_have_count(6)
        tab.mouse.up()
        expect(count(tab)).to_have_text("6 picked")
        assert picked(tab) == [found[at] for at in (1, 2, 3, 7, 8, 9)]
        assert "film=" not in tab.url, "the end of a drag is no click"
        expect(tab.locator(".cell.picked").first.locator(".term").first).to_be_visible()
        tab.keyboard.down("Alt")
        tab.mouse.move(*middle(1))
        tab.mouse.down()
        tab.mouse.move(*middle(2), steps=3)
        tab.mouse.up()
        tab.keyboard.up("Alt")
        expect(count(tab)).to_have_text("4 picked")
        tab.mouse.move(*middle(1))
        tab.mouse.down()
        tab.mouse.move(*middle(2), steps=3)
        tab.keyboard.press("Escape")
        tab.mouse.up()
        expect(count(tab)).to_have_text("4 picked")

    def test_no_click_on_a_file_is_lost_and_escape_closes(self, tab: Any, room: Room) -> None:
        open_results(tab, room)
        press(tab, "shown")
        press(tab, "export")
        dialog = tab.get_by_role("dialog")
        for _ in range(3):  # each click falls into the run that the choice before it asks for
            dialog.get_by_text("With file names").click()
            path = downloaded(tab, dialog.get_by_role("button", name="CSV"))
            assert len(path.read_text().splitlines()) == 25
        tab.evaluate("document.activeElement.blur()")
        tab.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    def test_picked_films_are_tagged_taken_out_searched_by_and_judged_and_it_is_undone(
        self, own: Room, tab: Any, numbered: list[int]
    ) -> None:
        catalog = Archive.open(own.archive).catalog
        annotations.collect(catalog, "ward", numbered[:5])
        found = [int(one) for one in open_results(tab, own)]
        tab.locator(".grid .frame").nth(2).focus()
        tab.keyboard.press("x")
        press(tab, "tag")
        box = tab.get_by_role("combobox", name="Put on")
        box.fill("checked")
        box.press("Enter")
        tab.keyboard.press("Escape")  # the list, not the dialog
        settle(tab)
        tab.get_by_role("dialog").get_by_role("button", name="Tag", exact=True).click()
        tab.get_by_text("1 film: 1 tag put on").first.wait_for()
        assert annotations.tags_of(catalog, found[2]) == ["checked"]
        settle(tab)
        press(tab, "tag")
        tab.get_by_role("combobox", name="Put on").click()
        expect(tab.get_by_role("listbox")).to_be_visible()
        worn = tab.get_by_test_id("stDialog").get_by_text("checked (1)")
        worn.click(timeout=5000)  # while the list is open, which lies over it no more
        settle(tab)
        tab.get_by_role("dialog").get_by_role("button", name="Tag", exact=True).click()
        tab.get_by_text("1 film: 1 taken off").first.wait_for()
        assert annotations.tags_of(catalog, found[2]) == []
        settle(tab)
        tab.get_by_role("button", name="Undo").click()
        tab.get_by_text("Undone").first.wait_for()
        assert annotations.tags_of(catalog, found[2]) == ["checked"]
        annotations.remove_tags(catalog, [(found[2], "checked")])
        press(tab, "similar")
        tab.wait_for_url(f"**like={found[2]}*")
        settle(tab)
        tab.context.add_cookies(own.cookies)
        tab.goto(f"{own.url}/collections?collection=ward")
        tab.wait_for_selector(".grid .frame")
        settle(tab)
        press(tab, "clear")
        tab.locator(".grid .frame").first.focus()
        tab.keyboard.press("x")
        press(tab, "take_out")
        tab.get_by_text("1 film taken out of ward").first.wait_for()
        assert len(annotations.collected(catalog, "ward")) == 4
        expect(count(tab)).to_have_text("None picked")
        settle(tab)
        tab.get_by_role("button", name="Undo").click()
        tab.get_by_text("Undone").first.wait_for()
        assert annotations.collected(catalog, "ward") == numbered[:5]
        open_results(tab, own)
        press(tab, "shown")
        press(tab, "judge")
        tab.get_by_role("textbox", name="Judge").fill("kb")
        tab.get_by_role("textbox", name="Judge").press("Enter")
        tab.get_by_text("0 of 24 judged").first.wait_for()
        settle(tab)
        tab.keyboard.press("2")
        tab.get_by_text("1 grade, 1 query, 1 judge.").first.wait_for()
