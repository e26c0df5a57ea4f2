"""Write the settings of an archive, and the numbers by which caches see that they are stale."""

from __future__ import annotations

import secrets

from filmroom.db.schema import meta, space
from sqlalchemy import Connection, Integer, String, cast, update
from sqlalchemy.dialects.sqlite import insert as upsert

_put = upsert(meta)
_PUT = _put.on_conflict_do_update(index_elements=["key"], set_={"value": _put.excluded.value})
_MORE = _put.on_conflict_do_update(
    index_elements=["key"], set_={"value": cast(cast(meta.c.value, Integer) + 1, String)}
)


def put_meta(connection: Connection, key: str, value: str) -> None:
    """Keep a setting of the archive."""
    connection.execute(_PUT, {"key": key, "value": value})


def count_write(connection: Connection, *, annotates: bool) -> None:
    """Raise the number of writes, which every cache of answers compares; and that of those that only annotate. Others
    are given a name, too: a copy of the catalog that was put back may come to the same number by other writes."""
    for key in ("changes", "annotations") if annotates else ("changes",):
        connection.execute(_MORE, {"key": key, "value": "1"})
    if not annotates:
        connection.execute(_PUT, {"key": "facts", "value": secrets.token_hex(8)})


def touch_generation(connection: Connection, space_ids: set[int]) -> None:
    """Tell cached indexes of these spaces that a vector they may hold is no longer valid."""
    if space_ids:
        raised = {"generation": space.c.generation + 1}
        connection.execute(update(space).where(space.c.id.in_(space_ids)).values(**raised))
