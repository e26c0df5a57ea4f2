"""Say which files hold films that are to be forgotten, and which of them hold others as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.erasure import forget
from filmroom.db.records import State
from filmroom.db.schema import file, film, root
from sqlalchemy import select


@dataclass(frozen=True)
class Held:
    """A file by its place; `files` are the ids of the files whose films are in it: of a copy, the original's too."""

    root: str
    path: str
    files: frozenset[int]


def holding(catalog: Catalog, film_ids: Sequence[int]) -> list[Held]:
    """Return the files of films, and those that are not indexed because these films are."""
    copy = file.alias("copy")
    of_films = select(root.c.path.label("root"), file.c.path, file.c.id, film.c.file_id).where(
        film.c.file_id == file.c.id
    )
    copies = select(root.c.path.label("root"), copy.c.path, copy.c.id, film.c.file_id).where(
        copy.c.duplicate_of == film.c.id
    )
    files: dict[Held, None] = {}
    with catalog.read() as connection:
        for chunk in chunked(film_id for film_id in film_ids if int(film_id).bit_length() < 64):
            for rows, of_root in ((of_films, file.c.root_id), (copies, copy.c.root_id)):
                for row in connection.execute(rows.where(root.c.id == of_root, film.c.id.in_(chunk))):
                    files[Held(row.root, row.path, frozenset({row.id, row.file_id}))] = None
    return list(files)


def films_in(catalog: Catalog, copy: Held) -> list[int]:
    """Return the films that the file holds as the catalog has it now; what was replaced is not in it any more."""
    in_file = (film.c.file_id.in_(copy.files), film.c.state != State.REPLACED.value)
    with catalog.read() as connection:
        return list(connection.scalars(select(film.c.id).where(*in_file).order_by(film.c.id)))


def forgotten_uids(archive: Archive, uids: Iterable[str]) -> set[str]:
    """Return those of SOP Instance UIDs that were forgotten as a whole: no frame of them is in the catalog."""
    marks = forget.marks(archive)
    marked = {uid for uid in uids if marks.hold(f"uid:{uid}#0", None)}
    with archive.catalog.read() as connection:
        for chunk in chunked(list(marked)):
            marked -= set(connection.scalars(select(film.c.instance_uid).where(film.c.instance_uid.in_(chunk))))
    return marked
