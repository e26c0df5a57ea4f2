"""List and fetch the films of a DICOMweb server: QIDO-RS and WADO-RS (DICOM PS3.18, chapters 10.4 and 10.6).

Of what a server answers only UIDs are kept: names, dates and the rest are read past. A film's path below the server's
address is STUDY/SERIES/INSTANCE.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from filmroom.db.errors import BadInput, FilmroomError, Rejected
from filmroom.db.records import SourceFile
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.sources.credentials import Credentials
from filmroom.indexer.sources.stow import PROCESSING_FAILURE, body, failed_instances, without_parameters
from filmroom.indexer.sources.web import leads_away, parts_of, without_secrets

if TYPE_CHECKING:
    import requests
    from dicomweb_client.api import DICOMwebClient

REQUESTS_AT_ONCE = 4
PAGE = 500
RADIOGRAPHS = ("CR", "DX", "RF", "MG", "XA", "IO", "PX", "RG", "OT", "SC")
"""What is asked for where no modality is named: an archive of films holds these; decoding tells which are films."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_ATTEMPTS = 4
_WAIT_SECONDS = 0.5
_TIMEOUT_SECONDS = (10, 60)
_CHUNK_BYTES = 2**16
_ANSWER_BYTES = 256 * 2**20
"""Of a list or a header: a server that knows no pages tells of a few hundred thousand films in so much."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MODALITY, _BODY_PART, _STUDY_DATE = "00080060", "00180015", "00080020"

Answer = TypeVar("Answer")


class ServerError(FilmroomError):
    """The server cannot be asked, or answers what is no DICOMweb."""


class ServerAway(ServerError):
    """The server does not answer, or says that it cannot: so it may be with whatever is asked next."""


class NotOnServer(ServerError):
    """The server has nothing at this address."""


@dataclass(frozen=True)
class Selection:
    """Which films of a server are asked for; a server that ignores it is filtered again here."""

    modalities: tuple[str, ...] = ()
    body_part: str | None = None
    since: date | None = None
    study: str | None = None
    limit: int | None = None

    @property
    def complete(self) -> bool:
        """Whether a film that is not listed is gone."""
        return self == Selection()


@dataclass(frozen=True)
class Server:
    """A DICOMweb service by its base address. `per_second` bounds the requests; None leaves them to the server."""

    url: str
    credentials: Credentials = field(default_factory=Credentials)
    per_second: float | None = None

    def open(self) -> Connection:
        """Make a connection, which the threads of one run share. Raises BadInput for an address that is none."""
        return Connection(self)


def is_address(text: str) -> bool:
    """Tell whether a source is the address of a server and not a path."""
    return text.startswith(("http://", "https://"))


def server_address(text: str) -> str:
    """Return the address as it is kept. Raises BadInput where it holds a password, a query or nothing."""
    parts = parts_of(text)
    if parts.username or parts.password:
        raise BadInput(
            "an address must hold no name and password",
            where=without_secrets(parts),
            fix="Give them by FILMROOM_PACS_USER and FILMROOM_PACS_PASSWORD, ~/.netrc or --credentials FILE.",
        )
    if not parts.hostname or parts.query or parts.fragment:
        raise BadInput(
            "this is not the address of a DICOMweb service",
            where=without_secrets(parts),
            fix="Write https://HOST/dicom-web.",
        )
    return text.rstrip("/")


class Connection:
    """An open session with a server."""

    prefix = ""

    def __init__(self, server: Server) -> None:
        from dicomweb_client.api import DICOMwebClient

        self.url = server_address(server.url)
        session = server.credentials.session(self.url)
        session.hooks["response"] += [self._stays, without_parameters, self._bounded]
        self._of_thread = threading.local()
        try:
            self._client: DICOMwebClient = DICOMwebClient(self.url, session=session, timeout=_TIMEOUT_SECONDS)
        except ValueError:
            raise BadInput("this is not the address of a DICOMweb service", where=self.url) from None
        self._client.set_http_retry_params(retry=False)
        self._pause = 0.0 if server.per_second is None else 1 / server.per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def _stays(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Raise ServerError where the server sends a request on to another: documents, a certificate and what is asked
        are for this one alone."""
        if leads_away(response, self.url):
            raise ServerError(
                "the server sends requests on to another address",
                where=self.url,
                fix="Name that address, where it is one of yours.",
            )

    def _bounded(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Read an answer up to the limit, a film's own where one is fetched: requests would read it whole, however long
        it is."""
        of_film = getattr(self._of_thread, "max_bytes", None)
        read = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            read += chunk
            if len(read) > (of_film or _ANSWER_BYTES) + _CHUNK_BYTES:  # parts have headers of their own
                response.close()
                if of_film:
                    raise Refusal.TOO_LARGE.error()
                raise ServerError("the answer is too long", where=self.url, fix="Check the address.")
        response._content = bytes(read)

    def listed(self, selection: Selection) -> Iterator[SourceFile]:
        """List the films as files: a server tells neither size nor time. Raises ServerError."""
        return (SourceFile(self.url, path, 0, 0) for path in self.films(selection))

    def films(self, selection: Selection) -> Iterator[str]:
        """List the paths of the films that are asked for, each once. Raises ServerError."""
        listed: set[str] = set()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            studies = self._studies(selection)
            while group := list(islice(studies, 4 * REQUESTS_AT_ONCE)):
                for paths in pool.map(lambda study: self._of_study(study, selection), group):
                    for path in paths:
                        if path in listed:
                            continue
                        listed.add(path)
                        yield path
                        if selection.limit is not None and len(listed) >= selection.limit:
                            return

    def fetch(self, path: str, to: Path, *, max_bytes: int) -> None:
        """Write one film, as the server holds it, to a new file of mode 0600. Raises Rejected, also where more comes
        than `max_bytes`, or ServerError where nobody is let in."""
        study, series, instance = path.split("/")
        self._of_thread.max_bytes = max_bytes
        try:
            film = self._asked(lambda: self._client.retrieve_instance(study, series, instance))
            with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _save(film, instance, file)
        except _Missing:
            raise Refusal.NOT_ON_SERVER.error() from None
        except (_Away, _Nonsense):
            raise Refusal.NOT_FETCHED.error() from None
        finally:
            self._of_thread.max_bytes = None

    def instances(self, study: str) -> set[str]:
        """Return the SOP Instance UIDs of a study; none where the server does not have it. Raises ServerError."""
        try:
            rows = self._paged(self._client.search_for_instances, {}, study)
            return {uid for row in rows if _is_uid(uid := _value(row, _INSTANCE))}
        except NotOnServer:
            return set()

    def check(self) -> None:
        """Raise ServerError where there is no DICOMweb service, or it lets nobody in."""
        self._listed(lambda: self._client.search_for_studies(limit=1))

    def header(self, path: str) -> dict[str, Any]:
        """Return one film's attributes as DICOM JSON (PS3.18 F.2), names and all: for use at once, never to be kept.
        Raises Rejected, or ServerError where nobody is let in."""
        study, series, instance = path.split("/")
        try:
            return dict(self._asked(lambda: self._client.retrieve_instance_metadata(study, series, instance)))
        except _Missing:
            raise Refusal.NOT_ON_SERVER.error() from None
        except (_Away, _Nonsense):
            raise Refusal.NOT_FETCHED.error() from None

    def store(self, documents: Sequence[Any]) -> dict[str, int]:
        """Send datasets by STOW-RS (PS3.18 chapter 10.5). Gives those that the server refused: by SOP Instance UID, the
        reason's code (PS3.3 C.12.1.3.1). Raises ServerError."""
        import requests

        def ask() -> dict[str, int]:
            try:
                return failed_instances(self._client.store_instances(documents).to_json_dict())
            except requests.HTTPError as fault:
                # All were refused; the body says why.
                if fault.response is None or fault.response.status_code != requests.codes.conflict:
                    raise
                refused = failed_instances(body(fault.response))
                return refused or {str(document.SOPInstanceUID): PROCESSING_FAILURE for document in documents}

        return self._listed(ask)

    def _studies(self, selection: Selection) -> Iterator[str]:
        if selection.study:
            yield selection.study
            return
        filters: list[dict[str, str]] = [{"ModalitiesInStudy": modality} for modality in selection.modalities] or [{}]
        seen: set[str] = set()
        for matching in filters:
            if selection.since:
                matching["StudyDate"] = f"{selection.since:%Y%m%d}-"
            for row in self._paged(self._client.search_for_studies, matching):
                study, day = _value(row, _STUDY), _value(row, _STUDY_DATE)
                old = selection.since is not None and day[:8].isdecimal() and day[:8] < f"{selection.since:%Y%m%d}"
                if _is_uid(study) and study not in seen and not old:
                    seen.add(study)
                    yield study

    def _of_study(self, study: str, selection: Selection) -> list[str]:
        modalities = {modality.upper() for modality in selection.modalities or RADIOGRAPHS}
        paths = []
        for row in self._paged(self._client.search_for_series, {}, study, fields=["BodyPartExamined"]):
            series, modality, part = (_value(row, tag) for tag in (_SERIES, _MODALITY, _BODY_PART))
            if not _is_uid(series) or (modality and modality.upper() not in modalities):
                continue
            if selection.body_part and part and part.upper() != selection.body_part.upper():
                continue
            for instance in self._paged(self._client.search_for_instances, {}, study, series):
                uid = _value(instance, _INSTANCE)
                if _is_uid(uid):
                    paths.append(f"{study}/{series}/{uid}")
        return paths

    def _paged(
        self, search: Callable[..., Any], filters: dict[str, str], *uids: str, fields: list[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Ask page by page. A server that knows no pages gives everything each time: what is not new ends it. One may
        give fewer rows a page than asked for; such a bound is a round number, so that only then is it asked on."""
        known: set[str] = set()
        offset = 0
        while True:
            page: dict[str, Any] = {"limit": PAGE, "offset": offset, "search_filters": dict(filters)}
            if fields:
                page["fields"] = fields
            rows: list[Any] = self._listed(partial(search, *uids, **page))
            new = [row for row in rows if isinstance(row, dict) and (name := _names(row)) not in known and name]
            known.update(_names(row) for row in new)
            yield from new
            if not new or (len(rows) < PAGE and len(rows) % 10):
                return
            offset += len(rows)

    def _listed(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return self._asked(ask)
        except _Missing:
            raise NotOnServer(
                "there is no DICOMweb service here", where=self.url, fix="It often ends in /dicom-web or /rs."
            ) from None
        except _Unwilling as fault:
            raise ServerError(
                f"the server does not take this request ({fault})", where=self.url, fix="Check the address."
            ) from None
        except _Away as fault:
            raise ServerAway(
                f"the server does not answer ({fault})", where=self.url, fix="Try again: what is indexed is kept."
            ) from None
        except _Nonsense:
            raise ServerError("the answer is not DICOM JSON", where=self.url, fix="Check the address.") from None

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer, or no hope."""
        import requests

        for attempt in range(_ATTEMPTS):
            self._wait()
            try:
                return ask()
            except requests.HTTPError as fault:
                status = 0 if fault.response is None else fault.response.status_code
                if status in (401, 403):
                    raise ServerError(
                        f"the server does not let Filmroom in ({status})",
                        where=self.url,
                        fix="Give a name and password by FILMROOM_PACS_USER and FILMROOM_PACS_PASSWORD, a token by "
                        "FILMROOM_PACS_TOKEN, or --credentials FILE.",
                    ) from None
                if status in (404, 410):
                    raise _Missing from None
                if status < 500 and status not in (408, 429):
                    raise _Unwilling(f"status {status}") from None
                failure: Exception = _Away(f"status {status}")
            except requests.exceptions.SSLError:
                raise ServerError(
                    "the server's certificate is not trusted", where=self.url, fix="Name its CA: `ca` in --credentials."
                ) from None
            except requests.exceptions.JSONDecodeError:
                raise _Nonsense from None
            except requests.RequestException as fault:
                failure = _Away("no connection" if isinstance(fault, requests.ConnectionError) else "time-out")
            except (FilmroomError, Rejected):
                raise
            except Exception:  # half a multipart, HTML, a list of nothing: whatever the client stumbles over
                failure = _Nonsense()
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_WAIT_SECONDS * 2**attempt)
        raise failure

    def _wait(self) -> None:
        if not self._pause:
            return
        with self._lock:
            now = time.monotonic()
            at, self._next = max(now, self._next), max(now, self._next) + self._pause
        time.sleep(max(0.0, at - now))


class _Missing(Exception):
    """The server does not have it."""


class _Away(Exception):
    """The server did not answer, or said that it cannot."""


class _Unwilling(_Away):
    """The server answers, and will not do this."""


class _Nonsense(Exception):
    """The answer is not what was asked for."""


def _save(film: Any, instance: str, file: IO[bytes]) -> None:
    """Write a dataset of which the server says that it is this instance. Raises Rejected."""
    try:
        uid = str(film.get("SOPInstanceUID"))
        if uid == instance:
            film.save_as(file, enforce_file_format=True)
    except OSError:
        raise
    except Exception:  # without a transfer syntax, or with values that cannot be written: their words quote them
        raise Refusal.DAMAGED.error() from None
    if uid != instance:
        raise Refusal.ANOTHER_FILM.error()


def _value(row: dict[str, Any], tag: str) -> str:
    """Return the first value of an attribute in DICOM JSON (PS3.18 F.2), '' where there is none."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values and isinstance(values[0], str) else ""


def _names(row: dict[str, Any]) -> str:
    return "/".join(_value(row, tag) for tag in (_STUDY, _SERIES, _INSTANCE)).strip("/")


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None
