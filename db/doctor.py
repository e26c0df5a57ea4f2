"""Does everything agree: the catalog with itself, its vectors, the cached index? And mending what is derived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.reads import films, spaces
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.records import SAME_UID, Outcome, State, same_uid_note
from filmroom.db.schema import embedding, file, film, space, thumbnail
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes.runs import duplicates
from sqlalchemy import and_, exists, func, select


@dataclass(frozen=True)
class Fault:
    """`mendable`: `doctor --repair` puts it right from the catalog; else `remedy` says what a person can do."""

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


def examine(archive: Archive) -> Examination:
    """Compares catalog, vectors and FAISS; changes nothing."""
    held = spaces.spaces(archive.catalog)
    faults = _catalog_faults(archive)
    notes = _notes(archive)
    for one in held:
        faults += _vector_faults(archive, one)
        if one.films and snapshot.is_of_another_version(archive.vectors, one):
            notes.append(
                f"The index of {one.space.model} is of another version of Filmroom: the next index run makes it anew, "
                "and until then it is read from the catalog"
            )
        else:
            faults += _index_faults(archive, one)
    return Examination(films.count(archive.catalog), tuple(held), tuple(faults), tuple(notes))


def _notes(archive: Archive) -> list[str]:
    found = duplicates(archive.catalog, why=SAME_UID)
    if not found:
        return []
    return [f"{same_uid_note([one.path for one in found])}. `filmroom duplicates` lists them"]


def repair(archive: Archive) -> Examination:
    """Rebuilds every index from the catalog and examines again. Raises ArchiveBusy while a run is under way."""
    with archive.writing("repairing"):
        for one in spaces.spaces(archive.catalog):
            snapshot.remove(archive.vectors, one.id)
            VectorIndex.open(archive.catalog, one, archive.vectors, gpu=False).save()
    return examine(archive)


def _catalog_faults(archive: Archive) -> list[Fault]:
    faults = []
    with archive.catalog.read() as connection:
        said = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
        if said != ["ok"]:
            faults.append(Fault(f"the catalog file is damaged: {said[0]}", "Restore a backup.", mendable=False))
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        orphans = connection.scalar(
            select(func.count())
            .select_from(file)
            .where(file.c.outcome == Outcome.INDEXED.value, file.c.listed, ~exists().where(film.c.file_id == file.c.id))
        )
        faceless = connection.scalar(
            select(func.count())
            .select_from(film)
            .where(film.c.state == State.PRESENT.value, ~exists().where(thumbnail.c.film_id == film.c.id))
        )
        blind = connection.scalar(
            select(func.count())
            .select_from(film)
            .where(film.c.state == State.PRESENT.value, ~exists().where(embedding.c.film_id == film.c.id))
        )
    again = "Run `filmroom index` on the same folders again."
    if broken:
        faults.append(Fault(f"{len(broken)} rows of the catalog point nowhere", "Restore a backup.", mendable=False))
    for count, said in (
        (orphans, "files are marked indexed and have no film"),
        (faceless, "films have no thumbnail"),
        (blind, "films have no vector"),
    ):
        if count:
            faults.append(Fault(f"{count} {said}", again, mendable=False))
    return faults


def _vector_faults(archive: Archive, one: StoredSpace) -> list[Fault]:
    size = one.space.vectors * one.space.dim * 2
    with archive.catalog.read() as connection:
        wrong = connection.scalar(
            select(func.count())
            .select_from(embedding)
            .where(and_(embedding.c.space_id == one.id, func.length(embedding.c.vectors) != size))
        )
    if wrong:
        return [Fault(f"{wrong} vectors of {one.space.model} have the wrong length", "Index again.", mendable=False)]
    bad = 0
    for block in spaces.vectors_since(archive.catalog, one, 0):
        lengths = np.linalg.norm(block.vectors.astype(np.float32), axis=2)
        bad += int((~(np.abs(lengths - 1.0) < 0.01)).any(axis=1).sum())
    if bad:
        return [Fault(f"{bad} vectors of {one.space.model} are not of unit length", "Index again.", mendable=False)]
    return []


def _index_faults(archive: Archive, one: StoredSpace) -> list[Fault]:
    mend = "`filmroom doctor --repair` rebuilds it."
    if not one.films:
        return []
    found = snapshot.load(archive.vectors, one)
    if found is None:
        return [Fault(f"the index of {one.space.model} is missing or damaged", mend)]
    index = VectorIndex.open(archive.catalog, one, archive.vectors, gpu=False)
    if len(index) != one.films:
        return [Fault(f"the index of {one.space.model} finds {len(index)} films of {one.films}", mend)]
    with archive.catalog.read() as connection:
        current = set(
            connection.scalars(
                select(embedding.c.id)
                .join(space, space.c.id == embedding.c.space_id)
                .where(embedding.c.space_id == one.id, embedding.c.id <= found.mark)
            )
        )
    rows = {int(row): at for at, row in enumerate(found.ids[0])}
    if missing := current - rows.keys():
        return [Fault(f"the index of {one.space.model} lacks {len(missing)} vectors", mend)]
    different = 0
    for block in spaces.vectors_since(archive.catalog, one, 0):
        for embedding_id, stored in zip(block.ids.tolist(), block.vectors, strict=True):
            if embedding_id in rows:
                different += not np.array_equal(found.rows[rows[embedding_id]], stored)
    if different:
        return [Fault(f"{different} vectors of {one.space.model} differ between index and catalog", mend)]
    return []
