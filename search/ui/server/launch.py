"""How the reading room is started: one command line, from a checkout or an installed wheel."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput
from filmroom.search.ui.server.loopback import LOCAL_NAMES, is_loopback

APP = Path(__file__).resolve().parents[3] / "app.py"

MAX_UPLOAD_MB = 256

VIEWER_SETTING = "FILMROOM_VIEWER_URL"
"""The address of a DICOM viewer, with {study_uid}, {series_uid} and {instance_uid} where the UIDs go."""


def command(archive: str | Path, host: str = "127.0.0.1", port: int = 8501, viewer: str = "") -> list[str]:
    """The command that serves `archive` on `host`:`port`; the film page links to `viewer`. Raises BadInput."""
    if viewer and not (viewer.startswith(("http://", "https://")) and "{study" in viewer):
        raise BadInput(
            "this is no address of a viewer",
            where=viewer,
            fix="Write it whole: 'https://ohif.example/viewer?StudyInstanceUIDs={study_uid}'.",
        )
    start = "from filmroom.search.ui.server.launch import main; main()"
    # -P: the folder it is started in must not lend us its modules.
    return [sys.executable, "-P", "-c", start, "--host", host, "--port", str(port), "--archive", str(archive),
            *(["--viewer", viewer] if viewer else [])]  # fmt: skip


def settings(host: str, port: int) -> dict[str, Any]:
    """Streamlit's settings.

    All are given here, because an installed wheel has no `.streamlit` folder beside the place where it is started. A
    loopback address also checks the Host header, so that no other web page can reach the archive through a name of
    its own that points here.
    """
    chosen: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": MAX_UPLOAD_MB,
        "server.showEmailPrompt": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "client.allowedOrigins": [],
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "runner.magicEnabled": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        "theme.base": str(ASSETS / "style" / "theme.toml"),
    }
    if is_loopback(host):
        chosen["server.allowedHosts"] = list(dict.fromkeys((*LOCAL_NAMES, host)))
    return chosen


def main() -> None:
    """Serves the pages, with the model loading beside it: the first visitor need not wait for both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--viewer", default="")
    asked = parser.parse_args()
    if asked.viewer:
        os.environ[VIEWER_SETTING] = asked.viewer
    import streamlit as st
    from filmroom.search.ui import layout
    from filmroom.search.ui.server import middleware
    from starlette.middleware import Middleware
    from streamlit.file_util import get_static_dir

    # Streamlit takes the first word for the script that was started, and hands the pages the others.
    sys.argv = [str(APP), "--archive", str(asked.archive)]
    outside = Middleware(
        middleware.Door,
        pages=frozenset(layout.addresses()),
        static=Path(get_static_dir()),
        icon=layout.ICON,
    )

    @contextlib.asynccontextmanager
    async def beside(_: object) -> AsyncIterator[None]:
        threading.Thread(target=_warm, args=(asked.archive,), daemon=True).start()
        yield

    st.App(APP, middleware=[outside], lifespan=beside).run(config=settings(asked.host, asked.port))


def _warm(archive: Path) -> None:
    from filmroom.db.errors import FilmroomError
    from filmroom.search.ui import layout
    from filmroom.search.ui.pages import search  # noqa: F401 (the first page, so that its imports are done)

    # What is wrong with the archive or its model, the pages say.
    with contextlib.suppress(FilmroomError):
        layout.searcher(archive).search("chest film", k=1)
