"""Keep named sets of queries that people judge through."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.names import check_letters
from filmroom.db.schema import meta
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

_PREFIX = "query set: "


def put_query_set(catalog: Catalog, name: str, queries: Sequence[str]) -> None:
    """Keep queries under a name, in their order, in place of an earlier set of this name. Raises BadInput."""
    name, distinct = name.strip(), list(dict.fromkeys(query.strip() for query in queries if query.strip()))
    if not name or not distinct:
        raise BadInput("a query set needs a name and queries", fix="Name it, and write a query a line.")
    check_letters(name, "the name of a query set")
    values = {"key": _PREFIX + name, "value": json.dumps(distinct)}
    with catalog.write(annotates=True) as connection:
        statement = upsert(meta).values(**values)
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": values["value"]}))


def query_sets(catalog: Catalog) -> dict[str, list[str]]:
    """Return every set by its name."""
    with catalog.read() as connection:
        rows = connection.execute(select(meta).where(meta.c.key.startswith(_PREFIX, autoescape=True))).all()
    sets = {row.key.removeprefix(_PREFIX): list(json.loads(row.value)) for row in rows}
    return dict(sorted(sets.items(), key=lambda pair: pair[0].lower()))


def drop_queries(connection: Connection, text: str, naming: re.Pattern[str]) -> None:
    """Take the queries that hold `text`, as `naming` finds it, out of every set; a set of which none is left goes."""
    is_set = meta.c.key.startswith(_PREFIX, autoescape=True)
    for row in connection.execute(select(meta).where(is_set, meta.c.value.contains(text, autoescape=True))).all():
        queries = json.loads(row.value)
        left = [query for query in queries if not naming.search(query)]
        same = meta.c.key == row.key
        if not left:
            connection.execute(delete(meta).where(same))
        elif left != queries:
            connection.execute(update(meta).where(same).values(value=json.dumps(left)))


def remove_query_set(catalog: Catalog, name: str) -> None:
    """Forget a set; the judgements of its queries stay."""
    with catalog.write(annotates=True) as connection:
        connection.execute(delete(meta).where(meta.c.key == _PREFIX + name))
