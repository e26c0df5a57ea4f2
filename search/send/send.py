"""Send films of the archive back as DICOM documents: to a server by STOW-RS, or as files into a folder."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError, MissingExtra
from filmroom.db.records import Film
from filmroom.db.writes import findings
from filmroom.db.writes.findings import Kept
from filmroom.indexer.sources.dicomweb import REQUESTS_AT_ONCE, Connection, ServerAway, ServerError
from filmroom.indexer.sources.stow import refusal_words
from filmroom.search.send.choice import LeftOut, Study, studies_of
from filmroom.search.send.documents import Draft, drafts
from filmroom.search.send.headers import Header, NoHeader, read_header
from filmroom.search.send.key_objects import key_objects
from filmroom.search.send.measurement_report import measurement_report
from filmroom.search.send.targets import Target
from filmroom.search.send.titles import Title

NO_SUCH_STUDY = "the server does not have its study"
NO_DOCUMENT = "no document can be made of its header"
NO_SUCH_FILM = "the server has its study, but not this film"
GIVEN_UP = "the server did not answer for those before"
SEVERAL_PATIENTS = "its study's films name several patients"

_GIVE_UP_AFTER = 8
"""Studies or headers in a row that a server gave no answer for: it is away, and the rest need not be tried."""


class State(StrEnum):
    """What became of a document. `planned`: nothing was sent, as it was a dry run."""

    PLANNED = "planned"
    SENT = "sent"
    THERE = "there already"
    REFUSED = "refused"


@dataclass(frozen=True)
class Document:
    """A document and what became of it; `reason` says why a server refused it."""

    kind: str
    study: str
    uid: str
    films: tuple[int, ...]
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Sent:
    documents: tuple[Document, ...]
    left_out: tuple[LeftOut, ...]

    def count(self, state: State) -> int:
        return sum(document.state is state for document in self.documents)

    @property
    def failed(self) -> bool:
        """Whether something was not sent that may be the next time, or a server refused it."""
        return any(film.failed for film in self.left_out) or self.count(State.REFUSED) > 0

    @property
    def reasons(self) -> Counter[str]:
        """How many films were left out, by reason."""
        return Counter(film.reason for film in self.left_out)

    @property
    def refusals(self) -> Counter[str]:
        """How many documents the server refused, by reason."""
        return Counter(document.reason for document in self.documents if document.state is State.REFUSED)


def send(
    archive: Archive,
    ids: Sequence[int],
    to: Target,
    title: Title,
    *,
    with_findings: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sent:
    """Send a Key Object Selection for each study of the films, and with `with_findings` what report models found.

    To a server goes only what names films that it has: it is asked for each study first. A document that is there
    already is not sent again. A film or study that the server fails for is left out, and the rest goes on. Raises
    ServerError where the server is away from the first, MissingExtra, and BadInput for an archive of hashed UIDs or a
    folder that is none.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise MissingExtra("writing DICOM documents", extra="sr") from None
    studies, left_out = studies_of(archive, ids, server=to.server.url if to.server else None)
    findings = _findings(archive, studies) if with_findings else {}
    to.check()
    documents: list[Document] = []
    failures = _Failures()

    def work(study: Study) -> tuple[list[Document], list[LeftOut]]:
        if failures.too_many:
            return [], [LeftOut(film.id, GIVEN_UP, failed=True) for film in study.films]
        study_findings = [finding for film in study.films for finding in findings.get(film.id, ())]
        return _Study(study, title, study_findings, failures, dry_run=dry_run).sent_to(to)

    with _quiet(), ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        try:
            for number, (done, out) in enumerate(pool.map(work, studies), 1):
                documents += done
                left_out += out
                progress(number, len(studies))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return Sent(tuple(documents), tuple(left_out))


class _Failures:
    """How many requests in a row a server gave no answer to; the threads of a run share it."""

    def __init__(self) -> None:
        self._in_a_row = 0

    @property
    def too_many(self) -> bool:
        return self._in_a_row >= _GIVE_UP_AFTER

    def note(self, *, failed: bool) -> None:
        self._in_a_row = self._in_a_row + 1 if failed else 0


class _Study:
    """The work on one study."""

    def __init__(
        self, study: Study, title: Title, findings: Sequence[Kept], failures: _Failures, *, dry_run: bool
    ) -> None:
        self._failures = failures
        self._study = study
        self._title = title
        self._findings = findings
        self._dry_run = dry_run
        self._left_out: list[LeftOut] = []

    def sent_to(self, to: Target) -> tuple[list[Document], list[LeftOut]]:
        try:
            on_server = to.documents_there(self._study.uid)
        except ServerError as fault:
            self._failures.note(failed=isinstance(fault, ServerAway))
            return [], [LeftOut(film.id, fault.what, failed=True) for film in self._study.films]
        films = self._of_server(on_server) if to.server else list(self._study.films)
        headers = {} if self._dry_run else self._of_one_patient(self._headers(films, to.server))
        if not self._dry_run:
            films = [film for film in films if film.id in headers]
        if not films:
            return [], self._left_out
        planned = drafts(self._study.uid, films, self._title, self._findings)
        new = [draft for draft in planned if draft.uid not in on_server]
        done = [_document(draft, State.THERE) for draft in planned if draft.uid in on_server]
        if self._dry_run:
            return [*(_document(draft, State.PLANNED) for draft in new), *done], self._left_out
        try:
            documents = [_document_of(draft, [headers[film.id] for film in draft.films]) for draft in new]
        except Exception:  # a header can be wrong in many ways, and a message may quote it
            return done, [*self._left_out, *(LeftOut(film.id, NO_DOCUMENT) for film in films)]
        try:
            refused = to.deliver(documents) if documents else {}
        except FilmroomError as fault:
            self._failures.note(failed=isinstance(fault, ServerAway))
            return [*done, *(_document(draft, State.REFUSED, fault.what) for draft in new)], self._left_out
        self._failures.note(failed=False)
        for draft in new:
            code = refused.get(draft.uid)
            state = State.SENT if code is None else State.REFUSED
            done.append(_document(draft, state, "" if code is None else refusal_words(code)))
        return done, self._left_out

    def _of_server(self, on_server: set[str]) -> list[Film]:
        films = []
        for film in self._study.films:
            if film.tags.instance_uid in on_server:
                films.append(film)
            else:
                self._left_out.append(LeftOut(film.id, NO_SUCH_FILM if on_server else NO_SUCH_STUDY))
        return films

    def _headers(self, films: Sequence[Film], server: Connection | None) -> dict[int, Header]:
        headers: dict[int, Header] = {}
        for film in films:
            if self._failures.too_many:
                self._left_out.append(LeftOut(film.id, GIVEN_UP, failed=True))
                continue
            try:
                headers[film.id] = read_header(film, server)
            except NoHeader as fault:
                self._left_out.append(LeftOut(film.id, str(fault), failed=fault.failed))
                self._failures.note(failed=fault.away)
            else:
                self._failures.note(failed=False)
        return headers

    def _of_one_patient(self, headers: dict[int, Header]) -> dict[int, Header]:
        """Return the headers, none where they name several patients: a document would bear the name of one of them."""
        patients = {header.shared["PatientID"].strip() for header in headers.values()}
        if len(patients) < 2:
            return headers
        self._left_out += [LeftOut(film_id, SEVERAL_PATIENTS) for film_id in headers]
        return {}


def _findings(archive: Archive, studies: Sequence[Study]) -> dict[int, list[Kept]]:
    return {film.id: findings.of_film(archive.catalog, film.id) for study in studies for film in study.films}


def _document(draft: Draft, state: State, reason: str = "") -> Document:
    return Document(draft.kind, draft.study, draft.uid, tuple(film.id for film in draft.films), state, reason)


def _document_of(draft: Draft, headers: Sequence[Header]) -> Any:
    return key_objects(draft, headers) if draft.title else measurement_report(draft, headers)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let no library speak of what it reads: its words may quote a name."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom", "dicomweb_client")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
