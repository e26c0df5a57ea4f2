"""Say of every source of an archive what it is, what came from it, how it stands, and how its last run ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.files.standing import RECEIVING, WATCHING, underway
from filmroom.db.reads import sources as db_sources
from filmroom.db.records import Run, is_remote
from filmroom.db.writes.runs import runs
from filmroom.indexer.live import spool
from filmroom.indexer.sources.bucket import is_bucket
from filmroom.indexer.sources.credentials import read_credentials
from filmroom.indexer.sources.dicomweb import Server, server_address

_RUNS_LOOKED_AT = 200


class Kind(StrEnum):
    """What a source is."""

    FOLDER = "folder"
    PACS = "PACS"
    BUCKET = "bucket"
    RECEIVED = "received"


@dataclass(frozen=True)
class KnownSource:
    """A source: `place` is a folder or an address; `state` is in words; `last_run` is None where it was long ago."""

    place: str
    kind: Kind
    films: int
    rejected: int
    state: str
    last_run: Run | None


def known_sources(archive: Archive) -> list[KnownSource]:
    """List the sources of an archive. Asks no server."""
    received = spool.folders(archive)
    watched = (underway(archive.folder, WATCHING) or "").split(", ")
    receiver = underway(archive.folder, RECEIVING)
    latest = runs(archive.catalog, _RUNS_LOOKED_AT)
    known = []
    for root in db_sources.roots(archive.catalog):
        kind = _kind(root.root, received)
        state = _state(root.root, kind, watched, receiver)
        last = next((run for run in latest if _is_over(run.paths, root.root)), None)
        known.append(KnownSource(root.root, kind, root.films, root.rejected, state, last))
    return known


def check_connection(address: str) -> str:
    """Ask a DICOMweb server for one study, and say how it went. Raises FilmroomError with what is wrong."""
    Server(server_address(address), read_credentials()).open().check()
    return "The server answers QIDO-RS and lets this machine in."


def _kind(place: str, received: Sequence[str]) -> Kind:
    if is_remote(place):
        return Kind.BUCKET if is_bucket(place) else Kind.PACS
    return Kind.RECEIVED if place in received else Kind.FOLDER


def _state(place: str, kind: Kind, watched: Sequence[str], receiver: str | None) -> str:
    if is_remote(place):
        return "asked when it is indexed"
    if not os.path.isdir(place):
        return "not there: is its disk mounted?"
    if kind is Kind.RECEIVED:
        return f"receiving as {receiver}" if receiver else "nobody receives: filmroom receive"
    if any(above in watched for above in (place, *map(str, Path(place).parents))):
        return "watched"
    return "there"


def _is_over(paths: Sequence[str], place: str) -> bool:
    """Tell whether a run over these paths was over a source, or a part of it."""
    return any(path == place or (not is_remote(place) and path.startswith(place.rstrip("/") + "/")) for path in paths)
