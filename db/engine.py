"""Open SQLAlchemy over a catalog: what writes, and what asks more than a search does."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

from filmroom.db import schema
from filmroom.db.files import sqlite_file
from filmroom.db.files.sqlite_file import SETTINGS
from sqlalchemy import Column, Connection, Engine, MetaData, StaticPool, String, Table, create_engine, event, insert

_alembic_version = Table("alembic_version", MetaData(), Column("version_num", String(32), nullable=False))


def connect(path: Path) -> Engine:
    """Return an engine with the settings that every connection to a catalog needs; makes no tables."""
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": sqlite_file.BUSY_SECONDS}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # SQLAlchemy's own BEGIN is used (below) instead of the driver's, which would start reading before locking.
        connection.isolation_level = None
        for setting in SETTINGS:
            connection.execute(setting)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("filmroom_write", False)
        if connection.get_execution_options().get("filmroom_migrate", False):
            # Recreating a table would otherwise delete what points to it.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def over(connection: sqlite3.Connection) -> Engine:
    """Return an engine over one connection, which only reads."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def make_tables(connection: Connection, revision: str, *, without: Collection[str] = ()) -> None:
    """Make the tables of a new catalog, which are those of this Alembic revision, `without` the indexes of these names.

    A second process may have made them while this one waited for the lock.
    """
    if connection.dialect.has_table(connection, "alembic_version"):
        return
    metadata = schema.metadata if connection.dialect.name == "sqlite" else _tables_apart(without)
    metadata.create_all(connection)
    _alembic_version.create(connection)
    connection.execute(insert(_alembic_version).values(version_num=revision))


def _tables_apart(without: Collection[str]) -> MetaData:
    """Return a copy of the tables: SQLAlchemy marks a foreign key that it has added by ALTER TABLE, and
    would leave it out of the next SQLite catalog of this process."""
    copy = MetaData()
    for table in schema.metadata.tables.values():
        copied = table.to_metadata(copy)
        copied.indexes -= {index for index in copied.indexes if index.name in without}
    return copy
