"""A film among those of its study and patient: which stand side by side, and that they move together."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.records import Film, State, Tags
from filmroom.db.writes import findings
from filmroom.search.ui.pages.study import in_order

from tests.pages import components, page, said
from tests.ui.room import Room, expect, needs_chromium, settle, until


def film(film_id: int, view: str | None, year: int | None, study: str = "1") -> Film:
    return Film(film_id, "/films", f"{film_id}", 0, State.PRESENT, 1, Tags(view=view, year=year, study_uid=study))


def test_frontal_films_come_before_laterals_and_these_before_earlier_studies() -> None:
    own = film(7, "LL", 2020)
    study = [film(3, "PA", 2020), film(9, "RL", 2020), film(4, "AP", 2020)]
    patient = [
        *study,
        film(1, "PA", 2011, "2"),
        film(2, "LL", 2018, "3"),
        film(8, "PA", 2018, "3"),
        film(5, None, None, "4"),
    ]
    assert [one.id for one in in_order(own, study, patient)] == [3, 4, 7, 9, 8, 2, 1, 5]


@pytest.fixture
def studies(archive_folder: Path, tmp_path: Path) -> Path:
    """Films 1 and 2 are a frontal and a lateral of one study, 3 an earlier study of that patient."""
    copy = Path(shutil.copytree(archive_folder, tmp_path / "studies"))
    with sqlite3.connect(copy / "catalog.sqlite") as catalog:
        catalog.execute("DELETE FROM finding")  # other tests of the shared archive put some there
        catalog.execute("UPDATE film SET patient_key = 'p', study_uid = '1.2', year = 2020, view = 'PA' WHERE id = 1")
        catalog.execute("UPDATE film SET patient_key = 'p', study_uid = '1.2', year = 2020, view = 'LL' WHERE id = 2")
        catalog.execute("UPDATE film SET patient_key = 'p', study_uid = '1.1', year = 2015, view = 'PA' WHERE id = 3")
    return copy


def test_a_study_stands_with_the_film_before_it_and_keeps_its_address(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(studies, "study", monkeypatch, film="2")
    assert [one["film"] for one in components(test, "viewer")] == ["1", "2", "3"]
    assert "Study of 2 films" in said(test)
    assert test.query_params["side"] == "1,2,3"
    test = page(studies, "study", monkeypatch, film="2", side="3,2,99,x")
    assert [one["film"] for one in components(test, "viewer")] == ["3", "2"]
    assert all(one["linked"] for one in components(test, "viewer"))


@pytest.mark.parametrize("named", ["", "x", "99999", "9" * 30, "-1"])
def test_a_study_of_no_film_leads_back(archive_folder: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "study", monkeypatch, film=named)
    assert "There is no such film" in said(test)
    assert test.get("page_link")


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    @pytest.fixture
    def own(self, studies: Path) -> Iterator[Room]:
        served = Room(studies)
        yield served
        served.close()

    def test_the_films_of_a_study_move_together_until_they_are_unlinked(self, own: Room, tab: Any) -> None:
        tab.context.add_cookies(own.cookies)
        tab.goto(f"{own.url}/film?film=1")
        tab.wait_for_selector("[data-act=invert]:enabled")
        settle(tab)
        tab.get_by_text("Study", exact=True).first.click()
        tab.wait_for_url("**/study?film=1*")
        expect(tab.locator("[data-act=invert]:enabled")).to_have_count(3)
        settle(tab)
        inverted = "all => all.map((one) => one.getAttribute('aria-pressed'))"
        buttons = tab.locator("[data-act=invert]")
        tab.locator("canvas").nth(1).focus()
        tab.keyboard.press("i")
        until(tab, lambda: buttons.evaluate_all(inverted), lambda now: now == ["true"] * 3)
        reads = "all => all.map((one) => Number(/(\\d+) %/.exec(one.textContent)[1]))"
        readouts = tab.locator(".readout")
        fit = readouts.evaluate_all(reads)
        tab.locator("canvas").first.focus()
        tab.keyboard.press("+")
        until(tab, lambda: readouts.evaluate_all(reads), lambda now: all(a > b for a, b in zip(now, fit, strict=True)))
        tab.keyboard.press("Home")
        until(tab, lambda: readouts.evaluate_all(reads), lambda now: now == fit)
        until(tab, lambda: buttons.evaluate_all(inverted), lambda now: now == ["false"] * 3)
        tab.get_by_text("Linked").first.click()
        settle(tab)
        tab.locator("canvas").first.focus()
        tab.keyboard.press("i")
        until(tab, lambda: buttons.evaluate_all(inverted), lambda now: now == ["true", "false", "false"])


def test_each_film_of_a_study_has_boxes_and_attention(
    studies: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(studies, "study", monkeypatch, film=str(numbered[0]), q="effusion")
    assert all(shown["can_attend"] for shown in components(test, "viewer"))
    assert "a model" not in said(test)
    boxed = findings.Finding("Small opacity.", ((0.6, 0.5, 0.8, 0.7),))
    findings.put(Archive.open(studies).catalog, [numbered[0]], [boxed], source="cxrreportgen")
    test = page(studies, "study", monkeypatch, film=str(numbered[0]))
    assert "Boxes and sentences were written by cxrreportgen, a model" in said(test), "no reader drew them"
    assert not any(shown["can_attend"] for shown in components(test, "viewer"))
