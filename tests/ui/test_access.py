"""For those who see little contrast, hear the page or have only keys: WCAG 2.2 AA by axe-core, and the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes import annotations

from tests.ui.room import Room, expect, film_ids, needs_chromium, settle, slash, until

pytestmark = needs_chromium
SCHEMES = ("dark", "light")
GROUND = "Number(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor.match(/[0-9]+/)[0])"
"""How much red the ground of the page has, of 255."""
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""What another colour scheme of the same page may change."""
STILL = (
    "*, *::before, *::after { animation: none !important; transition: none !important }"
    "[data-testid=stElementContainer] { opacity: 1 !important }"
)
"""Streamlit fades what a run replaces: a text half faded has another contrast than the one that is read."""
PARTS = {
    "search": ".frame",
    "film": "canvas",
    "study": "canvas",
    "collections": ".frame",
    "zeroshot": "[role=slider], input[type=range]",
    "evaluate": "[role=radio]",
    "judge": "input[aria-label=Judge]",
    "map": "canvas",
    "check": "[data-testid=stBaseButton-primary]",
    "archive": "[data-testid=stBaseButton-secondary]",
}
INNERMOST = "let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;"


@pytest.fixture(scope="module")
def addresses(archive_folder: Path, room: Room) -> Iterator[dict[str, str]]:
    """Every page with something on it, which is gone when these tests are over."""
    catalog = Archive.open(archive_folder).catalog
    from filmroom.db.reads import films

    film = next(one.id for one in films.everyone(catalog) if one.path == "film-001.png")
    annotations.collect(catalog, "kept", [film])
    judged = annotations.Judgement("effusion", film, "ab", 2)
    annotations.judge(catalog, judged)
    yield {
        "search": "/?q=effusion",
        "film": f"/film?film={film}&q=effusion",
        "study": f"/study?film={film}",
        "collections": "/collections",
        "zeroshot": "/zeroshot?finding=effusion",
        "evaluate": "/evaluate",
        "judge": "/judge?judged=effusion",
        "map": "/map",
        "check": "/check?check=Splits",
        "archive": "/archive",
    }
    annotations.unjudge(catalog, judged)
    annotations.uncollect(catalog, "kept")


def test_every_page_keeps_wcag_aa_and_its_parts_are_reached_with_tab(
    tab: Any, room: Room, addresses: dict[str, str]
) -> None:
    """In the dark and in the light; every other page is loaded in the light. A page that is open follows the system."""
    axe = (
        pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
        .Axe()
        .axe_script
    )
    found: list[str] = []
    for at, (name, address) in enumerate(addresses.items()):
        loaded, other = SCHEMES if at % 2 else SCHEMES[::-1]
        tab.emulate_media(color_scheme=loaded)
        tab.goto(room.url + address)
        settle(tab)
        tab.add_style_tag(content=STILL)
        tab.evaluate(axe)
        for scheme, rules in ((loaded, RULES), (other, COLOURS)):
            tab.emulate_media(color_scheme=scheme)
            until(tab, lambda: tab.evaluate(GROUND), lambda ground, dark=scheme == "dark": (ground < 128) == dark)  # type: ignore[misc]
            settle(tab)
            options = {"runOnly": rules, "resultTypes": ["violations"]}
            faults = tab.evaluate("options => axe.run(options)", options)["violations"]
            found += [f"{name} {scheme}: {one['id']}: {node['html'][:200]}" for one in faults for node in one["nodes"]]
        pressed_until(tab, "Tab", PARTS[name])
    assert not found, "\n".join(found)


def pressed_until(page: Any, key: str, reached: str, *, most: int = 60) -> None:
    """Presses a key until the element in focus, in whatever shadow it lives, answers to `reached`."""
    page.locator(reached).first.wait_for(state="attached")
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate(f"() => {{ {INNERMOST} return Boolean(at?.matches({reached!r})); }}"):
            return
    raise AssertionError(f"{key} never reaches {reached}")


def test_a_whole_visit_with_the_keyboard_alone(tab: Any, room: Room) -> None:
    tab.goto(room.url)
    tab.wait_for_selector(".grid .frame")
    settle(tab)
    slash(tab)
    tab.keyboard.type("effusion")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**q=effusion")
    tab.wait_for_selector(".grid .bar")
    settle(tab)
    pressed_until(tab, "Tab", ".frame")
    tab.keyboard.press("ArrowRight")
    second = film_ids(tab)[1]
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**film={second}*")
    tab.wait_for_selector("[data-act=invert]:enabled")
    settle(tab)
    pressed_until(tab, "Tab", "canvas")
    tab.keyboard.press("i")
    expect(tab.locator("[data-act=invert]")).to_have_attribute("aria-pressed", "true")
    tab.keyboard.press("h")
    tab.locator(".warn").wait_for(state="visible")
    tab.keyboard.press("Shift+Tab")
    pressed_until(tab, "Tab", "summary")  # the grade for the query
    pressed_until(tab, "Tab", "summary")
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Keep note").wait_for()
    tab.keyboard.press("Escape")
    pressed_until(tab, "Shift+Tab", "[data-testid=stTopNavLink][href$=archive]")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/archive")
    settle(tab)
    pressed_until(tab, "Tab", "input[aria-label^='Folder or file']")
