"""Write the thumbnails of a batch: into the file beside the catalog before the catalog commits, on a server into its
table."""

from __future__ import annotations

from collections.abc import Mapping

from filmroom.db.catalog import Catalog
from filmroom.db.reads.integrity import checksum
from filmroom.db.schema import thumbnail
from filmroom.db.thumbnails.file import beside, key_of
from filmroom.db.thumbnails.reading import is_apart
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

_insert = upsert(thumbnail)
_PUT = _insert.on_conflict_do_update(
    index_elements=["film_id"], set_={"webp": _insert.excluded.webp, "checksum": _insert.excluded.checksum}
)


class Shelf:
    """The thumbnails of one transaction of the catalog: `write` is to come before its end."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._file = beside(catalog)
        self._pictures: dict[int, bytes] = {}

    def put(self, connection: Connection, film_id: int, webp: bytes) -> None:
        """Give a film its picture, in place of another."""
        self.put_all(connection, {film_id: webp})

    def put_all(self, connection: Connection, pictures: Mapping[int, bytes]) -> None:
        """Give films their pictures, in place of others."""
        rows = []
        for film_id, webp in pictures.items():
            rows.append({"film_id": film_id, "webp": webp, "checksum": checksum(webp)})
            if self._file is not None:
                self._pictures[key_of(film_id, checksum(webp))] = webp
                rows[-1]["webp"] = b""
        connection.execute(_PUT, rows)

    def holds(self, connection: Connection, film_id: int, webp: bytes) -> bool:
        """Tell whether this is the picture that the film has."""
        row = connection.execute(select(thumbnail).where(thumbnail.c.film_id == film_id)).first()
        if row is None or self._file is None or not is_apart(self._catalog, row.webp, row.checksum):
            return row is not None and row.webp == webp
        key = key_of(film_id, row.checksum)
        return row.checksum == checksum(webp) and webp == (self._pictures.get(key) or self._file.read([key]).get(key))

    def write(self) -> None:
        """Write the pictures into the file. Raises ArchiveDamaged where it cannot be used."""
        if self._file is not None and self._pictures:
            self._file.put(self._pictures)
            self._pictures.clear()
