"""Every page stands on an archive that a server keeps, and says of it what it says of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.archive import Archive, folder_of
from filmroom.db.postgresql.copying import copy
from streamlit.testing.v1 import AppTest

from tests.postgres import new_archive
from tests.ui.conftest import FILMS


@pytest.fixture(scope="module")
def address(archive_folder: Path, server: str) -> str:
    place = new_archive(server)
    copy(Archive.open(archive_folder), Archive.create(folder_of(place)))
    return place


def page(name: str, address: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    def draw(name: str) -> None:
        import importlib

        importlib.import_module(f"filmroom.search.ui.pages.{name}").show()

    monkeypatch.setenv("FILMROOM_ARCHIVE", address)
    app = AppTest.from_function(draw, kwargs={"name": name}, default_timeout=120)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    assert not app.error
    return app


@pytest.mark.parametrize("name", ["search", "collections", "evaluate", "judge", "map", "zeroshot", "check"])
def test_a_page_stands(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page(name, address, monkeypatch, **({"q": "effusion"} if name == "search" else {}))


@pytest.mark.parametrize("name", ["film", "study"])
def test_a_film_stands(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page(name, address, monkeypatch, film="1")


def test_the_archive_page_counts_as_the_folder_does(
    address: str, archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [
        {metric.label: metric.value for metric in page("archive", place, monkeypatch).metric}
        for place in (address, str(archive_folder))
    ]
    for shown in metrics:
        del shown["Size"]  # the server's is another
    assert metrics[0] == metrics[1]
    assert metrics[0]["Films"] == str(FILMS)
