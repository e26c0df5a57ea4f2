"""What a batch of an index run writes: the same as film by film, and no more statements for more films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive, folder_of
from filmroom.db.errors import Rejected, Stage
from filmroom.db.records import FileResult, NewFilm, Outcome, SourceFile, Space, Tags
from filmroom.db.schema import embedding, file, film, thumbnail
from filmroom.db.writes import file_diff, ingest
from sqlalchemy import event, select

from tests.postgres import new_archive

SPACE = Space("model", "print", 2, 1, True)


def result(folder: Path, name: str, *frames: str, sha256: str | None = None, uid: str | None = None) -> FileResult:
    films = [
        NewFilm(frame, at, Tags(rows=1, columns=1, instance_uid=uid), frame.encode(), np.eye(2, dtype=np.float32)[:1])
        for at, frame in enumerate(frames)
    ]
    return FileResult(SourceFile(str(folder), name, 1, 2**60), sha256 or f"of {name}", films)


def rejected(folder: Path, name: str) -> FileResult:
    source = SourceFile(
        str(folder), name, 1, 2**60, rejected=Rejected("unreadable", "no pixels", stage=Stage.DECODE, remedy="none")
    )
    return FileResult(source, None)


def kept(archive: Archive) -> list[tuple[Any, ...]]:
    with archive.catalog.read() as connection:
        rows = connection.execute(
            select(file.c.path, file.c.outcome, film.c.identity, film.c.frame, film.c.state, film.c.id)
            .add_columns(thumbnail.c.checksum, embedding.c.vectors)
            .outerjoin_from(file, film, film.c.file_id == file.c.id)
            .outerjoin(thumbnail, thumbnail.c.film_id == film.c.id)
            .outerjoin(embedding, embedding.c.film_id == film.c.id)
            .order_by(file.c.path, film.c.frame)
        )
        return [tuple(row) for row in rows]


@pytest.mark.usefixtures("either")
def test_a_batch_is_kept_as_its_files_are_one_by_one(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.png").touch()
    before = [result(folder, "c.png", "sha256:c#0")]
    batch = [
        result(folder, "a.png", "uid:1#0", "uid:1#1", uid="1"),
        rejected(folder, "b.png"),
        result(folder, "c.png", "sha256:changed#0"),
        result(folder, "d.png", "uid:1#0", uid="1"),
        result(folder, "e.png", "sha256:e#0"),
        result(folder, "e.png", "sha256:e again#0"),
        result(folder, "f.png", "sha256:f#0"),
    ]
    contents = []
    for number, parts in enumerate(([batch], [[one] for one in batch])):
        archive = Archive.create(tmp_path / f"archive-{number}")
        scope = file_diff.open_scope(archive.catalog, folder)
        space_id = ingest.ensure_space(archive.catalog, SPACE)
        ingest.commit(archive.catalog, scope, space_id, before)
        outcomes = [outcome for part in parts for outcome in ingest.commit(archive.catalog, scope, space_id, part)]
        assert outcomes[1] == Outcome.REJECTED
        contents.append((outcomes, kept(archive)))
        archive.catalog.close()
    assert contents[0] == contents[1]
    assert len(contents[0][1]) > len(batch)


def test_a_server_gets_as_many_statements_for_many_new_films_as_for_one(tmp_path: Path, server: str) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    archive = Archive.create(folder_of(new_archive(server)))
    scope = file_diff.open_scope(archive.catalog, folder)
    space_id = ingest.ensure_space(archive.catalog, SPACE)
    statements: list[str] = []
    event.listen(archive.catalog.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
    counts = []
    for number, size in enumerate((1, 40)):
        statements.clear()
        names = [f"{number}-{at}" for at in range(size)]
        results = [result(folder, f"{name}.png", f"sha256:{name}#0") for name in names]
        assert set(ingest.commit(archive.catalog, scope, space_id, results)) == {Outcome.INDEXED}
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 2
    assert len(kept(archive)) == 41
