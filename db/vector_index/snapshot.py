"""Keep the index on disk: a cache of what the catalog holds, thrown away whenever anything about it is in doubt.

A manifest names the two data files and their checksums. Data files are written under new names, flushed to the disk,
and only then does the manifest replace the old one; a crash at any instant leaves the old snapshot or the new one.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from filmroom.db.files import private_files
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index import lists_file
from filmroom.db.vector_index.lists_file import ShortenedLists
from filmroom.db.vector_index.mapped import PIECE, Pieces, TornSnapshot, sum_again, sums_of
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
    rows_sums: list[int]
    ids_sums: list[int]
    """A checksum for each of `PIECE` bytes, so that to forget a film does not mean to read all of them."""
    live: int = -1
    """Vectors that live at this generation; an earlier version did not say."""


@dataclass(frozen=True)
class Snapshot:
    """`rows` is float16 (N, T, D), the vectors of N films; `ids` int64 (2, N), their embedding ids, ascending, and
    film ids; `live` (N,) is False for vectors that were replaced before the catalog's `generation`. `pieces` checks
    rows that have not been checked, `offset` bytes into their file."""

    rows: NDArray[np.float16]
    ids: NDArray[np.int64]
    live: NDArray[np.bool_]
    generation: int
    mark: int
    pieces: Pieces | None = None
    offset: int = 0


def save(folder: Path, stored_space: StoredSpace, snapshot: Snapshot) -> None:
    """Write aside, flush, rename; then remove what is no longer named. Raises OSError."""
    private_files.make_folder(folder)
    # No name twice: who has mapped an earlier file looks for its own.
    stem = f"{stored_space.id}-{snapshot.mark}-{secrets.token_hex(8)}"
    rows_path, ids_path = folder / f"{stem}.rows.npy", folder / f"{stem}.ids.npy"
    for path, data in ((rows_path, snapshot.rows), (ids_path, np.vstack([snapshot.ids, snapshot.live[None]]))):
        path.unlink(missing_ok=True)
        with private_files.create(path) as out:
            np.save(out, data)
    manifest = Manifest(
        version=VERSION,
        archive=stored_space.archive,
        model=stored_space.space.model,
        fingerprint=stored_space.space.fingerprint,
        dim=stored_space.space.dim,
        vectors=stored_space.space.vectors,
        generation=snapshot.generation,
        mark=snapshot.mark,
        rows=snapshot.ids.shape[1],
        rows_file=rows_path.name,
        ids_file=ids_path.name,
        rows_sums=sums_of(rows_path, flush=True),
        ids_sums=sums_of(ids_path, flush=True),
        live=int(snapshot.live.sum()),
    )
    _write(folder, stored_space.id, manifest)
    keep = {rows_path.name, ids_path.name, f"{stored_space.id}.json"}
    for old in folder.glob(f"{stored_space.id}-*"):
        if old.name not in keep:
            with suppress(PermissionError):  # Windows: a process reads it; the next that saves removes it
                old.unlink(missing_ok=True)


def load(folder: Path, stored_space: StoredSpace, *, whole: bool = True) -> Snapshot | None:
    """Return the snapshot of a space, or None where there is none that can be trusted: the caller rebuilds. Where it
    need not be `whole`, rows are not read, and checked by its `pieces` only when they are."""
    try:
        manifest = _manifest(folder, stored_space)
        if not _is_of(manifest, stored_space):
            return None
        rows_path, ids_path = folder / manifest.rows_file, folder / manifest.ids_file
        if sums_of(ids_path) != manifest.ids_sums or (whole and sums_of(rows_path) != manifest.rows_sums):
            return None
        pieces = Pieces(rows_path, manifest.rows_sums)
        pieces.check(np.zeros(1, np.int64), 1)  # the header
        ids = np.load(ids_path, mmap_mode=None if whole else "r", allow_pickle=False)
        rows = np.load(rows_path, mmap_mode="r", allow_pickle=False)
        live = ids[2] != 0 if whole else _read_live(ids_path, ids)
    except (OSError, ValueError, LookupError, TypeError, TornSnapshot):
        return None
    shape = (manifest.rows, manifest.vectors, manifest.dim)
    if ids.shape != (3, manifest.rows) or rows.shape != shape or rows.dtype != np.float16:
        return None
    unread = None if whole else pieces
    return Snapshot(rows, ids[:2], live, manifest.generation, manifest.mark, unread, rows.offset)


def _read_live(path: Path, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Read which of the mapped rows live as bytes: what is read through the map stays with the process."""
    live = np.empty(ids.shape[1], np.bool_)
    with path.open("rb") as data:
        data.seek(path.stat().st_size - live.size * ids.itemsize)
        for start in range(0, live.size, PIECE):
            stop = min(start + PIECE, live.size)
            live[start:stop] = np.frombuffer(data.read((stop - start) * ids.itemsize), ids.dtype) != 0
    return live


def is_of_another_version(folder: Path, stored_space: StoredSpace) -> bool:
    """Tell whether another version of this program wrote it. It is not damaged, and of no use here."""
    try:
        claims = json.loads((folder / f"{stored_space.id}.json").read_text())
        return bool(claims.pop("crc") == _crc(claims) and claims["version"] != VERSION)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def is_current(folder: Path, stored_space: StoredSpace, *, generation: int, mark: int) -> bool:
    """Tell whether the manifest names all that the catalog holds; of a large archive, all but a fiftieth: to read that
    from the catalog takes less time than to write a large snapshot anew. Looks at no data: `load` does."""
    try:
        manifest = _manifest(folder, stored_space)
        late = 0 if manifest.rows < LARGE else manifest.rows // 50
        return (
            _is_of(manifest, stored_space) and manifest.generation == generation and 0 <= mark - manifest.mark <= late
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False


def is_written(folder: Path, stored_space: StoredSpace) -> bool:
    """Tell whether there is a snapshot at all, sound or not. A run that was stopped has written none yet."""
    return (folder / f"{stored_space.id}.json").exists()


def strangers(folder: Path, archive: str, space_ids: set[int]) -> int:
    """Return the films in snapshots that are not of this archive, or of spaces that it does not know though it did not
    remove them: a catalog that was lost and made anew leaves such behind."""
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
    """Delete everything that is derived from the vectors of a space."""
    lists_file.remove(folder, space_id)
    (folder / f"{space_id}.json").unlink(missing_ok=True)
    for path in folder.glob(f"{space_id}-*"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Shortened:
    """A snapshot, and the lists over it where there are any, from which films were taken away."""

    manifest: Manifest
    lists: ShortenedLists | None


def take_away(folder: Path, stored_space: StoredSpace, film_ids: Sequence[int]) -> Shortened | None:
    """Overwrite the vectors of films, also those that were replaced, where they stand in the snapshot and in the lists
    of a space.

    Neither counts for anything from then on, until `put_back` is told what they hold now; so whatever ends this
    process, no vector is found that its catalog has not. None where there is no snapshot. Raises OSError.
    """
    try:
        manifest = _manifest(folder, stored_space)
        rows_path, ids_path = folder / manifest.rows_file, folder / manifest.ids_file
        (folder / f"{stored_space.id}.json").unlink()
        ids = np.load(ids_path, mmap_mode="r+", allow_pickle=False)
        rows = np.load(rows_path, mmap_mode="r+", allow_pickle=False)
        if not _is_of(manifest, stored_space) or len(rows) != ids.shape[1]:
            return None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    at = np.flatnonzero(np.isin(ids[1], np.asarray(film_ids, np.int64)))
    manifest = replace(manifest, live=max(-1, manifest.live - int(np.count_nonzero(ids[2, at]))))
    gone = rows[at].reshape(-1, manifest.dim)
    rows[at] = 0
    ids[1, at], ids[2, at] = 0, 0
    for changed in (rows, ids):
        changed.flush()
    size, width = rows.itemsize * rows[0].size if len(rows) else 0, ids.itemsize
    starts = [ids.offset + width * (row * ids.shape[1] + at) for row in (1, 2)]
    sum_again(rows_path, manifest.rows_sums, rows.offset + size * at, size)
    sum_again(ids_path, manifest.ids_sums, np.concatenate(starts), width)
    return Shortened(manifest, lists_file.take_away(folder, stored_space, ids[0][ids[2] != 0], gone))


def put_back(folder: Path, stored_space: StoredSpace, shortened: Shortened, *, generation: int, mark: int) -> None:
    """Let a snapshot and its lists count again, as of the catalog's `generation` and watermark. Raises OSError."""
    manifest = shortened.manifest
    _write(folder, stored_space.id, replace(manifest, generation=generation, mark=min(manifest.mark, mark)))
    if shortened.lists is not None:
        lists_file.put_back(folder, stored_space, shortened.lists)


def remove_strays(folder: Path, keep: Iterable[Shortened]) -> None:
    """Delete all that is derived from vectors but the data of these snapshots and their lists: what spaces that are no
    more have left, and what a process that was ended has not put in its place."""
    kept_files = {name for shortened in keep for name in _files_of(shortened)}
    for path in folder.glob("*"):
        if path.is_file() and path.name not in kept_files:
            path.unlink(missing_ok=True)


def _files_of(shortened: Shortened) -> list[str]:
    files = [shortened.manifest.rows_file, shortened.manifest.ids_file]
    return (
        [*files, shortened.lists.path.name] if shortened.lists is not None and shortened.lists.are_in_place() else files
    )


def _is_of(manifest: Manifest, stored_space: StoredSpace) -> bool:
    claimed = (manifest.archive, manifest.model, manifest.fingerprint, manifest.dim, manifest.vectors)
    space = stored_space.space
    expected = (stored_space.archive, space.model, space.fingerprint, space.dim, space.vectors)
    return manifest.version == VERSION and claimed == expected


def _manifest(folder: Path, stored_space: StoredSpace) -> Manifest:
    """Raise OSError, ValueError, LookupError or TypeError where it is not what was written."""
    claims = json.loads((folder / f"{stored_space.id}.json").read_text())
    if claims.pop("crc") != _crc(claims):
        raise ValueError
    return Manifest(**claims)


def _crc(claims: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(claims, sort_keys=True).encode())


def _write(folder: Path, space_id: int, manifest: Manifest) -> None:
    partial = folder / f"{space_id}-{manifest.mark}-{os.getpid()}.json.part"
    partial.unlink(missing_ok=True)
    with private_files.create(partial) as out:
        claims = asdict(manifest)
        out.write(json.dumps(claims | {"crc": _crc(claims)}).encode())
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, folder / f"{space_id}.json")
