"""Find the file of a film: where it lies, or, for a server's film, a copy that is fetched and kept for a while."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from filmroom.db.errors import NotFound, Rejected
from filmroom.db.reads.films import full_path
from filmroom.db.records import Film, SourceFile, is_remote
from filmroom.indexer.sources.bucket import Bucket, Files, is_bucket
from filmroom.indexer.sources.credentials import read_credentials
from filmroom.indexer.sources.dicomweb import Connection, Server, ServerError, is_address
from filmroom.indexer.sources.fetching import Patience

LIMIT_BYTES = 2 * 2**30
"""What the cache may hold; FILMROOM_CACHE_MB sets another limit."""


def source_path(film: Film) -> Path:
    """Return the film's file. Raises NotFound where its server is away or has it no more; whether a path is there, the
    caller finds out."""
    return _cached(film.root, film.path) if is_remote(film.root) else full_path(film)


def source_files(places: Iterable[tuple[str, str]]) -> Iterator[SourceFile]:
    """Yield files by (root, path), for decoding: those of servers are fetched, or come as rejected. Raises ServerError
    where a server sends none any more."""
    patience = Patience()
    for root, path in places:
        source = SourceFile(root, path, 0, 0)
        if is_remote(root):
            try:
                source = replace(source, fetched=str(_cached(root, path)))
            except Rejected as error:
                source = replace(source, rejected=error)
            patience.note(root, source.rejected)
        yield source


def server_of(root: str) -> Connection | None:
    """Return the DICOMweb server whose films these are; None where they are files."""
    return _server(root) if is_address(root) and not is_bucket(root) else None


def drop(films: Iterable[Film]) -> None:
    """Delete what was fetched of films: the copies hold all that a server's file holds."""
    for film in films:
        _place(film.root, film.path).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Say where fetched films are kept, for this user alone."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "filmroom" / "films"


def _cached(root: str, path: str) -> Path:
    place = _place(root, path)
    folder = place.parent
    if place.is_file():
        os.utime(place)
        return place
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        fetched = Path(scratch) / "film"
        try:
            (_bucket if is_bucket(root) else _server)(root).fetch(path, fetched, max_bytes=LIMIT_BYTES)
        except ServerError as error:
            raise NotFound(f"the film cannot be fetched: {error.what}", where=root, fix=error.fix) from None
        _make_room(folder, fetched.stat().st_size)
        fetched.replace(place)
    return place


def _place(root: str, path: str) -> Path:
    name = hashlib.sha256(f"{root}/{path}".encode("utf-8", "surrogateescape")).hexdigest()
    return cache_folder() / f"{name}.dcm"


def _make_room(folder: Path, size: int) -> None:
    """Delete what was not looked at for longest."""
    limit = int(float(os.environ.get("FILMROOM_CACHE_MB") or LIMIT_BYTES / 2**20) * 2**20)
    cached = sorted(((path.stat(), path) for path in folder.glob("*.dcm")), key=lambda film: film[0].st_mtime)
    total = size + sum(facts.st_size for facts, _ in cached)
    for facts, path in cached:
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= facts.st_size


@lru_cache(maxsize=8)
def _server(root: str) -> Connection:
    return Server(root, read_credentials()).open()


@lru_cache(maxsize=8)
def _bucket(root: str) -> Files:
    return Bucket(root).open()
