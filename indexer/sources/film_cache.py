"""Find the file of a film: where it lies, or, for a server's film, a copy that is fetched and kept for a while."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from filmroom.db.errors import BadInput, NotFound, Rejected
from filmroom.db.reads.films import full_path
from filmroom.db.records import Film, SourceFile, is_remote
from filmroom.indexer.sources.bucket import Bucket, Files, is_bucket
from filmroom.indexer.sources.credentials import read_credentials
from filmroom.indexer.sources.dicomweb import Connection, Server, ServerError, is_address
from filmroom.indexer.sources.fetching import Patience

LIMIT_BYTES = 2 * 2**30
"""What the cache may hold; FILMROOM_CACHE_MB sets another limit."""

_SCRATCH = ".fetch-"
_LONGEST_FETCH = 86_400.0
"""Seconds after which a film that is still on its way was left behind by a process that was killed."""


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
    """Delete what was fetched of films, half of one too: the copies hold all that a server's file holds."""
    for film in films:
        place = _place(film.root, film.path)
        place.unlink(missing_ok=True)
        for half in place.parent.glob(f"{_SCRATCH}{place.stem}-*"):
            shutil.rmtree(half, ignore_errors=True)


def cache_folder() -> Path:
    """Say where fetched films are kept, for this user alone."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "filmroom" / "films"


def _cached(root: str, path: str) -> Path:
    place = _place(root, path)
    if _is_there(place):
        return place
    try:
        _fetch(root, path, place)
    except ServerError as error:
        raise NotFound(f"the film cannot be fetched: {error.what}", where=root, fix=error.fix) from None
    except OSError as error:
        raise NotFound(
            f"the film cannot be kept while it is read ({error.strerror or type(error).__name__})",
            where=place.parent,
            fix="Make room there, or name another place in XDG_CACHE_HOME.",
        ) from None
    return place


def _is_there(place: Path) -> bool:
    """Tell whether a film is kept, and note that it is looked at."""
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    except OSError:
        return place.is_file()  # where nothing may be written
    return True


def _fetch(root: str, path: str, place: Path) -> None:
    folder = place.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{place.stem}-", dir=folder) as scratch:
        fetched = Path(scratch) / "film"
        (_bucket if is_bucket(root) else _server)(root).fetch(path, fetched, max_bytes=LIMIT_BYTES)
        _make_room(folder, fetched.stat().st_size)
        fetched.replace(place)


def _place(root: str, path: str) -> Path:
    name = hashlib.sha256(f"{root}/{path}".encode("utf-8", "surrogateescape")).hexdigest()
    return cache_folder() / f"{name}.dcm"


def _make_room(folder: Path, size: int) -> None:
    """Delete what was not looked at for longest, and what killed processes have left. Others may do so at once."""
    limit = _limit_bytes()
    cached: list[tuple[os.stat_result, Path]] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            facts = path.stat()
            if path.suffix == ".dcm":
                cached.append((facts, path))
            elif path.name.startswith(_SCRATCH) and time.time() - facts.st_mtime > _LONGEST_FETCH:
                shutil.rmtree(path, ignore_errors=True)
    total = size + sum(facts.st_size for facts, _ in cached)
    for facts, path in sorted(cached, key=lambda film: film[0].st_mtime):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= facts.st_size


def _limit_bytes() -> int:
    megabytes = os.environ.get("FILMROOM_CACHE_MB")
    try:
        return int(float(megabytes) * 2**20) if megabytes else LIMIT_BYTES
    except (ValueError, OverflowError):
        raise BadInput("not a number of megabytes", where="FILMROOM_CACHE_MB", fix="Give one: 2048.") from None


@lru_cache(maxsize=8)
def _server(root: str) -> Connection:
    return Server(root, read_credentials()).open()


@lru_cache(maxsize=8)
def _bucket(root: str) -> Files:
    return Bucket(root).open()
