"""Define one tree of errors. Each says what is wrong, where, and what to do next; the doors print it as one line."""

from __future__ import annotations

from enum import StrEnum


class FilmroomError(Exception):
    """Something a person can act on.

    `what` is the fault, `where` the file, option or value it is about, `fix` the next step. No patient data in
    any of them: `where` is a path the person gave or owns, never the content of a tag.
    """

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where.removesuffix(':')}: {self.what}"
        line = line.rstrip(".")
        return f"{line}. {self.fix}" if self.fix else f"{line}."


class BadInput(FilmroomError):
    """A value, file or query that a person gave cannot be used as it is."""


class NotFound(FilmroomError):
    """What was asked for is not there."""


def no_such_film() -> NotFound:
    """Say that something was to be kept of a film that is not there: it may have been forgotten meanwhile."""
    return NotFound("a film of these is no longer in the archive", fix="Search again: nothing was written.")


class ArchiveBusy(FilmroomError):
    """Another process is writing to the archive."""


class ArchiveDamaged(FilmroomError):
    """The catalog itself cannot be read (the vector index is derived and never raises this)."""


class ArchiveReadOnly(FilmroomError):
    """The archive can be read, and not written."""


class ArchiveReplaced(FilmroomError):
    """Another archive, or none, is where this one was opened: nothing that was read of it holds there."""


class ModelUnavailable(FilmroomError):
    """A model cannot be loaded: not downloaded, incomplete, of another architecture, or without a text tower."""


class MissingExtra(FilmroomError):
    """An optional package is needed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional package", fix=f"Install it with: pip install 'filmroom[{extra}]'"
        )


class Stage(StrEnum):
    """Where on its way a file was turned away."""

    OPEN = "open"
    DECODE = "decode"
    WINDOW = "window"
    EMBED = "embed"


class Rejected(FilmroomError):
    """A file that cannot be indexed. The run goes on; code and stage are stored, their words are looked up when shown.

    `code` and `reason` are from a small fixed vocabulary without names, paths or tag values, so that they can be
    counted. Only the code is to be compared.
    """

    def __init__(self, code: str, reason: str, *, stage: Stage, remedy: str) -> None:
        super().__init__(reason, fix=remedy)
        self.code = code
        self.reason = reason
        self.stage = stage
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        return (_rejected, (self.code, self.reason, self.stage, self.remedy))


def _rejected(code: str, reason: str, stage: Stage, remedy: str) -> Rejected:
    return Rejected(code, reason, stage=stage, remedy=remedy)
