"""Pictures of every page, dark, 1440 pixels wide, on the synthetic demo archive: python docs/screenshots.py ARCHIVE.

The archive is one that `filmroom demo` and `filmroom index` made, with its labels and reports. Needs playwright and a
Chromium. Pictures go to docs/images/, or with --out FOLDER elsewhere; --width and --light take other ones to look at.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from filmroom.search.ui.server.launch import command  # noqa: E402

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUERY = "pleural effusion view:PA"
LASSO = ((0.42, 0.3), (0.52, 0.22), (0.6, 0.4), (0.55, 0.6), (0.45, 0.55))


def attend(page: Any) -> None:
    page.locator("[data-act=attention]").click()
    page.locator(".warn").wait_for(state="visible")


def name_judge(page: Any) -> None:
    box = page.get_by_role("textbox", name="Judge")
    box.fill("demo")
    box.press("Enter")
    page.wait_for_selector("[data-act=invert]:enabled")


def open_first(page: Any) -> None:
    page.locator(".grid .frame").first.click()
    page.wait_for_selector("[data-act=invert]:enabled")
    settle(page)
    attend(page)


def drag_region(page: Any) -> None:
    canvas = page.locator(".scatter canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)
    area = canvas.bounding_box()
    corners = [(area["x"] + area["width"] * x, area["y"] + area["height"] * y) for x, y in LASSO]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    page.locator(".grid .frame").first.wait_for()


def nothing(page: Any) -> None:
    pass


def once_more(page: Any) -> None:
    """So that the time it says is that of a server that has been asked before."""
    page.reload()


PAGES: tuple[tuple[str, str, Callable[[Any], None]], ...] = (
    ("search", f"/?q={QUERY.replace(' ', '+')}", once_more),
    ("start", "/", nothing),
    ("film", f"/?q={QUERY.replace(' ', '+')}", open_first),
    ("zero-shot", "/zeroshot?finding=pleural+effusion", nothing),
    ("evaluate", "/evaluate", nothing),
    ("judge", f"/judge?judged={QUERY.replace(' ', '+')}", name_judge),
    ("map", "/map", drag_region),
    ("collections", "/collections", nothing),
    ("archive", "/archive", nothing),
)


PICTURES = """() => Promise.all([...document.querySelectorAll('[data-testid="stMain"] *')]
  .filter((one) => one.shadowRoot)
  .flatMap((one) => [...one.shadowRoot.querySelectorAll('.frame img')])
  .filter((one) => one.getBoundingClientRect().top < innerHeight)
  .map((one) => one.decode().catch(() => null)))"""


def settle(page: Any) -> None:
    """Waits until the page's run is over and its films are drawn."""
    page.wait_for_timeout(500)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=120_000)
    page.evaluate(PICTURES)
    page.wait_for_timeout(1000)


def chromium(driver: Any) -> Any:
    """The system's Chromium, without a window."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    return driver.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"])


def served(archive: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    process = subprocess.Popen(command(archive, port=port, token=False), stdout=subprocess.DEVNULL)  # noqa: S603 (our own command)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health"):  # noqa: S310
                return process, url
        except OSError:
            time.sleep(0.5)
    process.kill()
    raise SystemExit("The application did not start.")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("archive", type=Path)
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options.add_argument("--width", type=int, default=1440)
    options.add_argument("--light", action="store_true")
    asked = options.parse_args()
    from PIL import Image
    from playwright.sync_api import sync_playwright

    asked.out.mkdir(parents=True, exist_ok=True)
    process, url = served(asked.archive)
    try:
        with sync_playwright() as driver:
            browser = chromium(driver)
            context = browser.new_context(
                viewport={"width": asked.width, "height": 900}, color_scheme="light" if asked.light else "dark"
            )
            for name, address, act in PAGES:
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(url + address)
                settle(page)
                act(page)
                settle(page)
                page.wait_for_timeout(1000)
                place = asked.out / f"{name}.png"
                page.screenshot(path=place)
                # Grey films and a few colours: a palette says the same in a third of the bytes.
                Image.open(place).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT).save(
                    place, optimize=True
                )
                page.close()
                print(name)
            browser.close()
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
