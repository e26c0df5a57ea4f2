"""The REST interface of an archive, asked in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.search.api.app import build
from filmroom.search.api.context import Context, Limits
from filmroom.search.searcher import Searcher
from starlette.testclient import TestClient

from tests.search.export.conftest import PATIENTS, SHOTS, House, house

__all__ = ["PATIENTS", "SHOTS", "house"]


@dataclass
class Served:
    """A client of the interface; `open` says whether requests without a token come in, `names_folders` whether they may
    name folders."""

    client: TestClient
    archive: Archive
    house: House
    open: bool = True
    names_folders: bool = True

    def get(self, path: str, **more: Any) -> Any:
        answer = self.client.get(f"/api/v1{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = self.client.request(method, f"/api/v1{path}", **more)
        assert answer.status_code == status, answer.text
        return answer.json()


def serve(house: House, folder: Path, **limits: Any) -> Iterator[Served]:
    archive = Archive.open(folder)
    searcher = Searcher.open(folder, str(house.model))
    served: list[Served] = []
    context = Context(
        folder,
        archive=lambda: archive,
        searcher=lambda model: searcher,
        admits=lambda scope: served[0].open,
        names_folders=lambda: served[0].names_folders,
        limits=Limits(**limits),
    )
    with TestClient(build(context), raise_server_exceptions=False) as client:
        served.append(Served(client, archive, house))
        yield served[0]


@pytest.fixture
def api(house: House, tmp_path: Path) -> Iterator[Served]:
    """The interface of a copy of the archive, which the test may change."""
    yield from serve(house, Path(shutil.copytree(house.folder, tmp_path / "archive")))
