"""Put right, keep and delete stored vectors and thumbnails, as `filmroom.db.doctor` finds them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.reads.integrity import Blob, checksum
from filmroom.db.thumbnails.file import beside
from filmroom.db.thumbnails.reading import keys_of


def put(catalog: Catalog, mended: Sequence[Blob]) -> None:
    """Write vectors in place of those that stand there."""
    for chunk in chunked(mended):
        rows = [(blob.data, checksum(blob.data), blob.film_id, blob.space_id) for blob in chunk]
        with catalog.write() as connection:
            statement = "UPDATE embedding SET vectors = ?, checksum = ? WHERE film_id = ? AND space_id = ?"
            connection.exec_driver_sql(statement, rows)


def settle(catalog: Catalog, sound: Sequence[Blob]) -> None:
    """Keep the checksums of vectors and thumbnails that have none."""
    for chunk in chunked(sound):
        vectors = [(blob.checksum, blob.film_id, blob.space_id) for blob in chunk if blob.space_id is not None]
        pictures = [(blob.checksum, blob.film_id) for blob in chunk if blob.space_id is None]
        with catalog.write() as connection:
            if vectors:
                statement = "UPDATE embedding SET checksum = ? WHERE film_id = ? AND space_id = ?"
                connection.exec_driver_sql(statement, vectors)
            if pictures:
                connection.exec_driver_sql("UPDATE thumbnail SET checksum = ? WHERE film_id = ?", pictures)


def drop(catalog: Catalog, lost: Sequence[Blob]) -> None:
    """Delete vectors and thumbnails that nothing can mend, so that the next index run makes them again."""
    file = beside(catalog)
    for chunk in chunked(lost):
        vectors = [(blob.film_id, blob.space_id) for blob in chunk if blob.space_id is not None]
        pictures = [(blob.film_id,) for blob in chunk if blob.space_id is None]
        if file is not None and pictures:
            file.mark(film for (film,) in pictures)
        with catalog.write() as connection:
            if vectors:
                connection.exec_driver_sql("DELETE FROM embedding WHERE film_id = ? AND space_id = ?", vectors)
                connection.exec_driver_sql("UPDATE space SET generation = generation + 1")
            if pictures:
                connection.exec_driver_sql("DELETE FROM thumbnail WHERE film_id = ?", pictures)
        if file is not None and pictures:
            file.settle(partial(keys_of, catalog))
