"""What a model wrote about a film, on the film's page in a real Chromium: its boxes, and the sentence on hover."""

from __future__ import annotations

from typing import Any

from db import findings
from db.archive import Archive
from tests.ui.room import Room, needs_chromium, settle

pytestmark = needs_chromium

SMALL = findings.Finding("Small opacity <b>left</b>.", ((0.6, 0.55, 0.8, 0.75),))
LARGE = findings.Finding("Both bases are dense.", ((0.1, 0.5, 0.4, 0.9), (0.55, 0.5, 0.95, 0.9)))
WHOLE = findings.Finding("No pneumothorax.")


def test_boxes_lie_where_they_were_found_and_say_their_sentence(tab: Any, room: Room, numbered: list[int]) -> None:
    film = numbered[3]
    findings.put(Archive.open(room.archive).catalog, [film], [LARGE, SMALL, WHOLE], source="cxrreportgen")
    tab.goto(f"{room.url}/film?film={film}")
    tab.wait_for_selector("[data-act=invert]:enabled")
    settle(tab)
    canvas, tip = tab.locator("canvas"), tab.locator(".tip")
    edge = canvas.bounding_box()
    # The film is 340 by 400 pixels and fits the height of the canvas.
    height = edge["height"]
    width = height * 340 / 400

    def point(x: float, y: float) -> None:
        middle = edge["x"] + edge["width"] / 2
        tab.mouse.move(middle + (x - 0.5) * width, edge["y"] + y * height)

    point(0.2, 0.7)
    assert tip.text_content() == LARGE.text
    point(0.7, 0.65)
    assert tip.text_content() == SMALL.text, "the smaller of two boxes, and no markup"
    point(0.9, 0.85)
    assert tip.text_content() == LARGE.text
    point(0.5, 0.2)
    assert tip.is_hidden()
    plain = canvas.screenshot()
    tab.get_by_role("button", name=LARGE.text).focus()
    assert canvas.screenshot() != plain
    canvas.focus()
    tab.keyboard.press("x")
    point(0.2, 0.7)
    assert tip.is_hidden()
    assert tab.locator("[data-act=regions]").get_attribute("aria-pressed") == "false"
    assert tab.get_by_text("Written by cxrreportgen, a model").count() == 1
    assert tab.get_by_text(WHOLE.text).count() == 1


def test_a_film_that_nothing_was_written_about_has_no_boxes(tab: Any, room: Room, numbered: list[int]) -> None:
    tab.goto(f"{room.url}/film?film={numbered[0]}")
    tab.wait_for_selector("[data-act=invert]:enabled")
    settle(tab)
    assert tab.locator("[data-act=regions]").is_hidden()
    assert tab.locator(".regions").is_hidden()
