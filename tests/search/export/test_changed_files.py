"""Where another film lies by now under the name of one that was indexed, its picture goes nowhere under the old id."""

from __future__ import annotations

from pathlib import Path

import filmroom
import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.schema import file
from filmroom.search.exchange.original_pixels import original, originals
from filmroom.search.ui import film_view
from sqlalchemy import update

from tests.indexer.dicom_files import dicom
from tests.measure_helpers import as_json
from tests.search.api.conftest import serve
from tests.search.export.conftest import House
from tests.terminal import Terminal

CHANGED = "the file has changed since it was indexed; index it again"


def film(number: int) -> bytes:
    grey = np.random.default_rng(number).integers(0, 4096, (48, 64)).astype(np.uint16)
    return dicom(grey, PatientID=f"ID-{number}", SOPInstanceUID=f"1.2.826.0.8.{number}")


@pytest.fixture
def changed(tiny: Path, tmp_path: Path) -> House:
    """An archive of two films, one of which was overwritten by another patient's of the same size."""
    source = tmp_path / "films"
    source.mkdir()
    for number in range(2):
        (source / f"{number}.dcm").write_bytes(film(number))
    door = filmroom.open(tmp_path / "archive", model=str(tiny))
    door.index(source, workers=1)
    archive = Archive.open(tmp_path / "archive")
    (source / "1.dcm").write_bytes(film(7))
    return House(archive, {one.path: one for one in films.everyone(archive.catalog)}, door, tiny)


@pytest.mark.parametrize("what", [("png",), ("dataset", "--as", "imagefolder")])
def test_it_is_in_no_folder_of_pictures(
    what: tuple[str, ...], changed: House, terminal: Terminal, tmp_path: Path
) -> None:
    terminal.archive = changed.folder
    done = as_json(terminal, "export", *what, "--all", "--to", tmp_path / "out")
    assert (done["films"], done["failed"]) == (1, 1)
    assert done["failures"] == [[changed.films["1.dcm"].id, CHANGED]]
    assert [path.stem for path in (tmp_path / "out").rglob("*.png")] == [f"{changed.films['0.dcm'].id:07d}"]


def test_it_is_shown_to_nobody(changed: House) -> None:
    same, other = changed.films["0.dcm"], changed.films["1.dcm"]
    assert original(same).shape == (48, 64)
    with pytest.raises(NotFound, match="has changed since it was indexed"):
        original(other)
    assert originals([same, other])[other.id] == CHANGED
    seen = film_view.pixels(other)  # of the page, and of its attention map
    assert isinstance(seen, str)
    assert "has changed since it was indexed" in seen
    for client in serve(changed, changed.folder):
        assert client.client.get(f"/api/v1/films/{same.id}/pixels").status_code == 200
        answer = client.client.get(f"/api/v1/films/{other.id}/pixels")
        assert answer.status_code == 404
        assert CHANGED in answer.text
        assert "sha256" not in client.get(f"/films/{same.id}")


def test_it_is_shown_when_it_was_indexed_again(changed: House) -> None:
    one = changed.films["1.dcm"]
    changed.door.index(one.root, workers=1)
    assert [original(film).shape for film in films.everyone(changed.archive.catalog)] == [(48, 64)] * 2


def test_a_film_whose_file_was_not_hashed_is_compared_by_its_size(changed: House) -> None:
    with changed.archive.catalog.write() as connection:
        connection.execute(update(file).values(sha256=None))
    known: list[Film] = list(films.everyone(changed.archive.catalog))
    assert [original(one).shape for one in known] == [(48, 64)] * 2
