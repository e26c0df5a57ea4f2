"""A catalog of films of which only the names matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from filmroom.db import schema
from filmroom.db.catalog import Catalog
from filmroom.db.records import Film
from sqlalchemy import insert


def catalog_of(path: Path, films: Sequence[Film]) -> Catalog:
    """Films of one root and path are the frames of one file."""
    catalog = Catalog.open(path)
    roots = {root: at for at, root in enumerate(dict.fromkeys(film.root for film in films), 1)}
    places = dict.fromkeys((film.root, film.path) for film in films)
    files = {place: at for at, place in enumerate(places, 1)}
    known = {"size": 1, "mtime_ns": 1, "outcome": "indexed", "listed": True, "tried_at": 0}
    with catalog.write() as connection:
        connection.execute(insert(schema.root), [{"id": at, "path": root} for root, at in roots.items()])
        connection.execute(
            insert(schema.file),
            [{"id": at, "root_id": roots[root], "path": path, **known} for (root, path), at in files.items()],
        )
        connection.execute(
            insert(schema.film),
            [
                {
                    "id": film.id, "identity": f"sha256:{film.id}#{film.frame}", "file_id": files[film.root, film.path],
                    "frame": film.frame, "state": film.state.value, "rows": 1, "columns": 1, "added_at": 0,
                    "study_uid": film.tags.study_uid, "instance_uid": film.tags.instance_uid,
                }
                for film in films
            ],
        )  # fmt: skip
    return catalog
