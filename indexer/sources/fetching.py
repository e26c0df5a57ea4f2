"""Fetch a server's films ahead of the decoders, into a folder that is emptied as they are done."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filmroom.db.errors import Rejected
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.sources.bucket import Bucket, Files
from filmroom.indexer.sources.dicomweb import REQUESTS_AT_ONCE, Connection, Selection, Server, ServerError
from filmroom.indexer.sources.source_file import SourceFile

_SPOOL = "fetched-"
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


@contextmanager
def fetched(
    connection: Connection | Files, paths: Sequence[str], folder: Path
) -> Generator[Iterator[SourceFile], None, None]:
    """Give the films of a server as files, each to be deleted by whoever is done with it; what is left goes at the end.

    A few are on their way at any time, so that neither the disk nor the memory fills. What a killed run left goes: the
    caller is the one writer of the archive. Raises ServerError where the server is away: what came before is kept.
    """
    for left in folder.glob(f"{_SPOOL}*"):
        shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=_SPOOL, dir=folder) as spool,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool,
    ):
        try:
            yield _in_order(connection, paths, Path(spool), pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    connection: Connection | Files, paths: Sequence[str], spool: Path, pool: ThreadPoolExecutor
) -> Iterator[SourceFile]:
    waiting: deque[Future[SourceFile]] = deque()
    failures = 0
    for number, path in enumerate(paths):
        waiting.append(pool.submit(_fetch, connection, path, spool / f"{number}.dcm"))
        while len(waiting) >= _AHEAD or (waiting and number + 1 == len(paths)):
            one = waiting.popleft().result()
            away = one.rejected is not None and one.rejected.code == Refusal.NOT_FETCHED.code
            failures = failures + 1 if away else 0
            if failures >= _GIVE_UP_AFTER:
                raise ServerError(
                    "the server sends no films any more", where=connection.url, fix="Index again: what came is kept."
                )
            yield one


def _fetch(connection: Connection | Files, path: str, to: Path) -> SourceFile:
    try:
        connection.fetch(path, to)
    except Rejected as error:
        to.unlink(missing_ok=True)
        return SourceFile(connection.url, path, 0, 0, rejected=error)
    return SourceFile(connection.url, path, 0, 0, fetched=str(to))
