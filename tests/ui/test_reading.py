"""A reader's day in a real Chromium: links, filters, thumbs, saved searches, cohorts and their way out."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.reads import films as db_films
from filmroom.db.records import RunState
from filmroom.db.writes.runs import runs
from PIL import Image

from tests.indexer import dicom_files
from tests.ui.conftest import drawn_film
from tests.ui.room import PATIENCE, Room, downloaded, expect, film_ids, needs_chromium, pick_option, settle, until

pytestmark = needs_chromium
FILMS = 120
VIEWER = "https://viewer.example/v?StudyInstanceUIDs={study}&SeriesInstanceUIDs={series}"


@pytest.fixture(scope="module")
def ward(archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """DICOM films of three studies of one patient, the last of which breaks once it is indexed; with a DICOM viewer."""
    from filmroom.db.archive import Archive
    from filmroom.indexer import pipeline
    from filmroom.indexer.models import registry

    place = tmp_path_factory.mktemp("ward")
    (place / "films").mkdir()
    for number in range(6):
        study = f"1.2.3.{number // 2}"
        header = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": f"{study}.1",
            "SOPInstanceUID": f"{study}.1.{number}",
            "PatientName": "Doe^Jane",
            "PatientID": "4711",
        }
        (place / "films" / f"{number}.dcm").write_bytes(dicom_files.dicom(drawn_film(number), **header))
    archive = Archive.create(place / "archive")
    pipeline.index(archive, [place / "films"], registry.load_towers("tiny"))
    (place / "films" / "5.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 500)
    served = Room(archive.folder, env={**os.environ, "FILMROOM_VIEWER_URL": VIEWER})
    yield served
    served.close()


def test_a_link_brings_back_query_filter_votes_and_film(tab: Any, room: Room, numbered: list[int]) -> None:
    link = f"/?q=edema+label%3Aeffusion&like={numbered[1]}&unlike={numbered[3]}&sort=age"
    tab.goto(room.url + link)
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    expect(tab.locator('input[type="search"]')).to_have_value("edema label:effusion")
    expect(tab.locator(".chip.for")).to_have_text([re.compile("edema"), re.compile(f"film {numbered[1]}")])
    expect(tab.locator(".chip.against")).to_have_text(re.compile(f"film {numbered[3]}"))
    found = film_ids(tab)
    assert str(numbered[1]) in found, "a liked film stays in the answer"
    assert str(numbered[3]) not in found
    tab.locator(".grid .frame").first.click()
    tab.wait_for_selector("[data-act=invert]:enabled")
    deep = tab.url
    tab.goto("about:blank")
    tab.goto(deep)
    tab.wait_for_selector("[data-act=invert]:enabled")
    expect(tab.get_by_role("heading", name=f"Film {found[0]}")).to_be_visible()
    tab.get_by_text("Results").first.click()
    tab.wait_for_url(lambda url: "/film" not in url)
    until(tab, lambda: film_ids(tab), lambda now: now == found)


def test_filters_are_chosen_and_stand_in_the_box(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=mass")
    tab.wait_for_selector(".grid .bar")
    tab.get_by_role("button", name="Filters").click()
    expect(tab.locator("[data-facet=label] .value").first).to_have_text(re.compile("effusion18"))
    tab.locator("[data-facet=label] button.only", has_text="effusion").click()
    tab.wait_for_url("**label*")
    expect(tab.locator('input[type="search"]')).to_have_value("mass label:effusion")
    expect(tab.get_by_text("The best 18 of 18 films").first).to_be_visible()


def test_several_thumbs_rank_again_and_are_cleared(tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    plain = film_ids(tab)
    for at, key in ((0, "u"), (2, "u"), (5, "d")):
        wanted = film_ids(tab)[at]
        tab.locator(".grid .frame").nth(at).focus()
        tab.keyboard.press(key)
        tab.wait_for_url(f"**{wanted}*")
        if key == "u":
            until(tab, lambda: film_ids(tab), lambda now, voted=wanted: voted in now[:2])  # type: ignore[misc]
        else:
            until(tab, lambda: film_ids(tab), lambda now, voted=wanted: now and voted not in now)  # type: ignore[misc]
        settle(tab)
    expect(tab.locator(".chip.for")).to_have_count(3)
    expect(tab.locator(".chip.against")).to_have_count(1)
    assert film_ids(tab) != plain
    for left in (2, 1, 0):
        tab.locator(".chip a").first.locator("..").locator(".remove").click()
        expect(tab.locator(".chip a")).to_have_count(left)
        settle(tab)
    tab.wait_for_url(lambda url: "like" not in url)
    until(tab, lambda: film_ids(tab), lambda now: now == plain)


def test_a_search_is_saved_for_everybody_and_forgotten(browser: Any, tab: Any, room: Room) -> None:
    tab.goto(f"{room.url}/?q=large+effusion")
    tab.wait_for_selector(".grid .bar")
    tab.get_by_role("button", name="Saved").click()
    name = tab.get_by_role("textbox", name="Save this search as")
    name.fill("for the paper")
    name.press("Enter")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_role("button", name="for the paper")).to_be_visible()
    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(room.address)
    other.wait_for_selector(".grid .frame")
    other.get_by_role("button", name="Saved").click()
    other.get_by_role("button", name="for the paper").click()
    other.wait_for_url("**q=large+effusion")
    other.goto(room.url)
    other.wait_for_selector(".grid .frame")
    other.get_by_role("button", name="Saved").click()
    other.get_by_role("button", name="Remove").click()
    other.get_by_role("button", name="for the paper").wait_for(state="detached")
    other.context.close()


def test_one_film_a_study(tab: Any, ward: Room) -> None:
    tab.goto(f"{ward.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    expect(tab.locator(".grid .frame")).to_have_count(6)
    tab.get_by_text("One per study").first.click()
    tab.wait_for_url("**study=true")
    expect(tab.locator(".grid .frame")).to_have_count(3)


def test_a_study_opens_in_a_dicom_viewer_and_shows_its_other_films(tab: Any, ward: Room) -> None:
    tab.goto(f"{ward.url}/film?film=1")
    tab.wait_for_selector("[data-act=invert]:enabled")
    settle(tab)
    link = tab.get_by_test_id("stBaseLinkButton-secondary")
    study = tab.get_by_text("1.2.3.", exact=False).first.inner_text()
    expect(link).to_have_attribute("href", VIEWER.format(study=study, series=f"{study}.1"))
    expect(tab.get_by_text("Of the same study").first).to_be_visible()
    expect(tab.get_by_text("Of the same patient").first).to_be_visible()
    assert "Doe" not in tab.content()


def test_a_film_on_the_wall_opens_in_a_dicom_viewer_by_its_button_and_by_v(tab: Any, ward: Room) -> None:
    tab.context.route("https://viewer.example/**", lambda route: route.fulfill(body="the viewer"))
    tab.goto(f"{ward.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    links = tab.locator(".grid [data-tool=viewer]")
    expect(links).to_have_count(6)
    with tab.context.expect_page() as opened:
        tab.locator(".grid .frame").first.focus()
        tab.keyboard.press("v")
    assert opened.value.url == links.first.get_attribute("href")
    opened.value.close()
    tab.locator(".grid .cell").nth(1).hover()
    with tab.context.expect_page() as opened:
        links.nth(1).click()
    assert opened.value.url == links.nth(1).get_attribute("href")
    opened.value.close()


def test_a_film_that_can_no_longer_be_decoded_keeps_its_thumbnail_and_says_why(tab: Any, ward: Room) -> None:
    tab.goto(f"{ward.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    broken = next(one for one in film_ids(tab) if path_of(ward, int(one)) == "5.dcm")
    tab.goto(f"{ward.url}/film?film={broken}")
    tab.get_by_text("Only the thumbnail can be shown").first.wait_for()
    settle(tab)
    expect(tab.locator("[data-act=invert]")).to_be_disabled()
    assert "Traceback" not in tab.content()


def path_of(room: Room, film: int) -> str:
    from filmroom.db.archive import Archive
    from filmroom.db.reads import films

    return films.get(Archive.open(room.archive).catalog, film).path


def test_a_cohort_is_picked_collected_and_leaves_without_names(tab: Any, ward: Room, tmp_path: Path) -> None:
    tab.goto(f"{ward.url}/?q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    sound = [at for at, one in enumerate(film_ids(tab)) if path_of(ward, int(one)) != "5.dcm"][:2]
    for at in sound:
        tab.locator(".grid .frame").nth(at).focus()
        tab.keyboard.press("x")
    tab.locator(".picks [data-do=collect]").click()
    name = tab.get_by_role("textbox", name="Its name")
    name.fill("cohort")
    name.press("Enter")
    tab.get_by_role("button", name="Put 2 films into it").click()
    tab.get_by_text("2 films put into cohort").first.wait_for()
    tab.goto(f"{ward.url}/collections")
    tab.wait_for_selector(".grid .frame")
    settle(tab)
    tab.locator(".picks [data-do=clear]").click()
    tab.locator(".picks [data-do=export]").click()
    for label, check in (("CSV", csv_rows), ("Parquet", parquet_rows), ("TREC run", run_rows)):
        assert check(downloaded(tab, tab.get_by_role("button", name=label)).read_bytes()) == 2
    tab.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    tab.locator(".picks [data-do=copy]").click()
    folder = tab.get_by_role("textbox", name="Copy the files into this folder")
    folder.fill(str(tmp_path / "out"))
    folder.press("Enter")
    tab.get_by_text("De-identify").first.click()
    settle(tab)
    tab.get_by_role("button", name="Copy 2 films").click()
    tab.get_by_text("2 files copied").first.wait_for()
    copied = sorted((tmp_path / "out").glob("*.dcm"))
    assert len(copied) == 2
    for path in copied:
        film = pydicom.dcmread(path)
        assert film.PatientIdentityRemoved == "YES"
        assert b"Doe" not in path.read_bytes()
        assert str(film.get("PatientID", "")) != "4711"


def csv_rows(data: bytes) -> int:
    return len(list(csv.DictReader(io.StringIO(data.decode()))))


def parquet_rows(data: bytes) -> int:
    from pyarrow import parquet

    return int(parquet.read_table(io.BytesIO(data)).num_rows)


def run_rows(data: bytes) -> int:
    return len(data.decode().splitlines())


def test_a_run_is_stopped_on_the_page_and_goes_on_where_it_was(tab: Any, archive_folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    (tmp_path / "films").mkdir()
    for number in range(FILMS):
        Image.fromarray(random.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "films" / f"{number}.png")
    (tmp_path / "films" / "text.dcm").write_text("no film")
    room = Room(tmp_path / "archive")
    tab.context.add_cookies(room.cookies)
    try:
        tab.goto(f"{room.url}/archive")
        start(tab, tmp_path / "films")
        run = held(tmp_path / "archive")
        try:
            # In the page: Streamlit has a button of this name, too, for a run of its own that takes long.
            tab.locator("[data-testid=stMain]").get_by_role("button", name="Stop", exact=True).click()
            end = time.monotonic() + 10  # where the click is answered later, it finds the run at work again
            while signal.SIGINT not in waiting_for(run) and time.monotonic() < end:
                tab.wait_for_timeout(50)
        finally:
            os.kill(run, signal.SIGCONT)
        tab.get_by_text("stopped: run it again to go on").first.wait_for()
        settle(tab)
        start(tab, tmp_path / "films")
        # The line of the run before says what was rejected, too: only its end tells this one.
        tab.get_by_text("tiny, done:").first.wait_for()
        got = downloaded(tab, tab.get_by_role("button", name="All as CSV"))
        (line,) = csv.DictReader(io.StringIO(got.read_text()))
        assert line["path"] == "text.dcm"
        assert line["remedy"]
        assert len(list(db_films.everyone(Archive.open(tmp_path / "archive").catalog))) == FILMS
    finally:
        tab.goto("about:blank")
        room.close()


def held(archive: Path) -> int:
    """The process of the run that has just begun to work, halted: it waits for us to find the button that stops it."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        with suppress(NotFound):
            for run in runs(Archive.open(archive).catalog, 1):
                if run.counts.listed and run.state is RunState.RUNNING:
                    os.kill(run.pid, signal.SIGSTOP)
                    return run.pid
        time.sleep(0.005)
    raise AssertionError("no run has begun, or it was over at once")


def waiting_for(process: int) -> set[int]:
    """The signals that were sent to a halted process, which it gets when it goes on."""
    said = Path(f"/proc/{process}/status").read_text()
    bits = int(next(line for line in said.splitlines() if line.startswith("ShdPnd")).split()[1], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1}


def start(page: Any, folder: Path) -> None:
    page.get_by_label("Folder or file").fill(str(folder))
    page.get_by_label("Folder or file").press("Tab")
    pick_option(page, page.locator("[data-testid=stSelectbox] input").first, "tiny")
    page.get_by_role("button", name="Index", exact=True).click()
