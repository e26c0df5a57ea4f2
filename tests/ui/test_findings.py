"""What a model wrote about a film, on the film's page in a real Chromium: its boxes, and the sentence on hover."""

from __future__ import annotations

from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.writes import findings

from tests.ui.room import Room, expect, needs_chromium, settle, until

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

    def told(x: float, y: float) -> str:
        """What the page says where the mouse stands on the film, 340 by 400 pixels at the height of the canvas."""
        edge = canvas.bounding_box()
        across = edge["width"] / 2 + (x - 0.5) * edge["height"] * 340 / 400
        tab.mouse.move(edge["x"] + across, edge["y"] + y * edge["height"])
        return str(tip.text_content()) if tip.is_visible() else ""

    def says(x: float, y: float, text: str) -> None:
        until(tab, lambda: told(x, y), lambda said: said == text)

    says(0.2, 0.7, LARGE.text)
    says(0.7, 0.65, SMALL.text)  # the smaller of two boxes, and no markup
    says(0.9, 0.85, LARGE.text)
    says(0.5, 0.2, "")
    plain = canvas.screenshot()
    tab.get_by_role("button", name=LARGE.text).focus()
    until(tab, canvas.screenshot, lambda now: now != plain)
    canvas.focus()
    tab.keyboard.press("x")
    expect(tab.locator("[data-act=regions]")).to_have_attribute("aria-pressed", "false")
    says(0.2, 0.7, "")
    expect(tab.locator(".readout")).to_contain_text(" at ")
    assert tip.is_hidden()
    expect(tab.get_by_text("Written by cxrreportgen, a model")).to_have_count(1)
    expect(tab.get_by_text(WHOLE.text)).to_have_count(1)


def test_a_film_that_nothing_was_written_about_has_no_boxes(tab: Any, room: Room, numbered: list[int]) -> None:
    tab.goto(f"{room.url}/film?film={numbered[0]}")
    tab.wait_for_selector("[data-act=invert]:enabled")
    settle(tab)
    expect(tab.locator("[data-act=regions]")).to_be_hidden()
    expect(tab.locator(".regions")).to_be_hidden()
