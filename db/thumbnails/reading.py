"""Read the thumbnails of films, wherever they lie: in a file of their own, or in the catalog as earlier versions and
servers keep them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from filmroom.db.batching import chunked, marks
from filmroom.db.catalog import Catalog
from filmroom.db.thumbnails.file import beside, film_of, key_of


def thumbnails(catalog: Catalog, ids: Sequence[int]) -> dict[int, bytes]:
    """Return WebP bytes by film id. What is damaged or missing is left out, and `filmroom doctor` tells of it."""
    pictures, keys = _stored(catalog, ids)
    file = beside(catalog)
    if file is None or not keys:
        return pictures
    pictures |= {film_of(key): webp for key, webp in file.read(keys).items()}
    lacking = [film_of(key) for key in keys if film_of(key) not in pictures]
    if lacking:  # perhaps another one since the catalog was asked
        again, keys = _stored(catalog, lacking)
        pictures |= again | {film_of(key): webp for key, webp in file.read(keys).items()}
    return pictures


def keys_of(catalog: Catalog, ids: Sequence[int]) -> dict[int, int]:
    """Return the keys of the pictures that the catalog means in the file beside it, by film id."""
    return {film_of(key): key for key in _stored(catalog, ids)[1]}


def filled(catalog: Catalog, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the table of thumbnails with the pictures that lie in the file beside the catalog, and checksums
    where they had none. What is damaged or missing there is as it was."""
    file = beside(catalog)
    keys = [key_of(row["film_id"], row["checksum"]) for row in rows if is_apart(catalog, row["webp"], row["checksum"])]
    pictures = {} if file is None else {film_of(key): webp for key, webp in file.read(keys).items()}
    whole_rows = [{**row, "webp": pictures.get(row["film_id"], row["webp"])} for row in rows]
    return [row if row["checksum"] is not None else {**row, "checksum": zlib.crc32(row["webp"])} for row in whole_rows]


def _stored(catalog: Catalog, ids: Sequence[int]) -> tuple[dict[int, bytes], list[int]]:
    """Return the pictures that are in the catalog, and the keys of those that are in the file beside it."""
    inside: dict[int, bytes] = {}
    keys: list[int] = []
    with catalog.look() as connection:
        for block in chunked(ids):
            statement = f"SELECT film_id, webp, checksum FROM thumbnail WHERE film_id IN ({marks(block)})"
            for film_id, webp, checksum in connection.execute(statement, block):
                if is_apart(catalog, webp, checksum):
                    keys.append(key_of(film_id, checksum))
                elif isinstance(webp, bytes):
                    inside[film_id] = webp
    return inside, keys


def is_apart(catalog: Catalog, webp: object, checksum: object) -> bool:
    """Tell whether a row of the catalog means a picture in the file beside it."""
    return catalog.is_file and webp == b"" and isinstance(checksum, int) and 0 <= checksum < 1 << 32
