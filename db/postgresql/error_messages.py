"""Say in one line what a fault of the server means to who uses the archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from filmroom.db.errors import ArchiveBusy, ArchiveReadOnly, BadInput, FilmroomError, NotFound, no_such_film
from filmroom.db.postgresql.address import parts, shown
from filmroom.db.postgresql.connection import LOCK_SECONDS
from psycopg import errors


@contextmanager
def speaking(address: str) -> Iterator[None]:
    """Turn what psycopg raises, or SQLAlchemy over it, into an error in words.

    The cause is left behind: a server quotes the values of rows in what it says, and every traceback would show them.
    """
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)
        if not isinstance(cause, psycopg.Error):
            raise
        raise _in_words(cause, shown(parts(address))).with_traceback(error.__traceback__) from None


def no_archive(address: str) -> NotFound:
    return NotFound(
        "there is no archive in this database",
        where=shown(parts(address)),
        fix="Make one with: filmroom index FOLDER --archive ADDRESS, or: filmroom copy ARCHIVE ADDRESS",
    )


def _in_words(error: psycopg.Error, where: str) -> FilmroomError:
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
        return ArchiveBusy(
            f"another client wrote for more than {LOCK_SECONDS} s",
            where=where,
            fix="Try again when it has finished; `filmroom status` says which run is under way.",
        )
    if isinstance(error, errors.InsufficientPrivilege | errors.ReadOnlySqlTransaction):
        return ArchiveReadOnly(
            f"this user of the server may not do that ({_first_line(error)})",
            where=where,
            fix="Ask its administrator for the rights, or name another user in the address.",
        )
    if isinstance(error, errors.ForeignKeyViolation):
        return no_such_film()
    if isinstance(error, errors.DiskFull):
        return FilmroomError(
            "the disk of the server is full", where=where, fix="Make room there and run the command again."
        )
    if isinstance(error, errors.ProgramLimitExceeded):
        return BadInput("a path or a sentence is too long for an index of the server (about 2,700 bytes)", where=where)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return FilmroomError(
            f"the server cannot be used ({_first_line(error)})",
            where=where,
            fix="See that it runs and can be reached, and try again; what was committed is kept.",
        )
    return FilmroomError(
        f"the server refused what it was asked ({type(error).__name__}, SQLSTATE {error.sqlstate})",
        where=where,
        fix="Run `filmroom doctor`, and please report it.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")
