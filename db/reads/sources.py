"""Count what came from where: films and rejected files by root."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import astuple, dataclass
from typing import Any

from filmroom.db.catalog import Catalog
from filmroom.db.reads.fact_cache import FactCache
from filmroom.db.records import Outcome, State
from filmroom.db.schema import file, film, root
from filmroom.db.stretches.versions import fact_state_of
from sqlalchemy import ColumnElement, Connection, Select, func, select


@dataclass(frozen=True)
class RootCount:
    """A root, by the path of a folder or the address of a server, with its present films and its rejected files."""

    root: str
    films: int
    rejected: int


def roots(catalog: Catalog) -> list[RootCount]:
    """Return every root, in the order of the names; of a file what was counted is kept until more than annotations
    are written."""
    if not catalog.is_file:
        return _counted(catalog)
    with catalog.look() as looking:
        cache = FactCache(looking, catalog.path)
        state = fact_state_of(looking)
    if (answer := cache.get("roots")) is not None:
        return [RootCount(*root_count) for root_count in json.loads(answer)]
    counts = _counted(catalog)
    if state == catalog.fact_state():
        cache.put("roots", json.dumps([astuple(root_count) for root_count in counts]).encode())
    return counts


def _counted(catalog: Catalog) -> list[RootCount]:
    with catalog.read() as connection:
        root_rows = connection.execute(select(root.c.id, root.c.path).order_by(root.c.path)).all()
        films = _films(connection, [root_id for root_id, _ in root_rows])
        rejected = _by_root(connection, _files((file.c.outcome == Outcome.REJECTED.value) & file.c.listed))
    return [RootCount(path, films[root_id], rejected[root_id]) for root_id, path in root_rows]


def _films(connection: Connection, roots: list[int]) -> Counter[int]:
    """Count the present films of each root. Those of the root with most files are what the others leave: their files
    are looked at, and not those of the most."""
    files = _by_root(connection, _files())
    smaller = sorted(roots, key=lambda root_id: files[root_id])[:-1]
    joined = select(file.c.root_id, func.count()).join(film, film.c.file_id == file.c.id).group_by(file.c.root_id)
    films = _by_root(connection, joined.where(file.c.root_id.in_(smaller))) if smaller else Counter()
    # Whether a film is gone is asked of the few that are: for each of the others its row would be read.
    absent = film.c.state.in_([State.GONE.value, State.REPLACED.value])
    films.subtract(_by_root(connection, joined.where(absent, file.c.root_id.in_(smaller))) if smaller else {})
    present = connection.execute(select(func.count()).where(film.c.state == State.PRESENT.value)).scalar_one()
    for largest in set(roots) - set(smaller):
        films[largest] = present - films.total()
    return films


def _files(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(file.c.root_id, func.count()).where(*conditions).group_by(file.c.root_id)


def _by_root(connection: Connection, statement: Select[Any]) -> Counter[int]:
    return Counter({int(row[0]): int(row[1]) for row in connection.execute(statement)})
