"""A film has its own picture or none, whatever ends the process that writes."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from filmroom.db import doctor
from filmroom.db.catalog import Catalog
from filmroom.db.erasure import forget as forgetting
from filmroom.db.errors import ArchiveDamaged
from filmroom.db.records import FileResult, NewFilm, SourceFile, Tags
from filmroom.db.thumbnails.file import NAME, ThumbnailFile, beside, key_of
from filmroom.db.thumbnails.moving import sweep
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import ingest

from tests.db.thumbnails.killed import killed_after
from tests.db.vector_bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "archive", 3)


def keep(bench: Bench, **pictures: bytes) -> None:
    """Index files of these names; a content of its own for each picture."""
    results = [
        FileResult(
            SourceFile("/films", f"{name}.dcm", len(webp), 1),
            f"{webp.hex():>064}",
            films=[NewFilm(f"uid:{name}#0", 0, Tags(rows=1, columns=1), webp, bench.vectors[0])],
        )
        for name, webp in pictures.items()
    ]
    ingest.commit(bench.archive.catalog, bench.scope, bench.space_id, results)


def rows(bench: Bench) -> list[bytes]:
    with closing(sqlite3.connect(bench.archive.folder / NAME)) as connection:
        return [webp for (webp,) in connection.execute("SELECT webp FROM picture WHERE webp != x''")]


def test_the_catalog_holds_no_picture(bench: Bench) -> None:
    keep(bench, one=b"first picture")
    bench.archive.catalog.close()
    assert b"first picture" not in bench.archive.catalog.path.read_bytes()
    assert thumbnails(bench.archive.catalog, [4]) == {4: b"first picture"}
    assert stat.S_IMODE((bench.archive.folder / NAME).stat().st_mode) == 0o600


def test_a_kill_before_the_catalog_commits_leaves_nothing_after_the_next_sweep(bench: Bench) -> None:
    bench.archive.catalog.close()
    killed_after(ThumbnailFile, "put", lambda: keep(bench, anna=b"anna's film"))
    assert rows(bench) == [b"anna's film"]
    keep(bench, berta=b"berta's film")  # gets the id that the other was to have
    assert thumbnails(bench.archive.catalog, [4]) == {4: b"berta's film"}
    sweep(bench.archive.catalog)
    assert rows(bench) == [b"berta's film"]
    assert doctor.examine(bench.archive).faults == ()


@pytest.mark.parametrize("before", [True, False])
def test_a_film_of_another_content_shows_the_old_picture_or_the_new_one(bench: Bench, before: bool) -> None:
    keep(bench, one=b"the old one")
    bench.archive.catalog.close()
    killed_after(ThumbnailFile, "put", lambda: keep(bench, one=b"another one"), before=before)
    assert thumbnails(bench.archive.catalog, [4]) == {4: b"the old one"}
    sweep(bench.archive.catalog)
    assert rows(bench) == [b"the old one"]
    keep(bench, one=b"another one")
    sweep(bench.archive.catalog)
    assert thumbnails(bench.archive.catalog, [4]) == {4: b"another one"}
    assert rows(bench) == [b"another one"]


@pytest.mark.parametrize(("owner", "step"), [(ThumbnailFile, "mark"), (Catalog, "settle")])
def test_a_kill_while_a_film_is_forgotten_is_made_up_for(bench: Bench, owner: type, step: str) -> None:
    keep(bench, one=b"the only one")
    bench.archive.catalog.close()
    killed_after(owner, step, lambda: forgetting.forget(bench.archive, [4]))
    assert doctor.examine(bench.archive).faults == ()
    forgetting.forget(bench.archive, [4] if step == "mark" else [])
    bench.archive.catalog.close()
    assert not any(b"the only one" in path.read_bytes() for path in bench.archive.folder.glob("*.sqlite*"))


def test_what_is_damaged_is_left_out_and_the_rest_is_shown(bench: Bench) -> None:
    keep(bench, one=b"one", two=b"two")
    with closing(sqlite3.connect(bench.archive.folder / NAME)) as connection, connection:
        connection.execute("UPDATE picture SET webp = x'00' WHERE webp = ?", (b"one",))
    assert thumbnails(bench.archive.catalog, [4, 5]) == {5: b"two"}


def test_a_file_of_another_archive_shows_nothing_wrong(bench: Bench, tmp_path: Path) -> None:
    keep(bench, one=b"one of here")
    other = make_bench(tmp_path / "other", 3)
    keep(other, one=b"one of there")
    for archive in (bench.archive, other.archive):
        archive.catalog.close()
    (bench.archive.folder / NAME).write_bytes((other.archive.folder / NAME).read_bytes())
    assert thumbnails(bench.archive.catalog, [4]) == {}
    assert "1 thumbnail" in doctor.examine(bench.archive).faults[0].what


def test_a_damaged_file_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database at all, and long enough" * 100)
    with pytest.raises(ArchiveDamaged, match="file of the thumbnails is damaged"):
        ThumbnailFile(tmp_path / NAME).put({key_of(1, 0): b""})


def test_many_touched_films_are_settled_in_steps(bench: Bench) -> None:
    file = beside(bench.archive.catalog)
    assert file is not None
    file.put({key_of(film, 0): b"" for film in range(1, 2500)})
    file.settle(partial(lambda known, films: {film: known[film] for film in films if film in known}, {7: key_of(7, 0)}))
    assert [key for keys in file.all_keys() for key in keys] == [key_of(7, 0)]
