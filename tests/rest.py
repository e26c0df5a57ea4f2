"""The REST interface over an archive, in this process."""

from __future__ import annotations

from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.search.api.app import build
from filmroom.search.api.context import Context, Limits
from filmroom.search.searcher import Searcher
from starlette.testclient import TestClient


def client(folder: Path) -> TestClient:
    """Return a client that may do everything but name folders."""
    archive = Archive.open(folder)
    context = Context(
        folder,
        archive=lambda: archive,
        searcher=lambda model: Searcher.open(folder),
        admits=lambda scope: True,
        names_folders=lambda: False,
        limits=Limits(),
    )
    return TestClient(build(context))
