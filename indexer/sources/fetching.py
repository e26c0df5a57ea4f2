"""Fetch a server's films ahead of the decoders, into a folder that is emptied as they are done."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from filmroom.db.archive import FETCHED
from filmroom.db.errors import Rejected
from filmroom.db.records import SourceFile
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.sources.bucket import Bucket, Files
from filmroom.indexer.sources.dicomweb import REQUESTS_AT_ONCE, Connection, Selection, Server, ServerError

_AHEAD = 2 * REQUESTS_AT_ONCE
_GIVE_UP_AFTER = 8
"""Films in a row that a server did not send: it is away, and the rest need not be tried."""


@dataclass(frozen=True)
class Remote:
    """A server or bucket, and what is asked of it."""

    server: Server | Bucket
    selection: Selection = field(default_factory=Selection)

    def __str__(self) -> str:
        return self.server.url


class Patience:
    """Count for each server the films in a row that it did not send."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def note(self, server: str, fault: Exception | None) -> None:
        """Take in how a film was fetched. Raises ServerError where the server is away."""
        away = isinstance(fault, Rejected) and fault.code == Refusal.NOT_FETCHED.code
        self._failures[server] = self._failures[server] + 1 if away else 0
        if self._failures[server] >= _GIVE_UP_AFTER:
            raise ServerError(
                "the server sends no films any more", where=server, fix="Do the same again later: what came is kept."
            )


@contextmanager
def fetched(
    connection: Connection | Files, films: Sequence[SourceFile], folder: Path, *, max_bytes: int
) -> Generator[Iterator[SourceFile], None, None]:
    """Give the films of a server as files, each to be deleted by whoever is done with it; what is left goes at the end.

    A few are on their way at any time, so that neither the disk nor the memory fills; what is listed as larger than
    `max_bytes` is rejected unfetched, and what is larger than listed once so much has come. What a killed run left is
    deleted: the caller is the archive's one writer. Raises ServerError where the server is away: what came before is
    kept.
    """
    for left in folder.glob(f"{FETCHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=FETCHED, dir=folder) as spool,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool,
    ):
        try:
            yield _in_order(partial(_fetch, connection, max_bytes), films, Path(spool), pool, where=connection.url)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    fetch: Callable[[SourceFile, Path], SourceFile],
    films: Sequence[SourceFile],
    spool: Path,
    pool: ThreadPoolExecutor,
    *,
    where: str,
) -> Iterator[SourceFile]:
    waiting: deque[Future[SourceFile]] = deque()
    patience = Patience()
    for number, film in enumerate(films):
        waiting.append(pool.submit(fetch, film, spool / f"{number}.dcm"))
        while len(waiting) >= _AHEAD or (waiting and number + 1 == len(films)):
            source = waiting.popleft().result()
            patience.note(where, source.rejected)
            yield source


def _fetch(connection: Connection | Files, max_bytes: int, film: SourceFile, to: Path) -> SourceFile:
    if film.size > max_bytes:
        return replace(film, rejected=Refusal.TOO_LARGE.error())
    try:
        connection.fetch(film.path, to, max_bytes=max_bytes)
    except Rejected as error:
        to.unlink(missing_ok=True)
        return replace(film, rejected=error)
    return replace(film, fetched=str(to))
