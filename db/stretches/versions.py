"""Tell which rows were written since an answer was made: the ids of a table are divided into stretches, and each has a
version, a random number that triggers (`filmroom.db.triggers`) draw anew whenever one of its rows is written.

While a version stays, so does all that is said of the stretch; a copy of the catalog that was put back has versions of
its own. So an answer about millions of films is made again only where something was written.
"""

from __future__ import annotations

import sqlite3

BITS = 14
"""A stretch is 2 ** BITS ids: what was written to one film costs some milliseconds, and ten million have 611."""


def versions(connection: sqlite3.Connection, relation: str) -> list[int]:
    """Return the version of each stretch of the ids of a table (`film`, `file`, `report`; `label` by its films)."""
    statement = "SELECT number, version FROM stretch WHERE relation = ?"
    by_number = {number: version for number, version in connection.execute(statement, (relation,))}  # noqa: C416 (rows)
    return [by_number.get(number, 0) for number in range(max(by_number, default=-1) + 1)]


def fact_state_of(connection: sqlite3.Connection) -> str:
    """Return a text that every write changes but those that only annotate, and that no other archive has."""
    keys = "'annotations', 'archive_id', 'changes', 'facts'"
    values = dict(map(tuple, connection.execute(f"SELECT key, value FROM meta WHERE key IN ({keys})")))
    # What an earlier version wrote has a number alone.
    writes = int(values.get("changes", 0)) - int(values.get("annotations", 0))
    return f"{values.get('archive_id')} {values.get('facts')} {writes}"


def ids_of_stretch(number: int) -> tuple[int, int]:
    """Return the first and the last id of a stretch."""
    return number << BITS, ((number + 1) << BITS) - 1
