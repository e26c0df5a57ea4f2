"""Let clients of one archive take turns, by advisory locks of the server: they end with their connection, whatever
ends that.

Many may index at once. What deletes or mends waits for nobody: it is told who is at work, and so are others while it
lasts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from filmroom.db.postgresql.connection import client, connect, host

_SPACE = 0x66726D  # "frm"
_WORK, _COMMIT = 1, 2

COMMIT = f"SELECT pg_advisory_xact_lock({_SPACE}, hashtext(current_schema() || '{_COMMIT}'))"
"""Begins every transaction that writes. The ids of vectors are then committed in their order, on which every index
relies that adds what came after the last one it knows."""

_WHERE = f"classid = {_SPACE} AND objid = CAST(CAST(hashtext(current_schema() || '{_WORK}') AS bit(32)) AS bigint)"
_HOLDERS = f"""
SELECT activity.application_name, coalesce(extract(epoch FROM activity.backend_start), 0) FROM pg_locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pg_locks.database = (SELECT oid FROM pg_database
      WHERE datname = current_database()) AND {_WHERE} ORDER BY activity.backend_start
"""
_PROCESSES = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"


@dataclass(frozen=True)
class Holder:
    """A client at work: its machine, its process there, what it does, and since when."""

    host: str
    pid: int
    doing: str
    since: int

    @property
    def is_here(self) -> bool:
        return self.host == host()


class Held(Exception):
    """Another client holds what was asked for."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__()


@contextmanager
def working(address: str, doing: str, *, alone: bool) -> Iterator[None]:
    """Hold the place of one that works on the archive, alone or with others. Raises Held."""
    how = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
    connection = connect(address)
    try:
        connection.execute("SELECT set_config('application_name', %s, false)", (client(doing),))
        statement = f"SELECT {how}({_SPACE}, hashtext(current_schema() || '{_WORK}'))"
        for _ in range(5):  # another may be looking for the blink of an eye
            if connection.execute(statement).fetchone()[0]:  # type: ignore[index]
                break
            time.sleep(0.1)
        else:
            raise Held(next(iter(holders(connection)), None))
        yield
    finally:
        connection.close()


def holders(connection: psycopg.Connection[Any]) -> list[Holder]:
    """Return the clients at work, the longest first."""
    return [holder for name, since in connection.execute(_HOLDERS) if (holder := _read(name, int(since))) is not None]


def processes(connection: psycopg.Connection[Any]) -> set[int]:
    """Return the process ids, each of its machine, of all clients that are connected."""
    clients = (_read(name, 0) for (name,) in connection.execute(_PROCESSES))
    return {holder.pid for holder in clients if holder is not None}


def _read(name: str, since: int) -> Holder | None:
    words = name.split(" ", 3)
    if len(words) < 3 or words[0] != "filmroom" or not words[2].isdecimal():
        return None
    return Holder(words[1], int(words[2]), words[3] if len(words) > 3 else "", since)
