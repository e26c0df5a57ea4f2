"""Bringing an older catalog up to the present tables. Imported only when one is met."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from db.catalog import Catalog
from db.errors import ArchiveDamaged


def config() -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return found


def upgrade(catalog: Catalog) -> None:
    """Runs the missing migrations in one transaction. Raises ArchiveDamaged for a catalog from a newer Filmroom."""
    settings = config()
    with catalog.write() as connection:
        settings.attributes["connection"] = connection
        try:
            command.upgrade(settings, "head")
        except CommandError as error:
            raise ArchiveDamaged(
                "was written by a newer version of Filmroom",
                where=catalog.path,
                fix="Install that version or a later one.",
            ) from error


def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()
