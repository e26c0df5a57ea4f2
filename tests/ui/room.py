"""A reading room that is served, and a real Chromium to visit it with."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from filmroom.search.ui.server.launch import command

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The shell is the same engine without a window's menus and tabs, which cost half of a page's time again."""
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium-headless-shell"),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--renderer-process-limit=1",
]
PATIENCE = 60_000
"""Milliseconds; only what never comes takes them all."""
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Room:
    """`archive` served on `port`, with the environment `env`, from the folder `cwd`; and how to stop it.

    `address` is what it prints, `cookies` and `headers` are those of who has opened it."""

    address: str
    cookies: list[dict[str, str]]
    headers: dict[str, str]

    def __init__(
        self,
        archive: Path,
        *,
        port: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        token: bool = True,
    ) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.archive = archive
        self._said = Path(tempfile.mkstemp(prefix="filmroom-room-")[1])
        with self._said.open("wb") as out:
            self.process = subprocess.Popen(
                command(archive, port=port, token=token),
                stdout=subprocess.DEVNULL,
                stderr=out,
                cwd=cwd or archive.parent,
                env=env,
            )
        end = time.monotonic() + 2 * PATIENCE / 1000
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=PATIENCE / 1000) as answer:
                    if answer.status == 200:
                        return self._let_in()
            except OSError:
                time.sleep(0.05)
        self.close()
        raise AssertionError("the application did not start")

    def said(self) -> str:
        """What it has printed so far."""
        return self._said.read_text("utf-8", "replace")

    def _let_in(self) -> None:
        found = re.search(r"^Filmroom: (http://\S+)", self.said(), re.MULTILINE)
        assert found, self.said()
        self.address = found[1].replace("//localhost:", "//127.0.0.1:")
        value = self.address.partition("?token=")[2]
        name = f"filmroom-{urlsplit(self.url).port}"
        self.cookies = [{"name": name, "value": value, "url": self.url}] if value else []
        self.headers = {"Cookie": f"{name}={value}"} if value else {}
        OPEN.append(self)

    def close(self) -> None:
        if self in OPEN:
            OPEN.remove(self)
        self.process.terminate()
        self.process.wait(PATIENCE / 1000)
        self._said.unlink(missing_ok=True)


OPEN: list[Room] = []
"""The rooms that are served now, each to those who have its token."""


def local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


# A run that was asked for is not under way, for the page, before the server has answered.
LISTEN = """
window.asked = window.answered = 0;
window.WebSocket = class extends WebSocket {
  constructor(...all) {
    super(...all);
    this.addEventListener("message", () => { window.answered = performance.now(); });
  }
  send(data) {
    window.asked = performance.now();
    super.send(data);
  }
};
"""
# The end of a run is not the end of its page: parts that are loaded when they are first needed stand as grey bars,
# and our own components are drawn by scripts that come after their empty frames. The Archive page asks again every
# second, and where an answer takes longer it never rests: there it is its last part that must have come.
QUIET = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  if (!app?.querySelector("[data-testid=stElementContainer]")) return false;
  const { testScriptState, testConnectionState } = app.dataset;
  const rests = testScriptState === "notRunning" && !(window.asked > window.answered);
  if (testConnectionState !== "CONNECTED") return false;
  if (!rests && !(location.pathname === "/archive" && app.innerText.includes("Doctor"))) return false;
  if (app.querySelector("[data-testid=stSkeleton], [data-testid=stSpinner]")) return false;
  const parts = ".scatter canvas, .grid > *, .picks > *, .chips > *, .facets, .pick-one, .sheet > *, .memory"
    + ", .readout:not(:empty), .files > *";
  const drawn = (root) => root?.querySelector(parts)
    || /^(?!Loading)./.test(root?.querySelector(".notice")?.textContent ?? "");
  return [...app.querySelectorAll("[data-testid=stBidiComponentIsolated]")].every(
    (one) => [one, ...one.querySelectorAll("*")].some((inner) => drawn(inner.shadowRoot)),
  );
}"""
IDLE = "() => new Promise((done) => requestIdleCallback(() => done(), { timeout: 2000 }))"


def settle(page: Any) -> None:
    """Waits until what the page has asked for is answered, its run is over and all its parts are drawn.

    What a test looks for afterwards it still waits for, with `expect` or `until`: this only says when to look.
    """
    for _ in range(2):  # once more where the page asks again when it is drawn
        page.evaluate(IDLE)
        page.wait_for_function(QUIET, polling=100)  # else at every frame, all of which it would ask for


def expect(what: Any) -> Any:
    """Playwright's checks, which look again until they hold; PATIENCE is set with the browser."""
    from playwright.sync_api import expect as checked

    return checked(what)


def until(page: Any, look: Callable[[], T], right: Callable[[T], bool]) -> T:
    """Looks until what is seen is right, and returns it; for what Playwright has no check."""
    end = time.monotonic() + PATIENCE / 1000
    while not right(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"still {seen!r}")
        page.wait_for_timeout(100)
    return seen


def film_ids(page: Any) -> list[str]:
    return list(page.locator(".grid .frame").evaluate_all("all => all.map((one) => one.dataset.id)"))


def slash(page: Any) -> None:
    """Presses "/" as soon as the page listens to it: the cursor is in the search box."""

    def press() -> bool:
        page.keyboard.press("/")
        return bool(page.evaluate("document.activeElement.type === 'search'"))

    until(page, press, bool)


def pick_option(page: Any, box: Any, name: str) -> None:
    """Types into a box of choices, and takes the one of this name once it is offered; a run may close the list."""
    option = page.get_by_role("option", name=re.compile(rf"^{re.escape(name)}( \(\d+\))?$"))

    def offered() -> bool:
        if not option.is_visible():
            box.fill("")  # words that stand there already open no list
            box.fill(name)
            page.wait_for_timeout(200)
        return bool(option.is_visible())

    until(page, offered, bool)
    option.click()


def ours(line: Any) -> bool:
    """A console line that says a fault of ours; a sign-in provider may lack its icon."""
    return line.type == "error" and "favicon.ico" not in str(line.location)


def downloaded(page: Any, button: Any) -> Path:
    """The file that a button gives, for one click whenever it comes."""
    with page.expect_download() as coming:
        button.click()
    return Path(coming.value.path())
