"""List and fetch the files of a bucket (S3, Google Cloud, Azure) or of a web server's listing, by fsspec.

Who asks is known as to the cloud's own tools: from the environment, their files or the machine's role. Nothing of it is
read here, kept or shown.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from filmroom.db.errors import BadInput, MissingExtra, Rejected
from filmroom.db.records import SourceFile
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.sources import web
from filmroom.indexer.sources.credentials import Credentials
from filmroom.indexer.sources.dicomweb import REQUESTS_AT_ONCE, Selection, ServerError, server_address
from filmroom.indexer.sources.folder import is_clutter

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CLOUDS = ("s3://", "gs://", "az://")

_ATTEMPTS = 3
_WAIT_SECONDS = 0.5
_PAGE_BYTES = 2**16
_UNKNOWN_TO_IT = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
)
"""What the clouds' libraries raise where they find no credentials, by name: none of them need be installed."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Bucket:
    """A bucket or listing by its address: s3://BUCKET/PREFIX, or https://HOST/FOLDER/."""

    url: str

    def open(self) -> Files:
        """Make a connection, which the threads of one run share. Raises MissingExtra."""
        return Files(self.url)


def is_bucket(address: str) -> bool:
    """Tell whether an address that the catalog may hold is a bucket's or listing's, and no DICOMweb server's: those
    have no slash at their end."""
    return address.startswith(CLOUDS) or (address.startswith(("http://", "https://")) and address.endswith("/"))


def is_listing(url: str) -> bool:
    """Ask whether a web address with a slash at its end is a page of links to files. Raises BadInput for one that is
    not to be asked, ServerError where it sends the question on."""
    import requests

    if not is_bucket(url):
        return False
    server_address(url)

    def stay(answer: requests.Response, *_: Any, **__: Any) -> None:
        if web.leads_away(answer, url):
            raise _sent_on(url)

    session = Credentials().session(url)
    session.hooks["response"].append(stay)
    try:
        with session.get(url, timeout=web.TIMEOUT_SECONDS, stream=True) as answer:
            kind = answer.headers.get("Content-Type", "")
            return (
                answer.ok and kind.startswith("text/html") and b"href=" in next(answer.iter_content(_PAGE_BYTES), b"")
            )
    except requests.RequestException:
        return False


def bucket_address(text: str) -> str:
    """Return the address as it is kept. Raises BadInput where it holds a password or a query, or names no bucket."""
    parts = web.parts_of(text)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput(
            "an address must hold no password and no query",
            where=web.without_secrets(parts),
            fix="Credentials come from where the cloud's own tools have them.",
        )
    if not parts.netloc:
        raise BadInput("this names no bucket", where=text, fix="Write s3://BUCKET/PREFIX.")
    return text if text.startswith("http") else text.rstrip("/")


class Files:
    """The files of an open bucket. `url` is the bucket's own address, `prefix` the part that is listed."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._web = parts.scheme in ("http", "https")
        self.url = f"{parts.scheme}://{parts.netloc}" + ("/" if self._web else "")
        self.prefix = parts.path.strip("/")
        # fsspec knows a bucket's files as BUCKET/KEY, a web server's by their whole addresses.
        self._top = self.url if self._web else f"{parts.netloc}/"
        self._fs = _file_system(parts.scheme, self.url)

    def listed(self, selection: Selection) -> Iterator[SourceFile]:
        """List the files, folder by folder. Raises ServerError; where it does, the list is not whole."""
        files = (file for file in self._walk() if not is_clutter(file.path.rpartition("/")[2]))
        return islice(files, selection.limit)

    def fetch(self, path: str, to: Path, *, max_bytes: int) -> None:
        """Write one file to a new one of mode 0600. Raises Rejected, also where more comes than `max_bytes`, whatever
        was listed; or ServerError where the server sends the request on."""
        from fsspec.callbacks import Callback

        def look(size: int | None, come: int, **_: Any) -> None:
            if max(size or 0, come) > max_bytes:
                raise Refusal.TOO_LARGE.error()

        os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            self._asked(
                # Each attempt is counted from its beginning.
                lambda: self._fs.get_file(self._top + path, str(to), callback=Callback(hooks={"limit": look}))
            )
        except Rejected:
            raise
        except Exception as fault:  # whatever a cloud's library raises: its words may quote an address that is signed
            if web.was_sent_on(fault):
                raise _sent_on(self.url) from None
            if isinstance(fault, FileNotFoundError):
                raise Refusal.NOT_ON_SERVER.error() from None
            raise Refusal.NOT_FETCHED.error() from None

    def _walk(self) -> Iterator[SourceFile]:
        top = (self._top + self.prefix).rstrip("/") + ("/" if self._web and self.prefix else "")
        waiting, known = [top], {top.rstrip("/")}
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            while waiting:
                entries = self._entries(waiting.pop())
                files = [entry for entry in entries if entry["type"] != "directory"]
                files = [file for file in files if self._below(file["name"], known)]
                if self._web:
                    files = list(pool.map(lambda file: {**file, **self._looked(file["name"])}, files))
                yield from (
                    SourceFile(self.url, file["name"][len(self._top) :], file["size"] or 0, modified_ns(file))
                    for file in files
                )
                folders = [entry["name"] for entry in entries if entry["type"] == "directory"]
                folders = [name for name in folders if self._below(name, known) and not is_clutter(_last(name))]
                known.update(name.rstrip("/") for name in folders)
                waiting += reversed(folders)

    def _below(self, name: str, known: set[str]) -> bool:
        """Tell whether a name leads further down and was not met: pages link to their parents and to themselves,
        sorted."""
        if self._web and ("?" in name or "#" in name or "/../" in name or not name.startswith(self._top + self.prefix)):
            return False
        return name.rstrip("/") not in known

    def _entries(self, place: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._listed(lambda: self._fs.ls(place, detail=True))
        return sorted(entries, key=lambda entry: str(entry["name"]))

    def _looked(self, name: str) -> dict[str, Any]:
        """Look a name up: a web server's page tells names alone."""
        facts: dict[str, Any] = self._listed(lambda: self._fs.info(name))
        return {"size": facts.get("size"), "Last-Modified": facts.get("Last-Modified")}

    def _listed(self, ask: Callable[[], Answer]) -> Answer:
        where = self.url + ("" if self._web or not self.prefix else "/") + self.prefix
        try:
            return self._asked(ask)
        except Exception as fault:
            if web.was_sent_on(fault):
                raise _sent_on(where) from None
            if isinstance(fault, web.PageTooLong):
                raise ServerError("a page of the listing is too long", where=where, fix="Check the address.") from None
            if isinstance(fault, FileNotFoundError):
                raise ServerError(
                    "there is nothing here", where=where, fix="Check the address; what is indexed is kept."
                ) from None
            if (
                isinstance(fault, PermissionError)
                or type(fault).__name__ in _UNKNOWN_TO_IT
                or _status(fault) in (401, 403)
            ):
                raise ServerError(
                    "the bucket does not let Filmroom in", where=where, fix="Sign in as for the cloud's own tools."
                ) from None
            raise ServerError(
                "the bucket cannot be listed", where=where, fix="Try again: what is indexed is kept."
            ) from None

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return ask()
            except (FileNotFoundError, PermissionError, Rejected, web.SentOn, web.PageTooLong):
                raise
            except Exception as fault:
                if type(fault).__name__ in _UNKNOWN_TO_IT or 400 <= _status(fault) < 429:
                    raise
            time.sleep(_WAIT_SECONDS * 2**attempt)
        return ask()


def _sent_on(where: str) -> ServerError:
    return ServerError(
        "the server sends requests on to another address",
        where=where,
        fix="Name that address, where it is one of yours.",
    )


def _file_system(scheme: str, url: str) -> AbstractFileSystem:
    for library in ("adlfs", "aiobotocore", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)  # their words quote addresses, and who asked
    connect, read = web.TIMEOUT_SECONDS
    options: dict[str, Any] = {}
    try:
        import fsspec

        if scheme == "s3":
            options["config_kwargs"] = {"connect_timeout": connect, "read_timeout": read}
        elif scheme == "az":
            options["anon"] = False
        elif scheme in ("http", "https"):
            options["client_kwargs"] = web.client(url)
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError:
        raise MissingExtra(f"indexing {scheme}://", extra="remote") from None


def modified_ns(entry: dict[str, Any]) -> int:
    """Say when a file was changed last, in nanoseconds since 1970; 0 where it is not told. Stores tell the second at
    best, and two versions can share it: where there is an entity tag (RFC 9110, 8.8.3), a number made of it stands in
    the place of the fraction."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "Last-Modified"):
        value = entry.get(name)
        try:
            if isinstance(value, str):
                value = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value)
        except ValueError:
            continue
        if isinstance(value, datetime):
            tag = str(entry.get("ETag") or entry.get("etag") or "")
            fraction = zlib.crc32(tag.encode()) % 10**9 if tag else value.microsecond * 1000
            return int(value.timestamp()) * 10**9 + fraction
    return 0


def _status(fault: Exception) -> int:
    """Return the HTTP status of a fault of aiohttp's, 0 of others."""
    status = getattr(fault, "status", 0)
    return status if isinstance(status, int) else 0


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
