"""First paint of the reading room in a real Chromium, with the server warm: python benchmarks/first_paint.py ARCHIVE.

Milliseconds from the navigation's start, medians: the browser's own first contentful paint, the search box, and all
thumbnails in view. A first visit has an empty cache, a second one has what the browser kept. Needs playwright and a
Chromium.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.screenshots import chromium, served  # noqa: E402

WATCH = """
window.seen = {};
const look = () => {
  if (!seen.box && document.querySelector('input[type="search"]')) seen.box = performance.now();
  const hosts = [...document.querySelectorAll('[data-testid="stMain"] *')].filter((one) => one.shadowRoot);
  const images = hosts.flatMap((host) => [...host.shadowRoot.querySelectorAll('.frame img')]);
  const shown = images.filter((image) => image.getBoundingClientRect().top < innerHeight);
  if (shown.length && shown.every((image) => image.complete && image.naturalWidth)) seen.films = performance.now();
  else setTimeout(look, 15);
};
look();
"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def visit(context: Any, url: str) -> dict[str, float]:
    """Milliseconds to the first contentful paint, the search box and the thumbnails in view."""
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("window.seen?.films", timeout=60_000)
    found: dict[str, float] = {"paint": page.evaluate(PAINT), **page.evaluate("window.seen")}
    page.close()
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("archive", type=Path)
    options.add_argument("--visits", type=int, default=7)
    options.add_argument("--path", default="/")
    asked = options.parse_args()
    from playwright.sync_api import sync_playwright

    process, url = served(asked.archive)
    url += asked.path
    try:
        with sync_playwright() as driver:
            browser = chromium(driver)
            visit(browser.new_context(), url)  # the server and the system's file cache are warm from here on
            first, second = [], []
            for _ in range(asked.visits):
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                first.append(visit(context, url))
                visit(context, url)
                second.append(visit(context, url))
                context.close()
            browser.close()
    finally:
        process.terminate()
        process.wait(20)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, medians (worst) of {asked.visits} visits, ms")
    for name, visits in (("first visit", first), ("later visit", second)):
        said = [
            f"{what} {statistics.median(one[what] for one in visits):.0f} ({max(one[what] for one in visits):.0f})"
            for what in ("paint", "box", "films")
        ]
        print(f"{name}: {', '.join(said)}")


if __name__ == "__main__":
    main()
