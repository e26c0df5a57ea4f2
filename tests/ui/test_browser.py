"""The application end to end, in a real Chromium."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.records import Filter, Label
from filmroom.db.writes import annotations
from filmroom.db.writes.facts import put_facts

from tests.ui.room import (
    PATIENCE,
    Room,
    downloaded,
    expect,
    film_ids,
    needs_chromium,
    pick_option,
    settle,
    slash,
    until,
)

pytestmark = needs_chromium
SHOT = "canvas => canvas.toDataURL()"
CUT = """all => all.filter((one) => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)
  .map((one) => one.textContent)"""
TOPS = "all => all.map(one => Math.round(one.getBoundingClientRect().top))"
WIDTHS = "[document.scrollingElement, document.querySelector('[data-testid=stMain]')].map(one => one.scrollWidth)"


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


def percent(page: Any) -> int:
    """Screen pixels to a hundred of the film's."""
    return int(readout(page).split("·")[1].split()[0])


def as_stored(page: Any) -> None:
    """Waits until the film is drawn with the window that it is stored for."""
    until(page, lambda: readout(page).split()[:4], lambda said: said == ["W", "100", "L", "50"])


def test_search_open_and_come_back(tab: Any, room: Room) -> None:
    tab.goto(room.url)
    tab.wait_for_selector(".grid .frame")
    search(tab, "effusion left")
    tab.wait_for_url("**q=effusion+left")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    found = film_ids(tab)
    assert len(found) == 24
    tab.locator(".grid .frame").nth(2).click()
    tab.wait_for_url(f"**film={found[2]}*")
    tab.wait_for_selector("[data-act=invert]:enabled")
    tab.get_by_text("Results").first.click()
    until(tab, lambda: film_ids(tab), lambda now: now == found)


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
    until(tab, lambda: film_ids(tab), lambda now: now[:1] == [first[1]])
    expect(tab.locator(".cell").first).to_contain_text("Liked")
    mark = tab.locator(".cell.liked .frame").first.evaluate("one => getComputedStyle(one, '::after').height")
    assert mark == "4px", "it lies on the picture, not under it"
    slash(tab)
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
    as_stored(tab)
    stage = tab.locator("canvas").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x - 150, y - 60, steps=6)
    tab.mouse.up()
    until(tab, lambda: readout(tab).split(), lambda said: int(said[1]) < 100 and int(said[3]) < 50)
    before = percent(tab)
    tab.mouse.wheel(0, -400)
    until(tab, lambda: percent(tab), lambda now: now > before)
    canvas = tab.locator("canvas")
    canvas.focus()
    centre = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
    canvas.press("Home")
    as_stored(tab)
    plain = canvas.evaluate(centre)[0]
    canvas.press("i")
    until(tab, lambda: canvas.evaluate(centre)[0], lambda now: now == 255 - plain)
    canvas.press("r")
    canvas.press("a")
    until(tab, lambda: readout(tab).split(), lambda said: said[1] != "100")
    canvas.press("Home")
    as_stored(tab)
    until(tab, lambda: canvas.evaluate(centre)[0], lambda now: now == plain)


def test_attention_is_off_until_asked_for_and_says_what_it_is(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1], "effusion")
    as_stored(tab)
    expect(tab.locator(".warn")).to_be_hidden()
    canvas = tab.locator("canvas")
    before = canvas.evaluate(SHOT)
    tab.locator("[data-act=attention]").click()
    expect(tab.locator(".warn")).to_be_visible()
    expect(tab.locator(".warn")).to_have_text("Model attention, not a diagnosis")
    until(tab, lambda: canvas.evaluate(SHOT), lambda now: now != before)
    tab.locator("[data-act=opacity]").evaluate("o => { o.value = 0; o.dispatchEvent(new Event('input')); }")
    until(tab, lambda: canvas.evaluate(SHOT), lambda now: now == before)


def test_without_a_query_there_is_no_attention(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1])
    expect(tab.locator("[data-act=attention]")).to_be_disabled()


HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "y" * 10_000, "![a](http://192.0.2.1/a.png)")


def test_a_hostile_query_is_only_text(tab: Any, room: Room) -> None:
    tab.goto(room.url)
    for query in HOSTILE:
        tab.wait_for_selector(".grid .frame")
        search(tab, query)
        tab.wait_for_url(lambda url, query=query: parse_qs(urlsplit(url).query).get("q") == [query])
        tab.reload()
        expect(tab.locator(".grid .frame")).to_have_count(24)
        settle(tab)
        expect(tab.locator('input[type="search"]')).to_have_value(query)
        assert tab.locator("img[onerror], .stMarkdown img").count() == 0


def test_hostile_labels_and_reports_are_only_text(tab: Any, room: Room, numbered: list[int]) -> None:
    open_film(tab, room, numbered[1], "effusion")
    expect(tab.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    expect(tab.get_by_text("<b>bold</b> [x](y)").first).to_be_visible()


def test_two_browsers_see_nothing_of_each_other(browser: Any, tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=secret+query")
    tab.wait_for_selector(".grid .bar")
    tab.locator(".grid .frame").first.focus()
    tab.keyboard.press("x")
    expect(tab.locator(".picks .count")).to_have_text("1 picked")
    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(room.address)
    other.wait_for_selector(".grid .frame")
    settle(other)
    assert "secret" not in other.content()
    expect(other.locator(".picks .count")).to_have_text("None picked")
    other.context.close()
    tab.goto(room.url)
    expect(tab.locator(".memory button", has_text="secret query")).to_be_visible()


def test_ten_films_are_judged_by_keys(tab: Any, room: Room) -> None:
    catalog = Archive.open(room.archive).catalog
    tab.goto(f"{room.url}/judge?judged=large+effusion")
    tab.get_by_role("textbox", name="Judge").fill("kb")
    tab.get_by_role("textbox", name="Judge").press("Enter")
    tab.get_by_text("0 of 20 judged").first.wait_for()
    for done in range(1, 11):
        tab.wait_for_selector("[data-act=invert]:enabled")
        settle(tab)
        tab.keyboard.press(str(done % 4))
        tab.get_by_text(f"{done} of 20 judged").first.wait_for()
    assert [one.grade for one in annotations.judgements(catalog, "large effusion")] == [n % 4 for n in range(1, 11)]
    for one in annotations.judgements(catalog):
        annotations.unjudge(catalog, one)


def test_results_are_exported(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    found = film_ids(tab)
    tab.locator(".picks [data-do=export]").click()
    lines = downloaded(tab, tab.get_by_role("button", name="CSV")).read_text().splitlines()
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
    expect(tab.locator(".grid .frame").first).to_have_attribute("aria-label", re.compile("effusion"))
    expect(tab.locator(".chip.for")).to_contain_text("an uploaded film")
    until(tab, lambda: tab.locator(".chip img").evaluate("one => one.naturalWidth"), lambda wide: wide > 0)
    found = film_ids(tab)
    tab.keyboard.press("Escape")
    tab.locator(".picks [data-do=export]").click()
    tab.get_by_role("dialog").get_by_text("All 36 that pass").click()
    settle(tab)
    exported = [
        line.split(",")[3]
        for line in downloaded(tab, tab.get_by_role("button", name="CSV")).read_text().splitlines()[1:]
    ]
    assert exported[: len(found)] == found
    assert exported != sorted(exported, key=int)
    tab.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    tab.get_by_role("button", name="By film").click()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    tab.locator('input[type="file"]').set_input_files(tmp_path / "broken.png")
    tab.locator("[data-testid=stAlert]").wait_for()
    assert "Traceback" not in tab.content()


def test_a_folder_is_indexed_from_the_page_across_a_reload(tab: Any, tmp_path: Path, archive_folder: Path) -> None:
    source = tmp_path / "more"
    shutil.copytree(archive_folder.parent / "films", source)
    room = Room(tmp_path / "archive")
    tab.context.add_cookies(room.cookies)
    try:
        tab.goto(f"{room.url}/archive")
        tab.get_by_label("Folder or file").fill(str(source))
        tab.get_by_label("Folder or file").press("Tab")
        pick_option(tab, tab.locator("[data-testid=stSelectbox] input").first, "tiny")
        tab.get_by_role("button", name="Index", exact=True).click()
        tab.get_by_text("Starting").or_(tab.get_by_text("Last run")).first.wait_for()
        tab.reload()
        tab.get_by_text("36 indexed, 1 rejected").first.wait_for()
        tab.get_by_text("What is in it").first.wait_for()
        tab.goto(room.url)
        tab.wait_for_selector(".grid .frame >> nth=20")
    finally:
        tab.goto("about:blank")
        room.close()


def test_nothing_is_wider_than_the_window(tab: Any, room: Room, numbered: list[int]) -> None:
    film = f"/film?film={numbered[1]}&q=effusion"
    notice = tab.locator(".filmroom-notice")
    for address in ("/?q=effusion", film, "/archive", "/zeroshot", "/evaluate", "/judge"):
        tab.set_viewport_size({"width": 390, "height": 900})
        tab.goto(room.url + address)
        for width in (390, 2560):
            tab.set_viewport_size({"width": width, "height": 900})
            settle(tab)
            until(tab, lambda: tab.evaluate(WIDTHS), lambda all_, most=width: max(all_) <= most)  # type: ignore[misc]
            expect(notice).to_be_visible()
            # Below, where Streamlit puts nothing.
            until(tab, notice.bounding_box, lambda box: box and box["y"] > 850)
            if address == film:
                expect(tab.get_by_role("button", name="Zoom in")).to_be_visible()


def test_the_films_of_an_answer_fill_whole_rows(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    frames = tab.locator(".grid .frame")
    expect(frames).to_have_count(24)
    for width, across in ((390, 2), (768, 4), (1280, 6), (1440, 8), (2560, 8)):
        tab.set_viewport_size({"width": width, "height": 900})
        until(tab, lambda: frames.evaluate_all(TOPS), lambda tops, n=across: rows(tops) == [n] * (24 // n))  # type: ignore[misc]


def rows(tops: list[int]) -> list[int]:
    """How many films stand at each height."""
    return [tops.count(top) for top in sorted(set(tops))]


def test_what_is_said_below_a_film_is_not_cut(tab: Any, archive_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(archive_folder, tmp_path / "archive"))
    catalog = Archive.open(folder).catalog
    ids = db_films.select_ids(catalog, Filter()).tolist()
    facts = {"view": "AP", "sex": "M", "age": 43, "year": 2013}
    put_facts(catalog, dict.fromkeys(ids, facts), source="facts.csv")
    annotations.put_labels(catalog, [(film, Label("central venous line")) for film in ids])
    served = Room(folder)
    try:
        tab.context.add_cookies(served.cookies)
        for width in (1400, 900, 420):
            tab.set_viewport_size({"width": width, "height": 900})
            tab.goto(f"{served.url}/?q=effusion")
            tab.wait_for_selector(".grid .bar")
            settle(tab)
            expect(tab.locator(".line").first).to_contain_text("AP · M 43 y · 2013")
            cut = tab.locator(".line span, .labels").evaluate_all(CUT)
            assert [text for text in cut if text.count(", ") < 2] == [], "two lines hold two labels"
        assert "central venous line, " in str(tab.locator(".labels").first.get_attribute("title"))
    finally:
        tab.goto("about:blank")
        served.close()
