"""Check that the catalog agrees with itself, its vectors and the cached index, and mend what can be mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.errors import ArchiveDamaged
from filmroom.db.reads import films, integrity, spaces
from filmroom.db.reads.integrity import Blob
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.records import DECODING, SAME_UID, Outcome, State, same_uid_note
from filmroom.db.schema import embedding, file, film, thumbnail
from filmroom.db.stretches import upkeep
from filmroom.db.thumbnails import mending as mending_thumbnails
from filmroom.db.thumbnails import moving
from filmroom.db.thumbnails.file import NAME
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.opening import open_index
from filmroom.db.vector_index.server import ServerCopies, stored_vectors
from filmroom.db.vector_index.snapshot import Snapshot
from filmroom.db.writes import mending
from filmroom.db.writes.runs import duplicates
from numpy.typing import NDArray
from sqlalchemy import exists, func, select

_AGAIN = "Run `filmroom index` on the same folders again."
_RESTORE = "Restore a backup."
_MEND = "`filmroom doctor --repair` mends it."
_MEND_AND_INDEX = f"{_MEND[:-1]}, together with `filmroom index` on the same folders."


@dataclass(frozen=True)
class Fault:
    """`mendable`: `doctor --repair` puts it right; else `remedy` says what a person can do."""

    what: str
    remedy: str
    mendable: bool = True


@dataclass(frozen=True)
class Examination:
    """`notes` say what is no fault of the archive: what will be mended by itself, and what to look at."""

    films: int
    spaces: tuple[StoredSpace, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class _Damage:
    """Vectors and thumbnails that are not what was written. Of `mended` the right ones are in the index; `doubtful`
    have no checksum and another vector in the index, so that nothing tells which of the two is right."""

    mended: tuple[Blob, ...] = ()
    lost: tuple[Blob, ...] = ()
    doubtful: tuple[Blob, ...] = ()
    sound: tuple[Blob, ...] = ()
    """Without a checksum so far; what it should be, without their data."""


def examine(archive: Archive) -> Examination:
    """Compare catalog, vectors and FAISS; change nothing."""
    stored_spaces = spaces.spaces(archive.catalog)
    faults = [Fault(f"the catalog file is damaged: {fault}", _RESTORE, False) for fault in _structure(archive)]
    faults += [Fault(f"{NAME} {fault}", _MEND_AND_INDEX) for fault in mending_thumbnails.faults(archive.catalog)]
    faults += _row_faults(archive)
    faults += [
        Fault(f"what is kept of all films is not what the catalog says: {name}", _MEND)
        for name in upkeep.differing(archive.catalog)
    ]
    faults += _faults_of(_damage(archive, stored_spaces), stored_spaces)
    notes = [*_older(archive), *_notes(archive)]
    for stored_space in stored_spaces:
        try:
            wrong = _index_faults(archive, stored_space)
        except ArchiveDamaged:  # a vector that is none: it is counted above
            wrong = []
        if note := _index_note(archive, stored_space):
            notes.append(note)
        else:
            faults += wrong
    archive_id = get_meta(archive.catalog, "archive_id") or ""
    if strange := snapshot.strangers(archive.vectors, archive_id, {space.id for space in stored_spaces}):
        mixture = f"the index holds {strange} films of another catalog: this one was emptied, or put here in its place"
        faults.append(Fault(mixture, "Restore a backup, or move the folder vectors away and index again.", False))
    return Examination(films.count(archive.catalog), tuple(stored_spaces), tuple(faults), tuple(notes))


def _older(archive: Archive) -> list[str]:
    """Note what an earlier version of decoding made: no fault, but it may be shown otherwise now."""
    older = (file.c.outcome == Outcome.INDEXED.value, file.c.listed, file.c.decoding < DECODING)
    with archive.catalog.read() as connection:
        count = connection.scalar(select(func.count()).select_from(file).where(*older)) or 0
    subject = "1 file was" if count == 1 else f"{count:,} files were"
    rest = (
        "decoded by an earlier version of Filmroom: the next index run looks at their headers, and embeds again what "
    )
    return [f"{subject} {rest}is shown otherwise now"] if count else []


def _notes(archive: Archive) -> list[str]:
    doubles = duplicates(archive.catalog, why=SAME_UID)
    if not doubles:
        return []
    return [f"{same_uid_note([double.path for double in doubles])}. `filmroom duplicates` lists them"]


def repair(archive: Archive) -> Examination:
    """Mend what can be mended, each time by the side whose checksum is right, and examine again.

    A vector that is damaged in the catalog comes back from the index; one that is damaged in both is deleted, as is a
    damaged thumbnail, so that the next index run makes it again; indexes are rebuilt. Raises ArchiveBusy while a run is
    under way.
    """
    with archive.writing("repairing", alone=True):
        stored_spaces = spaces.spaces(archive.catalog)
        if not _structure(archive):  # nothing is written into a file that SQLite finds damaged
            upkeep.remove_all(archive.catalog)
            mending_thumbnails.mend(archive.catalog)
            damage = _damage(archive, stored_spaces)
            mending.put(archive.catalog, damage.mended)
            mending.settle(archive.catalog, damage.sound)
            mending.drop(archive.catalog, damage.lost)
            while moving.move_some(archive.catalog):
                pass
            moving.finish(archive.catalog)
            if not damage.doubtful:  # of those the index may be the right side
                archive.catalog.remake_vectors()
                for stored_space in stored_spaces:
                    snapshot.remove(archive.vectors, stored_space.id)
                    open_index(archive.catalog, stored_space, archive.vectors, gpu=False).save()
    return examine(archive)


def settle_checksums(archive: Archive) -> None:
    """Give a checksum to what an earlier version has written without one, where nothing speaks against it."""
    if integrity.unchecked(archive.catalog):
        mending.settle(archive.catalog, _damage(archive, spaces.spaces(archive.catalog)).sound)


def _structure(archive: Archive) -> list[str]:
    unreadable = [f"texts in {name} can no longer be read" for name in integrity.unreadable_tables(archive.catalog)]
    return [*integrity.structural_faults(archive.catalog), *unreadable]


def _row_faults(archive: Archive) -> list[Fault]:
    present = film.c.state == State.PRESENT.value
    indexed = (file.c.outcome == Outcome.INDEXED.value, file.c.listed)
    with archive.catalog.read() as connection:
        counts = [
            (connection.scalar(select(func.count()).select_from(table).where(*conditions)), words)
            for table, conditions, words in (
                (film, (film.c.state.not_in([state.value for state in State]),), "films are in no state that there is"),
                (
                    file,
                    (file.c.outcome.not_in([outcome.value for outcome in Outcome]),),
                    "files have no outcome that there is",
                ),
                (
                    file,
                    (*indexed, ~exists().where(film.c.file_id == file.c.id)),
                    "files are marked indexed and have no film",
                ),
                (film, (present, ~exists().where(thumbnail.c.film_id == film.c.id)), "films have no thumbnail"),
                (film, (present, ~exists().where(embedding.c.film_id == film.c.id)), "films have no vector"),
            )
        ]
    dangling = integrity.dangling_rows(archive.catalog)
    faults = [Fault(f"{dangling} rows of the catalog point nowhere", _RESTORE, False)] if dangling else []
    return faults + [Fault(f"{count} {words}", _AGAIN, False) for count, words in counts if count]


def _damage(archive: Archive, stored_spaces: Sequence[StoredSpace]) -> _Damage:
    known = {space.id: space for space in stored_spaces}
    copies = {space.id: _copies(archive, space) for space in stored_spaces}
    mended: list[Blob] = []
    lost: list[Blob] = []
    doubtful: list[Blob] = []
    sound: list[Blob] = []
    for blob in integrity.blobs(archive.catalog):
        if blob.space_id is None:
            if blob.damaged:
                lost.append(Blob(blob.film_id, None, b"", None))
            elif blob.checksum is None:
                sound.append(_settled(blob))
            continue
        space, copy = known.get(blob.space_id), None
        if blob.damaged or blob.checksum is None:
            copy = copies[blob.space_id].of(blob.film_id) if blob.space_id in copies else None
        if blob.damaged:
            restored = copy is not None and integrity.checksum(copy) == blob.checksum
            (mended if restored else lost).append(Blob(blob.film_id, blob.space_id, copy or b"", blob.checksum))
        elif space is None or not _is_unit(blob.data, space):
            # Whatever its checksum says: a model made it so, or an earlier version left it so.
            restorable = blob.checksum is None and space is not None and copy is not None and _is_unit(copy, space)
            (mended if restorable else lost).append(Blob(blob.film_id, blob.space_id, copy or b"", None))
        elif blob.checksum is None:
            (sound if copy in (None, blob.data) else doubtful).append(_settled(blob))
    return _Damage(tuple(mended), tuple(lost), tuple(doubtful), tuple(sound))


def _settled(blob: Blob) -> Blob:
    """Leave out its data, as there may be millions."""
    return Blob(blob.film_id, blob.space_id, b"", integrity.checksum(blob.data))


def _copies(archive: Archive, space: StoredSpace) -> _Copies | ServerCopies:
    if archive.catalog.searches(space):
        return ServerCopies(archive.catalog, space)
    return _Copies(snapshot.load(archive.vectors, space))


class _Copies:
    """The vectors of a snapshot, by film."""

    def __init__(self, saved: Snapshot | None) -> None:
        self._found = saved
        self._row: dict[int, int] | None = None

    def of(self, film_id: int) -> bytes | None:
        if self._found is None:
            return None
        if self._row is None:
            rows = np.flatnonzero(self._found.live)
            self._row = dict(zip(self._found.ids[1][rows].tolist(), rows.tolist(), strict=True))
        at = self._row.get(film_id)
        return None if at is None else np.ascontiguousarray(self._found.rows[at]).tobytes()


def _is_unit(data: bytes, stored_space: StoredSpace) -> bool:
    if len(data) != 2 * stored_space.space.vectors * stored_space.space.dim:
        return False
    rows: NDArray[np.float32] = np.frombuffer(data, np.float16).astype(np.float32).reshape(-1, stored_space.space.dim)
    return bool((np.abs(np.linalg.norm(rows, axis=1) - 1.0) < 0.01).all())


def _faults_of(damage: _Damage, stored_spaces: Sequence[StoredSpace]) -> list[Fault]:
    models = {space.id: space.space.model for space in stored_spaces}

    def counted(blobs: Sequence[Blob]) -> Iterator[str]:
        for space_id, count in Counter(blob.space_id for blob in blobs).items():
            noun = ("thumbnail" if space_id is None else "vector") + ("s" if count > 1 else "")
            owner = "" if space_id is None else f" of {models.get(space_id, 'a removed model')}"
            yield f"{count} {noun}{owner}"

    return [
        *(
            Fault(f"damaged in the catalog and whole in the index: {counts}", _MEND)
            for counts in counted(damage.mended)
        ),
        *(Fault(f"damaged: {counts}", _MEND_AND_INDEX) for counts in counted(damage.lost)),
        *(
            Fault(f"index and catalog differ, and nothing tells which are right: {counts}", _RESTORE, False)
            for counts in counted(damage.doubtful)
        ),
    ]


def _index_note(archive: Archive, stored_space: StoredSpace) -> str | None:
    if not stored_space.films or archive.catalog.searches(stored_space):
        return None
    if not snapshot.is_written(archive.vectors, stored_space):
        state = "is not written yet, as its run was stopped"
    elif snapshot.is_of_another_version(archive.vectors, stored_space):
        state = "is of another version of Filmroom"
    else:
        return None
    until = "the next index run makes it anew, and until then it is read from the catalog"
    return f"The index of {stored_space.space.model} {state}: {until}"


def _index_faults(archive: Archive, stored_space: StoredSpace) -> list[Fault]:
    if not stored_space.films or _index_note(archive, stored_space):
        return []
    if archive.catalog.searches(stored_space):
        return _server_faults(archive, stored_space)
    saved = snapshot.load(archive.vectors, stored_space)
    if saved is None:
        return [Fault(f"the index of {stored_space.space.model} is damaged", _MEND)]
    index = open_index(archive.catalog, stored_space, archive.vectors, gpu=False)
    if len(index) != stored_space.films:
        return [
            Fault(f"the index of {stored_space.space.model} finds {len(index)} films of {stored_space.films}", _MEND)
        ]
    rows = {int(row): at for at, row in enumerate(saved.ids[0])}
    missing = different = 0
    for block in spaces.vectors_since(archive.catalog, stored_space, 0):
        for embedding_id, stored in zip(block.ids.tolist(), block.vectors, strict=True):
            if embedding_id in rows:
                different += not np.array_equal(saved.rows[rows[embedding_id]], stored)
            else:
                missing += embedding_id <= saved.mark
    if missing:
        return [Fault(f"the index of {stored_space.space.model} lacks {missing} vectors", _MEND)]
    if different:
        return [Fault(f"{different} vectors of {stored_space.space.model} differ between index and catalog", _MEND)]
    return []


def _server_faults(archive: Archive, stored_space: StoredSpace) -> list[Fault]:
    index = open_index(archive.catalog, stored_space, archive.vectors)
    if len(index) != stored_space.films:
        return [
            Fault(f"the index of {stored_space.space.model} finds {len(index)} films of {stored_space.films}", _MEND)
        ]
    missing = different = 0
    copies = stored_vectors(archive.catalog, stored_space)
    none = (0, np.empty(0, np.float16))
    row_id, copy = next(copies, none)
    for block in spaces.vectors_since(archive.catalog, stored_space, 0):
        for embedding_id, vectors in zip(block.ids.tolist(), block.vectors, strict=True):
            if row_id != embedding_id:
                missing += 1
                continue
            different += not np.array_equal(copy, vectors)
            row_id, copy = next(copies, none)
    if missing:
        return [Fault(f"the index of {stored_space.space.model} lacks {missing} vectors", _MEND)]
    if different:
        return [Fault(f"{different} vectors of {stored_space.space.model} differ between index and catalog", _MEND)]
    return []
