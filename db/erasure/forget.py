"""Forget films for good: every row, thumbnail and vector goes, and where they stood is overwritten.

What was forgotten can be remembered by keyed hashes, so that the next run does not bring it back; nothing can be read
out of them without the archive's key and the very UID or patient key.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filmroom.db.archive import CHECKS, FETCHED, LOG, PICTURE_MEASURES, Archive
from filmroom.db.erasure.delete_rows import erase, rows_of
from filmroom.db.errors import ArchiveBusy, NotFound
from filmroom.db.files.private_files import PREFIX
from filmroom.db.reads import spaces
from filmroom.db.reads.spaces import Stamp, StoredSpace
from filmroom.db.schema import film, forgotten
from filmroom.db.stretches import upkeep
from filmroom.db.thumbnails.file import NAME as THUMBNAILS
from filmroom.db.thumbnails.file import beside
from filmroom.db.thumbnails.reading import keys_of
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.snapshot import Shortened
from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert


@dataclass(frozen=True)
class Forgotten:
    """What went. `remembered`: the films are turned away when an index run meets them again."""

    films: int
    files: int
    reports: int
    remembered: bool


@dataclass(frozen=True)
class ForgottenHashes:
    """Which films are not to come back."""

    key: bytes
    marks: frozenset[str]

    def hold(self, identity: str, patient_key: str | None) -> bool:
        return bool(self.marks) and not self.marks.isdisjoint(_marks(self.key, [identity], [patient_key]))


def marks(archive: Archive) -> ForgottenHashes:
    with archive.catalog.read() as connection:
        return ForgottenHashes(archive.patient_key(), frozenset(connection.scalars(select(forgotten.c.mark))))


def release(archive: Archive, identity: str, patient_key: str | None) -> None:
    """Turn a film that was asked for again away no longer, nor others of its patient."""
    marks = _marks(archive.patient_key(), [identity], [patient_key])
    with archive.catalog.write() as connection:
        connection.execute(delete(forgotten).where(forgotten.c.mark.in_(marks)))


def of_patient(archive: Archive, patient_key: str) -> list[int]:
    """Return the ids of a patient's films, those that are gone or replaced too. Raises NotFound."""
    with archive.catalog.read() as connection:
        ids = list(connection.scalars(select(film.c.id).where(film.c.patient_key == patient_key)))
    if not ids:
        raise NotFound("no film has this patient key", where=patient_key, fix="The page of a film shows its key.")
    return ids


def forget(
    archive: Archive, film_ids: Sequence[int], *, patients: Sequence[str] = (), remember: bool = True
) -> Forgotten:
    """Delete films and all that is known of them, and overwrite where it stood; the indexed files are not touched.

    `patients` are patient keys to remember besides the films themselves. Without films, what earlier deletions left
    is overwritten. Raises NotFound before anything is deleted; ArchiveBusy while another process writes, or when one
    reads for so long that the log cannot be emptied (then all is deleted, and to be called again without films).
    """
    with archive.writing("forgetting films", alone=True):
        with archive.catalog.read() as connection:
            rows = rows_of(connection, film_ids)  # a wrong id must cost nobody the index
        # So must a missing key; and a first use of it on a server is a transaction of its own.
        to_remember = _marks(archive.patient_key(), [row.identity for row in rows], patients) if remember else set()
        stored_spaces = spaces.spaces(archive.catalog)
        stamps = {space.id: spaces.stamp(archive.catalog, space.id) for space in stored_spaces}
        # Before the rows, as they can be made again: whatever ends this process, no vector outlives its film.
        shortened = {space.id: snapshot.take_away(archive.vectors, space, film_ids) for space in stored_spaces}
        to_keep = [files for files in shortened.values() if files is not None]
        answers = upkeep.read_all(archive.catalog)
        snapshot.remove_strays(archive.vectors, to_keep)
        pictures = beside(archive.catalog)
        if pictures is not None:
            pictures.mark(film_ids)
        with archive.catalog.write() as connection:
            rows = rows_of(connection, film_ids)
            for mark in to_remember:
                connection.execute(upsert(forgotten).values(mark=mark).on_conflict_do_nothing())
            files, reports = erase(connection, rows)
        # And once more: a reading room may have written lists before it could know.
        snapshot.remove_strays(archive.vectors, to_keep)
        _remove_copies(archive.folder)
        if pictures is not None:
            pictures.settle(partial(keys_of, archive.catalog))
        if hindrance := archive.catalog.settle(everything=not film_ids) or (pictures and pictures.overwrite()):
            raise _blocked(archive.catalog.path, hindrance)
        # And of a search that began before: now nobody reads the catalog as it was.
        snapshot.remove_strays(archive.vectors, to_keep)
        for space in stored_spaces:
            _put_back(archive, space, shortened[space.id], stamps[space.id])
        # Nothing of these films is in them any more.
        upkeep.bring_up_to_date(archive.catalog, answers, earlier=answers)
    return Forgotten(len(rows), files, reports, remember)


def _remove_copies(folder: Path) -> None:
    """Delete what may hold copies of rows and pictures beside the catalog."""
    for path in (
        *folder.glob("catalog.before-*"),
        *folder.glob(f"{THUMBNAILS}.part*"),
        *folder.glob(f"{PICTURE_MEASURES}/*.bin"),
        *folder.glob(f"{CHECKS}/*"),
        folder / LOG,
    ):
        path.unlink(missing_ok=True)
    # Of what was killed: a backup's copy of the catalog, and the films that a run had fetched.
    for unfinished in (*folder.glob(f"{PREFIX}*"), *folder.glob(f"{FETCHED}*")):
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_back(archive: Archive, space: StoredSpace, shortened: Shortened | None, before: Stamp) -> None:
    """Write the snapshot as of now, where it was up to date; the next run makes another where there was none."""
    if shortened is None:
        return
    now = spaces.stamp(archive.catalog, space.id)
    known = shortened.manifest.generation == before.generation
    generation = now.generation if known else shortened.manifest.generation
    snapshot.put_back(archive.vectors, space, shortened, generation=generation, mark=now.mark)


def _marks(key: bytes, identities: Sequence[str], patients: Sequence[str | None]) -> set[str]:
    subjects = [f"film {identity}" for identity in identities]
    subjects += [f"patient {patient}" for patient in patients if patient]
    return {hmac.new(key, f"forgotten {subject}".encode(), hashlib.sha256).hexdigest() for subject in subjects}


def _blocked(path: Path, why: str) -> ArchiveBusy:
    return ArchiveBusy(
        f"the films are deleted, but the place where they stood could not be overwritten yet ({why})",
        where=path,
        fix="When searches and the reading room have stopped, and there is room on the disk, run: filmroom forget",
    )
