"""Open what searches the vectors of a space: on the server of the archive, where that can, or in this process."""

from __future__ import annotations

from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.vector_index.server import ServerIndex


def open_index(
    catalog: Catalog, stored: StoredSpace, folder: Path, *, gpu: bool | None = None, in_memory: bool = True
) -> VectorIndex:
    """Return the index of a space, up to date. `folder`, `gpu` and `in_memory` (its `whole`) are for
    `VectorIndex.open`, and mean nothing to a server."""
    if catalog.searches(stored):
        return ServerIndex(catalog, stored, folder)
    return VectorIndex.open(catalog, stored, folder, gpu=gpu, whole=in_memory)
