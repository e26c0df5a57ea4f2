"""Let clients of one archive take turns, by advisory locks of the server: they end with their connection, whatever
ends that.

Many may index at once. What deletes or mends waits for nobody: it is told who is at work, and so are others while it
lasts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from filmroom.db.files.writer_lock import Writer
from filmroom.db.postgresql.connection import client, connect, host

_SPACE = 0x66726D  # "frm"
_WORK, _COMMIT = 1, 2

COMMIT = f"SELECT pg_advisory_xact_lock({_SPACE}, hashtext(current_schema() || '{_COMMIT}'))"
"""Begins every transaction that writes. The ids of vectors are then committed in their order, on which every index
relies that adds what came after the last one it knows."""

_WHERE = f"classid = {_SPACE} AND objid = CAST(CAST(hashtext(current_schema() || '{_WORK}') AS bit(32)) AS bigint)"
_HOLDERS = f"""
SELECT activity.application_name, extract(epoch FROM activity.backend_start) FROM pg_locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pg_locks.database = (SELECT oid FROM pg_database
      WHERE datname = current_database()) AND {_WHERE} ORDER BY activity.backend_start
"""
_RUN = re.compile(r"indexing run ([0-9]+)")


class Held(Exception):
    """Another client holds what was asked for."""

    def __init__(self, holder: Writer | None) -> None:
        self.holder = holder
        super().__init__()


@contextmanager
def working(address: str, doing: str, *, alone: bool) -> Iterator[psycopg.Connection[Any]]:
    """Hold the place of one that works on the archive, alone or with others; gives the connection that does.
    Raises Held."""
    how = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
    connection = connect(address)
    try:
        say(connection, doing)
        statement = f"SELECT {how}({_SPACE}, hashtext(current_schema() || '{_WORK}'))"
        for _ in range(5):  # another may be looking for the blink of an eye
            if connection.execute(statement).fetchone()[0]:  # type: ignore[index]
                break
            time.sleep(0.1)
        else:
            raise Held(next(iter(holders(connection)), None))
        yield connection
    finally:
        with suppress(psycopg.Error):  # cut off, or in a transaction that failed: closing gives it up, a moment later
            connection.execute("SELECT pg_advisory_unlock_all()")
        connection.close()


def say(connection: psycopg.Connection[Any], doing: str) -> None:
    """Let others see what this client does."""
    connection.execute("SELECT set_config('application_name', %s, false)", (client(doing),))


def say_run(connection: psycopg.Connection[Any], run_id: int) -> None:
    """Let others see which run this client does: process numbers are alike on many machines."""
    say(connection, f"indexing run {run_id}")


def holders(connection: psycopg.Connection[Any]) -> list[Writer]:
    """Return the clients at work, the longest first. Since when, only clients of the same role are told."""
    return [holder for name, since in connection.execute(_HOLDERS) if (holder := _read(name, since)) is not None]


def _read(name: str, since: float | None) -> Writer | None:
    words = name.split(" ", 3)
    if len(words) < 3 or words[0] != "filmroom" or not words[2].isdecimal():
        return None
    doing = words[3] if len(words) > 3 else ""
    run = _RUN.fullmatch(doing)
    return Writer(
        pid=int(words[2]),
        doing=doing,
        since=None if since is None else int(since),
        host="" if words[1] == host() else words[1],
        run=int(run[1]) if run else None,
    )
