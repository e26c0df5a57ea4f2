"""Connect to the server: by psycopg alone to look, by SQLAlchemy over it to read and to write."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from filmroom.db.postgresql.address import parts
from filmroom.db.postgresql.text import adapt
from filmroom.db.postgresql.translate import translated
from psycopg import Cursor, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles

LOCK_SECONDS = 60
"""How long one waits for another client that writes: a batch takes a second or so."""

_DEFAULTS = {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"}
_NAME_BYTES = 63

Named = Callable[[Sequence[Any]], "Row"]


class Row(tuple[Any, ...]):
    """A row that is known by name and by place, as SQLite's are."""

    names: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.names[key] if isinstance(key, str) else key)


def _by_name(cursor: Cursor[Any]) -> Named:
    names = {column.name: at for at, column in enumerate(cursor.description or ())}
    return type("Row", (Row,), {"names": names})


class Looking:
    """A connection that answers the statements that the reads write for SQLite."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor[Any]:
        return self._connection.execute(translated(statement), tuple(values))


def host() -> str:
    """Return a name of this machine that fits: its beginning, and a digest of the whole, as pods begin alike."""
    name = socket.gethostname()
    return f"{name[:16]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def client(doing: str = "") -> str:
    """Return what the server's administrator, and other clients, see of this process."""
    name = f"filmroom {host()} {os.getpid()} {doing}".strip()
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


def connect(address: str) -> psycopg.Connection[Row]:
    """Open a connection that begins no transaction by itself. Raises psycopg.Error."""
    facts = parts(address)
    missing = {name: value for name, value in _DEFAULTS.items() if name not in facts}
    if "application_name" not in facts:
        missing["application_name"] = client()
    conninfo = make_conninfo(address, **missing)
    connection: psycopg.Connection[Row] = psycopg.connect(conninfo, autocommit=True, row_factory=_by_name)
    adapt(connection)
    connection.execute(sql.SQL("SET lock_timeout = {}").format(f"{LOCK_SECONDS}s"))
    connection.execute("SET client_min_messages = warning")
    return connection


def engine(address: str, lock: str) -> Engine:
    """Return SQLAlchemy's engine; a transaction that writes begins with the statement `lock`."""

    def opened() -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] = connect(address)
        connection.autocommit = False
        connection.row_factory = tuple_row
        return connection

    sqlalchemy_engine = create_engine(
        "postgresql+psycopg://",
        creator=opened,
        pool_pre_ping=True,
        hide_parameters=True,
        execution_options={"preserve_rowcount": True},  # of INSERT, too: the writes ask what was new
    )

    @event.listens_for(sqlalchemy_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("filmroom_write", False):
            connection.exec_driver_sql(lock)

    @event.listens_for(sqlalchemy_engine, "before_cursor_execute", retval=True)
    def _on_execute(
        _connection: Connection, _cursor: Any, statement: str, values: Any, context: Any, _many: bool
    ) -> tuple[str, Any]:
        # What SQLAlchemy has written is PostgreSQL's already.
        return (statement if context.compiled is not None else translated(statement)), values

    return sqlalchemy_engine


@compiles(OnConflictDoNothing, "postgresql")
def _do_nothing(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.visit_on_conflict_do_nothing(_of_columns(element), **options))


@compiles(OnConflictDoUpdate, "postgresql")
def _do_update(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.visit_on_conflict_do_update(_of_columns(element), **options))


def _of_columns(element: Any) -> Any:
    """Mark a clause as one that names no constraint: the writes say ON CONFLICT in SQLAlchemy's words for SQLite."""
    element.constraint_target = None
    return element
