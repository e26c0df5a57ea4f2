"""Sort out which films a document can name for certain: those with UIDs of their own, by study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes.annotations import collections
from filmroom.search.export.selection import Chosen, chosen_by
from filmroom.search.request import request_of

NO_DICOM = "it is not from a DICOM file"
NO_STUDY = "its file names no study or series"
SHARED_UID = "another picture of the archive bears its instance UID"


@dataclass(frozen=True)
class LeftOut:
    """A film that no document names, and why; `failed` where a server did not do its part, and may the next time."""

    film: int
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Study:
    uid: str
    films: tuple[Film, ...]


def collection_or_query(archive: Archive, name: str, best: int) -> Chosen:
    """Read `what` as the name of a collection where there is one, else as a query, of which the `best` count."""
    if any(collection.name == name.strip() for collection in collections(archive.catalog)):
        return Chosen(collection=name.strip())
    return chosen_by(request_of(name), best=best)


def studies_of(archive: Archive, ids: Sequence[int], *, server: str | None) -> tuple[list[Study], list[LeftOut]]:
    """Group films by study, in their order. Raises BadInput for an archive that keeps hashes of the UIDs: a document
    with them would join no study."""
    if get_meta(archive.catalog, "hash_uids") == "yes":
        raise BadInput(
            "this archive keeps hashes of the UIDs, which no server knows",
            where=archive.folder,
            fix="Index the films into an archive without --hash-uids.",
        )
    doubted = films.with_shared_uid(archive.catalog, ids)
    by_study: dict[str, list[Film]] = {}
    left_out = []
    for film in films.films(archive.catalog, ids):
        tags = film.tags
        if tags.instance_uid is None:
            left_out.append(LeftOut(film.id, NO_DICOM))
        elif tags.study_uid is None or tags.series_uid is None:
            left_out.append(LeftOut(film.id, NO_STUDY))
        elif film.id in doubted and film.root != server:
            left_out.append(LeftOut(film.id, SHARED_UID))
        else:
            by_study.setdefault(tags.study_uid, []).append(film)
    return [Study(uid, tuple(films)) for uid, films in by_study.items()], left_out
