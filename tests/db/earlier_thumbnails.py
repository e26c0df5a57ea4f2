"""An archive as versions left it that kept thumbnails in the catalog."""

from __future__ import annotations

from filmroom.db.archive import Archive
from filmroom.db.catalog import set_meta
from filmroom.db.schema import thumbnail
from filmroom.db.thumbnails.file import NAME
from filmroom.db.thumbnails.reading import thumbnails
from sqlalchemy import select, update


def put_back(archive: Archive) -> dict[int, bytes]:
    """Put all thumbnails back into the catalog; gives them by film."""
    with archive.catalog.read() as connection:
        films = list(connection.scalars(select(thumbnail.c.film_id)))
    pictures = thumbnails(archive.catalog, films)
    with archive.catalog.write() as connection:
        for film_id, webp in pictures.items():
            connection.execute(update(thumbnail).where(thumbnail.c.film_id == film_id).values(webp=webp))
    set_meta(archive.catalog, "thumbnails_moved", "0")
    for path in archive.folder.glob(f"{NAME}*"):
        path.unlink()
    return pictures
