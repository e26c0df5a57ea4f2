"""Bringing an older catalog up to the present tables. Imported only when one is met."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from db.catalog import Catalog
from db.errors import ArchiveDamaged


def config() -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return found


def check_known(catalog: Catalog, revision: str) -> None:
    """Raises ArchiveDamaged for a catalog from a newer Filmroom, before anything is copied or changed."""
    if revision not in {one.revision for one in ScriptDirectory.from_config(config()).walk_revisions()}:
        raise ArchiveDamaged(
            "was written by a newer version of Filmroom", where=catalog.path, fix="Install that version or a later one."
        )


def upgrade(catalog: Catalog) -> None:
    """Runs the missing migrations in one transaction."""
    settings = config()
    migrating = catalog.engine.execution_options(filmroom_write=True, filmroom_migrate=True)
    with migrating.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    # Connections that were opened for this have their foreign keys off.
    catalog.engine.dispose()


def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()
