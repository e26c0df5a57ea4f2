"""Count what came from where: films and rejected files by root."""

from __future__ import annotations

from dataclasses import dataclass

from filmroom.db.catalog import Catalog
from filmroom.db.records import Outcome, State
from filmroom.db.schema import file, film, root
from sqlalchemy import and_, func, select


@dataclass(frozen=True)
class RootCount:
    """A root, by the path of a folder or the address of a server, with its present films and its rejected files."""

    root: str
    films: int
    rejected: int


def roots(catalog: Catalog) -> list[RootCount]:
    """Return every root, in the order of the names."""
    films = (
        select(file.c.root_id, func.count().label("films"))
        .join(film, and_(film.c.file_id == file.c.id, film.c.state == State.PRESENT.value))
        .group_by(file.c.root_id)
        .subquery()
    )
    rejected = (
        select(file.c.root_id, func.count().label("rejected"))
        .where(file.c.outcome == Outcome.REJECTED.value, file.c.listed)
        .group_by(file.c.root_id)
        .subquery()
    )
    statement = (
        select(root.c.path, func.coalesce(films.c.films, 0), func.coalesce(rejected.c.rejected, 0))
        .outerjoin(films, films.c.root_id == root.c.id)
        .outerjoin(rejected, rejected.c.root_id == root.c.id)
        .order_by(root.c.path)
    )
    with catalog.read() as connection:
        return [RootCount(*row) for row in connection.execute(statement)]
