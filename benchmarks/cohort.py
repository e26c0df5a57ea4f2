"""A cohort by stopwatch, in a real Chromium: python benchmarks/cohort.py ARCHIVE

25 films of two queries are chosen with the keyboard, tagged and exported; it fails where the export is not what was
picked. It works on a copy of the archive. Needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.screenshots import chromium, served  # noqa: E402

FILMS, TAG = 25, "cohort-a"
RESTS = "[data-testid=stApp][data-test-script-state=notRunning]"


def ask(page: Any, words: str) -> list[str]:
    """Ask in words; returns the ids of the films that are shown."""
    box = page.locator('input[type="search"]')
    box.fill(words)
    box.press("Enter")
    page.wait_for_url("**q=*")
    page.wait_for_timeout(300)
    page.wait_for_selector(RESTS)
    page.wait_for_selector(".grid .bar")
    return list(page.locator(".grid .frame").evaluate_all("all => all.map((one) => one.dataset.id)"))


def pick(page: Any, shown: list[str], picked: set[str], most: int) -> None:
    """Pick films that are shown until there are `most`."""
    for at, film in enumerate(shown):
        if len(picked) < most and film not in picked:
            page.locator(".grid .frame").nth(at).focus()
            page.keyboard.press("x")
            picked.add(film)


def walk(page: Any, url: str, queries: list[str]) -> tuple[float, set[str], set[str]]:
    """Seconds, the films that were picked, and those of the export."""
    page.goto(url)
    page.wait_for_selector(".grid .frame")
    page.wait_for_selector(RESTS)
    start, picked = time.perf_counter(), set[str]()
    pick(page, ask(page, queries[0]), picked, FILMS // 2)
    pick(page, ask(page, queries[1]), picked, FILMS)
    page.locator(".picks [data-do=tag]").click()
    box = page.get_by_role("combobox", name="Put on")
    box.fill(TAG)
    box.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").get_by_role("button", name="Tag", exact=True).click()
    page.get_by_text(f"{FILMS} films: ").first.wait_for()
    page.locator(".picks [data-do=export]").click()
    with page.expect_download() as coming:
        page.get_by_role("dialog").get_by_role("button", name="CSV").click()
    rows = csv.DictReader(Path(coming.value.path()).read_text().splitlines())
    return time.perf_counter() - start, picked, {row["id"] for row in rows}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("archive", type=Path)
    options.add_argument("--queries", nargs=2, default=["pleural effusion", "cardiomegaly"])
    asked = options.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        process, url = served(Path(shutil.copytree(asked.archive, Path(folder) / "archive")))
        try:
            with sync_playwright() as driver:
                browser = chromium(driver)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                seconds, picked, exported = walk(page, url, asked.queries)
                browser.close()
        finally:
            process.terminate()
            process.wait(20)
    print(f"{len(picked)} films chosen, tagged and exported in {seconds:.1f} s")
    return 0 if picked == exported else 1


if __name__ == "__main__":
    sys.exit(main())
