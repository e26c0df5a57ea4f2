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

import numpy as np
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index import ivf
from numpy.typing import NDArray

VERSION = 4

LARGE = 50_000
"""Films from which a snapshot may lag behind the catalog."""


@dataclass(frozen=True)
class Manifest:
    """What a snapshot claims to be. It is used only if every claim holds."""

    version: int
    archive: str
    model: str
    fingerprint: str
    dim: int
    vectors: int
    generation: int
    mark: int
    rows: int
    rows_file: str
    ids_file: str
    rows_crc: int
    ids_crc: int


@dataclass(frozen=True)
class Snapshot:
    """`rows` is float16 (N, T, D), the vectors of N films; `ids` int64 (2, N), their embedding ids, ascending, and
    film ids; `live` (N,) is False for vectors that were replaced before the catalog's `generation`."""

    rows: NDArray[np.float16]
    ids: NDArray[np.int64]
    live: NDArray[np.bool_]
    generation: int
    mark: int


def save(folder: Path, held: StoredSpace, snapshot: Snapshot) -> None:
    """Writes aside, flushes, renames; then removes what is no longer named. Raises OSError."""
    folder.mkdir(exist_ok=True)
    stem = f"{held.id}-{snapshot.mark}-{os.getpid()}"
    rows_path, ids_path = folder / f"{stem}.rows.npy", folder / f"{stem}.ids.npy"
    np.save(rows_path, snapshot.rows)
    np.save(ids_path, np.vstack([snapshot.ids, snapshot.live[None]]))
    manifest = Manifest(
        version=VERSION,
        archive=held.archive,
        model=held.space.model,
        fingerprint=held.space.fingerprint,
        dim=held.space.dim,
        vectors=held.space.vectors,
        generation=snapshot.generation,
        mark=snapshot.mark,
        rows=snapshot.ids.shape[1],
        rows_file=rows_path.name,
        ids_file=ids_path.name,
        rows_crc=_checksum(rows_path, flush=True),
        ids_crc=_checksum(ids_path, flush=True),
    )
    aside = folder / f"{stem}.json.part"
    with aside.open("w") as out:
        claims = asdict(manifest)
        json.dump(claims | {"crc": _crc(claims)}, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(aside, folder / f"{held.id}.json")
    keep = {rows_path.name, ids_path.name, f"{held.id}.json"}
    for old in folder.glob(f"{held.id}-*"):
        if old.name not in keep:
            old.unlink(missing_ok=True)


def load(folder: Path, held: StoredSpace) -> Snapshot | None:
    """The snapshot of a space, or None where there is none that can be trusted: the caller rebuilds."""
    try:
        manifest = _manifest(folder, held)
        if not _is_of(manifest, held):
            return None
        rows_path, ids_path = folder / manifest.rows_file, folder / manifest.ids_file
        if (_checksum(rows_path), _checksum(ids_path)) != (manifest.rows_crc, manifest.ids_crc):
            return None
        ids = np.load(ids_path, allow_pickle=False)
        rows = np.load(rows_path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    shape = (manifest.rows, manifest.vectors, manifest.dim)
    if ids.shape != (3, manifest.rows) or rows.shape != shape or rows.dtype != np.float16:
        return None
    return Snapshot(rows, ids[:2], ids[2] != 0, manifest.generation, manifest.mark)


def is_of_another_version(folder: Path, held: StoredSpace) -> bool:
    """Whether another version of this program wrote it. It is not damaged, and of no use here."""
    try:
        claims = json.loads((folder / f"{held.id}.json").read_text())
        return bool(claims.pop("crc") == _crc(claims) and claims["version"] != VERSION)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def is_current(folder: Path, held: StoredSpace, *, generation: int, mark: int) -> bool:
    """Whether the manifest names all that the catalog holds; of a large archive, all but a fiftieth: to read that from
    the catalog takes less time than to write a large snapshot anew. Looks at no data: `load` does."""
    try:
        said = _manifest(folder, held)
        late = 0 if said.rows < LARGE else said.rows // 50
        return _is_of(said, held) and said.generation == generation and 0 <= mark - said.mark <= late
    except (OSError, ValueError, LookupError, TypeError):
        return False


def is_written(folder: Path, held: StoredSpace) -> bool:
    """Whether there is a snapshot at all, sound or not. A run that was stopped has written none yet."""
    return (folder / f"{held.id}.json").exists()


def strangers(folder: Path, archive: str, space_ids: set[int]) -> int:
    """The films in snapshots that are not of this archive, or of spaces that it does not know though it did not remove
    them: a catalog that was lost and made anew leaves such behind."""
    rows = 0
    for path in folder.glob("*.json"):
        try:
            claims = json.loads(path.read_text())
            sound = path.stem.isdigit() and claims.pop("crc") == _crc(claims)
            foreign = claims.get("archive", archive) != archive or int(path.stem) not in space_ids
            rows += int(claims["rows"]) if sound and foreign else 0
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return rows


def remove(folder: Path, space_id: int) -> None:
    """Deletes everything that is derived from the vectors of a space."""
    ivf.remove(folder, space_id)
    (folder / f"{space_id}.json").unlink(missing_ok=True)
    for path in folder.glob(f"{space_id}-*"):
        path.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Deletes everything that is derived from vectors, those of spaces that are no more too."""
    for path in folder.glob("*"):
        if path.is_file():
            path.unlink(missing_ok=True)


def _is_of(manifest: Manifest, held: StoredSpace) -> bool:
    said = (manifest.archive, manifest.model, manifest.fingerprint, manifest.dim, manifest.vectors)
    space = held.space
    wanted = (held.archive, space.model, space.fingerprint, space.dim, space.vectors)
    return manifest.version == VERSION and said == wanted


def _manifest(folder: Path, held: StoredSpace) -> Manifest:
    """Raises OSError, ValueError, LookupError or TypeError where it is not what was written."""
    claims = json.loads((folder / f"{held.id}.json").read_text())
    if claims.pop("crc") != _crc(claims):
        raise ValueError
    return Manifest(**claims)


def _crc(claims: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(claims, sort_keys=True).encode())


def _checksum(path: Path, *, flush: bool = False) -> int:
    crc = 0
    with path.open("rb") as data:
        while block := data.read(1 << 22):
            crc = zlib.crc32(block, crc)
        if flush:
            os.fsync(data.fileno())
    return crc
