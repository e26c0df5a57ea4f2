"""Keep vectors that were computed elsewhere, for films that are already here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.reads.integrity import checksum
from filmroom.db.schema import embedding
from filmroom.db.writes.meta import touch_generation
from numpy.typing import NDArray
from sqlalchemy import delete, insert


def put_vectors(catalog: Catalog, space_id: int, vectors: Mapping[int, NDArray[np.float32]]) -> None:
    """Keep the unit vectors (T, D) of films by id, in one transaction; earlier ones of the space are replaced."""
    with catalog.write() as connection:
        replaced = 0
        for chunk in chunked(vectors):
            old = delete(embedding).where(embedding.c.space_id == space_id, embedding.c.film_id.in_(chunk))
            replaced += connection.execute(old).rowcount
        stored = {film_id: vector.astype(np.float16).tobytes() for film_id, vector in vectors.items()}
        rows = [
            {"space_id": space_id, "film_id": film_id, "vectors": data, "checksum": checksum(data)}
            for film_id, data in stored.items()
        ]
        connection.execute(insert(embedding), rows)
        if replaced:
            touch_generation(connection, {space_id})
