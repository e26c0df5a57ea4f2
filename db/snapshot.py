"""The index on disk: a cache of what the catalog holds, thrown away whenever anything about it is in doubt.

A manifest names the two data files and their checksums. Data files are written under new names, flushed to the disk,
and only then does the manifest replace the old one; a crash at any instant leaves the old snapshot or the new one.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.spaces import StoredSpace

VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What a snapshot claims to be. It is used only if every claim holds."""

    version: int
    model: str
    fingerprint: str
    dim: int
    vectors: int
    generation: int
    mark: int
    rows: int
    index_file: str
    ids_file: str
    index_crc: int
    ids_crc: int


@dataclass(frozen=True)
class Snapshot:
    """`ids` is int64 (2, N): embedding ids and film ids of the N films, in the order of the index."""

    index: Any
    ids: NDArray[np.int64]
    generation: int
    mark: int


def save(folder: Path, held: StoredSpace, snapshot: Snapshot) -> None:
    """Writes aside, flushes, renames; then removes what is no longer named. Raises OSError."""
    import faiss

    folder.mkdir(exist_ok=True)
    stem = f"{held.id}-{snapshot.mark}-{os.getpid()}"
    index_path, ids_path = folder / f"{stem}.faiss", folder / f"{stem}.npy"
    try:
        faiss.write_index(snapshot.index, str(index_path))
    except RuntimeError as error:
        index_path.unlink(missing_ok=True)
        raise OSError(f"the index could not be written: {index_path.name}") from error
    np.save(ids_path, snapshot.ids)
    manifest = Manifest(
        version=VERSION,
        model=held.space.model,
        fingerprint=held.space.fingerprint,
        dim=held.space.dim,
        vectors=held.space.vectors,
        generation=snapshot.generation,
        mark=snapshot.mark,
        rows=snapshot.ids.shape[1],
        index_file=index_path.name,
        ids_file=ids_path.name,
        index_crc=_checksum(index_path, flush=True),
        ids_crc=_checksum(ids_path, flush=True),
    )
    aside = folder / f"{stem}.json.part"
    with aside.open("w") as out:
        json.dump(asdict(manifest), out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(aside, folder / f"{held.id}.json")
    keep = {index_path.name, ids_path.name, f"{held.id}.json"}
    for old in folder.glob(f"{held.id}-*"):
        if old.name not in keep:
            old.unlink(missing_ok=True)


def load(folder: Path, held: StoredSpace) -> Snapshot | None:
    """The snapshot of a space, or None where there is none that can be trusted: the caller rebuilds."""
    import faiss

    try:
        manifest = Manifest(**json.loads((folder / f"{held.id}.json").read_text()))
        claims = (manifest.version, manifest.model, manifest.fingerprint, manifest.dim, manifest.vectors)
        if claims != (VERSION, held.space.model, held.space.fingerprint, held.space.dim, held.space.vectors):
            return None
        index_path, ids_path = folder / manifest.index_file, folder / manifest.ids_file
        if (_checksum(index_path), _checksum(ids_path)) != (manifest.index_crc, manifest.ids_crc):
            return None
        ids = np.load(ids_path, allow_pickle=False)
        index = faiss.read_index(str(index_path))
    except (OSError, ValueError, TypeError, RuntimeError):
        return None
    if ids.shape != (2, manifest.rows) or index.ntotal != manifest.rows * manifest.vectors or index.d != manifest.dim:
        return None
    return Snapshot(index, ids, manifest.generation, manifest.mark)


def is_current(folder: Path, held: StoredSpace, *, generation: int, mark: int) -> bool:
    """Whether the manifest names all that the catalog holds. Looks at no data: `load` does."""
    try:
        said = json.loads((folder / f"{held.id}.json").read_text())
        return bool(
            (said["fingerprint"], said["generation"], said["mark"]) == (held.space.fingerprint, generation, mark)
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False


def remove(folder: Path, space_id: int) -> None:
    (folder / f"{space_id}.json").unlink(missing_ok=True)
    for path in folder.glob(f"{space_id}-*"):
        path.unlink(missing_ok=True)


def _checksum(path: Path, *, flush: bool = False) -> int:
    crc = 0
    with path.open("rb") as data:
        while block := data.read(1 << 22):
            crc = zlib.crc32(block, crc)
        if flush:
            os.fsync(data.fileno())
    return crc
