"""Move the thumbnails that earlier versions kept in the catalog into the file beside it, some at a time."""

from __future__ import annotations

from functools import partial

from filmroom.db.catalog import Catalog, get_meta
from filmroom.db.reads.integrity import checksum
from filmroom.db.thumbnails.file import beside, is_whole, key_of
from filmroom.db.thumbnails.reading import keys_of
from filmroom.db.writes.meta import put_meta

STEP = 500
_MARK = "thumbnails_moved"
"""The setting that says up to which film there is nothing left to move: no run looks at these again."""

_NEXT = "SELECT film_id, webp, checksum FROM thumbnail WHERE film_id > ? ORDER BY film_id LIMIT ?"
_EMPTY = "UPDATE thumbnail SET webp = x'', checksum = ? WHERE film_id = ?"
_FREE = ("PRAGMA freelist_count", "PRAGMA page_count")


def move_some(catalog: Catalog) -> bool:
    """Move up to STEP thumbnails; False where nothing is left. To be called by who holds the writer's lock.

    They are in the file before they leave the catalog, so an end in the middle loses none. What is damaged stays where
    it is, for `filmroom doctor`.
    """
    file = beside(catalog)
    if file is None:
        return False
    with catalog.look() as connection:
        rows = connection.execute(_NEXT, (int(get_meta(catalog, _MARK) or 0), STEP)).fetchall()
    if not rows:
        return False
    pictures = {}
    for film_id, webp, check in rows:
        if isinstance(webp, bytes) and webp and check in (None, checksum(webp)):
            pictures[key_of(film_id, checksum(webp))] = webp
    if pictures:
        file.put(pictures)
    with catalog.write() as writing:
        if pictures:
            films = [(checksum(webp), key >> 32) for key, webp in pictures.items() if is_whole(key, webp)]
            writing.exec_driver_sql(_EMPTY, films)
        put_meta(writing, _MARK, str(rows[-1][0]))
    return True


def sweep(catalog: Catalog) -> None:
    """Delete the pictures that no film has any more, or has not come to have."""
    file = beside(catalog)
    if file is not None:
        file.settle(partial(keys_of, catalog))


def finish(catalog: Catalog) -> None:
    """Delete strays as `sweep` does, and give back the room that thumbnails left in the catalog, where it is most of
    it: once in an archive's life."""
    if not catalog.is_file:
        return
    sweep(catalog)
    with catalog.look() as connection:
        free, pages = (connection.execute(statement).fetchone()[0] for statement in _FREE)
    if 2 * free > pages and free > STEP:
        catalog.settle(everything=True)
