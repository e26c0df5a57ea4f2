"""Every page stands on an archive that a server keeps, and says of it what it says of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.archive import Archive, folder_of
from filmroom.db.postgresql.copying import copy

from tests.pages import PAGES, page
from tests.postgres import new_archive
from tests.ui.conftest import FILMS


@pytest.fixture(scope="module")
def on_server(archive_folder: Path, server: str) -> Path:
    archive = Archive.create(folder_of(new_archive(server)))
    copy(Archive.open(archive_folder), archive)
    return archive.folder


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands(name: str, on_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"search": {"q": "effusion"}, "film": {"film": "1"}, "study": {"film": "1"}}
    shown = page(on_server, name, monkeypatch, **parameters.get(name, {}))
    assert not shown.exception
    assert not shown.error


def test_the_archive_page_counts_as_the_folder_does(
    on_server: Path, archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [
        {metric.label: metric.value for metric in page(folder, "archive", monkeypatch).metric}
        for folder in (on_server, archive_folder)
    ]
    for shown in metrics:
        del shown["Size"]  # the server's is another
    assert metrics[0] == metrics[1]
    assert metrics[0]["Films"] == str(FILMS)
