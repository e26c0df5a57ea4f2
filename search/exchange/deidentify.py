"""Make copies of DICOM films that name nobody, in worker processes with limits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filmroom.db.errors import FilmroomError, Rejected
from filmroom.db.records import Film
from filmroom.indexer.decoding.decode import read_file
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.orientation import lies
from filmroom.indexer.decoding.phi_filter import hashed_uid
from filmroom.indexer.decoding.process_pool import run
from filmroom.indexer.decoding.workers import usable_cpus
from filmroom.indexer.sources.film_cache import source_path


@dataclass(frozen=True)
class Replacements:
    """What stands in the copies of one export for UIDs and patients: the same for the same, and nothing to guess from.

    With `uids` those that the archive knows are kept.
    """

    uids: bool = False
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def uid(self, kind: str, known: str | None, film: Film) -> str:
        if known and self.uids:
            return known
        return hashed_uid(known or f"{kind} of film {film.id}", key=self.key)

    def instance(self, film: Film, *, frames: int) -> str:
        """Return the UID of a copy's picture: of a file of several frames each has one of its own, also with `uids`."""
        known = film.tags.instance_uid
        if known and frames > 1:
            return hashed_uid(f"{known}#{film.frame}", key=self.key)
        return self.uid("instance", known, film)

    def patient(self, film: Film) -> str:
        if not film.tags.patient_key:
            return ""
        return hmac.new(self.key, film.tags.patient_key.encode(), hashlib.sha256).hexdigest()[:16].upper()


def copies(
    films: Iterable[Film],
    replacements: Replacements,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[tuple[Film, bytes | str]]:
    """Yield each film with the bytes of its copy, or in words why there is none; in any order, decoded side by side.

    Films of servers are fetched here, with the credentials of this process. Raises NotFound where a server is away.
    """
    work = partial(_copy, replacements=replacements, limits=limits)
    workers = usable_cpus()
    refused: list[tuple[Film, str]] = []
    readable = _fetched(films, refused)
    for (film, _), answer in run(readable, work, limits=limits, workers=workers, ahead=2 * workers):
        yield film, answer.reason if isinstance(answer, Rejected) else answer
    yield from refused


def _fetched(films: Iterable[Film], refused: list[tuple[Film, str]]) -> Iterator[tuple[Film, Path]]:
    """Yield films with their files, and add to `refused` those that their server does not give."""
    for film in films:
        try:
            yield film, source_path(film)
        except FilmroomError as error:
            refused.append((film, error.what))


def _copy(at: tuple[Film, Path], *, replacements: Replacements, limits: Limits) -> bytes | str:
    """Return the work on one film, in a worker process."""
    film, path = at
    from filmroom.indexer.decoding.dicom.read import stored_frame
    from filmroom.search.exchange.allowed_attributes import READ, built, written

    stored = stored_frame(read_file(path, limits), limits, film.frame, besides=READ)
    size = film.tags.rows, film.tags.columns
    if stored is None or stored.pixels.shape[:2] != (size[::-1] if lies(film.tags.orientation) else size):
        return "the file has changed since it was indexed; index it again"
    copy = built(stored, film)
    copy.StudyInstanceUID = replacements.uid("study", film.tags.study_uid, film)
    copy.SeriesInstanceUID = replacements.uid("series", film.tags.series_uid, film)
    copy.SOPInstanceUID = replacements.instance(film, frames=stored.frames)
    copy.PatientID = replacements.patient(film)
    return written(copy, own_uids=replacements.uids)
