"""A reading room that is served, and a real Chromium to visit it with."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from search.ui.launch import command

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
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
]
PATIENCE = 30_000
"""Milliseconds."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Room:
    """`archive` served on `port`, with the environment `env`, from the folder `cwd`; and how to stop it."""

    def __init__(
        self,
        archive: Path,
        *,
        port: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.archive = archive
        self.process = subprocess.Popen(
            command(archive, port=port), stdout=subprocess.DEVNULL, cwd=cwd or archive.parent, env=env
        )
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.25)
        raise AssertionError("the application did not start")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


READY = (
    "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
    " [data-testid=stElementContainer]"
)
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


def settle(page: Any) -> None:
    """Waits until what the page has asked for is answered and its run is over."""
    page.wait_for_timeout(50)
    page.wait_for_function("!(window.asked > window.answered)")
    page.wait_for_timeout(50)
    page.wait_for_selector(READY, state="attached")


def film_ids(page: Any) -> list[str]:
    return [link.get_attribute("data-id") for link in page.locator(".grid .frame").all()]


def ours(line: Any) -> bool:
    """A console line that says a fault of ours; a sign-in provider may lack its icon."""
    return line.type == "error" and "favicon.ico" not in str(line.location)
