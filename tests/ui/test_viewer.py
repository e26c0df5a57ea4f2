"""The viewer's tools: ruler, angle, probe, magnifier, flip; what is kept stands in the note."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes import annotations
from filmroom.search.findings.measurements import Kind, measurements_of
from filmroom.search.ui.components.viewer.viewer import _measured

from tests.ui.room import Room, expect, needs_chromium, settle, until
from tests.ui.test_browser import SHOT, as_stored, open_film


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ([{"kind": "Length", "points": [[1, 2], [3, 4.5]]}], [(Kind.LENGTH, ((1.0, 2.0), (3.0, 4.5)))]),
        ([{"kind": "Weight", "points": [[1, 2]]}, {"kind": "Angle"}, 3, None], []),
        ([{"kind": "Length", "points": [[1, "2"], [3]]}], []),
        ("Length", []),
        (None, []),
    ],
)
def test_what_a_browser_sends_is_read_with_care(said: object, read: object) -> None:
    assert _measured(said) == read


@pytest.mark.browser
class TestInTheBrowser:
    pytestmark = needs_chromium

    @pytest.fixture
    def own(self, archive_folder: Path, tmp_path: Path) -> Iterator[Room]:
        served = Room(Path(shutil.copytree(archive_folder, tmp_path / "archive")))
        yield served
        served.close()

    def test_a_ruler_an_angle_and_a_probe_are_kept_in_the_note(self, own: Room, tab: Any, numbered: list[int]) -> None:
        tab.context.add_cookies(own.cookies)
        open_film(tab, own, numbered[0])
        as_stored(tab)
        stage = tab.locator("canvas").bounding_box()
        middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        canvas = tab.locator("canvas")
        scale = min(stage["width"] / 340, stage["height"] / 400)
        canvas.focus()
        canvas.press("l")
        tab.mouse.move(*middle)
        tab.mouse.down()
        tab.mouse.move(middle[0] + 100 * scale, middle[1], steps=5)
        tab.mouse.up()
        measures = tab.locator(".measures li")
        expect(measures.first).to_contain_text("Length")
        assert float(measures.first.inner_text().split()[1]) == pytest.approx(100, abs=2)
        canvas.focus()
        canvas.press("g")
        for x, y in ((60, 0), (0, 0), (0, 60)):
            tab.mouse.click(middle[0] + x, middle[1] + y)
        expect(measures.nth(1)).to_contain_text("Angle")
        assert float(measures.nth(1).inner_text().split()[1].rstrip("°")) == pytest.approx(90, abs=2)
        canvas.focus()
        canvas.press("v")
        tab.mouse.click(*middle)
        expect(measures.nth(2)).to_contain_text("Grey value")
        canvas.focus()
        canvas.press("l")
        tab.mouse.click(middle[0] - 50, middle[1])
        canvas.press("Escape")  # the one under way
        tab.mouse.click(middle[0] - 50, middle[1] - 50)
        tab.mouse.click(middle[0] - 20, middle[1] - 50)
        expect(measures).to_have_count(5)
        canvas.press("Delete")
        expect(measures).to_have_count(4)
        tab.get_by_role("button", name="Keep in the note").click()
        tab.get_by_text("3 measurements kept").first.wait_for()
        settle(tab)
        catalog = Archive.open(own.archive).catalog
        kept = measurements_of(annotations.note_of(catalog, numbered[0]))
        assert [one.kind for one in kept] == [Kind.LENGTH, Kind.ANGLE, Kind.VALUE]
        assert kept[0].unit == "px"
        assert kept[0].value == pytest.approx(100, abs=2)
        expect(measures).to_have_count(0)
        tab.get_by_role("button", name="Undo").click()
        tab.get_by_text("Undone").first.wait_for()
        assert annotations.note_of(catalog, numbered[0]) == ""

    def test_flip_magnifier_and_the_list_of_keys(self, tab: Any, room: Room, numbered: list[int]) -> None:
        open_film(tab, room, numbered[1])
        as_stored(tab)
        canvas = tab.locator("canvas")
        before = canvas.evaluate(SHOT)
        canvas.focus()
        canvas.press("t")
        until(tab, lambda: canvas.evaluate(SHOT), lambda now: now != before)
        expect(tab.locator("[data-act=flip]")).to_have_attribute("aria-pressed", "true")
        canvas.press("t")
        until(tab, lambda: canvas.evaluate(SHOT), lambda now: now == before)
        canvas.press("m")
        box = canvas.bounding_box()
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        until(tab, lambda: canvas.evaluate(SHOT), lambda now: now != before)
        canvas.press("?")
        expect(tab.locator(".keys")).to_be_visible()
        canvas.press("Escape")
        expect(tab.locator(".keys")).to_be_hidden()
