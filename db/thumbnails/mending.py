"""Find what is wrong with the file of the thumbnails, and make it anew of what is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from filmroom.db.catalog import Catalog
from filmroom.db.thumbnails.file import ThumbnailFile, beside, film_of
from filmroom.db.thumbnails.reading import keys_of

_BLOCK = 5000
_FILMS = "SELECT film_id FROM thumbnail WHERE film_id > ? ORDER BY film_id LIMIT ?"


def faults(catalog: Catalog) -> list[str]:
    """Return what is wrong with the file as a whole."""
    file = beside(catalog)
    if file is None:
        return []
    if not file.path.exists():
        return ["is missing"] if next(_keys(catalog), None) else []
    return [f"is damaged: {fault}" for fault in file.faults()]


def mend(catalog: Catalog) -> None:
    """Write a damaged file anew with the pictures that are whole, and delete those that no film has."""
    file = beside(catalog)
    if file is None:
        return
    if file.faults():
        _make_anew(catalog, file)
    for keys in file.all_keys():
        meant = keys_of(catalog, [film_of(key) for key in keys])
        file.mark(film_of(key) for key in keys if meant.get(film_of(key)) != key)
    file.settle(partial(keys_of, catalog))


def _make_anew(catalog: Catalog, file: ThumbnailFile) -> None:
    copy = ThumbnailFile(file.path.with_name(f"{file.path.name}.part"))
    _remove(copy)
    try:
        copy.put({})
        for keys in _keys(catalog):
            copy.put(file.read(keys))
        for end in ("-wal", "-shm"):
            file.path.with_name(file.path.name + end).unlink(missing_ok=True)
        os.replace(copy.path, file.path)
    finally:
        _remove(copy)


def _remove(file: ThumbnailFile) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        file.path.with_name(file.path.name + end).unlink(missing_ok=True)


def _keys(catalog: Catalog) -> Iterator[list[int]]:
    """Yield the keys of all pictures that the catalog means in the file, some at a time."""
    after = -1
    while True:
        with catalog.look() as connection:
            films = [row[0] for row in connection.execute(_FILMS, (after, _BLOCK))]
        if not films:
            return
        if keys := sorted(keys_of(catalog, films).values()):
            yield keys
        after = films[-1]
