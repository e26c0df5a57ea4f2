"""The application end to end, in a real Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from db import annotations
from db.archive import Archive
from tests.ui.room import PATIENCE, Room, film_ids, needs_chromium, settle

pytestmark = needs_chromium


def search(page: Any, query: str) -> None:
    box = page.locator('input[type="search"]')
    box.fill(query)
    box.press("Enter")
    settle(page)


def open_film(page: Any, room: Room, film: int, query: str = "") -> None:
    page.goto(f"{room.url}/film?film={film}" + (f"&q={query}" if query else ""))
    page.wait_for_selector("[data-act=invert]:enabled")
    settle(page)


def readout(page: Any) -> str:
    return str(page.locator(".readout").inner_text())


def test_search_open_and_come_back(tab: Any, room: Room) -> None:
    tab.goto(room.url)
    tab.wait_for_selector(".grid .frame")
    search(tab, "effusion left")
    assert "q=effusion+left" in tab.url
    found = film_ids(tab)
    assert len(found) == 24
    tab.locator(".grid .frame").nth(2).click()
    tab.wait_for_selector("[data-act=invert]:enabled")
    assert f"film={found[2]}" in tab.url
    tab.get_by_text("Results").click()
    tab.wait_for_selector(".grid .frame >> nth=20")
    assert film_ids(tab) == found


def test_keys_alone_search_move_vote_and_open(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    first = film_ids(tab)
    tab.locator(".grid .frame").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("u")
    tab.wait_for_url(f"**like={first[1]}*")
    settle(tab)
    assert first[1] not in film_ids(tab)
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.type") == "search"
    tab.keyboard.type("pneumothorax")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**q=pneumothorax")
    settle(tab)
    tab.locator(".grid .frame").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/film?film=*")


def test_window_by_drag_zoom_invert_rotate_and_reset(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[0])
    assert readout(tab).startswith("W 100 L 50")
    stage = tab.locator("canvas").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x - 150, y - 60, steps=6)
    tab.mouse.up()
    tab.wait_for_timeout(200)
    width, level = readout(tab).split()[1], readout(tab).split()[3]
    assert int(width) < 100
    assert int(level) < 50
    before = readout(tab).split("·")[1]
    tab.mouse.wheel(0, -400)
    tab.wait_for_timeout(200)
    assert int(readout(tab).split("·")[1].split()[0]) > int(before.split()[0])
    canvas = tab.locator("canvas")
    canvas.focus()
    centre = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
    canvas.press("Home")
    tab.wait_for_timeout(200)
    plain = canvas.evaluate(centre)[0]
    canvas.press("i")
    tab.wait_for_timeout(200)
    assert canvas.evaluate(centre)[0] == 255 - plain
    canvas.press("r")
    canvas.press("a")
    tab.wait_for_timeout(200)
    assert not readout(tab).startswith("W 100 L 50")
    canvas.press("Home")
    tab.wait_for_timeout(200)
    assert readout(tab).startswith("W 100 L 50")
    assert canvas.evaluate(centre)[0] == plain


def test_attention_is_off_until_asked_for_and_says_what_it_is(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1], "effusion")
    assert not tab.locator(".warn").is_visible()
    canvas = tab.locator("canvas")
    shot = "c => c.toDataURL()"
    before = canvas.evaluate(shot)
    tab.locator("[data-act=attention]").click()
    tab.locator(".warn").wait_for(state="visible")
    assert tab.locator(".warn").inner_text() == "Model attention, not a diagnosis"
    tab.wait_for_timeout(500)
    assert canvas.evaluate(shot) != before
    tab.locator("[data-act=opacity]").evaluate("o => { o.value = 0; o.dispatchEvent(new Event('input')); }")
    tab.wait_for_timeout(200)
    assert canvas.evaluate(shot) == before


def test_without_a_query_there_is_no_attention(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1])
    assert tab.locator("[data-act=attention]").is_disabled()


HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "y" * 10_000, "![a](http://192.0.2.1/a.png)")


@pytest.mark.parametrize("query", HOSTILE)
def test_a_hostile_query_is_only_text(tab: Any, room: Room, query: str) -> None:
    tab.goto(room.url)
    tab.wait_for_selector(".grid .frame")
    search(tab, query)
    assert len(film_ids(tab)) == 24
    tab.reload()
    tab.wait_for_selector(".grid .frame")
    assert tab.locator('input[type="search"]').input_value() == query
    assert tab.locator("img[onerror], .stMarkdown img").count() == 0


def test_hostile_labels_and_reports_are_only_text(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1], "effusion")
    assert tab.get_by_text("<script>alert(1)</script>").first.is_visible()
    assert tab.get_by_text("<b>bold</b> [x](y)").first.is_visible()


def test_two_browsers_see_nothing_of_each_other(browser: Any, tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=secret+query")
    tab.wait_for_selector(".grid .bar")
    tab.locator(".grid .frame").first.focus()
    tab.keyboard.press("x")
    tab.get_by_text("1 film picked").wait_for()
    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(room.url)
    other.wait_for_selector(".grid .frame")
    settle(other)
    assert "secret" not in other.content()
    assert "picked" not in other.content()
    other.context.close()
    tab.goto(room.url)
    tab.wait_for_selector(".memory button")
    assert "secret query" in tab.locator(".memory button").all_inner_texts()


def test_ten_films_are_judged_by_keys(tab: Any, room: Room) -> None:
    catalog = Archive.open(room.archive).catalog
    tab.goto(f"{room.url}/judge?judged=large+effusion")
    tab.get_by_role("textbox", name="Judge").fill("kb")
    tab.get_by_role("textbox", name="Judge").press("Enter")
    tab.get_by_text("0 of 20 judged").wait_for()
    for done in range(1, 11):
        tab.wait_for_selector("[data-act=invert]:enabled")
        tab.keyboard.press(str(done % 4))
        tab.get_by_text(f"{done} of 20 judged").wait_for()
        settle(tab)
    assert [one.grade for one in annotations.judgements(catalog, "large effusion")] == [n % 4 for n in range(1, 11)]
    for one in annotations.judgements(catalog):
        annotations.unjudge(catalog, one)


def test_results_are_exported(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    found = film_ids(tab)
    tab.get_by_role("button", name="Export").click()
    with tab.expect_download() as coming:
        tab.get_by_role("button", name="CSV").click()
    lines = Path(coming.value.path()).read_text().splitlines()
    assert len(lines) == 25
    assert [line.split(",")[3] for line in lines[1:]] == found


def test_an_uploaded_film_is_a_query_and_a_broken_one_is_a_line(
    tab: Any, room: Room, archive_folder: Path, tmp_path: Path
) -> None:
    films = archive_folder.parent / "films"
    tab.goto(room.url)
    tab.wait_for_selector(".grid .frame")
    tab.get_by_role("button", name="By film").click()
    tab.locator('input[type="file"]').set_input_files(films / "film-007.png")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    name = tab.locator(".grid .frame").first.get_attribute("aria-label")
    assert "effusion" in name
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    tab.locator('input[type="file"]').set_input_files(tmp_path / "broken.png")
    tab.locator("[data-testid=stAlert]").wait_for()
    assert "Traceback" not in tab.content()


def test_a_folder_is_indexed_from_the_page_across_a_reload(tab: Any, tmp_path: Path, archive_folder: Path) -> None:
    source = tmp_path / "more"
    shutil.copytree(archive_folder.parent / "films", source)
    room = Room(tmp_path / "archive")
    try:
        tab.goto(f"{room.url}/archive")
        tab.get_by_label("Folder or file").fill(str(source))
        tab.get_by_label("Folder or file").press("Tab")
        tab.locator("[data-testid=stSelectbox] input").first.fill("tiny")
        tab.locator("[data-testid=stSelectbox] input").first.press("Enter")
        tab.get_by_role("button", name="Index", exact=True).click()
        tab.get_by_text("Starting").or_(tab.get_by_text("Last run")).first.wait_for()
        tab.reload()
        tab.get_by_text("36 indexed, 1 rejected").first.wait_for()
        tab.get_by_text("What is in it").first.wait_for()
        tab.goto(room.url)
        tab.wait_for_selector(".grid .frame >> nth=20")
    finally:
        room.close()


@pytest.mark.parametrize("width", [390, 2560])
def test_nothing_is_wider_than_the_window(tab: Any, room: Room, numbered: list[int], width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    film = f"/film?film={numbered[1]}&q=effusion"
    for address in ("/?q=effusion", film, "/archive", "/zeroshot", "/evaluate", "/judge"):
        tab.goto(room.url + address)
        tab.wait_for_selector("[data-testid=stMainBlockContainer]")
        settle(tab)
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
        assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
        notice = tab.locator(".filmroom-notice")
        assert notice.is_visible()
        assert notice.bounding_box()["y"] > 850, "below, where Streamlit puts nothing"
        if address == film:
            assert tab.get_by_role("button", name="Zoom in").is_visible()


@pytest.mark.parametrize("width", [390, 768, 1280, 1440, 2560])
def test_the_films_of_an_answer_fill_whole_rows(tab: Any, room: Room, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    tops = tab.locator(".grid .frame").evaluate_all(
        "all => all.map(one => Math.round(one.getBoundingClientRect().top))"
    )
    assert len(tops) == 24
    assert tops.count(max(tops)) == tops.count(min(tops))
