"""Move thumbnails that an earlier version kept in the catalog, at the end of a run."""

from __future__ import annotations

from filmroom.db.catalog import Catalog
from filmroom.db.thumbnails import moving
from filmroom.indexer.interrupts import step


def move_thumbnails(catalog: Catalog) -> None:
    """Move them all; an interrupt ends it between two steps, and the next run goes on there."""
    unfinished = True
    while unfinished:
        with step():
            unfinished = moving.move_some(catalog)
    with step():
        moving.finish(catalog)
