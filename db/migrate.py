"""Bring an older catalog up to the present tables. Imported only when one is met."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from filmroom.db.errors import ArchiveBusy, ArchiveDamaged
from filmroom.db.files import private_files, sqlite_file
from filmroom.db.files.sqlite_file import backup, revision_of, scrub

if TYPE_CHECKING:
    from sqlalchemy import Engine


def config() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return settings


def bring_up(path: Path, engine: Engine, head: str) -> None:
    """Overwrite what earlier versions kept of searches, copy the catalog and migrate it to the revision `head`.

    Raises ArchiveDamaged for a catalog of a newer version, before anything is copied or changed; ArchiveBusy while
    another process writes, or reads for so long that the log cannot be emptied (then it is to be opened again).
    """
    check_known(path, str(_revision(path)))
    try:
        # The writer's lock of the archive: an older version may be at work.
        with FileLock(path.with_name("writer.lock"), timeout=sqlite_file.BUSY_SECONDS, mode=private_files.MODE):
            if _revision(path) == head:
                return  # by another process, which this one waited for
            _forget_searches(path)
            copy = path.with_suffix(f".before-{head}.sqlite")
            if not _changes_nothing(str(_revision(path))):
                backup(path, copy)
                for earlier in set(path.parent.glob(f"{path.stem}.before-*")) - {copy}:
                    earlier.unlink(missing_ok=True)  # holds the searches still, and nothing that the new one lacks
            upgrade(engine)
    except Timeout as error:
        raise _busy(path, "another process is writing to it") from error
    except (sqlite3.OperationalError, OSError) as error:
        raise _busy(path, str(error)) from error


def check_known(path: Path, revision: str) -> None:
    """Raise ArchiveDamaged for a catalog from a newer Filmroom."""
    if revision not in {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}:
        raise ArchiveDamaged(
            "was written by a newer version of Filmroom", where=path, fix="Install that version or a later one."
        )


def upgrade(engine: Engine) -> None:
    """Run the missing migrations in one transaction."""
    settings = config()
    migrating = engine.execution_options(filmroom_write=True, filmroom_migrate=True)
    with migrating.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    # Connections that were opened for this have their foreign keys off.
    engine.dispose()


def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


def _revision(path: Path) -> str | None:
    with closing(sqlite3.connect(path, timeout=sqlite_file.BUSY_SECONDS)) as connection:
        return revision_of(connection)


def _changes_nothing(revision: str) -> bool:
    """Tell whether the missing migrations leave every row and table as it is, so that no copy is needed before."""
    missing = list(ScriptDirectory.from_config(config()).iterate_revisions("head", revision))
    return bool(missing) and all(getattr(script.module, "CHANGES_NOTHING", False) for script in missing)


def _forget_searches(path: Path) -> None:
    """Delete the latest fifty searches, which were kept up to 0003, and older ones from the pages that were freed."""
    with closing(sqlite3.connect(path, timeout=sqlite_file.BUSY_SECONDS)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'recent_search'").fetchone():
            return
        if not connection.execute("SELECT 1 FROM recent_search").fetchone():
            return  # never were any; a large catalog is not written anew for nothing
        connection.execute("DELETE FROM recent_search")
        # Stays until the table goes: whoever opens the catalog after a fault in what follows begins again.
        connection.execute("INSERT INTO recent_search VALUES ('', 0)")
    if reason := scrub(path):
        raise _busy(path, reason)


def _busy(path: Path, reason: str) -> ArchiveBusy:
    return ArchiveBusy(
        f"the archive is of an earlier version, and cannot be brought up to date yet ({reason})",
        where=path,
        fix="Stop runs, searches and reading rooms of it, see that there is room on the disk, and try again.",
    )
