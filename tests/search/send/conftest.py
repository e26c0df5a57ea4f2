"""A real Orthanc with four films of two studies, and the same films as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.orthanc import PASSWORD, USER, Orthanc, running
from tests.search.send.sending import film
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("pacs")
    with running(folder / "orthanc") as server:
        yield server


@pytest.fixture
def pacs(orthanc: Orthanc, tmp_path: Path) -> Orthanc:
    """The server with four films of two studies, and nothing else."""
    for name in requests.get(f"{orthanc.url}/instances", auth=(USER, PASSWORD), timeout=20).json():
        orthanc.delete(name)
    for number in range(4):
        place = tmp_path / "put.dcm"
        place.write_bytes(film(number))
        orthanc.put(place)
    return orthanc


@pytest.fixture
def door(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same four films as files."""
    place = tmp_path / "films"
    place.mkdir()
    for number in range(4):
        (place / f"{number}.dcm").write_bytes(film(number))
    return place
