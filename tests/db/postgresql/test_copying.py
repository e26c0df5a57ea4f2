"""An archive moves to a server and back, and loses nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive, folder_of
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.postgresql import copying
from filmroom.db.postgresql.copying import copy
from filmroom.db.reads import films, fulltext, spaces
from filmroom.db.records import Filter, State
from filmroom.db.schema import embedding, film, metadata, root, thumbnail
from filmroom.db.thumbnails.reading import filled
from filmroom.db.writes import annotations as say
from sqlalchemy import delete, func, insert, select, update

from tests.postgres import new_archive


def rows(archive: Archive) -> dict[str, list[tuple[Any, ...]]]:
    with archive.catalog.read() as connection:
        return {
            one.name: [tuple(row) for row in connection.execute(select(one).order_by(*one.primary_key.columns))]
            for one in metadata.sorted_tables
        }


def contents(archive: Archive) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, but for what one archive alone keeps: how often it was written, and the check of its key."""
    found = rows(archive)
    pictures = [dict(zip(thumbnail.columns.keys(), row, strict=True)) for row in found["thumbnail"]]
    found["thumbnail"] = [tuple(row.values()) for row in filled(archive.catalog, pictures)]
    found["meta"] = [row for row in found["meta"] if row[0] not in ("changes", "facts", "key_check")]
    return found


@pytest.fixture
def original(made: Path, tmp_path: Path) -> Archive:
    """Much is said of its films; names are strange, and the highest ids are of rows that are gone."""
    archive = Archive.open(Path(shutil.copytree(made / "archive", tmp_path / "original")))
    with archive.catalog.write() as connection:
        connection.execute(insert(root).values(path="/wards/\udcff\x01"))
        highest = connection.scalar(select(func.max(embedding.c.id)))
        connection.execute(delete(embedding).where(embedding.c.id == highest))
    say.put_reports(archive.catalog, [say.Report("null \x00 and \U0010ffff", study_uid="1.2")], source="strange")
    archive.patient_key()
    return archive


def test_an_archive_goes_to_a_server_and_comes_back(original: Archive, server: str, tmp_path: Path) -> None:
    there = copy_to(original, folder_of(new_archive(server)))
    assert contents(there) == contents(original)
    back = copy_to(there, tmp_path / "back")
    assert contents(back) == contents(original)
    assert original.patient_key() == there.patient_key() == back.patient_key()
    for one in (there, back):
        assert [held.films for held in spaces.spaces(one.catalog)] == [len(films.select_ids(one.catalog, Filter())) - 1]
        assert fulltext.rank(one.catalog, "filmreportanna", 5) == fulltext.rank(original.catalog, "filmreportanna", 5)
        (held,) = spaces.spaces(one.catalog)
        before = spaces.stamp(original.catalog, held.id).mark
        with one.catalog.write() as connection:
            (film_id,) = connection.execute(select(embedding.c.film_id).where(embedding.c.id == before)).one()
            blob = connection.scalar(select(embedding.c.vectors).where(embedding.c.id == before))
            connection.execute(delete(embedding).where(embedding.c.id == before))
            values = {"space_id": held.id, "film_id": film_id, "vectors": blob}
            given = connection.execute(insert(embedding).values(**values).returning(embedding.c.id)).scalar_one()
        assert given == before + 2, "the id of the vector that was deleted is not given again"


def copy_to(archive: Archive, folder: Path) -> Archive:
    done = copy(archive, Archive.create(folder))
    assert done.rows == sum(map(len, rows(archive).values()))
    return Archive.open(folder)


def test_what_is_there_is_not_written_over(original: Archive, server: str) -> None:
    there = copy_to(original, folder_of(new_archive(server)))
    with pytest.raises(BadInput, match="there is an archive already"):
        copy(original, there)


def test_a_copy_that_differs_is_given_up(original: Archive, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(taken: Any, given: Any) -> None:
        given.execute(delete(embedding))

    monkeypatch.setattr(copying, "_copy_numbers", lose)
    target = Archive.create(folder_of(new_archive(server)))
    with pytest.raises(FilmroomError, match="rows of the table embedding are not the same"):
        copy(original, target)
    assert films.count(target.catalog) == 0


def test_a_server_whose_films_are_gone_is_no_new_place(original: Archive, server: str, tmp_path: Path) -> None:
    """As after a run while a drive was away."""
    again = copy_to(original, folder_of(new_archive(server)))
    with again.catalog.write() as connection:
        connection.execute(update(film).values(state=State.GONE.value))
    (again.folder / "patient.key").unlink()
    before = contents(again)
    with pytest.raises(BadInput, match="there is an archive already"):
        copy(original, again)
    assert contents(again) == before
    with pytest.raises(BadInput, match="key"):  # a client that only searches has none, and must not make one
        copy(again, Archive.create(tmp_path / "back"))
